r"""The symbolic phase of a sparse Cholesky factorization by fronts: order, supernodes, and every index array.

Columns of one row structure, or nearly one, are a *supernode*: its front is the dense matrix of its columns and of the
rows that they fill in. A front is eliminated when those of its children are; what it leaves is added to its parent's
(Duff & Reid 1983, ACM Trans. Math. Softw. 9; Liu 1992, SIAM Rev. 34). Fronts at one height of the tree do not depend on
each other, and those of one shape are one array: the numeric phase (`mixfit.factor.multifrontal`) loops over heights
and shapes, never over columns. Of a tree every order from the tips to the root leaves no fill-in, and minimum degree
finds one; of a pedigree it leaves little.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import spilu

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["FrontBatch", "Fronts", "fronts"]

# Cells of zeros that two fronts may gain where they become one: each costs some microseconds of its own, in which a
# thousand cells are computed.
_CELLS_A_FRONT = 200
# Shapes are rounded up to multiples of this share of them, or of a few, so that fronts alike are of one shape.
_SHAPE_SHARE = 0.25
_SHAPE_STEP = 4
# Those that are work enough by themselves are left as they are.
_LARGE = 128
# Up to so many columns an order is searched for by minimum degree: of 100,000 animals that takes longer than the fit.
# Animals by the number of their relatives, the youngest first, have within a tenth of the fill-in; nodes of a tree have
# none from the last to the first.
_MOST_SEARCHED = 20_000
# Levels that meet more others than this times the mean are no animals: they come last.
_CROWDED = 20.0
# Names of the option by which SuperLU takes the matrix for a symmetric one.
_SYMMETRIC = {"SymmetricMode": True}


@dataclass(frozen=True, eq=False)
class FrontBatch:
    """Fronts of one height and shape.

    Attributes
    ----------
    columns : ndarray of intp, shape (count, s)
        The matrix's columns that each eliminates; m stands for none.
    rows : ndarray of intp, shape (count, r)
        Those that they fill in; m stands for none.
    padding : tuple of ndarray of intp
        Front and place of every column that stands for none.
    first : int
        Where its cells begin among those of all fronts: (count, s + r, s + r).
    parent_cells : ndarray of intp, shape (count, r, r)
        The cells of the parents' fronts that what is left is added to; the last cell of all for none.
    """

    columns: Index
    rows: Index
    padding: tuple[Index, Index]
    first: int
    parent_cells: Index

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Number of fronts, of their columns, and of these and the rows together."""
        return len(self.columns), self.columns.shape[1], self.columns.shape[1] + self.rows.shape[1]

    @property
    def cells(self) -> slice:
        """Its cells."""
        count, _, size = self.shape
        return slice(self.first, self.first + count * size * size)


@dataclass(frozen=True, eq=False)
class Fronts:
    """Fronts of a sparse symmetric matrix.

    Attributes
    ----------
    m : int
        Columns of the matrix.
    batches : tuple of FrontBatch
        In order of elimination.
    n_cells : int
        Cells of all fronts, and the last one, which stands for none.
    both_cells : ndarray of intp, shape (2, nnz)
        The cells of every entry (row, col) of the matrix's lower triangle, as they were given, and of its mirror image
        (col, row).
    """

    m: int
    batches: tuple[FrontBatch, ...]
    n_cells: int
    both_cells: Index

    @cached_property
    def entry_cells(self) -> Index:
        """Of the two the one that is in the lower triangle of its front."""
        return np.maximum(*self.both_cells)

    @property
    def order(self) -> Index:
        """The matrix's columns as they are eliminated."""
        columns = np.concatenate([batch.columns.ravel() for batch in self.batches])
        return columns[columns < self.m]

    @property
    def flops(self) -> float:
        """Multiplications and additions of a factorization."""
        total = 0.0
        for count, s, size in (batch.shape for batch in self.batches):
            total += count * s * size * float(size)
        return total

    @property
    def n_entries(self) -> float:
        """Numbers in the factor."""
        return float(sum(count * s * size for count, s, size in (batch.shape for batch in self.batches)))


