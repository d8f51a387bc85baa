"""The likelihood of nonlinear models around its maximum: slopes, standard errors and profiles against differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import mixfit
from mixfit.inference.profiles.chart import Chart
from mixfit.nlmm.conditional import place_of
from mixfit.nlmm.laplace import laplace
from mixfit.nlmm.problem import NonlinearParameters
from tests.nlmm.test_laplace import MODELS, data

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixfit.results.nonlinear import NonlinearResults

    Array = np.ndarray


def fitted(effects: str) -> NonlinearResults:
    return mixfit.nonlinear(f"y ~ SSlogis(t, Asym, xmid, scal) ~ {effects}", data(), weights="w").fit()


def deviance_of(fit: NonlinearResults) -> tuple[Callable[[Array], float], Array]:
    """The profiled deviance as a function of one vector (theta, beta), and the estimates."""
    model, m = fit.model, len(fit.estimate.theta)

    def deviance(x: Array) -> float:
        points, first = [], 0
        for term, basis in zip(model._problem.terms, model._bases, strict=True):
            size = term.structure.n_parameters
            points.append(term.structure.point_of(x[first : first + size], basis))
            first += size
        return laplace(model._problem, NonlinearParameters(tuple(points), x[m:])).value

    return deviance, np.concatenate([fit.estimate.theta, fit.estimate.beta])


@pytest.mark.parametrize("effects", ["Asym | g", "(Asym + xmid | g)", "cs(Asym + xmid | g)", "(Asym | g) + (xmid | h)"])
def test_gradient_of_the_surface_is_that_of_differences(effects: str) -> None:
    fit = fitted(effects)
    chart = Chart.default(fit.model.likelihood_surface(fit.estimate, reml=False))
    assert_allclose(chart.evaluate(chart.center).value, fit.estimate.criterion, atol=1e-6)
    assert np.abs(chart.evaluate(chart.center).gradient).max() < 1e-2
    x = chart.within(chart.center + 0.3 * chart.spacing(chart.center) * np.linspace(-1.0, 1.0, len(chart.center)))
    step = 1e-4 * np.eye(len(x)) * chart.spacing(x)
    numeric = [(chart.evaluate(x + h).value - chart.evaluate(x - h).value) / (2.0 * h.max()) for h in step]
    gradient = chart.evaluate(x).gradient
    assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4 * np.abs(gradient).max())


@pytest.mark.parametrize("effects", ["Asym | g", "(Asym + xmid | g)", "(Asym | g) + (xmid | h)"])
def test_standard_errors_are_those_of_a_differenced_deviance(effects: str) -> None:
    fit = fitted(effects)
    deviance, x = deviance_of(fit)
    scale = np.concatenate([np.full(len(fit.estimate.theta), 0.02), 0.05 * fit.bse.to_numpy()])
    steps = np.eye(len(x)) * scale
    corner = np.array([[deviance(x + a + b) for b in steps] for a in steps])
    other = np.array([[deviance(x + a - b) for b in steps] for a in steps])
    below = np.array([[deviance(x - a - b) for b in steps] for a in steps])
    hessian = (corner + below - other - other.T) / (4.0 * np.outer(scale, scale))
    errors = np.sqrt(2.0 * np.diagonal(np.linalg.inv(hessian)))[-len(fit.params) :]
    assert_allclose(fit.bse, errors, rtol=2e-3)


def test_profile_limits_cost_what_they_should() -> None:
    fit = fitted("Asym | g")
    deviance, x = deviance_of(fit)
    limits = fit.conf_int(method="profile", which="xmid").loc["xmid"]
    scale = np.concatenate([[0.2], fit.bse])

    def held(free: Array, value: float) -> float:
        place = x.copy()
        place[[0, 1, 3]] += scale[[0, 1, 3]] * free
        place[2] = value
        return deviance(place)

    for value in limits:
        found = minimize(held, np.zeros(3), args=(value,), method="Nelder-Mead", options={"fatol": 1e-8})
        assert_allclose(found.fun - fit.deviance, 3.841459, atol=1e-3)


def test_profiles_follow_the_units_of_a_parameter() -> None:
    plain = fitted("xmid | g")
    fast = mixfit.nonlinear(
        "y ~ Asym / (1 + exp((xmid / 1000 - t) / scal)) ~ xmid | g",
        data(),
        start={"Asym": 10.0, "xmid": 3000.0, "scal": 1.0},
        weights="w",
    ).fit()
    names = ["sd(xmid|g)", "xmid"]
    plain, fast = (found.conf_int(method="profile", which=names) for found in (plain, fast))
    assert_allclose(fast, 1000.0 * plain, rtol=1e-3)


@pytest.mark.parametrize("effects", MODELS.values(), ids=MODELS)
def test_conditional_deviations_and_leverages_are_the_dense_ones(effects: str) -> None:
    fit = fitted(effects)
    problem, n = fit.model._problem, fit.nobs
    mode = laplace(problem, place_of(problem, fit.model._bases, fit.estimate)).mode
    rows = mode.mean.slope.ravel()[:, None] * fit.model.exog_re.toarray()
    Z = rows.reshape(len(mode.mean.slope), n, -1).sum(axis=0)
    Lambda = fit.Lambda.toarray()
    inner = Lambda @ np.linalg.inv(Lambda.T @ Z.T @ Z @ Lambda + np.eye(len(Lambda))) @ Lambda.T
    deviations = np.concatenate([frame["sd"].to_numpy().ravel() for frame in fit.ranef(condsd=True).values()])
    dense = fit.sigma * np.sqrt(np.diagonal(inner))
    assert_allclose(np.sort(deviations), np.sort(dense), rtol=1e-6, atol=1e-9)
    X = np.einsum("pan,an->np", problem.X, mode.mean.slope)
    V = np.eye(n) - Z @ inner @ Z.T
    d = V @ X
    hat = np.einsum("ni,ij,nj->n", Z, inner, Z) + np.einsum("np,pq,nq->n", d, np.linalg.inv(X.T @ V @ X), d)
    assert_allclose(fit.hatvalues(), hat, rtol=1e-6, atol=1e-9)
