"""Products of the rows Y of the factor with themselves, where they are wanted: on the pattern of P = Z_T'V_c^{-1}Z_T.

The trailing columns that a level of a chain factor meets are a clique of that pattern: Y'Y adds to every pair of them.
Levels that meet equally many are one array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.crossed import Crossed

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Cliques"]


@dataclass(frozen=True, eq=False)
class Cliques:
    """Levels of one chain factor by the number d of columns that they meet.

    Attributes
    ----------
    groups : tuple of ndarray of intp, shape (n_d, d)
        The entries of Y of every level that meets d columns.
    targets : ndarray of intp, shape (sum of n_d d^2,)
        The entry of P's lower triangle for every pair of columns of every level, group by group.
    half : ndarray, shape (nnz,)
        1 on the diagonal of P, 1/2 below: both orders of a pair of columns are summed.
    """

    groups: tuple[Index, ...]
    targets: Index
    half: Array

    @classmethod
    def build(cls, pattern: Crossed, keys: Index, half: Array) -> Cliques:
        """Lay out the cliques of a chain factor's pattern among the sorted `keys` = row * m + column of P."""
        counts = np.bincount(pattern.level, minlength=pattern.n_levels)
        first = np.cumsum(counts) - counts
        groups, targets = [], [np.empty(0, dtype=np.intp)]
        for d in np.unique(counts[counts > 0]):
            entries = first[counts == d][:, None] + np.arange(d)
            groups.append(entries)
            column = pattern.column[entries]
            a, b = column[:, :, None], column[:, None, :]
            targets.append(np.searchsorted(keys, (np.maximum(a, b) * pattern.m + np.minimum(a, b)).ravel()))
        return cls(tuple(groups), np.concatenate(targets), half)

    def product(self, left: Array, right: Array) -> Array:
        """(L'R + R'L) / 2 for entries (k, nnz_i) on the pattern of Y: (nnz,)."""
        return self._sums(left, right) * self.half

    def inner(self, kernel: Array, left: Array, right: Array) -> float:
        """<Q, L'R> for a symmetric Q of entries (nnz,)."""
        return float(kernel @ self._sums(left, right))

    def rows(self, kernel: Array, rows: Array) -> Array:
        """Y Q on the pattern of Y alone: (k, nnz_i)."""
        out, start = np.empty_like(rows), 0
        for entries in self.groups:
            n, d = entries.shape
            table = kernel[self.targets[start : start + n * d * d]].reshape(n, d, d)
            out[:, entries] = np.matmul(rows[:, entries].swapaxes(0, 1), table).swapaxes(0, 1)
            start += n * d * d
        return out

    def _sums(self, left: Array, right: Array) -> Array:
        """Products of all pairs of columns, both orders of a pair in one entry."""
        flat, start = np.empty(len(self.targets)), 0
        for entries in self.groups:
            n, d = entries.shape
            l, r = left[:, entries].transpose(1, 2, 0), right[:, entries].swapaxes(0, 1)  # noqa: E741
            np.matmul(l, r, out=flat[start : start + n * d * d].reshape(n, d, d))
            start += n * d * d
        return np.asarray(np.bincount(self.targets, flat, minlength=len(self.half)), dtype=float)
