"""Bases from cross-products are those that the rows themselves give."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.covariance.structure import Invariance
from mixfit.gram.basis import fixed_basis
from mixfit.gram.provisional import exact_columns, exact_term, provisional, provisional_columns


def data(n=4000, shift=0.0, seed=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    group = rng.integers(0, 4, n)
    X = np.column_stack([np.ones(n), x + shift, group == 1, group == 2, group == 3]).astype(float)
    return X, 1e3 * shift + X @ np.array([1.0, 2.0, 0.5, -1.0, 3.0]) + rng.normal(size=n)


def exact(X, y, some, passes=1):
    basis = provisional(X[some], y[some])
    for _ in range(passes):
        rows = basis.rows(X, y)
        found = exact_columns(rows @ rows.T, basis, float(y @ y))
        before, basis = basis, found.better(basis)
    return found, before


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_coefficients_are_those_of_centred_data(shift):
    X, y = data(shift=shift)
    found, _ = exact(X, y, np.arange(0, 4000, 20))
    assert found.is_safe
    centred = X - np.array([0.0, shift, 0.0, 0.0, 0.0])
    coefficients, squares, *_ = np.linalg.lstsq(centred, y - 1e3 * shift)
    assert_allclose(found.response.scale**2, squares, rtol=1e-11)
    assert_allclose(found.fixed.coefficients(found.response.gamma)[1:], coefficients[1:], rtol=1e-9)
    assert_allclose(found.fixed.log_determinant, np.linalg.slogdet(centred.T @ centred)[1], rtol=1e-11)


def test_the_border_makes_an_orthonormal_basis_and_a_unit_residual():
    X, y = data()
    found, basis = exact(X, y, np.arange(0, 4000, 50))
    rows = found.border.T @ basis.rows(X, y)
    assert_allclose(rows @ rows.T, np.eye(6), atol=1e-12)
    assert_allclose(rows[:-1].T @ found.all_columns, X, atol=1e-12)


def test_columns_that_others_determine_are_aliased():
    X, y = data()
    X = np.column_stack([X[:, :3], X[:, 1] - 2.0 * X[:, 0], X[:, 3:], np.zeros(len(X))])
    found, _ = exact(X, y, np.arange(0, 4000, 50))
    assert found.fixed.kept.tolist() == fixed_basis(np.ascontiguousarray(X.T)).kept.tolist() == [0, 1, 2, 4, 5]


def test_a_column_that_some_rows_do_not_show_is_kept():
    X, y = data()
    X[:100, 4] = 0.0
    found, _ = exact(X, y, np.arange(100))
    assert found.fixed.kept.tolist() == [0, 1, 2, 3, 4]


def test_rows_that_are_unlike_the_others_ask_for_a_second_pass():
    X, y = data(shift=1e4)
    X[:50, 1] = 1.0 + 0.1 * (X[:50, 1] - 1e4)
    some = np.arange(50)
    assert not exact(X, y, some)[0].is_safe
    found, _ = exact(X, y, some, passes=2)
    assert found.is_safe
    fixed = fixed_basis(np.ascontiguousarray(X.T))
    assert_allclose(found.fixed.triangle, fixed.triangle, rtol=1e-9, atol=1e-9 * np.abs(fixed.triangle).max())


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_what_is_aliased_does_not_depend_on_units(unit):
    X, y = data()
    X = np.column_stack([X, 2.0 * X[:, 1] - X[:, 0]]) * np.array([1.0, *np.full(5, unit)])
    found, _ = exact(X, y, np.arange(0, 4000, 50))
    assert found.fixed.kept.tolist() == [0, 1, 2, 3, 4]
    P = provisional_columns(X[::50])
    C, R = exact_term((X @ P).T @ (X @ P), P, len(X), Invariance.ANY_BASIS)
    assert_allclose(X @ P @ C @ R, X, atol=1e-6 * max(unit, 1.0))


def test_rounding_that_is_left_of_a_column_takes_nothing_from_the_response():
    X, y = data()
    rng = np.random.default_rng(1)
    X = np.column_stack([X, X[:, 1] + 1e-10 * rng.normal(size=len(X))])
    found, _ = exact(X, y, np.arange(20))
    squares = np.linalg.lstsq(X[:, :5], y)[1]
    assert found.fixed.kept.tolist() == [0, 1, 2, 3, 4]
    assert_allclose(found.response.scale**2, squares, rtol=1e-9)


def test_a_response_that_the_columns_explain_has_no_residual():
    X, _ = data()
    assert exact(X, X @ np.arange(5.0), np.arange(0, 4000, 50))[0].response is None


@pytest.mark.parametrize("invariance", list(Invariance))
@pytest.mark.parametrize("dependent", [False, True])
def test_a_random_term_has_unit_mean_square_in_its_basis(invariance, dependent):
    X, _ = data()
    Z = X[:, :3].copy()
    if dependent:
        Z[:, 2] = Z[:, 1] - Z[:, 0]
    free = invariance is Invariance.ANY_BASIS
    P = provisional_columns(Z[::40]) if free else np.eye(3)
    C, R = exact_term((Z @ P).T @ (Z @ P), P, len(Z), invariance)
    basis = Z @ P @ C
    assert_allclose(basis @ R, Z, atol=1e-7)
    squares = basis.T @ basis / len(Z)
    if free:
        assert_allclose(squares, np.diag([0.0, 1.0, 1.0] if dependent else [1.0, 1.0, 1.0]), atol=1e-9)
    elif invariance is Invariance.COMMON_SCALE:
        assert_allclose(np.trace(squares), 1.0)
    else:
        assert_allclose(squares.diagonal(), 1.0)
