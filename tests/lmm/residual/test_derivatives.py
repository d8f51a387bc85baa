"""Gradients, second derivatives and informations against central differences and dense formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.lmm.residual.criterion import evaluate_joint
from mixfit.lmm.residual.derivatives import JointDerivatives, differentiate_joint
from mixfit.lmm.residual.information import average_information, exact_hessian, expected_information
from mixfit.lmm.residual.minimize import difference_hessian, moved_place
from tests.residual_cases import CASES, FORMS, dense_covariance, model_of, random_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.model.residual import ResidualMixedModel

    Array = NDArray[np.float64]

WITHOUT = [name for name, case in CASES.items() if "|" not in case.formula]


def derivatives(model: ResidualMixedModel, seed: int, *, reml: bool) -> JointDerivatives:
    place = random_place(model.problem, seed)
    return differentiate_joint(evaluate_joint(model.problem, place, reml=reml))


def value(d: JointDerivatives, step: Array) -> float:
    return evaluate_joint(d.at.problem, moved_place(d, step), reml=d.at.at.reml).value


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(("name", "series"), FORMS)
def test_the_gradient_is_that_of_the_criterion(name: str, series: bool, reml: bool) -> None:
    model = model_of(CASES[name], series=series)
    d = derivatives(model, 3, reml=reml)
    h = 1e-4
    numeric = [
        (8.0 * (value(d, h * e) - value(d, -h * e)) - (value(d, 2 * h * e) - value(d, -2 * h * e))) / (12.0 * h)
        for e in np.eye(len(d.gradient))
    ]
    assert_allclose(d.gradient, numeric, atol=1e-8 * max(1.0, np.abs(numeric).max()))


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(("name", "series"), [form for form in FORMS if form[0] in WITHOUT])
def test_second_derivatives_are_those_of_the_criterion(name: str, series: bool, reml: bool) -> None:
    d = derivatives(model_of(CASES[name], series=series), 4, reml=reml)
    exact = exact_hessian(d)
    assert_allclose(exact, difference_hessian(d, expected_information(d)), atol=1e-6 * max(1.0, np.abs(exact).max()))


@pytest.mark.parametrize(("name", "series"), [form for form in FORMS if form[0] not in WITHOUT])
def test_differences_of_the_gradient_are_second_derivatives(name: str, series: bool) -> None:
    d = derivatives(model_of(CASES[name], series=series), 5, reml=True)
    h, m = 1e-3, len(d.gradient)
    exact = difference_hessian(d, average_information(d))
    for a in range(m):
        for b in range(a + 1):
            e, f = h * np.eye(m)[a], h * np.eye(m)[b]
            numeric = (value(d, e + f) - value(d, e - f) - value(d, f - e) + value(d, -e - f)) / (4.0 * h**2)
            assert exact[a, b] == pytest.approx(numeric, abs=2e-4 * np.abs(exact).max())


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(("name", "series"), FORMS)
def test_informations_are_those_of_the_dense_covariance(name: str, series: bool, reml: bool) -> None:
    model = model_of(CASES[name], series=series)
    d = derivatives(model, 6, reml=reml)
    slopes, P, e = dense_parts(model, d)
    nu, r2 = d.at.at.problem.degrees(reml=reml), float(e @ np.linalg.solve(dense_covariance(model, d.at.place), e))
    quadratic = np.array([model.design.y @ P @ s @ P @ model.design.y for s in slopes])
    v = np.array([s @ P @ model.design.y for s in slopes])
    average = (v @ P @ v.T - np.outer(quadratic, quadratic) / r2) * nu / r2
    assert_allclose(average_information(d), average, atol=1e-8 * np.abs(average).max())
    if name in WITHOUT:
        products = np.array([np.linalg.solve(dense_covariance(model, d.at.place), s) for s in slopes])
        traces = np.trace(products, axis1=1, axis2=2)
        expected = np.einsum("iab,jba->ij", products, products) - np.outer(traces, traces) / len(e)
        assert_allclose(expected_information(d), expected, atol=1e-8 * np.abs(expected).max())


def dense_parts(model: ResidualMixedModel, d: JointDerivatives) -> tuple[list[Array], Array, Array]:
    """dV of every coordinate by central differences, P, and the residuals."""
    h = 1e-5
    slopes = [
        (dense_covariance(model, moved_place(d, h * e)) - dense_covariance(model, moved_place(d, -h * e))) / (2.0 * h)
        for e in np.eye(len(d.gradient))
    ]
    v, X, y = dense_covariance(model, d.at.place), model.exog, model.design.y
    inverse = np.linalg.inv(v)
    weighted = inverse @ X
    P = inverse - weighted @ np.linalg.solve(X.T @ weighted, weighted.T)
    return slopes, P, v @ P @ y
