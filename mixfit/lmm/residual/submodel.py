"""Problems with fewer fixed effects within a problem with residuals that have a covariance.

With Q the orthonormal basis of X, and O that of the coordinates of what is left, the columns Q O and what y has beside
them are combinations of those that the problem holds, see :mod:`mixfit.lmm.submodel`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.basis import ResponseBasis, fixed_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.residual.criterion import ResidualProblem
    from mixfit.lmm.residual.form import Held

    Array = NDArray[np.float64]

__all__ = ["with_fixed"]


def with_fixed(problem: ResidualProblem, columns: Array) -> ResidualProblem:
    """The problem whose fixed effects have the coordinates `columns`, shape (p, c), in the orthonormal basis."""
    response = problem.response
    basis = fixed_basis(np.ascontiguousarray(columns.T))
    O = basis.rows.T  # noqa: E741
    p, smaller = O.shape
    left = response.gamma - O @ (O.T @ response.gamma)
    scale = float(np.hypot(response.scale, np.linalg.norm(left)))
    M = np.zeros((p + 1, smaller + 1))
    M[:p, :smaller] = O
    M[:p, smaller] = left / scale
    M[p, smaller] = response.scale / scale
    row = (left @ problem.fixed.rows + response.scale * response.row) / scale
    return replace(
        problem,
        rows=replace(problem.rows, held=_combined(problem.rows.held, M)),
        fixed=replace(basis, rows=O.T @ problem.fixed.rows),
        response=ResponseBasis(O.T @ response.gamma, row, scale),
    )


def _combined(held: Held, M: Array) -> Held:
    """Combinations of the first columns, the others as they are."""
    first = len(M)
    if isinstance(held, np.ndarray):
        return np.concatenate([M.T @ held[:first], held[first:]])
    return tuple(
        replace(b, values=np.concatenate([b.values[..., :first] @ M, b.values[..., first:]], axis=2)) for b in held
    )
