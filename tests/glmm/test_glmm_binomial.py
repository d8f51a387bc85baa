"""Binomial responses: four spellings of one data set, and quadrature that settles."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import gammaln

import mixfit
from tests.glmm.data import load


def rows_of_trials() -> pd.DataFrame:
    """cbpp with one row an animal."""
    cbpp = load("cbpp")
    rows = cbpp.loc[cbpp.index.repeat(cbpp["size"])].reset_index(drop=True)
    first = np.concatenate([np.arange(size) for size in cbpp["size"]])
    rows["ill"] = (first < rows["incidence"]).astype(int)
    return rows


@pytest.mark.parametrize(("n_agq", "family"), [(1, "binomial"), (7, "binomial"), (1, "binomial(cloglog)")])
def test_four_spellings_have_one_set_of_estimates(n_agq: int, family: str) -> None:
    cbpp, rows = load("cbpp"), rows_of_trials()
    cbpp["share"] = cbpp["incidence"] / cbpp["size"]
    rows["yes"] = rows["ill"] == 1
    rows["state"] = pd.Categorical(np.where(rows["yes"], "sick", "healthy"), ["healthy", "sick"])
    fits = [
        mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1|herd)", cbpp, family).fit(n_agq=n_agq),
        mixfit.mixed("share ~ period + (1|herd)", cbpp, family, weights="size").fit(n_agq=n_agq),
        *(mixfit.mixed(f"{y} ~ period + (1|herd)", rows, family).fit(n_agq=n_agq) for y in ("ill", "yes", "state")),
    ]
    n, k = cbpp["size"], cbpp["incidence"]
    coefficient = float((gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)).sum())
    for i, fit in enumerate(fits):
        assert fit.converged
        assert_allclose(fit.params, fits[0].params, rtol=1e-5)
        assert_allclose(fit.theta, fits[0].theta, rtol=1e-5)
        assert_allclose(fit.llf, fits[0].llf - (coefficient if i > 1 else 0.0), atol=1e-8)


def test_two_spellings_have_one_set_of_standard_errors() -> None:
    counts = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1|herd)", load("cbpp"), "binomial").fit()
    rows = mixfit.mixed("ill ~ period + (1|herd)", rows_of_trials(), "binomial").fit()
    assert_allclose(rows.bse, counts.bse, rtol=5e-5)


def test_swapping_the_levels_turns_the_signs() -> None:
    rows = rows_of_trials()
    rows["well"] = 1 - rows["ill"]
    ill, well = (mixfit.mixed(f"{y} ~ period + (1|herd)", rows, "binomial").fit() for y in ("ill", "well"))
    assert_allclose(well.params, -ill.params, rtol=1e-5)
    assert_allclose(well.llf, ill.llf, atol=1e-7)


def test_rows_without_trials_change_nothing() -> None:
    cbpp = load("cbpp")
    more = pd.concat([cbpp, cbpp.head(3).assign(incidence=0, size=0)], ignore_index=True)
    formula = "cbind(incidence, size - incidence) ~ period + (1|herd)"
    fit, same = (mixfit.mixed(formula, data, "binomial").fit() for data in (cbpp, more))
    assert_allclose(same.llf, fit.llf, atol=1e-8)
    assert_allclose(same.params, fit.params, rtol=1e-6)


def test_quadrature_converges_on_toenail() -> None:
    model = mixfit.mixed("outcome ~ treatment * visit + (1|patientID)", load("toenail"), "binomial")
    fits = {n: model.fit(n_agq=n) for n in (1, 5, 9, 20, 25, 35, 75)}
    assert all(fit.converged for fit in fits.values())
    llf = {n: fit.llf for n, fit in fits.items()}
    # With a standard deviation of 4, few points are worse than one: the error falls from 5 points on.
    assert_allclose(llf[1], -624.380129, atol=1e-5)
    assert_allclose(llf[20], -621.194060, atol=1e-5)
    errors = [abs(llf[n] - llf[75]) for n in (5, 9, 20, 35)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3
    assert abs(llf[25] - llf[75]) < 1e-2
    assert_allclose(fits[25].params, fits[75].params, atol=2e-2 * fits[75].bse.max())
    assert_allclose(fits[25].theta, fits[75].theta, rtol=1e-3)


def test_quadrature_refuses_what_it_cannot_do() -> None:
    crossed = mixfit.mixed("r2 ~ Anger + (1|id) + (1|item)", load("verbagg"), "binomial")
    with pytest.raises(mixfit.errors.FitError, match=r"needs one grouping factor, and this model has 2.*\(1\|g\)"):
        crossed.fit(n_agq=5)
    wide = mixfit.mixed("use ~ age + (1 + age + urban + I(age**2)|district)", load("contraception"), "binomial")
    with pytest.raises(mixfit.errors.FitError, match="up to 3 random columns a group, and this model has 4"):
        wide.fit(n_agq=5)
    for n_agq in (-1, 2.5):
        with pytest.raises(mixfit.errors.FitError, match="positive whole number"):
            crossed.fit(n_agq=n_agq)


def test_quadrature_takes_as_many_points_as_double_precision_has_weights_for() -> None:
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1|herd)", load("cbpp"), "binomial")
    assert_allclose(model.fit(n_agq=300).llf, model.fit(n_agq=25).llf, rtol=1e-10)
    with pytest.raises(mixfit.errors.FitError, match="n_agq is at most 300, not 301"):
        model.fit(n_agq=301)


def test_toenail_is_that_of_lme4() -> None:
    # glmer(y ~ treatment * time + (1 | patientID), binomial, nAGQ = n), lme4 1.1-31 (bobyqa to 1e-9, tolPwrss = 1e-10):
    # logLik and theta. (All 1,908 rows of the bundled set, "moderate or severe" as 1.)
    lme4 = {
        1: (-627.808935, 4.570910),
        5: (-630.018635, 3.691285),
        25: (-625.415894, 4.000385),
        50: (-625.397344, 4.006648),
    }
    model = mixfit.mixed("outcome ~ treatment * time + (1|patientID)", load("toenail"), "binomial")
    for n_agq, (llf, theta) in lme4.items():
        fit = model.fit(n_agq=n_agq)
        assert_allclose(fit.llf, llf, atol=5e-6)
        assert_allclose(fit.theta, [theta], atol=1e-5)
