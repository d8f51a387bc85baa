"""Which linear functions of the fixed effects the data tell: those in the row space of X."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["RowSpace", "row_space"]

# How far rounding may take a row from the row space, as a share of its largest entry: that of emmeans' is.estble.
_ROUNDING = 1e-8


@dataclass(frozen=True, eq=False)
class RowSpace:
    """The row space of X, by what the aliased columns are of those kept: X_a = X_k A.

    Attributes
    ----------
    kept, aliased : ndarray of intp
        Columns of X: a basis of the column space, and the others.
    A : ndarray, shape (p, c - p)
        Of columns of unit length, so that rounding is the same for all.
    lengths : ndarray, shape (c,)
        Of the columns; 1 for a column of zeros.
    slack : float
        How far a row may be from the row space, relative to its largest entry. No less than the rows of X are
        themselves, as a column is aliased also where earlier ones leave next to nothing of it.
    """

    kept: Index
    aliased: Index
    A: Array
    lengths: Array
    slack: float

    __repr__ = brief

    def contains(self, L: Array) -> NDArray[np.bool_]:
        """Which rows of L beta (q, c) do not depend on how the aliasing of X is resolved; none with a NaN.

        L beta is estimable where L is in the row space of X (Searle 1971, Linear Models, 5.4): where L_a = L_k A.
        """
        known = np.asarray(~np.isnan(L).any(axis=1))
        if not len(self.aliased):
            return known
        rows = np.where(known[:, None], L, 0.0) / self.lengths
        return np.asarray(known & (self._distance(rows) <= self.slack))

    def within(self, L: Array) -> Array:
        """Combinations of the rows of L (q, c) that are in the row space, as many as are independent: shape (r, c).

        Those c'L with c'(L_a - L_k A) = 0, c in an orthonormal basis.
        """
        if not len(self.aliased):
            return L
        rows = L / self.lengths
        off = rows[:, self.aliased] - rows[:, self.kept] @ self.A
        left, values, _ = np.linalg.svd(off)
        largest = np.abs(rows).max(initial=0.0)
        rank = int((values > self.slack * np.sqrt(len(L)) * largest).sum())
        return np.asarray(L if rank == 0 else left[:, rank:].T @ L)

    def _distance(self, rows: Array) -> Array:
        largest = np.abs(rows).max(axis=1, initial=0.0)
        largest[largest == 0.0] = 1.0
        return np.asarray(np.abs(rows[:, self.aliased] - rows[:, self.kept] @ self.A).max(axis=1) / largest)


def row_space(X: Array, kept: Index) -> RowSpace:
    """The row space of X (n, c), whose columns `kept` are a basis of its column space.

    Examples
    --------
    >>> space = row_space(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), np.array([0, 1]))
    >>> space.contains(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, -1.0]])).tolist()
    [True, False, True]
    """
    aliased = np.setdiff1d(np.arange(X.shape[1]), kept)
    if not len(aliased):
        return RowSpace(kept, aliased, np.empty((len(kept), 0)), np.ones(X.shape[1]), _ROUNDING)
    lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
    lengths[lengths == 0.0] = 1.0
    rows = X / lengths
    A = np.linalg.lstsq(rows[:, kept], rows[:, aliased], rcond=None)[0]
    space = RowSpace(kept, aliased, A, lengths, _ROUNDING)
    own = float(space._distance(rows).max(initial=0.0))
    return RowSpace(kept, aliased, A, lengths, _ROUNDING + own)
