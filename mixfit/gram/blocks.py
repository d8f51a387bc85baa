r"""Blocks of rows whose residuals are correlated, by the pattern of places that each block has rows at.

Within a block residuals have covariance D C D: C that of the places of its rows, D the rows' own standard deviations.
Blocks of the same places and deviations share it: they are a *pattern*, and what an evaluation factors is one matrix
a pattern. Patterns of one size stand in one array.

Of columns that belong to no level of a random effect a pattern needs only the sums of products of its rows: as many
blocks as that has dimensions have the same sums (a triangle by QR), and no evaluation sees a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["BlockColumns", "BlockLayout", "Patterns", "block_layout", "compressed", "gathered", "pattern_sums"]

# A pattern's rows are replaced by the triangle of their QR where they are this many times as many: else it saves less
# than it takes.
_WORTHWHILE = 2
# Numbers up to which a mixed-radix key is exact in 64 bits.
_LARGEST_KEY = 2**62


@dataclass(frozen=True, eq=False)
class Patterns:
    """The P patterns of blocks of m rows, and the B blocks that have them, sorted by pattern.

    Attributes
    ----------
    part : ndarray of intp, shape (P,)
        Which covariance the blocks of a pattern have.
    place : ndarray of intp, shape (P, m)
        Its column for every row of a block.
    spread : ndarray, shape (P, m, g)
        What the logarithms of the rows' standard deviations are linear in.
    count : ndarray of intp, shape (P,)
        Blocks of each pattern.
    rows : ndarray of intp, shape (B, m)
        The rows of every block.
    """

    part: Index
    place: Index
    spread: Array
    count: Index
    rows: Index

    @property
    def size(self) -> int:
        """Rows of a block, m."""
        return self.place.shape[1]


@dataclass(frozen=True, eq=False)
class BlockLayout:
    """All blocks of a model's rows.

    Attributes
    ----------
    patterns : tuple of Patterns
        One a size of blocks, ascending.
    order : ndarray of intp, shape (n,)
        The rows as the blocks have them, one after another.
    """

    patterns: tuple[Patterns, ...]
    order: Index


@dataclass(frozen=True, eq=False)
class BlockColumns:
    """Values of columns in the blocks of one size.

    Attributes
    ----------
    values : ndarray, shape (B, m, c)
    start : ndarray of intp, shape (P,)
        The first block of each pattern.
    pattern : ndarray of intp, shape (B,)
    """

    values: Array
    start: Index
    pattern: Index


def block_layout(block: Index, place: Index, part: Index, spread: Array) -> BlockLayout:
    """Sort rows into blocks, and blocks into patterns.

    Parameters
    ----------
    block : ndarray of intp, shape (n,)
        The block of every row.
    place : ndarray of intp, shape (n,)
        Its column of the covariance; no two rows of a block have the same.
    part : ndarray of intp, shape (n,)
        Its covariance, the same in all rows of a block.
    spread : ndarray, shape (n, g)
    """
    order = np.lexsort((place, block)).astype(np.intp)
    first = np.flatnonzero(np.concatenate([[True], np.diff(block[order]) != 0]))
    sizes = np.diff(np.append(first, len(order)))
    kinds = _distinct_rows(np.column_stack([place, part, _distinct(spread)]))
    patterns = tuple(
        _patterns(order[first[sizes == m][:, None] + np.arange(m)], kinds, place, part, spread)
        for m in np.unique(sizes).tolist()
    )
    return BlockLayout(patterns, np.concatenate([p.rows.ravel() for p in patterns]))


def _patterns(rows: Index, kinds: Index, place: Index, part: Index, spread: Array) -> Patterns:
    number = _distinct_rows(kinds[rows])
    sorted_rows = rows[np.argsort(number, kind="stable")]
    count = np.bincount(number)
    shown = sorted_rows[_starts(count)]
    return Patterns(part[shown[:, 0]], place[shown], spread[shown], count.astype(np.intp), sorted_rows)


def _distinct(spread: Array) -> Index:
    """A number for each distinct row of (n, g)."""
    if not spread.shape[1]:
        return np.zeros(len(spread), dtype=np.intp)
    return _distinct_rows(np.column_stack([np.unique(z, return_inverse=True)[1].ravel() for z in spread.T]))


def _distinct_rows(table: Index) -> Index:
    """A number for each distinct row of (n, c) whole numbers from 0 on."""
    key, size = np.zeros(len(table), dtype=np.int64), 1
    for column in table.T:
        base = int(column.max()) + 1
        if size * base > _LARGEST_KEY:
            _, key = np.unique(key, return_inverse=True)
            size = int(key.max()) + 1
        key, size = key * base + column, size * base
    return np.unique(key, return_inverse=True)[1].ravel().astype(np.intp)


def _starts(count: Index) -> Index:
    return np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.intp)


def gathered(patterns: Patterns, columns: Array) -> BlockColumns:
    """Columns, given as rows (c, n), in the blocks of one size."""
    values = np.ascontiguousarray(np.moveaxis(columns[:, patterns.rows], 0, -1))
    number = np.repeat(np.arange(len(patterns.count), dtype=np.intp), patterns.count)
    return BlockColumns(values, _starts(patterns.count), number)


def compressed(blocks: BlockColumns) -> BlockColumns:
    """Fewer blocks with the same sum of products of any two rows and columns, pattern by pattern."""
    _, m, c = blocks.values.shape
    count = np.diff(np.append(blocks.start, len(blocks.values)))
    many = count > _WORTHWHILE * m * c
    if not many.any():
        return blocks
    values, number = [blocks.values[~many[blocks.pattern]]], [blocks.pattern[~many[blocks.pattern]]]
    for p in np.flatnonzero(many).tolist():
        own = blocks.values[blocks.start[p] : blocks.start[p] + count[p]]
        triangle = np.asarray(np.linalg.qr(own.reshape(-1, m * c), mode="r"))
        values.append(triangle.reshape(-1, m, c))
        number.append(np.full(len(triangle), p, dtype=np.intp))
    pattern = np.concatenate(number)
    order = np.argsort(pattern, kind="stable")
    return BlockColumns(np.concatenate(values)[order], _starts(np.bincount(pattern)), pattern[order])


def pattern_sums(blocks: BlockColumns, left: Array, right: Array) -> Array:
    """sum over the blocks of each pattern of L R': (B, m, c) twice gives (P, m, m)."""
    if len(blocks.start) == len(left):
        return np.asarray(left @ right.swapaxes(1, 2))
    if len(blocks.start) == 1:
        m = left.shape[1]
        flat_left, flat_right = (x.swapaxes(0, 1).reshape(m, -1) for x in (left, right))
        return (flat_left @ flat_right.T)[None]
    return np.add.reduceat(left @ right.swapaxes(1, 2), blocks.start, axis=0)
