"""Printed summaries of generalized fits against lme4's."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from mixfit.results import GeneralizedResults
from mixfit.tables.numbers import LEGEND, format_p_values, stars
from tests.dense import Certificate
from tests.fitted.generalized_models import GOLDEN, LME4, fitted, wanted

every_lme4 = pytest.mark.parametrize("name", LME4)


def plain(text: str) -> list[str]:
    """Lines as R would name the columns."""
    text = re.sub(r"\[T\.([^\]]*)\]", r"\1", text)
    text = re.sub(r"(\w)\*\*(\d)", r"\1^\2", text)
    return [line.rstrip() for line in text.rstrip().splitlines()]


def theirs(name: str) -> list[str]:
    text = (GOLDEN / f"{name}.txt").read_text().replace(" [glmerMod]", "")
    # what lme4's optimizer says of itself comes last
    return plain(text.split("\noptimizer (")[0])


def section(lines: list[str], title: str) -> list[str]:
    """The lines under a title, to the next blank one."""
    start = lines.index(title) + 1
    end = next((i for i in range(start, len(lines)) if not lines[i]), len(lines))
    return lines[start:end]


def words(lines: list[str]) -> list[list[str]]:
    return [line.split() for line in lines]


def assert_alike(mine: list[str], lme4: list[str]) -> None:
    """The same words; numbers of as many decimals, and apart by at most one in the last."""
    assert len(mine) == len(lme4)
    for own, reference in zip(words(mine), words(lme4), strict=True):
        assert len(own) == len(reference)
        for a, b in zip(own, reference, strict=True):
            if re.fullmatch(r"-?\d+\.\d+", b):
                decimals = len(b.split(".")[1])
                assert len(a.split(".")[1]) == decimals
                assert abs(float(a) - float(b)) < 1.5 * 10.0**-decimals
            else:
                assert a == b


@every_lme4
def test_heading_and_random_effects_read_as_lme4s(name: str) -> None:
    mine, lme4 = plain(str(fitted(name).summary(ddf="none"))), theirs(name)
    joined = " ".join(" ".join(lme4).split())
    first = mine.index(next(line for line in mine if line.startswith("Formula")))
    assert " ".join(" ".join(mine[:first]).split()) in joined
    assert mine[first] == next(line for line in lme4 if line.startswith("Formula"))
    assert max(map(len, mine)) <= 80
    table = next(i for i, line in enumerate(mine) if "AIC" in line)
    assert mine[table].split() == ["AIC", "BIC", "logLik", "-2*log(L)", "df.resid"]
    # lme4 1.1's quadrature leaves out the binomial coefficients
    if name != "cbpp_agq9":
        wanted_criteria = next(i for i, line in enumerate(lme4) if "AIC" in line) + 1
        assert mine[table + 1].split() == lme4[wanted_criteria].split()
    assert_alike(section(mine, "Random effects:"), section(lme4, "Random effects:"))
    ours, residuals = (words(section(text, "Scaled residuals:")) for text in (mine, lme4))
    assert ours[0] == residuals[0] == ["Min", "1Q", "Median", "3Q", "Max"]
    assert_allclose(np.array(ours[1], float), np.array(residuals[1], float), atol=1.5e-3)
    correlations = "Correlation of Fixed Effects:"
    ours, lme4s = (re.findall(r"-?\d\.\d{3}\b", "\n".join(section(text, correlations))) for text in (mine, lme4))
    assert len(ours) == len(lme4s) > 0
    assert_allclose(np.array(ours, float), np.array(lme4s, float), atol=4e-3)


@every_lme4
def test_fixed_effects_are_laid_out_as_r_does(name: str) -> None:
    # lme4's own numbers, in our table
    estimates, errors = wanted(name, "params"), wanted(name, "bse")
    columns = {"Estimate": estimates, "Std. Error": errors, "z value": estimates / errors}
    table = pd.DataFrame({**columns, "Pr(>|z|)": wanted(name, "pvalues")})
    summary = replace(fitted(name).summary(), coefficients=table, correlation=None)
    lines = [line.rstrip() for line in str(summary).splitlines()]
    block = section(theirs(name), "Fixed effects:")
    assert section(lines, "Fixed effects:") == block
    assert block[-1] == LEGEND


@every_lme4
def test_varcorr_prints_as_lme4s(name: str) -> None:
    assert_alike(plain(str(fitted(name).varcorr())), plain((GOLDEN / f"{name}_varcorr.txt").read_text()))


def test_p_values_as_r_formats_them() -> None:
    for line in (GOLDEN / "pvalues.txt").read_text().splitlines():
        left, right = line.split(";|;")
        values = [np.nan if p == "NA" else float(p) for p in left.split(";")]
        cells = [cell.replace("_", " ").replace("NA", "NaN") for cell in right.split(";")]
        assert [cell.strip() for cell in format_p_values(values, 3)] == cells


def test_codes_of_significance() -> None:
    assert stars([0.0, 0.001, 0.0011, 0.01, 0.051, 0.1, 0.11, np.nan]) == ["***", "***", "**", "**", ".", ".", "", ""]
    fit = fitted("cbpp")
    dull = fit.summary().coefficients.assign(**{"Pr(>|z|)": 0.5})
    text = str(replace(fit.summary(), coefficients=dull))
    assert "Signif" not in text
    assert "***" not in text


def test_line_on_the_dispersion() -> None:
    assert "\nDispersion parameter for nbinom2 family (phi): 3.31\n" in str(fitted("tmb_grouseticks_nb").summary())
    text = str(fitted("tmb_sleepstudy_gamma").summary())
    assert re.search(r"Dispersion parameter for gamma family \(phi\): 0\.00934\n", text)
    assert re.search(r"^ Residual +0\.00934", text, re.MULTILINE)
    assert "Dispersion" not in str(fitted("cbpp").summary())


def test_html_holds_what_the_text_says() -> None:
    html = fitted("tmb_grouseticks_nb").summary()._repr_html_()
    for piece in ("Family: nbinom2  ( log )", "Pr(&gt;|z|)", "***", "Signif. codes", "(phi): 3.31", "-2*log(L)"):
        assert piece in html
    assert "Residual<" not in html
    assert "Signif" not in replace(fitted("tmb_grouseticks_nb").summary(), coefficients=_dull()).as_html()


def _dull() -> pd.DataFrame:
    return fitted("tmb_grouseticks_nb").summary().coefficients.assign(**{"Pr(>|z|)": 0.5})


def test_notes() -> None:
    fit = fitted("cbpp")
    bad = Certificate(False, 0.5, 0.25, (), "ran out of evaluations")
    stopped = GeneralizedResults(fit.model, replace(fit.estimate, certificate=bad))
    assert not stopped.converged
    assert stopped.certificate is bad
    assert str(stopped.summary(ddf="none")).endswith("predicted decrease 0.25)")
    flat = replace(fit.estimate, templates=(np.zeros((1, 1)),))
    assert GeneralizedResults(fit.model, flat).is_singular
    assert "boundary (singular) fit" in str(GeneralizedResults(fit.model, flat).summary())
    assert "boundary" not in str(fit.summary())


def test_repr_and_pickle() -> None:
    fit = fitted("cbpp_agq9")
    assert repr(fit).endswith("binomial(logit), 56 observations>")
    _ = fit.fittedvalues, fit.pvalues
    again = pickle.loads(pickle.dumps(fit))
    assert set(vars(again)) == {"model", "estimate"}
    assert str(again.summary()) == str(fit.summary())
    pd.testing.assert_frame_equal(again.predict(se=True), fit.predict(se=True))
