"""The Laplace approximation of a posterior against exact ones, and what it says of itself."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.bayes.laplace import LaplacePosterior
from mixfit.bayes.levels import LevelPosterior
from mixfit.bayes.resolve import resolve
from mixfit.errors import FitError
from tests.bayes.models import SLEEP, differences, places


def herds():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial").fit()


@pytest.fixture(scope="module")
def fit():
    return herds()


@pytest.fixture(scope="module")
def posterior(fit):
    return fit.sample(method="laplace", seed=1, draws=2000)


def ticks():
    data = mixfit.datasets.load("grouseticks")
    kept = data[data["LOCATION"].isin(data["LOCATION"].unique()[:12])]
    kept = kept.apply(lambda c: c.cat.remove_unused_categories() if c.dtype == "category" else c)
    return mixfit.mixed("TICKS ~ cHEIGHT + (1 | BROOD) + (1 + cHEIGHT | LOCATION)", kept, family="poisson").fit()


@pytest.mark.parametrize("make", [herds, ticks])
def test_slopes(make):
    fit = make()
    density = LaplacePosterior(fit, resolve("rstanarm", fit.model, residual=False))
    x = places(density, 2, spread=0.2)
    assert_allclose(density.evaluate(x, slopes=True).slope, differences(density, x, 1e-4), rtol=1e-4, atol=1e-5)


def test_ratios_average_to_what_the_approximation_lacks(fit):
    """E[exact / approximate] over N(u~, A^{-1}) is the likelihood over its Laplace approximation."""
    priors = resolve("rstanarm", fit.model, residual=False)
    laplace, exact = LaplacePosterior(fit, priors), LevelPosterior(fit, priors)
    x = places(laplace, 1, spread=0.3)
    _, ratio = laplace.draw(np.repeat(x, 20_000, axis=0), np.random.default_rng(2))
    lacks = exact.evaluate(x).value - laplace.evaluate(x).value
    error = np.exp(ratio).std() / np.sqrt(len(ratio))
    assert abs(np.exp(ratio).mean() - np.exp(lacks[0])) < 4 * error + 1e-4
    assert lacks[0] > 5 * error


def test_effects_are_drawn_about_their_modes():
    """Correlated columns and a crossed factor: means and covariances against a dense Gaussian approximation."""
    fit = ticks()
    density = LaplacePosterior(fit, resolve("rstanarm", fit.model, residual=False))
    x = density.start()
    drawn, _ = density.draw(np.repeat(x[None], 40_000, axis=0), np.random.default_rng(3))
    b = np.concatenate([e.reshape(len(e), -1) for e in drawn.effects], axis=1)
    Z = fit.model.exog_re.toarray()
    blocks = []
    for at, own, r in zip(density.terms, density.priors.coordinates, fit.model.design.random, strict=True):
        t = own.templates(x[None, at])[0]
        blocks += [np.linalg.inv(t @ t.T)] * r.grouping.n_levels
    from scipy.linalg import block_diag

    prior = block_diag(*blocks)
    beta, u = drawn.beta[0], np.zeros(Z.shape[1])
    for _ in range(50):
        mu = np.exp(fit.model.exog @ beta + Z @ u)
        precision = Z.T @ (mu[:, None] * Z) + prior
        u = u + np.linalg.solve(precision, Z.T @ (fit.model.endog - mu) - prior @ u)
    covariance = np.linalg.inv(precision)
    sd = np.sqrt(covariance.diagonal())
    assert_allclose(b.mean(axis=0), u, atol=6 * sd.max() / 200)
    assert_allclose(np.cov(b.T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=0.04)


def test_against_the_exact_posterior(fit, posterior):
    exact = fit.sample(seed=2, draws=2000)
    a, b = posterior.summary(ranef=True), exact.summary(ranef=True)
    assert (abs(a["mean"] - b["mean"]) / b["sd"]).max() < 0.2
    assert_allclose(a["sd"], b["sd"], rtol=0.15)
    assert posterior.sampler.k < 0.7
    assert abs(posterior.evidence.log - exact.evidence.log) < 0.05


def test_draws_of_one_place_do_not_count_twice(posterior):
    """A quarter of the draws as effective points, or somewhat more."""
    ess = posterior.summary()["ess_bulk"]
    assert ess.between(250, 1500).all()
    distinct = len(np.unique(posterior.kept.x.reshape(2000, -1), axis=0))
    assert ess.max() < 2 * distinct


def test_what_it_is_not_for():
    linear = mixfit.mixed(SLEEP, mixfit.datasets.load("sleepstudy")).fit()
    with pytest.raises(FitError, match="generalized models"):
        linear.sample(method="laplace")
