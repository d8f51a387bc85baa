"""Sparse Cholesky by fronts against dense matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import coo_array, csc_array, eye_array, tril

from mixfit.errors import FitError
from mixfit.factor.fronts import Fronts, fronts
from mixfit.factor.multifrontal import factorize_fronts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]


def random_matrix(m: int, density: float, seed: int) -> csc_array:
    rng = np.random.default_rng(seed)
    half = csc_array(np.where(rng.random((m, m)) < density, rng.standard_normal((m, m)), 0.0))
    return csc_array(half @ half.T + eye_array(m))


def tree_matrix(m: int, seed: int) -> csc_array:
    rng = np.random.default_rng(seed)
    parent = np.array([int(rng.integers(i)) for i in range(1, m)])
    b = eye_array(m, format="csr") - coo_array((np.ones(m - 1), (np.arange(1, m), parent)), shape=(m, m)).tocsr()
    return csc_array(b.T @ b + 0.5 * eye_array(m))


def lower(matrix: csc_array) -> tuple[Index, Index, Array]:
    low = coo_array(tril(matrix))
    return low.row.astype(np.intp), low.col.astype(np.intp), low.data


MATRICES = [
    random_matrix(1, 1.0, 1),
    random_matrix(40, 0.02, 2),
    random_matrix(60, 0.2, 3),
    random_matrix(300, 0.003, 4),
    tree_matrix(400, 5),
    csc_array(np.eye(5)),
]


@pytest.mark.parametrize("matrix", MATRICES)
def test_factor_solutions_and_inverse_are_those_of_the_dense_matrix(matrix: csc_array) -> None:
    row, col, values = lower(matrix)
    dense, m = matrix.toarray(), matrix.shape[0]
    factor = factorize_fronts(fronts(row, col, m), values)
    assert_allclose(factor.logdet, np.linalg.slogdet(dense)[1], rtol=1e-11, atol=1e-11)
    rhs = np.random.default_rng(1).normal(size=(m, 3))
    assert_allclose(factor.solve(rhs), np.linalg.solve(dense, rhs), rtol=1e-8, atol=1e-11)
    assert_allclose(factor.inverse_entries, np.linalg.inv(dense)[row, col], rtol=1e-8, atol=1e-11)


def test_a_tree_is_eliminated_without_filling_more_than_fronts_are_rounded_by() -> None:
    row, col, _ = lower(tree_matrix(2000, 1))
    found = fronts(row, col, 2000)
    assert found.n_entries < 40 * 2000
    assert all(batch.rows.shape[1] <= 1 for batch in found.batches)


def test_every_column_is_eliminated_once() -> None:
    row, col, _ = lower(MATRICES[3])
    found: Fronts = fronts(row, col, 300)
    columns = np.concatenate([batch.columns.ravel() for batch in found.batches])
    assert sorted(columns[columns < 300].tolist()) == list(range(300))


@pytest.mark.parametrize("m", [1, 5, 40])
def test_a_matrix_that_is_not_positive_definite(m: int) -> None:
    row, col = np.tril_indices(m)
    found = fronts(row, col, m)
    with pytest.raises(FitError, match="not positive definite"):
        factorize_fronts(found, np.where(row == col, -1.0, 0.0))
