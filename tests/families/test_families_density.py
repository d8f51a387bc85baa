"""Log densities against scipy and statsmodels, constants included; deviances, variances and draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats

from tests.families.cases import COMPOSED, EVERY, TRIALS, Case, case

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]


def scipy_density(c: Case, mu: Array) -> Array:
    """Log density by scipy; prior weights as each family defines them."""
    y, w, phi = c.y, c.prior, c.phi
    match c.family.name:
        case "binomial":
            out = stats.binom.logpmf(np.round(w * y), w, mu)
        case "poisson":
            out = w * stats.poisson.logpmf(y, mu)
        case "gamma":
            out = stats.gamma.logpdf(y, w / phi, scale=mu * phi / w)
        case "inverse.gaussian":
            out = stats.invgauss.logpdf(y, mu * phi / w, scale=w / phi)
        case "gaussian":
            out = stats.norm.logpdf(y, mu, np.sqrt(phi / w))
        case "nbinom2":
            out = w * stats.nbinom.logpmf(y, phi, phi / (phi + mu))
        case "beta":
            out = w * stats.beta.logpdf(y, mu * phi, (1.0 - mu) * phi)
        case "betabinomial":
            out = stats.betabinom.logpmf(np.round(w * y), w, mu * phi, (1.0 - mu) * phi)
        case name:
            raise AssertionError(name)
    return np.asarray(out)


@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_loglik_is_the_density_of_scipy(family: Family) -> None:
    c = case(family)
    ours = family.loglik(c.y, c.prior, c.eta, c.phi)
    assert_allclose(ours, scipy_density(c, family.link.mean(c.eta)), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("family", [f for f in EVERY if f.name in ("nbinom2", "poisson")], ids=repr)
def test_weights_multiply_the_density_of_counts(family: Family) -> None:
    c = case(family)
    twice = family.loglik(c.y, 2.0 * c.prior, c.eta, c.phi)
    assert_allclose(twice, 2.0 * family.loglik(c.y, c.prior, c.eta, c.phi), rtol=1e-14)


STATSMODELS = {
    "binomial": sm.families.Binomial,
    "poisson": sm.families.Poisson,
    "gamma": sm.families.Gamma,
    "inverse.gaussian": sm.families.InverseGaussian,
    "gaussian": sm.families.Gaussian,
}


@pytest.mark.parametrize("family", [f for f in EVERY if f.name in STATSMODELS], ids=repr)
def test_unit_deviance_is_that_of_statsmodels(family: Family) -> None:
    c = case(family)
    mu = family.link.mean(c.eta)
    theirs = STATSMODELS[family.name]()
    assert_allclose(family.unit_deviance(c.y, mu).sum(), theirs.deviance(c.y, mu), rtol=1e-12)
    assert_allclose(family.variance(mu, 1.0), theirs.variance(mu), rtol=1e-12)


@pytest.mark.parametrize("family", [f for f in EVERY if f.name in STATSMODELS and f.has_dispersion], ids=repr)
def test_loglik_is_that_of_statsmodels(family: Family) -> None:
    c = case(family)
    mu, one = family.link.mean(c.eta), np.ones(len(c.y))
    ours = family.loglik(c.y, one, c.eta, c.phi).sum()
    assert_allclose(ours, STATSMODELS[family.name]().loglike(c.y, mu, scale=c.phi), rtol=1e-10)


@pytest.mark.parametrize("family", [f for f in EVERY + COMPOSED if f.link.name == f.links[0]], ids=repr)
def test_draws_have_the_mean_and_variance_that_the_family_states(family: Family) -> None:
    c = case(family, n=6)
    prior = np.ones(6)
    mu = family.link.mean(c.eta)
    draws = family.simulate(np.broadcast_to(mu, (40_000, 6)), prior, c.phi, np.random.default_rng(1))
    variance = family.variance(mu, c.phi)
    mean = family.expectation(c.eta, c.phi)
    assert (np.abs(draws.mean(axis=0) - mean) < 5.0 * np.sqrt(variance / 40_000)).all()
    assert_allclose(draws.var(axis=0), variance, rtol=0.1)


@pytest.mark.parametrize("family", [f for f in EVERY if f.name in TRIALS], ids=repr)
def test_binomial_draws_are_proportions_of_the_trials(family: Family) -> None:
    prior = np.array([1.0, 2.0, 7.0])
    y = family.simulate(np.full((50, 3), 0.4), prior, 3.0, np.random.default_rng(1))
    assert_allclose(y * prior, np.round(y * prior), atol=1e-12)
    family.check(y[0], prior, "y")


@pytest.mark.parametrize("family", EVERY + COMPOSED, ids=repr)
def test_start_means_lie_inside_the_support(family: Family) -> None:
    c = case(family)
    with np.errstate(all="raise"):
        eta = family.link.eta(family.start_mean(c.y, c.prior))
    assert np.isfinite(eta).all()
    if family.has_dispersion:
        phi = family.start_dispersion(c.y, c.prior, family.link.mean(c.eta))
        assert 0.05 < phi / c.phi < 20.0
