"""Frequencies of counts that a fit expects, and the same model under other families."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import nbinom, poisson

import mixfit
from mixfit.errors import ComparisonError, FitError
from tests.glmm.test_glmm_several import data


def test_expected_frequencies_are_sums_of_probabilities() -> None:
    d = data("nbinom2", each=12)
    fit = mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom2", zi="~ x").fit()
    frame = fit.frequencies(3).frame
    mu, p, phi = fit.predict(what="conditional"), fit.predict(what="zero"), fit.dispersion
    own = [(1.0 - p) * nbinom.pmf(j, phi, phi / (phi + mu)) + (p if j == 0 else 0.0) for j in range(4)]
    assert_allclose(frame["expected"].iloc[:4], [x.sum() for x in own], rtol=1e-8)
    assert_allclose(frame["expected"].sum(), len(d))
    assert frame["observed"].tolist() == [int((d.y == j).sum()) for j in range(4)] + [int((d.y > 3).sum())]
    assert frame.index.tolist() == ["0", "1", "2", "3", ">3"]


def test_a_hurdle_expects_the_zeros_that_there_are() -> None:
    d = data("truncated_poisson", each=12)
    fit = mixfit.mixed("y ~ x + (1 | g)", d, family="truncated_poisson", zi="~ 1").fit()
    frame = fit.frequencies(2).frame
    assert_allclose(frame.loc["0", "expected"], frame.loc["0", "observed"], rtol=1e-5)
    eta, p = np.exp(fit.linear_predictor), fit.predict(what="zero")
    assert_allclose(frame.loc["1", "expected"], ((1.0 - p) * poisson.pmf(1, eta) / -np.expm1(-eta)).sum(), rtol=1e-7)


def test_frequencies_are_of_counts() -> None:
    herds = mixfit.datasets.load("cbpp")
    fit = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial").fit()
    with pytest.raises(FitError, match="compares counts"):
        fit.frequencies()


def test_families_are_compared_by_their_own_fits() -> None:
    d = data("nbinom2", each=12)
    fit = mixfit.mixed("y ~ x + (1 | g)", d, family="poisson").fit()
    zero = mixfit.mixed("y ~ x + (1 | g)", d, family="poisson", zi="~ 1").fit()
    table = fit.compare_families(["nbinom2", zero, "beta", "truncated_poisson"])
    frame = table.frame
    own = mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom2").fit()
    assert_allclose(frame.loc["nbinom2(log)", ["AIC", "BIC", "logLik"]].astype(float), [own.aic, own.bic, own.llf])
    assert_allclose(frame.loc["poisson(log), zi", "AIC"], zero.aic)
    assert_allclose(frame.loc["poisson(log)", "AIC"], fit.aic)
    assert_allclose(frame["weight"].sum(), 1.0)
    assert frame["AIC"].dropna().is_monotonic_increasing
    assert frame.loc[["beta", "truncated_poisson"], "AIC"].isna().all()
    assert [note.split(":")[0] for note in table.notes] == ["beta", "truncated_poisson"]
    with pytest.raises(ComparisonError, match="another response"):
        fit.compare_families([fit.refit(np.asarray(fit.simulate(1, seed=1))[:, 0])])


def test_a_linear_model_is_compared_by_maximum_likelihood() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    frame = fit.compare_families(["t", "gaussian"]).frame
    assert_allclose(frame.loc["gaussian(identity)", "logLik"], fit.model.fit(reml=False).llf)
    assert_allclose(frame.loc["gaussian(identity) [2]", "logLik"], fit.model.fit(reml=False).llf)


def test_predictors_stay_with_another_family() -> None:
    d = data("nbinom2", each=12)
    fit = mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom2", zi="~ x", dispersion="~ h").fit()
    table = fit.compare_families(["nbinom1", "poisson", "binomial"])
    own = mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom1", zi="~ x", dispersion="~ h").fit()
    assert_allclose(table.frame.loc["nbinom1(log), zi, dispersion", "AIC"], own.aic)
    assert len(table.notes) == 2


def test_zeros_of_continuous_responses_are_tested_where_they_have_a_probability() -> None:
    d = data("gamma(log)", each=12)
    hurdle = mixfit.mixed("y ~ x + (1 | g)", d, family="gamma", zi="~ 1").fit()
    assert "zero inflation" in hurdle.residual_tests(50, seed=1).frame.index
    rest = mixfit.mixed("y ~ x + (1 | g)", d[d.y > 0], family="gamma").fit()
    assert "zero inflation" not in rest.residual_tests(50, seed=1).frame.index