@dataclass(eq=False)
class _Supernode:
    """Columns that are eliminated together, and the rows that they fill in."""

    columns: list[int]
    rows: set[int]


def fronts(row: Index, col: Index, m: int, most_searched: int = _MOST_SEARCHED) -> Fronts:
    """Analyse the pattern of a symmetric matrix of `m` columns.

    Parameters
    ----------
    row, col : ndarray of intp
        Distinct entries of its lower triangle, the diagonal included.
    m : int
    most_searched : int
        Columns up to which the order is one of minimum degree.
    """
    least, best = np.inf, None
    for order in _orders(row, col, m, most_searched):
        place = np.empty(m, dtype=np.intp)
        place[order] = np.arange(m)
        found = _supernodes(place[row], place[col], m, least)
        if found is not None:
            least = sum(len(node.columns) * (len(node.columns) + len(node.rows)) for node in found[0])
            best = order, found
    assert best is not None
    order, (nodes, parent) = best
    return _laid_out(nodes, parent, order, row, col, m)


def _orders(row: Index, col: Index, m: int, most_searched: int) -> list[Index]:
    """Orders to choose from, the likeliest first."""
    if m <= most_searched:
        return [_minimum_degree(row, col, m)]
    degree = np.bincount(np.concatenate([row, col]), minlength=m)
    last = np.where(degree > _CROWDED * degree.mean(), degree, 0)
    backwards = np.arange(m, 0, -1)
    return [np.lexsort((backwards, degree)), np.lexsort((backwards, last))]


def _minimum_degree(row: Index, col: Index, m: int) -> Index:
    """A fill-reducing order: SuperLU's multiple minimum degree, its factorization left out by dropping everything."""
    off = row != col
    a, b = row[off], col[off]
    degree = np.bincount(np.concatenate([a, b]), minlength=m)
    values = np.concatenate([np.full(2 * len(a), -1.0), degree + 1.0])
    at = np.concatenate([a, b, np.arange(m)]), np.concatenate([b, a, np.arange(m)])
    pattern = csc_array((values, at), shape=(m, m))
    found = spilu(
        pattern,
        drop_tol=1.0,
        fill_factor=1.0,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options=_SYMMETRIC,
    )
    return np.argsort(found.perm_c).astype(np.intp)


def _supernodes(row: Index, col: Index, m: int, most: float) -> tuple[list[_Supernode], list[int]] | None:
    """Supernodes of the matrix in its order of elimination, children first, and the parent of each; -1 of a root.

    Each column starts as one of its own, and takes in the children that it differs little from. None where there are
    more than `most` entries.
    """
    low, high = np.minimum(row, col), np.maximum(row, col)
    off = low != high
    by_column = np.argsort(low[off], kind="stable")
    below = high[off][by_column].tolist()
    ends = np.cumsum(np.bincount(low[off], minlength=m)).tolist()
    children: dict[int, list[_Supernode]] = defaultdict(list)
    done: list[_Supernode] = []
    start, entries = 0, 0
    for j, end in enumerate(ends):
        own = _Supernode([j], set(below[start:end]))
        start = end
        mine = children.pop(j, [])
        for child in mine:
            own.rows |= child.rows
        own.rows.discard(j)
        entries += len(own.rows) + 1
        if entries > most:
            return None
        mine.sort(key=lambda child: -len(child.rows))
        done += [child for child in mine if not _taken_in(own, child)]
        children[min(own.rows) if own.rows else m].append(own)
    done += children[m]
    holder = {j: i for i, node in enumerate(done) for j in node.columns}
    # by their last columns, children come before their parents
    done_order = sorted(range(len(done)), key=lambda i: done[i].columns[-1])
    number = {i: x for x, i in enumerate(done_order)}
    nodes = [done[i] for i in done_order]
    return nodes, [number[holder[min(node.rows)]] if node.rows else -1 for node in nodes]


