"""The collapsed posterior against dense matrices, its slopes against differences, its draws against their moments."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.bayes import Flat, Normal, Priors
from mixfit.bayes.collapsed import CollapsedPosterior
from mixfit.bayes.resolve import resolve
from mixfit.lmm.batch.singly import Singly
from tests.bayes.models import CASES, dense_marginal, differences, places, posterior_of

PROPER = [name for name in CASES if not any(isinstance(d, Flat) for d in posterior_of(name).priors.fixed)]


@pytest.mark.parametrize("case", PROPER)
def test_the_marginal_density_is_the_dense_one(case):
    density = posterior_of(case)
    for x in places(density, 3):
        assert_allclose(density.evaluate(x[None]).likelihood[0], dense_marginal(density, x), rtol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_slopes(case):
    density = posterior_of(case)
    x = places(density, 5)
    found, expected = density.evaluate(x, slopes=True).slope, differences(density, x)
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("case", ["decov", "nested", "crossed", "independent", "three columns"])
def test_one_by_one_is_the_same(case):
    density = posterior_of(case)
    alone = CollapsedPosterior(density.fit, density.priors)
    alone.__dict__["_thetas"] = Singly(density.fit.model.assembly.problem)
    x = places(density, 4)
    together, single = density.evaluate(x, slopes=True), alone.evaluate(x, slopes=True)
    assert_allclose(single.value, together.value, rtol=1e-12)
    assert_allclose(single.slope, together.slope, rtol=1e-9, atol=1e-9)


def test_weights_and_offset_count():
    pulp = mixfit.datasets.load("pulp").assign(w=np.tile([1.0, 2.0, 0.5, 1.0], 5), o=np.linspace(0, 1, 20))
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp, weights="w", offset="o").fit()
    density = CollapsedPosterior(fit, resolve("rstanarm", fit.model, residual=True))
    x = places(density, 1)
    assert_allclose(density.evaluate(x).likelihood[0], dense_marginal(density, x[0]), rtol=1e-11)


def test_flat_coefficients_are_the_limit_of_wide_ones():
    """p(y) under N(0, s^2) times s sqrt(2 pi) tends to p(y) under density 1."""
    fit = posterior_of("decov").fit
    wide = CollapsedPosterior(
        fit, resolve(Priors(fixed=Normal(0, 1e5), intercept=Normal(0, 1e7)), fit.model, residual=True)
    )
    flat = CollapsedPosterior(fit, resolve(Priors(fixed=Flat(), intercept=Flat()), fit.model, residual=True))
    x = places(flat, 3)
    lost = np.log(1e5) + np.log(1e7) + np.log(2 * np.pi)
    assert_allclose(wide.evaluate(x).value + lost, flat.evaluate(x).value, atol=1e-4)


@pytest.mark.parametrize("case", ["decov", "crossed", "nested", "one level"])
@pytest.mark.parametrize("alone", [False, True])
def test_coefficients_and_effects_have_their_conditional_moments(case, alone):
    """Against the joint normal distribution of (beta, b) given y, by dense matrices."""
    base = posterior_of(case)
    density = CollapsedPosterior(base.fit, base.priors)
    if alone:
        density.__dict__["_thetas"] = Singly(base.fit.model.assembly.problem)
    x = places(density, 1)
    draws = density.draw(np.repeat(x, 20_000, axis=0), np.random.default_rng(4))
    found = np.concatenate([draws.beta, *(b.reshape(len(b), -1) for b in draws.effects)], axis=1)
    mean, covariance = _conditional(density, x[0])
    error = np.sqrt(np.diagonal(covariance) / len(found))
    assert (np.abs(found.mean(axis=0) - mean) < 5 * error).all()
    spread = np.sqrt(np.diagonal(covariance))
    gap = (np.cov(found, rowvar=False) - covariance) / np.outer(spread, spread)
    assert np.abs(gap).max() < 6 / np.sqrt(len(found)) * np.sqrt(2)


def _conditional(density, x):
    design, X = density.fit.model.design, density.fit.model.exog
    sigma2 = np.exp(2 * x[density.log_sigma])
    columns, precisions = [X], []
    contrasts, weights, targets = density.priors.contrasts, [], []
    log_v = iter(x[density.log_v])
    for prior in density.priors.fixed:
        mixing = np.exp(next(log_v)) if hasattr(prior, "df") else 1.0
        weights.append(1.0 / ((prior.scale if hasattr(prior, "df") else prior.sd) ** 2 * mixing))
        targets.append(prior.location if hasattr(prior, "df") else prior.mean)
    precisions.append(contrasts.T @ np.diag(weights) @ contrasts)
    for at, own, r in zip(density.terms, density.priors.coordinates, design.random, strict=True):
        t = own.templates(x[None, at])[0]
        z = np.zeros((len(design.y), r.grouping.n_levels, len(r.columns)))
        z[np.arange(len(z)), r.grouping.codes] = r.Z
        columns.append(z.reshape(len(z), -1))
        precisions.append(np.kron(np.eye(r.grouping.n_levels), np.linalg.inv(sigma2 * t @ t.T)))
    C = np.concatenate(columns, axis=1)
    P = np.zeros((C.shape[1],) * 2)
    start = 0
    for own in precisions:
        P[start : start + len(own), start : start + len(own)] = own
        start += len(own)
    right = C.T @ design.y / sigma2
    right[: X.shape[1]] += contrasts.T @ (np.array(weights) * np.array(targets))
    covariance = np.linalg.inv(C.T @ C / sigma2 + P)
    return covariance @ right, covariance


def test_places_beyond_double_precision_have_no_density():
    density = posterior_of("decov")
    x = density.start() + np.array([[40.0, 0, 0, 0], [0, 0, 0, 0]])
    value = density.evaluate(x).value
    assert value[0] == -np.inf
    assert np.isfinite(value[1])


def test_the_evidence_of_dyestuff_is_that_of_quadrature():
    density = posterior_of("one level")
    posterior = density.fit.sample(priors=CASES["one level"][2], seed=1, draws=16_000)

    # The trapezoidal rule is exact for what is smooth and nothing at the ends.
    x, log_sigma = np.linspace(-16.0, 5.0, 601), np.linspace(2.5, 6.5, 301)
    grid = np.stack(np.meshgrid(x, log_sigma, indexing="ij"), axis=-1).reshape(-1, 2)
    cell = (x[1] - x[0]) * (log_sigma[1] - log_sigma[0])
    assert abs(posterior.evidence.log - np.log(np.exp(density.evaluate(grid).value).sum() * cell)) < 1e-3
    assert posterior.evidence.error < 1e-3
