"""The page for users of statsmodels: every call of its tables is made, and every number in its prose is computed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib import pyplot as plt

import mixfit
from tests.docs.pages import DOCS, run

PAGE = "from_statsmodels.md"
CODE = re.compile(r"`([^`]+)`")


def calls() -> list[str]:
    """The code of all tables, of both packages: whatever stands between backticks."""
    lines = (DOCS / PAGE).read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    return [code.replace(r"\|", "|") for row in rows for code in CODE.findall(row)]


def test_tables_are_read_whole() -> None:
    # Six models and 24 rows of calls, each with at least one call; most have two.
    assert len(calls()) > 60


@pytest.mark.parametrize("call", calls())
def test_every_call_of_the_tables_runs(call: str) -> None:
    assert eval(call, dict(run(PAGE).names)) is not None
    plt.close("all")


def models() -> list[tuple[str, str]]:
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    pairs = re.findall(r"\| `(smf\.[^`]+)` \| `(mixfit\.[^`]+)` \|", text)
    return [(theirs, ours.replace(r"\|", "|")) for theirs, ours in pairs]


def test_there_are_six_models() -> None:
    assert len(models()) == 6


@pytest.mark.parametrize(("theirs", "ours"), models())
def test_models_of_a_row_are_the_same(theirs: str, ours: str) -> None:
    names = dict(run(PAGE).names)
    assert eval(theirs, names).fit().llf == pytest.approx(eval(ours, names).fit().llf, abs=1e-5)


def test_side_by_side() -> None:
    page = run(PAGE)
    both = page.names["both"]
    exact = ["Intercept", "Days", "residual variance", "llf"]
    np.testing.assert_allclose(both.loc[exact, "mixfit"], both.loc[exact, "statsmodels"], rtol=1e-7)
    np.testing.assert_allclose(both["mixfit"], both["statsmodels"], rtol=5e-5)


def test_tests_of_the_slope() -> None:
    page = run(PAGE)
    m, s = page.names["m"], page.names["s"]
    np.testing.assert_allclose(m.pvalues.iloc[1], s.pvalues.iloc[1], rtol=1e-3)
    assert round(float(m.ttest()["df"].iloc[1])) == 17
    assert s.f_test(np.eye(5)[1:2]).df_denom == 178
    assert np.isnan([s.aic, s.bic]).all()


def test_standard_error_of_a_variance() -> None:
    page = run(PAGE)
    m, s = page.names["m"], page.names["s"]
    ratio = float(s.bse["Subject Var"])
    shown = ratio * np.sqrt(s.scale)
    assert f"{shown:.3f}" in str(s.summary())
    page.says(f"The {shown:.3f} beside `Subject Var` is the standard error of the variance *ratio*, {ratio:.3f}")
    low, high = m.conf_int(method="profile", which="random").iloc[0]
    sd = m.varcorr().to_frame()["sdcor"][0]
    page.says(f"{sd:.1f} may well be {low:.0f} or {high:.0f}; squared, {low**2:.0f} or {high**2:.0f}")
    # The Wald interval of the standard deviation, brought to the variance, says the same as the profile does.
    wald = np.log(m.conf_int(which="random").iloc[0])
    assert (wald[1] - wald[0]) / 1.96 * sd**2 > 20 * shown


def test_easy_models_agree_and_take_less_time() -> None:
    page = run(PAGE)
    for frame in (page.names["agreement"], page.names["larger"].iloc[:1]):
        np.testing.assert_allclose(frame["llf, mixfit"], frame["llf, statsmodels"], atol=1e-5)
        assert (frame["ratio"] > 1).all()
    assert (page.names["few"].shape[0], page.names["ratings"].shape[0]) == (500, 73_421)
    page.says(f"would take {73_421**2 * 8 / 1e9:.0f} gigabytes")


def test_difficult_models() -> None:
    page = run(PAGE)
    theirs, ours = page.names["theirs"], page.names["ours"]
    assert all(fit.converged for fit in ours.values())
    assert all(page.names["lines"][name, "mixfit"][2] == 0 for name in ours)
    short = {name: ours[name].llf - theirs[name].llf for name in ours}
    assert abs(short["dyestuff2"]) < 1e-6
    assert ours["dyestuff2"].is_singular
    assert short["odd and even days"] > 1
    assert theirs["odd and even days"].converged
    page.says(f"gives what it has, {short['parabolas']:.0f} units below the maximum")
    assert short["days in seconds"] > 10
    assert not theirs["days in seconds"].converged
    page.says(f"lower by log(86,400) = {np.log(86_400):.1f}")
    assert ours["days in seconds"].llf == pytest.approx(page.names["m"].llf - np.log(86_400), abs=1e-6)
    # logLik of lmer, lme4 1.1-31: (f | Subject), and (Days + I(Days^2) | Subject) with xtol_rel = 1e-10.
    assert ours["odd and even days"].llf == pytest.approx(-892.8544124, abs=1e-6)
    assert ours["parabolas"].llf == pytest.approx(-865.003843, abs=1e-5)
    page.says("lme4 has −892.854 for odd and even days, and −865.004 for the parabolas")


def test_binary_data() -> None:
    page = run(PAGE)
    g, variational, mode = (page.names[name] for name in ("g", "variational", "mode"))
    np.testing.assert_allclose(variational.fe_mean, g.params, atol=0.02)
    assert variational.fe_sd[0] / g.bse.iloc[0] == pytest.approx(0.5, abs=0.03)
    assert np.exp(mode.vcp_mean[0]) < 1e-4
    assert page.names["mode_warnings"] == ["ConvergenceWarning"]


def test_predictions() -> None:
    page = run(PAGE)
    m, s, new = (page.names[name] for name in ("m", "s", "new"))
    np.testing.assert_allclose(m.predict(new, re_form="population"), s.predict(new))
    np.testing.assert_allclose(m.fittedvalues, s.fittedvalues, rtol=1e-5)
    assert (m.predict(new) - s.predict(new)).abs().min() > 50


@pytest.mark.parametrize("term", ["C(parity, Treatment('odd'))", "bs(Days, df=4)", "np.log(Days + 1)"])
def test_terms_of_patsy(term: str) -> None:
    import statsmodels.formula.api as smf

    d = run(PAGE).names["d"]
    theirs = smf.mixedlm(f"Reaction ~ {term}", d, groups="Subject").fit()
    ours = mixfit.mixed(f"Reaction ~ {term} + (1 | Subject)", d).fit()
    np.testing.assert_allclose(ours.params, theirs.fe_params, rtol=1e-6)
