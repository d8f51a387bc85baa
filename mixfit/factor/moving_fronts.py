r"""The inverse, on its pattern, of a matrix that is symmetric in its pattern alone, and how it moves with the matrix.

A front [[F_11, F_12], [F_21, F_22]] leaves F_22 - H F_12 to its parent, with H = F_21 F_11^{-1} and K = F_11^{-1} F_12.
Backwards, with Z_22 known on the front of the parent (Erisman & Tinney 1975, Commun. ACM 18),

    Z_21 = -Z_22 H,      Z_12 = -K Z_22,      Z_11 = F_11^{-1} + K Z_22 H.

Entries on the pattern depend on entries on the pattern alone, so that their derivatives along a change of the matrix
are found by the same two sweeps, each of these lines differentiated. No pivots are searched for between fronts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.fronts import Fronts

    Array = NDArray[np.float64]

__all__ = ["FrontInverse", "invert_fronts"]


@dataclass(frozen=True, eq=False)
class FrontInverse:
    """The inverse of a matrix, by fronts.

    Attributes
    ----------
    fronts : Fronts
    pivots : list of ndarray, shape (count, s, s)
        F_11^{-1} of every batch.
    left : list of ndarray, shape (count, r, s)
        H.
    right : list of ndarray, shape (count, s, r)
        K.
    """

    fronts: Fronts
    pivots: Sequence[Array]
    left: Sequence[Array]
    right: Sequence[Array]

    @cached_property
    def _cells(self) -> Array:
        """Z on all fronts."""
        cells = np.zeros(self.fronts.n_cells)
        for a in reversed(range(len(self.pivots))):
            batch, h, k = self.fronts.batches[a], self.left[a], self.right[a]
            count, s, size = batch.shape
            z = cells[batch.cells].reshape(count, size, size)
            own = self.pivots[a]
            if size > s:
                z[:, s:, s:] = rest = cells[batch.parent_cells]
                z[:, s:, :s] = across = -np.matmul(rest, h)
                z[:, :s, s:] = -np.matmul(k, rest)
                own = own - np.matmul(k, across)
            z[:, :s, :s] = own
        return cells

    @cached_property
    def entries(self) -> Array:
        """Those where the matrix has entries: of its lower triangle, and their mirror images, (2, nnz)."""
        return self._cells[self.fronts.both_cells]

    def derivative(self, change: Array) -> Array:
        """How `entries` move along a change (2, nnz) of the matrix: those of -Z dB Z."""
        fronts = self.fronts
        moved = np.zeros(fronts.n_cells)
        moved[fronts.both_cells] = change
        for batch, h, k in zip(fronts.batches, self.left, self.right, strict=True):
            count, s, size = batch.shape
            if size > s:
                d = moved[batch.cells].reshape(count, size, size)
                above = d[:, :s, s:] - np.matmul(d[:, :s, :s], k)
                left = d[:, s:, s:] - np.matmul(d[:, s:, :s], k) - np.matmul(h, above)
                np.add.at(moved, batch.parent_cells.ravel(), left.ravel())
        out = np.zeros(fronts.n_cells)
        for a in reversed(range(len(self.pivots))):
            batch, pivot, h, k = fronts.batches[a], self.pivots[a], self.left[a], self.right[a]
            count, s, size = batch.shape
            d = moved[batch.cells].reshape(count, size, size)
            z = out[batch.cells].reshape(count, size, size)
            own = -np.matmul(np.matmul(pivot, d[:, :s, :s]), pivot)
            if size > s:
                known = self._cells[batch.cells].reshape(count, size, size)
                rest, across = known[:, s:, s:], known[:, s:, :s]
                moved_h = np.matmul(d[:, s:, :s] - np.matmul(h, d[:, :s, :s]), pivot)
                moved_k = np.matmul(pivot, d[:, :s, s:] - np.matmul(d[:, :s, :s], k))
                z[:, s:, s:] = turned = out[batch.parent_cells]
                z[:, s:, :s] = below = -np.matmul(turned, h) - np.matmul(rest, moved_h)
                z[:, :s, s:] = -np.matmul(k, turned) - np.matmul(moved_k, rest)
                own -= np.matmul(moved_k, across) + np.matmul(k, below)
            z[:, :s, :s] = own
        return out[fronts.both_cells]


def invert_fronts(fronts: Fronts, entries: Array) -> FrontInverse:
    """Eliminate the matrix with these entries (2, nnz): of its lower triangle, and their mirror images."""
    cells = np.zeros(fronts.n_cells)
    cells[fronts.both_cells] = entries
    pivots, lefts, rights = [], [], []
    for batch in fronts.batches:
        count, s, size = batch.shape
        front = cells[batch.cells].reshape(count, size, size)
        x, a = batch.padding
        front[x, a, a] = 1.0
        pivot = np.asarray(np.linalg.inv(front[:, :s, :s]), dtype=float)
        h, k = np.matmul(front[:, s:, :s], pivot), np.matmul(pivot, front[:, :s, s:])
        if size > s:
            np.add.at(cells, batch.parent_cells.ravel(), (front[:, s:, s:] - np.matmul(h, front[:, :s, s:])).ravel())
        pivots.append(pivot)
        lefts.append(h)
        rights.append(k)
    return FrontInverse(fronts, pivots, lefts, rights)
