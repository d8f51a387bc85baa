r"""Where P = Z_T'V_c^{-1}Z_T has entries, and products of it with block-diagonal matrices.

Two trailing levels meet where a row of Z or a level of a chain factor joins them; then all columns of the one meet all
columns of the other. A symmetric matrix on the pattern is the entries (nnz,) of its lower triangle; any other is these
and their mirror images, (2, nnz), the diagonal in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, eye_array, tril

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.crossed import Crossed
    from mixfit.factor.trailing import TrailingColumns
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "SchurPattern",
    "both_triangles",
    "level_joins",
    "sampled_share",
    "schur_pattern",
    "trace_of_product",
    "transposed",
]


@dataclass(frozen=True, eq=False)
class SchurPattern:
    """The lower triangle of P, and its blocks of two levels.

    Attributes
    ----------
    columns : TrailingColumns
    keys : ndarray of intp, shape (nnz,)
        row * m + column of the entries, sorted.
    own : dict of j to ndarray of intp, shape (k_j, k_j, q_j)
        The entries of each level's own block.
    pairs : dict of (i, j) to ndarray of intp, shape (k_i, k_j, pairs)
        Those of the levels that occur together in rows.
    blocks : tuple of (i, j, ndarray of intp, shape (k_i, k_j, n))
        All pairs of levels, in either order: places among (2, nnz) entries, raveled.
    """

    columns: TrailingColumns
    keys: Index
    own: Mapping[int, Index]
    pairs: Mapping[tuple[int, int], Index]
    blocks: tuple[tuple[int, int, Index], ...]

    @cached_property
    def row(self) -> Index:
        """Row of every entry."""
        return self.keys // self.columns.m

    @cached_property
    def col(self) -> Index:
        """Column of every entry."""
        return self.keys % self.columns.m

    @property
    def share(self) -> float:
        """Of all cells of the lower triangle those that have an entry."""
        return len(self.keys) / (self.columns.m * (self.columns.m + 1.0) / 2.0)

    @cached_property
    def diagonal(self) -> Index:
        """The entries on the diagonal."""
        return np.flatnonzero(self.row == self.col)

    @cached_property
    def half(self) -> Array:
        """1 on the diagonal, 1/2 below."""
        return np.where(self.row == self.col, 1.0, 0.5)

    def gram(self, gram: Gram) -> Array:
        """Z_T'Z_T: (nnz,)."""
        out = np.zeros(len(self.keys))
        for j, at in self.own.items():
            out[at] = gram.diagonal[j]
        for both, at in self.pairs.items():
            out[at] = gram.pairs[both].values
        return out

    def left(self, matrices: Mapping[int, Array], entries: Array) -> Array:
        """D B for block-diagonal D, one (k_j, k_j) matrix for all levels of a factor, 0 where none; B (2, nnz)."""
        c = self.columns
        if c.is_scalar:
            scale = np.concatenate(
                [np.full(c.width[j], matrices[j][0, 0] if j in matrices else 0.0) for j in c.factors]
            )
            return np.stack([scale[self.row] * entries[0], scale[self.col] * entries[1]])
        flat, out = entries.ravel(), np.zeros(entries.size)
        for i, _, at in self.blocks:
            if i in matrices:
                out[at] = np.tensordot(matrices[i], flat[at], 1)
        both = out.reshape(2, -1)
        both[1, self.diagonal] = both[0, self.diagonal]
        return both

    def congruence(self, matrices: Sequence[Array], entries: Array) -> Array:
        """Lambda_T B Lambda_T' for symmetric B, (nnz,), and one template a factor."""
        if self.columns.is_scalar:
            scale = self.columns.scalars(matrices)
            return scale[self.row] * entries * scale[self.col]
        own = {j: matrices[j] for j in self.columns.factors}
        return self.left(own, transposed(self.left(own, both_triangles(entries))))[0]


def both_triangles(entries: Array) -> Array:
    """A symmetric matrix as one that need not be."""
    return np.stack([entries, entries])


def transposed(entries: Array) -> Array:
    """B' of B (2, nnz)."""
    return entries[::-1]


def trace_of_product(pattern: SchurPattern, left: Array, right: Array) -> float:
    """tr(A B) of matrices (2, nnz) on the pattern, one of them there alone."""
    at = pattern.diagonal
    return float(left[0] @ right[1] + left[1] @ right[0] - left[0, at] @ right[0, at])


