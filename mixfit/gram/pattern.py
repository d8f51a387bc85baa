"""Rows of grouping factors, and which of their levels occur together: what weights do not change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.relationship import Relationship

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["FactorRows", "RowPattern", "pair_pattern", "row_pattern"]

# A table of all pairs numbers them in two passes, where sorting the rows takes some twenty: worth it up to here.
_DENSE_TABLE_CELLS_PER_ROW = 8


@dataclass(frozen=True, eq=False)
class FactorRows:
    """Rows of one grouping factor.

    Attributes
    ----------
    codes : ndarray of intp, shape (n,)
    n_levels : int
    columns : ndarray of float, shape (k, n), or None
        None stands for a single column of ones.
    relationship : Relationship, or None
        Where the effects of the levels, of one column, are W^{-1} times independent ones: Z W^{-1} stands for Z.
    """

    codes: Index
    n_levels: int
    columns: Array | None
    relationship: Relationship | None = None

    __repr__ = brief

    @cached_property
    def k(self) -> int:
        """Number of columns."""
        return 1 if self.columns is None else len(self.columns)


@dataclass(frozen=True, eq=False)
class RowPattern:
    """Which levels occur together, for cross-products of the same rows under several weights.

    Attributes
    ----------
    factors : tuple of FactorRows
        By decreasing number of levels.
    entries : dict of (i, j), i < j, to tuple of ndarray (row, col, entry)
        Distinct pairs of levels, sorted, and for every row the number of its pair.
    """

    factors: tuple[FactorRows, ...]
    entries: dict[tuple[int, int], tuple[Index, Index, Index]]

    @cached_property
    def k(self) -> tuple[int, ...]:
        """Columns of each factor."""
        return tuple(f.k for f in self.factors)

    @cached_property
    def n_levels(self) -> tuple[int, ...]:
        """Levels of each factor."""
        return tuple(f.n_levels for f in self.factors)

    @cached_property
    def no_border(self) -> tuple[Array, ...]:
        """Z_i'C for C without columns."""
        return tuple(np.empty((f.k, 0, f.n_levels)) for f in self.factors)


def row_pattern(factors: Sequence[FactorRows]) -> RowPattern:
    """Find the pairs of levels that occur together."""
    entries = {
        (i, j): pair_pattern(f.codes, f.n_levels, factors[j].codes, factors[j].n_levels)
        for i, f in enumerate(factors)
        for j in range(i + 1, len(factors))
    }
    return RowPattern(tuple(factors), entries)


def pair_pattern(a: Index, n_a: int, b: Index, n_b: int) -> tuple[Index, Index, Index]:
    """Distinct pairs (a, b), sorted, and for every row the number of its pair."""
    parent = np.full(n_a, -1, dtype=np.intp)
    parent[a] = b
    if np.array_equal(parent.take(a), b):
        present = np.flatnonzero(parent >= 0)
        number = np.cumsum(parent >= 0) - 1
        return present, parent[present], a if len(present) == n_a else number.take(a)
    key = a * n_b + b
    if n_a * n_b <= _DENSE_TABLE_CELLS_PER_ROW * len(a):
        seen = np.zeros(n_a * n_b, dtype=bool)
        seen[key] = True
        distinct = np.flatnonzero(seen)
        number = np.empty(n_a * n_b, dtype=np.intp)
        number[distinct] = np.arange(len(distinct))
        entry = number.take(key)
    else:
        distinct, entry = np.unique(key, return_inverse=True)
    row, col = np.divmod(distinct, n_b)
    return row, col, entry
