"""The inverse of a matrix of symmetric pattern, on its pattern, and its derivative, against dense matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.factor.fronts import fronts
from mixfit.factor.moving_fronts import invert_fronts
from tests.factor.test_fronts import MATRICES, lower

if TYPE_CHECKING:
    from scipy.sparse import csc_array


@pytest.mark.parametrize("matrix", MATRICES)
def test_inverse_and_its_derivative_are_those_of_the_dense_matrix(matrix: csc_array) -> None:
    rng = np.random.default_rng(2)
    row, col, _ = lower(matrix)
    m = matrix.shape[0]
    # Symmetric in its pattern alone: rows scaled, one of them as good as gone.
    scale = np.exp(rng.normal(size=m))
    scale[0] = 1e-9
    B = np.eye(m) + scale[:, None] * matrix.toarray()
    change = np.zeros((m, m))
    change[row, col], change[col, row] = rng.normal(size=(2, len(row)))
    Z = np.linalg.inv(B)
    found = invert_fronts(fronts(row, col, m), np.stack([B[row, col], B[col, row]]))
    assert_allclose(found.entries, np.stack([Z[row, col], Z[col, row]]), rtol=1e-9, atol=1e-12)
    moved = -Z @ change @ Z
    given = np.stack([change[row, col], change[col, row]])
    size = np.abs(moved).max()
    assert_allclose(found.derivative(given), np.stack([moved[row, col], moved[col, row]]), atol=1e-12 * size)
