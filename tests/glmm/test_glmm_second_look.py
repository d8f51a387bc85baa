"""Several optima of generalized likelihoods, where there is none, and searches that would go on for ever."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.laplace import laplace_of, least_curvature
from mixfit.glmm.minimize import GeneralizedCriterion
from mixfit.glmm.problem import GeneralizedParameters
from tests.peer_models import peer_model
from tests.random_generalized import RandomGeneralized, random_generalized

# Models in which a search that begins with all groups alike ends at an optimum that is not the lowest, and -2 log L
# there.
SEVERAL = {
    35: ("(1 | g)", 340.383),
    84: ("(1 | g/k)", 251.688),
    182: ("(x | g) + (1 | g:k)", 80.473),
    262: ("(1 | g/k)", 83.891),
}


def fitted(drawn: RandomGeneralized) -> mixfit.results.generalized.GeneralizedResults:
    return mixfit.mixed(drawn.formula, drawn.data, drawn.family).fit(n_agq=drawn.n_agq)


@pytest.mark.parametrize("seed", SEVERAL)
def test_the_lower_of_two_optima_is_found(seed: int) -> None:
    random, other = SEVERAL[seed]
    drawn = random_generalized(seed)
    assert random in drawn.formula
    fit = fitted(drawn)
    assert fit.converged
    assert -2.0 * fit.llf < other - 0.5
    assert (fit.certificate.n_starts, fit.certificate.n_agreeing) == (2, 1)
    assert "reached from 1 of 2 starts" in str(fit.certificate)


def test_one_optimum_is_not_looked_for_twice() -> None:
    herds = mixfit.datasets.load("cbpp")
    certificate = (
        mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial")
        .fit()
        .certificate
    )
    assert certificate.n_starts == 1


@pytest.mark.parametrize("seed", [184, 281])
def test_an_approximation_that_breaks_down_is_named(seed: int) -> None:
    """Means near zero beside the noise: a mode merges with a saddle point, and log|A| falls for ever."""
    with pytest.raises(FitError, match="The Laplace approximation breaks down"):
        fitted(random_generalized(seed))


def test_the_least_curvature_is_that_of_the_dense_matrix() -> None:
    drawn = random_generalized(298)
    model = mixfit.mixed(drawn.formula, drawn.data, drawn.family)
    fit, problem = model.fit(), model.assembly.problem
    templates = [np.array([[0.4]]), np.array([[0.8]])]
    center = laplace_of(problem, model.assembly.fixed.triangle @ fit.estimate.beta, templates, fit.estimate.phi)
    z = model.exog_re.toarray()
    ends = np.cumsum([r.grouping.n_levels for r in model.design.random])[:-1]
    scaled = np.hstack([t[0, 0] * part for t, part in zip(templates, np.split(z, ends, axis=1), strict=True)])
    dense = scaled.T @ (center.mode.terms.observed[:, None] * scaled) + np.eye(z.shape[1])
    least = np.linalg.eigvalsh(dense)[0]
    assert least <= least_curvature(center.mode.observed) * (1 + 1e-12)
    assert least_curvature(center.mode.observed) == pytest.approx(least, rel=0.3)


@pytest.mark.parametrize("seed", [2, 142])
def test_a_precision_without_an_end_is_found_soon(seed: int) -> None:
    """Counts no more variable than Poisson's: phi is infinite, and Newton's steps in log phi have a length of 1."""
    drawn = random_generalized(seed)
    fit = fitted(drawn)
    assert fit.converged
    assert fit.certificate.n_evaluations <= 60
    poisson = mixfit.mixed(drawn.formula, drawn.data, "poisson").fit()
    assert fit.llf == pytest.approx(poisson.llf, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_left_out_intercepts_may_be_large(seed: int) -> None:
    """Slopes within groups, at a covariate whose groups lie apart: the intercepts make up for a line through zero."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(8), 6)
    x = 30.0 + rng.normal(size=48)
    y = rng.gamma(8.0, np.exp(2.0 * (x - 30.0) + 0.3 * rng.normal(size=8)[g]) / 8.0)
    data = pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})
    fit = mixfit.mixed("y ~ 0 + x + (1 | g)", data, family="gamma(log)").fit()
    centred = mixfit.mixed("y ~ 0 + x + (1 | g)", data.assign(x=x - 30.0), family="gamma(log)").fit()
    assert fit.converged
    assert fit.params["x"] == pytest.approx(centred.params["x"], abs=0.3)


def three_columns(seed: int) -> pd.DataFrame:
    """Groups of two to eight rows, with effects of two covariates that depend on one another."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(int(rng.integers(8, 20))), int(rng.integers(5, 9)))
    x, z = rng.normal(size=(2, len(g)))
    b = rng.normal(size=(int(g.max()) + 1, 2)) @ rng.normal(size=(2, 3))
    trials = rng.integers(1, 6, len(g))
    y = rng.binomial(trials, 1.0 / (1.0 + np.exp(-0.5 * x - b[g, 0] - b[g, 1] * x - b[g, 2] * z)))
    return pd.DataFrame({"y": y, "m": trials - y, "x": x, "z": z, "g": g.astype(str)})


@pytest.mark.parametrize("seed", range(6))
def test_quadrature_of_three_columns_at_a_singular_covariance(seed: int) -> None:
    fit = mixfit.mixed("cbind(y, m) ~ x + z + (x + z | g)", three_columns(seed), family="binomial").fit(n_agq=3)
    assert fit.converged
    assert fit.certificate.n_evaluations <= 120


def test_slopes_of_quadrature_at_a_singular_covariance_are_those_of_its_value() -> None:
    model = mixfit.mixed("cbind(y, m) ~ x + z + (x + z | g)", three_columns(1), family="binomial")
    problem = model.assembly.problem
    template = np.array([[0.3, 0.5, 0.0], [-0.6, 0.8, 0.0], [0.4, 0.2, 0.0]])
    at = GeneralizedParameters((template,), np.zeros(problem.p), 1.0)
    criterion = GeneralizedCriterion(QuadratureObjective(problem, 3))
    found = criterion.evaluate(at)
    local = criterion.local(found)
    step = 1e-5 * np.eye(len(local.gradient))
    ends = [[criterion.evaluate(criterion.move(found, local, s * e, ())).value for s in (1, -1)] for e in step]
    np.testing.assert_allclose(local.gradient, np.subtract(*np.transpose(ends)) / 2e-5, atol=1e-5)


def test_a_variance_at_zero_beside_another_of_its_term() -> None:
    """Of ``(day || subject)`` the slopes' variance is zero where a search from the moments ends, at -28.3421."""
    drawn = peer_model(1604)
    fit = mixfit.mixed(drawn.formula, drawn.data, drawn.family).fit()
    assert fit.converged
    assert fit.llf > -28.342 + 1.0
