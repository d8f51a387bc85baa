"""The page for users of lme4: every call of its tables is made, and every number in its prose is computed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mixfit import datasets
from tests.docs.pages import DOCS, run

PAGE = "from_lme4.md"
ROW = re.compile(r"^\| (.+?[^\\]) \| (.+) \|$", flags=re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")


def calls() -> list[str]:
    """The code of the right column of every table: whatever stands between backticks."""
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    rows = [row for row in ROW.findall(text) if "---" not in row[0]]
    return [code.replace(r"\|", "|") for _, right in rows for code in CODE.findall(right)]


def test_tables_are_read_whole() -> None:
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in ROW.findall(text) if "---" not in row[0] and row != ("R", "mixfit")]
    tables = sum(line == "| R | mixfit |" for line in lines)
    assert tables == 5
    assert len(rows) == len(lines) - 2 * tables
    assert all(CODE.findall(right) for _, right in rows)


@pytest.fixture(scope="module")
def names() -> dict:
    return {**run(PAGE).names, "ticks": datasets.load("grouseticks")}


@pytest.mark.filterwarnings("ignore::mixfit.errors.BiasWarning")
@pytest.mark.parametrize("call", calls())
def test_every_call_of_the_tables_runs(call: str, names: dict) -> None:
    from matplotlib import pyplot as plt

    assert eval(call, dict(names)) is not None
    plt.close("all")


def numbers(text: str) -> list[float]:
    """All numbers of a text, in order."""
    return [float(n) for n in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e-?\d+)?(?![\w.\]])", text)]


def r_output(start: str) -> str:
    """The block of R's output that begins with `start`."""
    blocks = re.findall(r"^```text\n(.*?)^```$", run(PAGE).text, flags=re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if block.lstrip().startswith(start))


def test_side_by_side_summaries() -> None:
    page = run(PAGE)
    theirs, ours = numbers(r_output("Linear mixed model")), numbers(str(page.names["m"].summary(ddf="none")))
    different = [(a, b) for a, b in zip(theirs, ours, strict=True) if a != b]
    assert different == [(612.10, 612.09), (24.741, 24.740)]
    # as.data.frame(VarCorr(m)) of lme4 1.1-31 with all tolerances of nloptwrap at 1e-14: 612.08987
    assert page.names["m"].varcorr().to_frame()["vcov"][0] == pytest.approx(612.08987, rel=1e-5)


def test_side_by_side_profiles() -> None:
    rows = r_output("2.5 %").splitlines()[1:]
    theirs = np.array([[float(n) for n in row.split()[-2:]] for row in rows])
    ours = run(PAGE).names["m"].conf_int(method="profile", which="all")
    # R has the correlation between the two standard deviations.
    np.testing.assert_allclose(ours.to_numpy()[[0, 2, 1, 3, 4, 5]], theirs, rtol=5e-5)


def test_side_by_side_binomial() -> None:
    page = run(PAGE)
    g = page.names["g"]
    rows = [row for row in r_output("Generalized").splitlines() if row.startswith(("(Intercept)", "period"))][:4]
    estimate, error = np.array([numbers(row.replace("period", "p"))[-4:-2] for row in rows]).T
    np.testing.assert_allclose(g.params, estimate, rtol=0, atol=1e-3)
    np.testing.assert_allclose(g.bse, error, rtol=0.015)
    page.says(f"{g.bse.iloc[0]:.4f} against {error[0]} for the intercept", "it gives 0.23247")
    # glmer with the control that the page names (lme4 1.1-31), and glmmTMB's defaults.
    for tight in (
        [0.2324720507, 0.3066424950, 0.3266378085, 0.4274365967],
        [0.2324717631, 0.3066421057, 0.3266373818, 0.4274357366],
    ):
        np.testing.assert_allclose(g.bse, tight, rtol=3e-5)
        assert f"{tight[0]:.5f}" == f"{g.bse.iloc[0]:.5f}" == "0.23247"


def test_anova_after_a_refit() -> None:
    page = run(PAGE)
    assert "refitting model(s) with ML (instead of REML)" in page.printed
    assert "42.139" in page.printed
    assert "7.072e-10" in page.printed
    page.says("`Chisq` 42.139, `Pr(>Chisq)` 7.072e-10")


def test_days_in_seconds() -> None:
    page = run(PAGE)
    m, scaled = page.names["m"], page.names["scaled"]
    assert scaled.llf == pytest.approx(m.llf - np.log(86_400), abs=1e-7)
    assert page.names["slope"] == pytest.approx(m.params["Days"], rel=1e-7)
    # logLik(lmer(Reaction ~ sec + (sec | Subject), transform(sleepstudy, sec = 86400 * Days))), lme4 1.1-31
    page.says(f"stops at −907.90, which is {scaled.llf - -907.9004651:.1f} lower")


def test_singular_fit() -> None:
    still = run(PAGE).names["still"]
    assert (still.is_singular, still.converged) == (True, True)
    assert still.varcorr().to_frame()["sdcor"][0] == 0


def test_datasets_that_are_named() -> None:
    assert {"penicillin_plates", "penicillin"} <= set(datasets.list()["name"])
    assert datasets.load("penicillin")["blend"].nunique() == 5


def test_what_the_differences_say(names: dict) -> None:
    m, g = names["m"], names["g"]
    assert m.deviance == pytest.approx(-2 * m.llf)
    assert g.deviance != pytest.approx(-2 * g.llf)
    np.testing.assert_allclose(g.predict(), g.fittedvalues)
    assert "Pr(>|t|)" not in str(m.summary(ddf="none"))
    assert "Pr(>|t|)" in str(m.summary())


def test_standard_errors_of_predictions_beside_those_of_glmmtmb(names: dict) -> None:
    theirs = np.reshape(numbers(r_output("0.3783")), (2, 4))
    mine = np.array(names["errors"])
    ratio = mine[0] / theirs[0]
    assert (ratio > 0.97 - 5e-4).all()
    assert (ratio < 0.985).all()
    np.testing.assert_allclose(mine[1], theirs[1], atol=1e-4)