def _taken_in(own: _Supernode, child: _Supernode) -> bool:
    """Merge a child into a supernode, unless that adds more zeros than a front of its own costs."""
    s, r, t = len(own.columns), len(own.rows), len(child.columns)
    apart = (s + r) ** 2 + (t + len(child.rows)) ** 2
    if (s + t + r) ** 2 > apart + _CELLS_A_FRONT:
        return False
    own.columns = child.columns + own.columns
    return True


def _laid_out(nodes: list[_Supernode], parent: list[int], order: Index, row: Index, col: Index, m: int) -> Fronts:
    height = [0] * len(nodes)
    for i, above in enumerate(parent):
        if above >= 0:
            height[above] = max(height[above], height[i] + 1)
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for i, node in enumerate(nodes):
        groups[height[i], _rounded(len(node.columns)), _rounded(len(node.rows))].append(i)
    out: list[tuple[list[int], Index, Index, int]] = []
    base, size = np.empty(len(nodes), dtype=np.intp), np.empty(len(nodes), dtype=np.intp)
    first = 0
    for (_, wide, r), own in sorted(groups.items()):
        columns = np.full((len(own), wide), m, dtype=np.intp)
        rows = np.full((len(own), r), m, dtype=np.intp)
        for x, i in enumerate(own):
            columns[x, : len(nodes[i].columns)] = order[nodes[i].columns]
            rows[x, : len(nodes[i].rows)] = order[list(nodes[i].rows)]
        base[own] = first + np.arange(len(own)) * (wide + r) ** 2
        size[own] = wide + r
        out.append((own, columns, rows, first))
        first += len(own) * (wide + r) ** 2
    local = _Places(out, size, len(nodes), m)
    parents = np.array(parent, dtype=np.intp)
    batches = []
    for own, columns, rows, start in out:
        p = parents[own]
        at = local.of(np.where(p < 0, 0, p)[:, None], rows)
        target = base[p][:, None, None] + at[:, :, None] * size[p][:, None, None] + at[:, None, :]
        none = (rows == m)[:, :, None] | (rows == m)[:, None, :]
        front, place = np.nonzero(columns == m)
        batches.append(FrontBatch(columns, rows, (front, place), start, np.where(none, first, target)))
    return Fronts(m, tuple(batches), first + 1, _both_cells(local, out, base, size, row, col, m))


def _rounded(n: int) -> int:
    """Up to a multiple of a share of itself, or of a few; one or two are left alone."""
    if n < 3:
        return n
    step = max(_SHAPE_STEP, int(n * _SHAPE_SHARE)) if n < _LARGE else 1
    return -(-n // step) * step


class _Places:
    """Where a column of the matrix stands in a front."""

    def __init__(self, out: list[tuple[list[int], Index, Index, int]], size: Index, n: int, m: int) -> None:
        self._m = m
        keys, places = [], []
        for own, columns, rows, _ in out:
            both = np.concatenate([columns, rows], axis=1)
            keys.append((np.array(own, dtype=np.intp)[:, None] * (m + 1) + both).ravel())
            places.append(np.broadcast_to(np.arange(both.shape[1]), both.shape).ravel())
        key, place = np.concatenate(keys), np.concatenate(places)
        order = np.argsort(key, kind="stable")
        self._keys, self._places = key[order], place[order]

    def of(self, front: Index, column: Index) -> Index:
        """The place; any for the column m, which stands for none."""
        at = np.searchsorted(self._keys, front * (self._m + 1) + column)
        return self._places[np.minimum(at, len(self._places) - 1)]


def _both_cells(
    local: _Places,
    out: list[tuple[list[int], Index, Index, int]],
    base: Index,
    size: Index,
    row: Index,
    col: Index,
    m: int,
) -> Index:
    """The cells of every entry and of its mirror image, in the front that eliminates the first of its columns."""
    owner = np.empty(m + 1, dtype=np.intp)
    for own, columns, _, _ in out:
        owner[columns] = np.array(own, dtype=np.intp)[:, None]
    front = np.minimum(owner[row], owner[col])
    a, b = local.of(front, row), local.of(front, col)
    return np.stack([base[front] + a * size[front] + b, base[front] + b * size[front] + a])
