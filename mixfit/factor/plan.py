"""The symbolic phase: which factors stay block-diagonal, which fill in, and every index array.

Factors are taken by decreasing number of levels. A factor in which all factors taken so far are nested
stays block-diagonal when those are eliminated, so it joins the *chain*. The first factor always does;
whatever crosses the chain goes to the *trailing* block, which fills in and is stored dense.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DesignError
from mixfit.factor.crossed import Crossed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

# The block, its factor, its inverse and one product are held at a time.
_TRAILING_COPIES = 4
_SMALL_BLOCK = 1e9

__all__ = ["Plan", "make_plan", "refill"]


@dataclass(frozen=True, eq=False)
class Plan:
    """Order, kinds and index arrays of the blocks.

    Attributes
    ----------
    chain, trailing : tuple of int
        Factors of each part, in elimination order.
    parent : dict of (i, j) to ndarray, shape (q_i,)
        For chain factors i before j, the level of j in which each level of i is nested.
    crossed : dict of i to Crossed
        Pattern of chain factor i against the trailing columns, fill included. Empty without a
        trailing block.
    fill : dict of (i, j) to ndarray, shape (nnz_i,)
        For chain factors i before j, the entry of ``crossed[j]`` that each entry of ``crossed[i]``
        updates when i is eliminated.
    entries : dict of (i, j) to ndarray, shape (k_j, pairs)
        The entries of ``crossed[i]`` in each column of trailing factor j, aligned over its columns.
    scatter : dict of (i, j) to ndarray
        Where the cross-products of factors i and j go among the entries of ``crossed[i]``.
    k, width : tuple of int
        Columns and levels of every factor.
    offset : dict of int to int
        First trailing column of each trailing factor; column ``offset + b * q + level`` holds column b.
    m : int
        Width of the trailing block.
    trailing_gram : ndarray, shape (m, m)
        Z_T'Z_T, both triangles, Fortran order.
    """

    chain: tuple[int, ...]
    trailing: tuple[int, ...]
    parent: dict[tuple[int, int], Index]
    crossed: dict[int, Crossed]
    fill: dict[tuple[int, int], Index]
    entries: dict[tuple[int, int], Index]
    scatter: dict[tuple[int, int], Index]
    k: tuple[int, ...]
    width: tuple[int, ...]
    offset: dict[int, int]
    m: int
    trailing_gram: Array


def make_plan(gram: Gram) -> Plan:
    """Analyse the pattern of `gram`."""
    chain, trailing = _split(gram)
    parent = {(i, j): gram.pairs[i, j].col for a, i in enumerate(chain) for j in chain[a + 1 :]}
    offset: dict[int, int] = {}
    m = 0
    for j in trailing:
        offset[j] = m
        m += gram.k[j] * gram.n_levels[j]
    _check_memory(m)
    crossed: dict[int, Crossed] = {}
    fill: dict[tuple[int, int], Index] = {}
    entries: dict[tuple[int, int], Index] = {}
    scatter: dict[tuple[int, int], Index] = {}
    if trailing:
        patterns = {i: _pattern(gram, i, trailing, offset, m) for i in chain}
        for a, i in enumerate(chain):
            for j in chain[a + 1 :]:
                patterns[j] = _union(patterns[j], parent[i, j], patterns[i], m)
        for i in chain:
            for j in trailing:
                scatter[i, j] = np.searchsorted(patterns[i], _keys(gram, i, j, offset[j], m))
            values = _values(gram, i, trailing, scatter, len(patterns[i]))
            crossed[i] = Crossed.build(gram.n_levels[i], m, patterns[i], values)
            for j in trailing:
                column, q = crossed[i].column - offset[j], gram.n_levels[j]
                entries[i, j] = np.stack([np.flatnonzero(column // q == b) for b in range(gram.k[j])])
        for a, i in enumerate(chain):
            for j in chain[a + 1 :]:
                key = parent[i, j][crossed[i].level] * m + crossed[i].column
                fill[i, j] = np.searchsorted(patterns[j], key)
    table = _trailing_gram(gram, trailing, offset, m)
    return Plan(chain, trailing, parent, crossed, fill, entries, scatter, gram.k, gram.n_levels, offset, m, table)


def refill(plan: Plan, gram: Gram) -> Plan:
    """The same plan for other values on the same pattern (new weights)."""
    if not plan.m:
        return plan
    crossed = {
        i: replace(old, values=_values(gram, i, plan.trailing, plan.scatter, len(old.column)))
        for i, old in plan.crossed.items()
    }
    table = _trailing_gram(gram, plan.trailing, plan.offset, plan.m)
    return replace(plan, crossed=crossed, trailing_gram=table)


def _check_memory(m: int) -> None:
    """Refuse a trailing block that the machine cannot hold, before the system refuses less politely."""
    needed = _TRAILING_COPIES * 8.0 * m * m
    if needed < _SMALL_BLOCK or not hasattr(os, "sysconf"):
        return
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > available:
        raise DesignError(
            f"The grouping factors cross so that {m:,} random effects fill in: their dense block needs "
            f"{needed / 1e9:.0f} GB, and this machine has {available / 1e9:.0f}. Leave out the crossed factor with the "
            "most levels, or combine its rare levels."
        )


def _split(gram: Gram) -> tuple[tuple[int, ...], tuple[int, ...]]:
    chain: list[int] = [0]
    trailing: list[int] = []
    for j in range(1, gram.n_factors):
        nested = all(len(gram.pairs[i, j].row) == gram.n_levels[i] for i in chain)
        (chain if nested else trailing).append(j)
    return tuple(chain), tuple(trailing)


def _entries(gram: Gram, i: int, j: int) -> tuple[Index, Index, Array]:
    """Pairs of factor i with factor j, whichever is first: levels of i, levels of j, (k_i, k_j, nnz)."""
    if i < j:
        pairs = gram.pairs[i, j]
        return pairs.row, pairs.col, pairs.values
    pairs = gram.pairs[j, i]
    return pairs.col, pairs.row, pairs.values.swapaxes(0, 1)


def _keys(gram: Gram, i: int, j: int, first: int, m: int) -> Index:
    level, other, _ = _entries(gram, i, j)
    columns = first + np.arange(gram.k[j])[:, None] * gram.n_levels[j] + other
    keys: Index = (level * m + columns).ravel()
    return keys


def _pattern(gram: Gram, i: int, trailing: tuple[int, ...], offset: dict[int, int], m: int) -> Index:
    """Entries (level of i, trailing column) as sorted keys level * m + column."""
    return np.sort(np.concatenate([_keys(gram, i, j, offset[j], m) for j in trailing]))


def _union(pattern: Index, parent: Index, child: Index, m: int) -> Index:
    level, column = np.divmod(child, m)
    return np.union1d(pattern, parent[level] * m + column)


def _values(gram: Gram, i: int, trailing: tuple[int, ...], scatter: dict[tuple[int, int], Index], size: int) -> Array:
    values = np.zeros((gram.k[i], size))
    for j in trailing:
        values[:, scatter[i, j]] = _entries(gram, i, j)[2].reshape(gram.k[i], -1)
    return values


def _trailing_gram(gram: Gram, trailing: tuple[int, ...], offset: dict[int, int], m: int) -> Array:
    out = np.zeros((m, m), order="F")
    for a, i in enumerate(trailing):
        q = gram.n_levels[i]
        level = np.arange(q)
        for x in range(gram.k[i]):
            for y in range(gram.k[i]):
                out[offset[i] + x * q + level, offset[i] + y * q + level] = gram.diagonal[i][x, y]
        for j in trailing[a + 1 :]:
            pairs = gram.pairs[i, j]
            for x in range(gram.k[i]):
                for y in range(gram.k[j]):
                    rows = offset[i] + x * q + pairs.row
                    cols = offset[j] + y * gram.n_levels[j] + pairs.col
                    out[rows, cols] = out[cols, rows] = pairs.values[x, y]
    return out
