"""The bases of X, y and random columns: exact whatever the user's units and origin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mixfit.covariance.structure import Invariance
from mixfit.gram.basis import fixed_basis, response_basis, term_basis

seeds = st.integers(0, 2**20)


def columns(seed: int, p: int, n: int = 40) -> np.ndarray:
    """An intercept and p - 1 random columns, as rows."""
    rng = np.random.default_rng(seed)
    return np.vstack([np.ones(n), rng.normal(size=(p, n))])[:p]


@given(seeds, st.integers(1, 6), st.lists(st.integers(-9, 9), min_size=6, max_size=6))
def test_orthonormal_rows_and_identity(seed: int, p: int, exponents: list[int]) -> None:
    x = columns(seed, p) * 10.0 ** np.array(exponents[:p])[:, None]
    basis = fixed_basis(x)
    assert np.array_equal(basis.kept, np.arange(p))
    assert_allclose(basis.rows @ basis.rows.T, np.eye(p), atol=1e-13)
    assert np.array_equal(basis.triangle, np.triu(basis.triangle))
    # X' = R'Q', column by column to the precision of its own size
    for got, wanted in zip(basis.triangle.T @ basis.rows, x, strict=True):
        assert_allclose(got, wanted, atol=1e-12 * np.abs(wanted).max())


@given(seeds, st.integers(1, 6))
def test_log_determinant_and_coefficients(seed: int, p: int) -> None:
    x = columns(seed, p)
    basis = fixed_basis(x)
    assert_allclose(basis.log_determinant, np.linalg.slogdet(x @ x.T)[1], rtol=1e-11, atol=1e-11)
    beta = np.random.default_rng(seed).normal(size=p)
    assert_allclose(basis.coefficients(basis.rows @ (beta @ x)), beta, atol=1e-11)


@given(seeds, st.integers(2, 5), st.floats(1e-9, 1e9))
def test_scale_of_a_column_reaches_the_triangle_only(seed: int, p: int, factor: float) -> None:
    x = columns(seed, p)
    scaled = x.copy()
    scaled[1] *= factor
    one, other = fixed_basis(x), fixed_basis(scaled)
    assert_allclose(other.rows, one.rows, atol=1e-12)
    assert_allclose(other.triangle[:, 1], one.triangle[:, 1] * factor, rtol=1e-9, atol=1e-12 * factor)


def test_shift_of_a_column_reaches_the_triangle_only() -> None:
    x = columns(0, 3)
    shifted = x.copy()
    shifted[1] += 1e4
    one, other = fixed_basis(x), fixed_basis(shifted)
    # 1e4 takes four of sixteen digits from the column itself.
    assert_allclose(np.abs(other.rows), np.abs(one.rows), atol=1e-10)


def test_no_columns() -> None:
    basis = fixed_basis(np.empty((0, 10)))
    assert basis.rows.shape == (0, 10)
    assert basis.log_determinant == 0.0
    assert basis.coefficients(np.empty(0)).shape == (0,)


@pytest.mark.parametrize("scale", [1.0, 1e8, 1e-8])
@pytest.mark.parametrize(
    ("combination", "kept"),
    [
        ({3: {1: 2.0, 2: -1.0}}, [0, 1, 2, 4]),
        ({1: {0: 3.0}}, [0, 2, 3, 4]),
        ({2: {1: 1.0}, 4: {0: 1.0, 3: 1.0}}, [0, 1, 3]),
        ({2: {}}, [0, 1, 3, 4]),
    ],
    ids=["third of three", "constant", "two", "zero column"],
)
def test_aliased_columns_are_dropped_left_to_right(
    combination: dict[int, dict[int, float]], kept: list[int], scale: float
) -> None:
    x = columns(1, 5)
    for target, parts in combination.items():
        x[target] = sum((c * x[j] for j, c in parts.items()), np.zeros(x.shape[1])) * scale
    basis = fixed_basis(x)
    assert basis.kept.tolist() == kept
    assert_allclose(basis.rows @ basis.rows.T, np.eye(len(kept)), atol=1e-12)
    for got, wanted in zip(basis.triangle.T @ basis.rows, x[kept], strict=True):
        assert_allclose(got, wanted, atol=1e-12 * np.abs(wanted).max())


@given(seeds, st.permutations(range(4)))
def test_a_full_set_of_dummies_loses_its_last(seed: int, order: list[int]) -> None:
    codes = np.arange(40) % 4
    dummies = np.array([(codes == j).astype(float) for j in order])
    basis = fixed_basis(np.vstack([np.ones(40), dummies, columns(seed, 2)[1:]]))
    assert basis.kept.tolist() == [0, 1, 2, 3, 5]


@pytest.mark.parametrize("left", [1e-3, 1e-4, 1e-5, 1e-6])
def test_nearly_collinear_columns_are_kept_and_orthonormal(left: float) -> None:
    x = columns(2, 4)
    x[3] = x[1] + x[2] + left * x[3]
    basis = fixed_basis(x)
    assert basis.kept.tolist() == [0, 1, 2, 3]
    assert_allclose(basis.rows @ basis.rows.T, np.eye(4), atol=1e-12)
    assert_allclose(basis.triangle.T @ basis.rows, x, atol=1e-13 * np.abs(x).max() * 10)


@pytest.mark.parametrize("left", [1e-9, 1e-12, 0.0])
def test_columns_within_rounding_of_collinear_are_dropped(left: float) -> None:
    x = columns(2, 4)
    x[3] = x[1] + x[2] + left * x[3]
    assert fixed_basis(x).kept.tolist() == [0, 1, 2]


def test_powers_of_a_shifted_covariate() -> None:
    # year, year^2: the plain Gram matrix of these has lost every digit of the curvature.
    year = np.linspace(1990, 2020, 40)
    x = np.vstack([np.ones(40), year, year**2])
    basis = fixed_basis(x)
    assert basis.kept.tolist() == [0, 1, 2]
    assert_allclose(basis.rows @ basis.rows.T, np.eye(3), atol=1e-12)


@given(seeds, st.integers(0, 4))
def test_response_is_projection_plus_unit_residual(seed: int, p: int) -> None:
    basis = fixed_basis(columns(seed, p))
    y = np.random.default_rng(seed + 1).normal(size=40) * 7 + 3
    response = response_basis(basis, y)
    assert response is not None
    assert_allclose(response.row @ response.row, 1.0, rtol=1e-13)
    assert_allclose(basis.rows @ response.row, 0.0, atol=1e-13)
    assert_allclose(response.gamma @ basis.rows + response.scale * response.row, y, atol=1e-12)


@pytest.mark.parametrize(("shift", "tolerance"), [(1e6, 1e-9), (1e9, 1e-6)])
def test_a_large_shift_of_y_leaves_the_residual(shift: float, tolerance: float) -> None:
    # y + 1e9 itself keeps seven digits of y: what is lost there is lost before we see it.
    basis = fixed_basis(columns(3, 3))
    y = np.random.default_rng(4).normal(size=40)
    plain, moved = response_basis(basis, y), response_basis(basis, y + shift)
    assert plain is not None
    assert moved is not None
    assert_allclose(moved.row, plain.row, atol=tolerance)
    assert_allclose(moved.scale, plain.scale, rtol=tolerance)
    assert_allclose(basis.rows @ moved.row, 0.0, atol=1e-13)


@given(seeds, st.floats(1e-12, 1e12))
def test_scale_of_y_is_the_scale(seed: int, factor: float) -> None:
    basis = fixed_basis(columns(seed, 3))
    y = np.random.default_rng(seed + 1).normal(size=40)
    plain, scaled = response_basis(basis, y), response_basis(basis, y * factor)
    assert plain is not None
    assert scaled is not None
    assert_allclose(scaled.row, plain.row, atol=1e-12)
    assert_allclose(scaled.scale, plain.scale * factor, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
def test_a_response_that_x_explains(size: float) -> None:
    x = columns(5, 3)
    assert response_basis(fixed_basis(x), size * (np.array([4.0, -2.0, 0.5]) @ x)) is None
    assert response_basis(fixed_basis(x), np.zeros(40)) is None


@given(seeds, st.integers(1, 4), st.booleans(), st.lists(st.integers(-6, 6), min_size=4, max_size=4))
def test_term_basis_has_unit_mean_square(seed: int, k: int, unstructured: bool, exponents: list[int]) -> None:
    z = columns(seed, k) * 10.0 ** np.array(exponents[:k])[:, None]
    rows, triangle = term_basis(z, Invariance.ANY_BASIS if unstructured else Invariance.COLUMN_SCALES)
    for got, wanted in zip(triangle.T @ rows, z, strict=True):
        assert_allclose(got, wanted, atol=1e-12 * np.abs(wanted).max())
    square = rows @ rows.T / z.shape[1]
    assert_allclose(square.diagonal(), 1.0, rtol=1e-12)
    if unstructured:
        assert_allclose(square, np.eye(k), atol=1e-12)
    else:
        # Independent effects of other columns are not independent: only scales may change.
        assert np.array_equal(triangle, np.diag(triangle.diagonal()))


@pytest.mark.parametrize("unstructured", [True, False])
@pytest.mark.parametrize("kind", ["zero", "dependent"])
def test_term_basis_of_degenerate_columns(kind: str, unstructured: bool) -> None:
    z = columns(6, 3)
    z[2] = 0.0 if kind == "zero" else z[0] + z[1]
    rows, triangle = term_basis(z, Invariance.ANY_BASIS if unstructured else Invariance.COLUMN_SCALES)
    assert np.isfinite(rows).all()
    assert_allclose(triangle.T @ rows, z, atol=1e-13)
    # Templates are carried through the inverse of the triangle.
    assert np.linalg.cond(triangle) < 1e8
