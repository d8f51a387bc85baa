"""Coordinates of covariances, and gradients of surfaces in them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.covariance.diagonal import Diagonal
from mixfit.covariance.unstructured import Unstructured
from mixfit.inference.profiles.chart import Chart, difference_hessian
from mixfit.inference.profiles.focal import LikelihoodAround


def covariance(k: int, seed: int = 0) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(k, k))
    return a @ a.T


@pytest.mark.parametrize("first", [(), (0,), (2,), (0, 1), (1, 0), (2, 1), (0, 2)])
def test_coordinates_hold_the_covariance_and_the_parameter(first: tuple[int, ...]) -> None:
    sigma = covariance(3)
    c = Unstructured(3).triangle(*first)
    x = c.coordinates(sigma)
    t = c.factor(x)
    assert_allclose(t @ t.T, sigma, rtol=1e-12)
    if first:
        assert x[0] == pytest.approx(np.sqrt(sigma[first[0], first[0]]))
    if len(first) == 2:
        a, b = first
        assert x[1] == pytest.approx(sigma[a, b] / np.sqrt(sigma[a, a] * sigma[b, b]))
        assert x[2] == pytest.approx(np.sqrt(sigma[b, b]))


@pytest.mark.parametrize(("structure", "first"), [("us", (1,)), ("us", (2, 0)), ("us", (0, 1)), ("diag", (1,))])
def test_gradient_is_that_of_a_function_of_the_covariance(structure: str, first: tuple[int, ...]) -> None:
    weight = covariance(3, seed=1)
    c = (Unstructured if structure == "us" else Diagonal)(3).triangle(*first)
    x = c.coordinates(covariance(3, seed=2) * (np.eye(3) if structure == "diag" else 1.0))

    def value(x: np.ndarray) -> float:
        t = c.factor(x)
        return float(np.vdot(weight, t @ t.T))

    step = 1e-6 * np.eye(len(x))
    slopes = [(value(x + e) - value(x - e)) / 2e-6 for e in step]
    assert_allclose(c.gradient(x, weight), slopes, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rho", [-1.0, 1.0])
def test_the_slope_at_a_correlation_of_one_is_its_limit(rho: float) -> None:
    weight = covariance(2, seed=1)
    c = Unstructured(2).triangle(0, 1)
    at, near = np.array([2.0, rho, 3.0]), np.array([2.0, rho * (1.0 - 1e-9), 3.0])
    assert_allclose(c.gradient(at, weight), c.gradient(near, weight), rtol=1e-4)
    assert_allclose(c.gradient(at, weight)[1], 2.0 * weight[0, 1] * 6.0)


FORMULAS = {
    "slopes": "Reaction ~ Days + (Days | Subject)",
    "independent": "Reaction ~ Days + (Days || Subject)",
    "crossed": "Reaction ~ Days + (Days | Subject) + (1 | week)",
}


def around(kind: str, *, reml: bool = False) -> LikelihoodAround:
    sleep = mixfit.datasets.load("sleepstudy")
    sleep["week"] = (np.arange(180) * 7 % 11).astype(str)
    fit = mixfit.mixed(FORMULAS[kind], sleep).fit()
    return LikelihoodAround((), fit.model.likelihood_surface(fit.estimate, reml=reml))


def check_gradient(chart: Chart) -> None:
    rng = np.random.default_rng(5)
    x = np.maximum(chart.center + 0.1 * rng.normal(size=len(chart.center)), np.where(chart.lower == 0.0, 0.05, -np.inf))
    point = chart.evaluate(x)
    for a, e in enumerate(1e-5 * np.eye(len(x))):
        slope = (chart.evaluate(x + e).value - chart.evaluate(x - e).value) / 2e-5
        assert point.gradient[a] == pytest.approx(slope, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("kind", FORMULAS)
def test_gradient_of_linear_surfaces(kind: str, reml: bool) -> None:
    center = around(kind, reml=reml)
    check_gradient(center.chart)
    if kind != "independent":
        check_gradient(center.chart.made_for(0, 1))
        check_gradient(center.chart.made_for(0, 2))
    if not reml:
        check_gradient(Chart.default(center.surface.holding(1)[0]))
    assert np.abs(center.center.gradient).max() < 1e-2
    assert (np.linalg.eigvalsh(center.hessian) > -1e-3).all()


@pytest.mark.parametrize("n_agq", [1, 5])
def test_gradient_of_generalized_surfaces(n_agq: int) -> None:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    for family in ("binomial", "betabinomial"):
        fit = mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family=family).fit(n_agq=n_agq)
        check_gradient(Chart.default(fit.model.likelihood_surface(fit.estimate, reml=False)))


def test_slopes_at_a_factor_without_full_rank_are_limits() -> None:
    """N from the singular branch is that of a factor a little inside the cone."""
    chart = around("crossed").chart.made_for(0, 1)
    x = chart.center.copy()
    x[2] = 0.0
    near = x.copy()
    near[2] = 1e-4
    for a, b in zip(chart.evaluate(x).slope.covariances, chart.evaluate(near).slope.covariances, strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_central_differences_give_a_symmetric_hessian() -> None:
    chart = around("slopes").chart
    hessian = difference_hessian(chart, chart.evaluate(chart.center), central=True)
    assert_allclose(hessian, hessian.T, rtol=1e-5, atol=1e-4)
