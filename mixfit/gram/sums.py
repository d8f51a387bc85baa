"""Cross-products of rows that come in batches: sums of the batches' own, which grow by nothing but levels and pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.pattern import FactorRows, row_pattern
from mixfit.gram.products import Gram, Pairs, weighted_products

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["GramSums"]

# Up to so many levels a row of the batch it is quicker to add to all of them than to find those that occur.
_LEVELS_PER_ROW = 2
# Pairs are merged when there are so many more than after the last time: each is then sorted a few times only.
_GROWTH = 2


class GramSums:
    """The cross-products of all batches added so far.

    Parameters
    ----------
    k, n_levels : sequence of int
        Columns and levels of each grouping factor, by decreasing number of levels.
    r : int
        Columns [X y].
    """

    def __init__(self, k: Sequence[int], n_levels: Sequence[int], r: int) -> None:
        self._n_levels = tuple(n_levels)
        self._diagonal = [np.zeros((c, c, q)) for c, q in zip(k, n_levels, strict=True)]
        self._border = [np.zeros((c, r, q)) for c, q in zip(k, n_levels, strict=True)]
        self._corner = np.zeros((r, r))
        places = range(len(k))
        self._pairs = {(i, j): _PairSums(k[i], k[j], n_levels[j]) for i in places for j in places if i < j}
        self.n = 0

    def add(self, factors: Sequence[FactorRows], columns: Array) -> None:
        """Add rows: of the grouping factors, and [X y] as rows (r, m)."""
        local = [_local(f) for f in factors]
        gram = weighted_products(row_pattern([f for f, _ in local]), columns, None)
        for (_, levels), diagonal, border, own, part in zip(
            local, self._diagonal, self._border, gram.diagonal, gram.border, strict=True
        ):
            if levels is None:
                diagonal += own
                border += part
            else:
                diagonal[..., levels] += own
                border[..., levels] += part
        for (i, j), pairs in gram.pairs.items():
            rows, cols = local[i][1], local[j][1]
            self._pairs[i, j].add(
                pairs.row if rows is None else rows[pairs.row],
                pairs.col if cols is None else cols[pairs.col],
                pairs.values,
            )
        self._corner += gram.corner
        self.n += gram.n

    def gram(self) -> Gram:
        """The cross-products of all rows."""
        pairs = {key: sums.pairs() for key, sums in self._pairs.items()}
        return Gram(tuple(self._diagonal), pairs, tuple(self._border), self._corner, self.n)


def _local(f: FactorRows) -> tuple[FactorRows, Index | None]:
    """The rows by numbers of the levels that occur, and these levels; None for all as they are."""
    if f.n_levels <= _LEVELS_PER_ROW * len(f.codes):
        return f, None
    levels, codes = np.unique(f.codes, return_inverse=True)
    return FactorRows(codes.reshape(-1), len(levels), f.columns), levels


class _PairSums:
    """Z_i'Z_j by pairs of levels, those of several batches waiting to be merged."""

    def __init__(self, k_i: int, k_j: int, n_cols: int) -> None:
        self._n_cols = n_cols
        self._keys: list[Index] = [np.empty(0, dtype=np.intp)]
        self._values: list[Array] = [np.empty((k_i, k_j, 0))]
        self._waiting = 0

    def add(self, row: Index, col: Index, values: Array) -> None:
        self._keys.append(row * self._n_cols + col)
        self._values.append(values)
        self._waiting += len(row)
        if self._waiting > (_GROWTH - 1) * max(len(self._keys[0]), len(row)):
            self._merge()

    def _merge(self) -> None:
        keys, values = np.concatenate(self._keys), np.concatenate(self._values, axis=2)
        distinct, entry = np.unique(keys, return_inverse=True)
        flat = [np.bincount(entry.reshape(-1), own, len(distinct)) for own in values.reshape(-1, len(keys))]
        self._keys = [distinct]
        self._values = [np.reshape(flat, (*values.shape[:2], len(distinct)))]
        self._waiting = 0

    def pairs(self) -> Pairs:
        self._merge()
        row, col = np.divmod(self._keys[0], self._n_cols)
        return Pairs(row, col, self._values[0])
