r"""The numeric phase of a sparse Cholesky factorization by fronts, solutions, and the inverse on the pattern.

A front [[F_11, .], [F_21, F_22]] has its columns eliminated by F_11 = LL', W = F_21 L'^{-1}, and leaves F_22 - WW' to
its parent. Backwards the inverse Z of the whole matrix is known on the front of the parent, and follows on its own
(Takahashi, Fagan & Chen 1973; Erisman & Tinney 1975):

    Z_21 = -Z_22 H,      Z_11 = L'^{-1} L^{-1} + H'Z_22 H,      H = W L^{-1}.

All fronts of a batch are one array.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri

from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.fronts import Fronts

    Array = NDArray[np.float64]

__all__ = ["FrontFactor", "factorize_fronts"]

# From so many columns on a call of LAPACK for each front costs little beside its work, and knows triangles.
_LARGE = 8


@dataclass(frozen=True, eq=False)
class FrontFactor:
    """LL' of a sparse symmetric matrix.

    Attributes
    ----------
    fronts : Fronts
    inverses : list of ndarray, shape (count, s, s)
        L^{-1} of every batch.
    below : list of ndarray, shape (count, r, s)
        W.
    logdet : float
        log of its determinant.
    """

    fronts: Fronts
    inverses: Sequence[Array]
    below: Sequence[Array]
    logdet: float

    def solve(self, rhs: Array) -> Array:
        """The solution for right-hand sides (m, c)."""
        return self.backward(self.forward(rhs))

    def forward(self, rhs: Array) -> Array:
        """L^{-1} of right-hand sides (m, c), a row for each column of the matrix."""
        m, c = rhs.shape
        x = np.zeros((m + 1, c))
        x[:m] = rhs
        flat, every = x.reshape(-1), np.arange(c)
        for batch, inverse, w in zip(self.fronts.batches, self.inverses, self.below, strict=True):
            x[batch.columns] = y = np.matmul(inverse, x[batch.columns])
            if batch.rows.size:
                at = batch.rows[:, :, None] * c + every
                np.subtract.at(flat, at.ravel(), np.matmul(w, y).ravel())
            x[m] = 0.0
        return x[:m]

    def backward(self, half: Array) -> Array:
        """L'^{-1} of what `forward` leaves, (m, c)."""
        m, c = half.shape
        x = np.zeros((m + 1, c))
        x[:m] = half
        for batch, inverse, w in reversed(list(zip(self.fronts.batches, self.inverses, self.below, strict=True))):
            y = x[batch.columns]
            if batch.rows.size:
                y = y - np.matmul(w.swapaxes(1, 2), x[batch.rows])
            x[batch.columns] = np.matmul(inverse.swapaxes(1, 2), y)
            x[m] = 0.0
        return x[:m]

    @cached_property
    def inverse_entries(self) -> Array:
        """Entries of the inverse where the matrix has entries, in their order."""
        cells = np.zeros(self.fronts.n_cells)
        for batch, inverse, w in reversed(list(zip(self.fronts.batches, self.inverses, self.below, strict=True))):
            count, s, size = batch.shape
            z = cells[batch.cells].reshape(count, size, size)
            own = np.matmul(inverse.swapaxes(1, 2), inverse)
            if size > s:
                rest = cells[batch.parent_cells]
                h = np.matmul(w, inverse)
                z[:, s:, s:] = rest
                z[:, s:, :s] = across = -np.matmul(rest, h)
                z[:, :s, s:] = across.swapaxes(1, 2)
                own -= np.matmul(h.swapaxes(1, 2), across)
            z[:, :s, :s] = own
        return cells[self.fronts.entry_cells]


def factorize_fronts(fronts: Fronts, values: Array) -> FrontFactor:
    """Factor the matrix with these entries in its lower triangle.

    Raises
    ------
    FitError
        Where it is not positive definite in double precision.
    """
    cells = np.zeros(fronts.n_cells)
    cells[fronts.entry_cells] = values
    inverses, below = [], []
    logdet = 0.0
    for batch in fronts.batches:
        count, s, size = batch.shape
        front = cells[batch.cells].reshape(count, size, size)
        x, a = batch.padding
        front[x, a, a] = 1.0
        low, inverse = _triangles(front[:, :s, :s])
        logdet += 2.0 * float(np.log(np.einsum("naa->na", low)).sum())
        w = np.matmul(front[:, s:, :s], inverse.swapaxes(1, 2))
        if size > s:
            left = front[:, s:, s:] - np.matmul(w, w.swapaxes(1, 2))
            np.add.at(cells, batch.parent_cells.ravel(), left.ravel())
        inverses.append(inverse)
        below.append(w)
    return FrontFactor(fronts, inverses, below, logdet)


def _triangles(pivots: Array) -> tuple[Array, Array]:
    """L and L^{-1} of matrices (count, s, s)."""
    s = pivots.shape[1]
    if s == 1:
        if not (pivots > 0.0).all():
            raise FitError(_refusal())
        low = np.sqrt(pivots)
        return low, 1.0 / low
    if s < _LARGE:
        try:
            low = np.linalg.cholesky(pivots)
        except np.linalg.LinAlgError as error:
            raise FitError(_refusal()) from error
        return np.asarray(low), np.asarray(np.linalg.inv(low), dtype=float)
    low, inverse = np.empty_like(pivots), np.empty_like(pivots)
    for x, pivot in enumerate(pivots):
        low[x], info = dpotrf(pivot, lower=1, clean=1)
        if info:
            raise FitError(_refusal())
        inverse[x] = dtrtri(low[x], lower=1)[0]
    return low, inverse


def _refusal() -> str:
    return (
        "The sparse block of the factor is not positive definite: the variance ratios are too large for double "
        "precision. Rescale the columns left of the bar."
    )
