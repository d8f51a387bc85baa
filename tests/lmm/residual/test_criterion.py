"""The criterion against the dense covariance matrix, on small designs with missing visits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from mixfit.errors import FitError
from mixfit.lmm.residual.criterion import JointPlace, evaluate_joint
from mixfit.lmm.residual.form import ResidualPoint
from mixfit.lmm.residual.stage import flat_parameters, point_at
from tests.residual_cases import CASES, FORMS, dense_covariance, model_of, random_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.model.residual import ResidualMixedModel

    Array = NDArray[np.float64]


def dense_criterion(model: ResidualMixedModel, v: Array, *, reml: bool) -> float:
    """-2 log-likelihood at the best beta and sigma."""
    X, y = model.exog, model.design.y
    n, p = X.shape
    inner = X.T @ np.linalg.solve(v, X)
    rest = y - X @ np.linalg.solve(inner, X.T @ np.linalg.solve(v, y))
    scale = float(rest @ np.linalg.solve(v, rest)) / (n - p if reml else n)
    value = -2.0 * multivariate_normal.logpdf(rest, np.zeros(n), scale * v)
    if reml:
        value += np.linalg.slogdet(inner / (2.0 * np.pi * scale))[1]
    return float(value)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(("name", "series"), FORMS)
def test_the_criterion_is_that_of_the_dense_covariance(name: str, series: bool, reml: bool) -> None:
    model = model_of(CASES[name], series=series)
    for seed in range(3):
        place = random_place(model.problem, seed)
        got = evaluate_joint(model.problem, place, reml=reml).value
        assert got == pytest.approx(dense_criterion(model, dense_covariance(model, place), reml=reml), abs=1e-8)


@pytest.mark.parametrize(("name", "series"), FORMS)
def test_whitened_rows_have_the_identity_for_covariance(name: str, series: bool) -> None:
    model = model_of(CASES[name], series=series)
    place = random_place(model.problem, 1)
    psi = flat_parameters(model.form, place.residual)
    fixed = JointPlace(tuple(0.0 * point for point in place.random), place.residual)
    root = 1.0 if model.design.weights is None else np.sqrt(model.design.weights)
    v = dense_covariance(model, fixed) * np.outer(root * np.ones(model.design.y.shape), root * np.ones(len(model.exog)))
    whitened = model.stage.whiten(np.linalg.cholesky(v).T, psi)
    assert_allclose(whitened.T @ whitened, np.eye(len(v)), atol=1e-10)
    assert model.stage.log_determinant(psi) == pytest.approx(np.linalg.slogdet(v)[1], abs=1e-8)
    coloured = model.stage.coloured(np.eye(len(v)), psi)
    assert_allclose(coloured.T @ coloured, v, atol=1e-10)
    assert_allclose(model.stage.deviations(psi) ** 2, v.diagonal(), rtol=1e-10)


@pytest.mark.parametrize(("name", "series"), FORMS)
def test_flat_parameters_lead_back_to_the_point(name: str, series: bool) -> None:
    model = model_of(CASES[name], series=series)
    point = random_place(model.problem, 2).residual
    psi = flat_parameters(model.form, point)
    assert_allclose(flat_parameters(model.form, point_at(model.form, psi)), psi, rtol=1e-12)


@pytest.mark.parametrize("series", [False, True])
def test_residuals_that_determine_one_another_are_an_error(series: bool) -> None:
    model = model_of(CASES["autoregression"], series=series)
    place = JointPlace((), ResidualPoint((np.array([1.0, 1.0]),), np.empty(0)))
    with pytest.raises(FitError, match="determine one another"):
        evaluate_joint(model.problem, place, reml=True)


def test_deviations_beyond_double_precision_are_an_error() -> None:
    model = model_of(CASES["strata alone"])
    place = random_place(model.problem, 0)
    far = JointPlace((), ResidualPoint(place.residual.points, np.array([500.0])))
    with pytest.raises(FitError, match="too far apart"):
        evaluate_joint(model.problem, far, reml=True)
