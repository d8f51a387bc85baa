"""Leave-one-out densities against dense conditional distributions, and against refitting."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.bayes import Normal, Priors
from mixfit.bayes.collapsed import CollapsedPosterior
from mixfit.bayes.resolve import resolve
from mixfit.errors import FitError
from mixfit.lmm.batch.singly import Singly
from tests.bayes.models import places, posterior_of


def joint(density, x):
    """Mean and covariance of y given theta, sigma and v."""
    design, X, inverse = density.fit.model.design, density.fit.model.exog, np.linalg.inv(density.priors.contrasts)
    log_v = iter(x[density.log_v])
    mean = [p.location if hasattr(p, "df") else p.mean for p in density.priors.fixed]
    spread = [p.scale * np.exp(0.5 * next(log_v)) if hasattr(p, "df") else p.sd for p in density.priors.fixed]
    n, sigma = len(design.y), float(np.exp(x[density.log_sigma]))
    v = sigma**2 * np.diag(np.ones(n) if design.weights is None else 1.0 / design.weights)
    for at, own, r in zip(density.terms, density.priors.coordinates, design.random, strict=True):
        t = sigma * own.templates(x[None, at])[0]
        z = np.zeros((n, r.grouping.n_levels, len(r.columns)))
        z[np.arange(n), r.grouping.codes] = r.Z
        v += np.einsum("nqa,ab,mqb->nm", z, t @ t.T, z)
    half = X @ inverse @ np.diag(spread)
    return X @ inverse @ np.array(mean), v + half @ half.T


@pytest.mark.parametrize("case", ["decov", "crossed", "nested", "three columns"])
def test_the_density_of_a_row_given_the_others(case):
    density = posterior_of(case)
    x = places(density, 2)
    found, _ = density.row_densities(x)
    for own, place in zip(found, x, strict=True):
        mean, covariance = joint(density, place)
        precision = np.linalg.inv(covariance)
        e, c = precision @ (density.fit.model.design.y - mean), np.diagonal(precision)
        assert_allclose(own, 0.5 * np.log(c / (2 * np.pi)) - 0.5 * e**2 / c, rtol=1e-8)


def test_weights_count():
    pulp = mixfit.datasets.load("pulp").assign(w=np.tile([1.0, 2.0, 0.5, 1.0], 5))
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp, weights="w").fit()
    density = CollapsedPosterior(fit, resolve("rstanarm", fit.model, residual=True))
    x = places(density, 1)
    mean, covariance = joint(density, x[0])
    precision = np.linalg.inv(covariance)
    e, c = precision @ (fit.model.design.y - mean), np.diagonal(precision)
    assert_allclose(density.row_densities(x)[0][0], 0.5 * np.log(c / (2 * np.pi)) - 0.5 * e**2 / c, rtol=1e-9)


def test_against_the_evidence_without_the_row():
    """log p(y_i | y_-i) = log p(y) - log p(y_-i), each by its own points."""
    yields = mixfit.datasets.load("dyestuff")
    priors = Priors(intercept=Normal(1500, 100))
    sampled = {"priors": _fixed_scales(priors), "draws": 16_000, "seed": 1}
    whole = mixfit.mixed("Yield ~ 1 + (1 | Batch)", yields).fit().sample(**sampled)
    found = whole.loo()
    assert found.serves
    for i in (0, 17):
        without = mixfit.mixed("Yield ~ 1 + (1 | Batch)", yields.drop(index=i)).fit().sample(**sampled)
        assert abs(found.rows["elpd"].iloc[i] - (whole.evidence.log - without.evidence.log)) < 0.01


def _fixed_scales(priors):
    """Scales that do not move with the data."""
    from dataclasses import replace

    from mixfit.bayes import Exponential

    return replace(priors, sigma=Exponential(0.02))


def test_the_sums_of_the_reference():
    """The summary of loo::loo(stan_lmer(Yield ~ 1 + (1 | Batch), dyestuff)) with these priors.

    Its weights are of all parameters, with k-hat up to 0.44.
    """
    priors = _fixed_scales(Priors(intercept=Normal(1500, 100)))
    found = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit().sample(priors, seed=1).loo()
    assert_allclose([found.elpd, found.se], [-164.01, 2.65], atol=0.1)
    assert_allclose(found.p, 5.56, atol=0.3)


def test_a_large_design_is_refused():
    density = CollapsedPosterior(posterior_of("decov").fit, posterior_of("decov").priors)
    density.__dict__["_thetas"] = Singly(density.fit.model.assembly.problem)
    with pytest.raises(FitError, match="too large"):
        density.row_densities(density.start()[None])
