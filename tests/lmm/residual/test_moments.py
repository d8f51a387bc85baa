"""What degrees of freedom are made of, against the dense covariance matrix and central differences of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.lmm.residual.estimate import place_of
from mixfit.lmm.residual.minimize import moved_place
from tests.residual_cases import CASES, dense_covariance, model_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.residual.moments import ResidualInformation
    from mixfit.model.residual import ResidualMixedModel
    from mixfit.results.linear import LinearResults

    Array = NDArray[np.float64]

NAMES = ("unstructured", "compound symmetry in strata", "autoregression", "slopes and autoregression", "strata alone")
FORMS = [
    *((name, False) for name in NAMES),
    *((name, True) for name in ("autoregression", "continuous time with a nugget", "slopes and continuous time")),
]


def fitted(name: str, series: bool) -> tuple[ResidualMixedModel, LinearResults, ResidualInformation]:
    model = model_of(CASES[name], seed=3, series=series)
    fit = model.fit(reml=True)
    assert fit.converged
    return model, fit, model.variance_information(fit.estimate)  # type: ignore[arg-type]


def dense_slopes(
    model: ResidualMixedModel, fit: LinearResults, known: ResidualInformation
) -> tuple[Array, list[Array]]:
    """V in the units of the data, and its slopes in the coordinates of the search and log sigma."""
    d, h = known.derivatives, 1e-5
    v = fit.sigma**2 * dense_covariance(model, d.at.place)
    m = len(d.gradient)
    slopes = [
        fit.sigma**2
        * (dense_covariance(model, moved_place(d, h * e)) - dense_covariance(model, moved_place(d, -h * e)))
        / (2.0 * h)
        for e in np.eye(m)
    ]
    return v, [*slopes, 2.0 * v]


@pytest.mark.parametrize(("name", "series"), FORMS)
def test_the_covariance_of_the_fixed_effects_moves_as_the_dense_one(name: str, series: bool) -> None:
    model, fit, known = fitted(name, series)
    v, slopes = dense_slopes(model, fit, known)
    weighted = np.linalg.solve(v, model.exog)
    phi = np.linalg.inv(model.exog.T @ weighted)
    assert_allclose(known.cov_beta, phi, rtol=1e-8)
    assert_allclose(fit.cov_params(), phi, rtol=1e-8)
    moving = [phi @ weighted.T @ s @ weighted @ phi for s in slopes]
    assert_allclose(known.jacobian, moving, atol=1e-7 * np.abs(phi).max())


@pytest.mark.parametrize(("name", "series"), FORMS)
def test_the_hessian_is_that_of_the_likelihood_in_all_parameters(name: str, series: bool) -> None:
    model, fit, known = fitted(name, series)
    d = known.derivatives

    def value(step: Array) -> float:
        v = fit.sigma**2 * np.exp(2.0 * step[-1]) * dense_covariance(model, moved_place(d, step[:-1]))
        X, y = model.exog, model.design.y
        inner = X.T @ np.linalg.solve(v, X)
        rest = y - X @ np.linalg.solve(inner, X.T @ np.linalg.solve(v, y))
        return float(np.linalg.slogdet(v)[1] + np.linalg.slogdet(inner)[1] + rest @ np.linalg.solve(v, rest))

    m, h = len(known.hessian), 1e-3
    for a in range(m):
        for b in range(a + 1):
            e, f = h * np.eye(m)[a], h * np.eye(m)[b]
            numeric = (value(e + f) - value(e - f) - value(f - e) + value(-e - f)) / (4.0 * h**2)
            assert known.hessian[a, b] == pytest.approx(numeric, abs=2e-4 * np.abs(known.hessian).max())


@pytest.mark.parametrize(("name", "series"), FORMS)
def test_the_adjusted_covariance_is_kenward_and_rogers_formula(name: str, series: bool) -> None:
    model, fit, known = fitted(name, series)
    v, slopes = dense_slopes(model, fit, known)
    inverse = np.linalg.inv(v)
    X, phi = model.exog, known.cov_beta
    p = [-X.T @ inverse @ s @ inverse @ X for s in slopes]
    correction = np.zeros_like(phi)
    for i, first in enumerate(slopes):
        for j, second in enumerate(slopes):
            q = X.T @ inverse @ first @ inverse @ second @ inverse @ X
            correction += known.covariance[i, j] * (q - p[i] @ phi @ p[j])
    assert_allclose(known.adjusted, phi + 2.0 * phi @ correction @ phi, atol=1e-6 * np.abs(phi).max())


def test_the_place_of_an_estimate_is_where_it_was_found() -> None:
    model = model_of(CASES["slopes and autoregression"], seed=3)
    fit = model.fit()
    known = model.variance_information(fit.estimate)  # type: ignore[arg-type]
    assert known.derivatives.at.value == pytest.approx(fit.estimate.criterion, abs=1e-8)
    assert np.abs(known.derivatives.gradient).max() < 1e-3
    assert place_of(model.problem, fit.estimate).residual.points[0][0] == 1.0  # type: ignore[arg-type]
