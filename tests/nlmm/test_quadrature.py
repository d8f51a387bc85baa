"""Adaptive quadrature of nonlinear models: value against integrals on grids, gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.inference.profiles.chart import Chart
from mixfit.nlmm.conditional import place_of
from mixfit.nlmm.laplace import NonlinearLaplace
from mixfit.nlmm.minimize import NonlinearCriterion
from mixfit.nlmm.problem import NonlinearParameters
from mixfit.nlmm.quadrature import Quadrature
from tests.nlmm.test_laplace import data, point_of

MODELS = {
    "scalar": "xmid | g",
    "vector": "(Asym + xmid | g)",
    "apart": "(0 + Asym + xmid || g)",
    "same": "cs(Asym + xmid | g)",
}
CURVE = "y ~ SSlogis(t, Asym, xmid, scal)"


def integral(at: NonlinearParameters, criterion: NonlinearCriterion, scale: float) -> float:
    """-2 log-likelihood by the trapezoidal rule over u in every group."""
    problem = criterion.problem
    blocks = problem.factor_templates(relative_factors(problem.terms, at.points))
    k, codes, sigma = problem.pattern.k[0], problem.pattern.factors[0].codes, np.sqrt(scale)
    axis = np.linspace(-8.0, 8.0, 401 if k == 1 else 161) * sigma
    grid = np.stack([x.ravel() for x in np.meshgrid(*[axis] * k)])
    b = blocks[0] @ grid
    fixed = np.einsum("p,pan->an", at.beta, problem.X)
    total = 0.0
    for j in range(problem.pattern.n_levels[0]):
        own = codes == j
        phi = fixed[:, own, None] + np.einsum("kan,kr->anr", problem.loads[0][:, :, own], b)
        a, m, s = phi
        t = np.asarray(problem.mean.covariates["t"])[own, None]
        e = problem.root[own, None] * (problem.y[own, None] - a / (1.0 + np.exp((m - t) / s)))
        squares = (e**2).sum(axis=0) + (grid**2).sum(axis=0)
        area = ((axis[1] - axis[0]) / np.sqrt(2.0 * np.pi * scale)) ** k
        total += np.log(area * np.exp(-0.5 * squares / scale).sum())
    return problem.n * np.log(2.0 * np.pi * scale) - problem.log_weights - 2.0 * total


@pytest.mark.parametrize("effects", MODELS)
def test_many_nodes_are_the_integral(effects: str) -> None:
    criterion, at = point_of(MODELS[effects])
    quadrature = Quadrature(criterion.problem, 15)
    point = quadrature.evaluate(at, None, 0.6)
    assert_allclose(point.value, integral(at, criterion, 0.6), atol=2e-4)
    profiled = quadrature.evaluate(at)
    for ratio in (0.98, 1.02):
        assert quadrature.evaluate(at, None, ratio * profiled.scale).value > profiled.value


@pytest.mark.parametrize("effects", MODELS)
def test_one_node_is_the_laplace_approximation(effects: str) -> None:
    criterion, at = point_of(MODELS[effects])
    one, plain = Quadrature(criterion.problem, 1), NonlinearLaplace(criterion.problem)
    for scale in (None, 0.6):
        points = one.evaluate(at, None, scale), plain.evaluate(at, None, scale)
        assert_allclose(points[0].value, points[1].value, atol=1e-9)
        found, expected = one.slopes(points[0]), plain.slopes(points[1])
        assert_allclose(found.beta, expected.beta, atol=1e-7)
        assert_allclose(found.log_sigma, expected.log_sigma, atol=1e-6)
        for a, b in zip(found.relative, expected.relative, strict=True):
            assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize("effects", MODELS)
def test_gradient_is_that_of_differences(effects: str) -> None:
    plain, at = point_of(MODELS[effects])
    criterion = NonlinearCriterion(Quadrature(plain.problem, 5))
    point = criterion.evaluate(at)
    local = criterion.local(point)
    numeric = []
    for a in range(len(local.gradient)):
        step = np.zeros(len(local.gradient))
        step[a] = 1e-4 / max(1.0, np.sqrt(local.curvature[a, a]))
        above, below = (criterion.evaluate(criterion.move(point, local, s, ())).value for s in (step, -step))
        numeric.append((above - below) / (2.0 * step[a]))
    assert_allclose(local.gradient, numeric, rtol=2e-5, atol=2e-5 * np.abs(local.gradient).max())


def test_slopes_off_the_boundary_are_those_of_differences() -> None:
    criterion, at = point_of(MODELS["vector"])
    quadrature = Quadrature(criterion.problem, 5)
    low = np.array([[0.6, 0.0], [0.2, 0.0]])
    point = quadrature.evaluate(NonlinearParameters((low,), at.beta))
    (off,) = quadrature.boundary_slopes(point, quadrature.slopes(point)).values()
    direction = np.array([0.2, -0.6]) / np.hypot(0.2, 0.6)
    values = []
    for variance in (0.0, 1e-5):
        full = np.linalg.qr(np.column_stack([low, np.sqrt(variance) * direction]).T, mode="r").T
        values.append(quadrature.evaluate(NonlinearParameters((full,), at.beta)).value)
    assert_allclose(direction @ off @ direction, (values[1] - values[0]) / 1e-5, rtol=2e-3)


@pytest.mark.parametrize("effects", ["xmid | g", "(Asym + xmid | g)"])
def test_fits_profiles_and_errors_are_of_the_sum(effects: str) -> None:
    model = mixfit.nonlinear(f"{CURVE} ~ {effects}", data(), weights="w")
    plain, fit = model.fit(), model.fit(n_agq=7)
    assert fit.converged
    assert fit.estimate.n_agq == 7
    assert "nAGQ = 7" in str(fit.summary())
    start = place_of(model._problem, model._bases, plain.estimate)
    assert fit.deviance <= Quadrature(model._problem, 7).evaluate(start).value
    chart = Chart.default(model.likelihood_surface(fit.estimate, reml=False))
    assert_allclose(chart.evaluate(chart.center).value, fit.deviance, atol=1e-6)
    x = chart.within(chart.center + 0.3 * chart.spacing(chart.center))
    step = 1e-4 * np.eye(len(x)) * chart.spacing(x)
    numeric = [(chart.evaluate(x + h).value - chart.evaluate(x - h).value) / (2.0 * h.max()) for h in step]
    assert_allclose(chart.evaluate(x).gradient, numeric, rtol=1e-4, atol=1e-3)
    assert_allclose(fit.refit(model.endog).llf, fit.llf, atol=1e-6)


def test_what_quadrature_is_not_for_is_said() -> None:
    crossed = mixfit.nonlinear(f"{CURVE} ~ (Asym | g) + (xmid | h)", data())
    with pytest.raises(FitError, match="one grouping factor, and this model has 2"):
        crossed.fit(n_agq=5)
    model = mixfit.nonlinear(f"{CURVE} ~ Asym | g", data())
    for options, words in (
        ({"n_agq": 0}, "positive whole number"),
        ({"n_agq": 1000}, "at most 300"),
        ({"n_agq": 5, "method": "lb"}, "has no integral"),
    ):
        with pytest.raises(FitError, match=words):
            model.fit(**options)