def schur_pattern(gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> SchurPattern:
    """The pattern for the patterns of every Y_i."""
    c = columns
    first = dict(zip(c.factors, np.cumsum([0, *(c.width[j] for j in c.factors)]), strict=False))
    row, col = _level_pairs(gram, c, patterns, first)
    met: list[tuple[int, int, Index, Index]] = []
    for j in c.factors:
        for i in c.factors:
            if i <= j:
                inside = (_within(row, first[j], c.width[j]) & _within(col, first[i], c.width[i])).nonzero()[0]
                met.append((i, j, col[inside] - first[i], row[inside] - first[j]))
                if i < j:
                    met.append((j, i, met[-1][3], met[-1][2]))
                else:
                    apart = met[-1][2] != met[-1][3]
                    met.append((i, j, met[-1][3][apart], met[-1][2][apart]))
    cells = [(i, j, _column(c, i, u)[:, None], _column(c, j, v)[None]) for i, j, u, v in met]
    keys = np.unique(np.concatenate([_keys(c.m, a, b).ravel() for _, _, a, b in cells]))
    blocks = tuple((i, j, _at(keys, c.m, a, b) + (a < b) * len(keys)) for i, j, a, b in cells)
    own = {j: _column(c, j, np.arange(c.width[j])) for j in c.factors}
    pairs = {key: pair for key, pair in gram.pairs.items() if key[0] in c.offset and key[1] in c.offset}
    return SchurPattern(
        c,
        keys,
        {j: _at(keys, c.m, a[:, None], a[None]) for j, a in own.items()},
        {
            (i, j): _at(keys, c.m, _column(c, i, pair.row)[:, None], _column(c, j, pair.col)[None])
            for (i, j), pair in pairs.items()
        },
        blocks,
    )


def _level_pairs(
    gram: Gram, c: TrailingColumns, patterns: Mapping[int, Crossed], first: Mapping[int, int]
) -> tuple[Index, Index]:
    """Trailing levels that meet, numbered factor after factor, as the lower triangle of a table."""
    size = sum(c.width[j] for j in c.factors)
    total = eye_array(size, format="csr")
    for joins in level_joins(c, patterns):
        total = total + joins.T @ joins
    for (i, j), pairs in gram.pairs.items():
        if i in first and j in first:
            at = first[j] + pairs.col, first[i] + pairs.row
            total = total + csr_array((np.ones(len(at[0])), at), shape=(size, size))
    low = coo_array(tril(total))
    return low.row.astype(np.intp), low.col.astype(np.intp)


def level_joins(c: TrailingColumns, patterns: Mapping[int, Crossed]) -> Iterator[csr_array]:
    """Ones where a level of a chain factor meets a trailing level, (q_i, trailing levels)."""
    first = np.cumsum([0, *(c.width[j] for j in c.factors)])
    pairs = zip(first[:-1], c.factors, strict=True)
    place = np.concatenate([np.tile(start + np.arange(c.width[j]), c.k[j]) for start, j in pairs])
    leads = np.concatenate([np.arange(c.k[j] * c.width[j]) < c.width[j] for j in c.factors])
    for pattern in patterns.values():
        kept = leads[pattern.column]
        at = pattern.level[kept], place[pattern.column[kept]]
        yield csr_array((np.ones(len(at[0])), at), shape=(pattern.n_levels, int(first[-1])))


def sampled_share(columns: TrailingColumns, patterns: Mapping[int, Crossed], n: int) -> float:
    """Share of the trailing levels that one of them meets in levels of a chain factor: the median of `n` of them."""
    shares = [0.0]
    for joins in level_joins(columns, patterns):
        size = joins.shape[1]
        chosen = np.unique(np.linspace(0, size - 1, n).astype(np.intp))
        met = csc_array(joins.T @ joins[:, chosen])
        shares.append(float(np.median(np.diff(met.indptr))) / size)
    return max(shares)


def _within(levels: Index, first: int, width: int) -> NDArray[np.bool_]:
    return (levels >= first) & (levels < first + width)


def _column(c: TrailingColumns, j: int, level: Index) -> Index:
    """Columns (k_j, n) of levels of factor j."""
    return c.offset[j] + np.arange(c.k[j])[:, None] * c.width[j] + level


def _keys(m: int, a: Index, b: Index) -> Index:
    out: Index = np.maximum(a, b) * m + np.minimum(a, b)
    return out


def _at(keys: Index, m: int, a: Index, b: Index) -> Index:
    return np.searchsorted(keys, _keys(m, a, b))
