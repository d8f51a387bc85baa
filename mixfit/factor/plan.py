"""The symbolic phase: which factors stay block-diagonal, which fill in, and every index array.

Factors are taken by decreasing number of levels. A factor in which all factors taken so far are nested
stays block-diagonal when those are eliminated, so it joins the *chain*. The first factor always does;
whatever crosses the chain goes to the *trailing* block, which fills in. Where levels are related, all is in that block,
a sparse one, which finds its own order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.choice import trailing_maker
from mixfit.factor.crossed import Crossed
from mixfit.factor.trailing import TrailingColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.arguments import Solver
    from mixfit.factor.trailing import MakeTrailing, TrailingBlock
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["SymbolicPlan", "make_plan", "refill"]


@dataclass(frozen=True, eq=False)
class SymbolicPlan:
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
    crossing : dict of i to ndarray, shape (k_i, nnz_i)
        Cross-products Z_i'Z_T on that pattern, before anything is eliminated.
    fill : dict of (i, j) to ndarray, shape (nnz_i,)
        For chain factors i before j, the entry of ``crossed[j]`` that each entry of ``crossed[i]``
        updates when i is eliminated.
    scatter : dict of (i, j) to ndarray
        Where the cross-products of factors i and j go among the entries of ``crossed[i]``.
    k, width : tuple of int
        Columns and levels of every factor.
    columns : TrailingColumns
        Where each trailing column is.
    block : TrailingBlock, or None
        What factors the trailing columns.
    solver : {"auto", "dense", "sparse", "iterative"}
        What was asked for.
    """

    chain: tuple[int, ...]
    trailing: tuple[int, ...]
    parent: dict[tuple[int, int], Index]
    crossed: dict[int, Crossed]
    crossing: dict[int, Array]
    fill: dict[tuple[int, int], Index]
    scatter: dict[tuple[int, int], Index]
    k: tuple[int, ...]
    width: tuple[int, ...]
    columns: TrailingColumns
    block: TrailingBlock | None
    solver: Solver = "auto"

    @property
    def trailing_entries(self) -> float:
        """Numbers in the factor of the trailing block: what one solve passes over there."""
        return 0.0 if self.block is None else self.block.cost.entries


def make_plan(gram: Gram, make_trailing: MakeTrailing | None = None, *, solver: Solver = "auto") -> SymbolicPlan:
    """Analyse the pattern of `gram`.

    What crosses the chain is laid out by `make_trailing`, by default as `solver` says.

    Raises
    ------
    DesignError
        Where no machine of this size can hold the trailing block, and where `solver` cannot be had.
    """
    every: tuple[int, ...] = tuple(range(gram.n_factors))
    chain: tuple[int, ...]
    trailing: tuple[int, ...]
    if gram.relationships:
        chain, trailing = (), every
    elif solver == "iterative":
        # What nests in the largest factor would need entries of the inverse, which are estimated one by one badly.
        chain, trailing = every[:1], every[1:]
    else:
        chain, trailing = _split(gram)
    make_trailing = make_trailing or trailing_maker(gram, solver)
    parent = {(i, j): gram.pairs[i, j].col for a, i in enumerate(chain) for j in chain[a + 1 :]}
    columns = TrailingColumns(trailing, gram.k, gram.n_levels)
    crossed: dict[int, Crossed] = {}
    crossing: dict[int, Array] = {}
    fill: dict[tuple[int, int], Index] = {}
    scatter: dict[tuple[int, int], Index] = {}
    block = None
    if trailing:
        m = columns.m
        patterns = {i: _pattern(gram, i, columns) for i in chain}
        for a, i in enumerate(chain):
            for j in chain[a + 1 :]:
                patterns[j] = _union(patterns[j], parent[i, j], patterns[i], m)
        for i in chain:
            for j in trailing:
                scatter[i, j] = np.searchsorted(patterns[i], _keys(gram, i, j, columns))
            crossed[i] = Crossed.build(gram.n_levels[i], m, patterns[i], gram.k[i])
            crossing[i] = _values(gram, i, trailing, scatter, len(patterns[i]))
        for a, i in enumerate(chain):
            for j in chain[a + 1 :]:
                key = parent[i, j][crossed[i].level] * m + crossed[i].column
                fill[i, j] = np.searchsorted(patterns[j], key)
        block = make_trailing(gram, columns, crossed)
    return SymbolicPlan(
        chain, trailing, parent, crossed, crossing, fill, scatter, gram.k, gram.n_levels, columns, block, solver
    )


def refill(plan: SymbolicPlan, gram: Gram) -> SymbolicPlan:
    """The same plan for other values on the same pattern (new weights)."""
    if plan.block is None:
        return plan
    crossing = {i: _values(gram, i, plan.trailing, plan.scatter, old.shape[1]) for i, old in plan.crossing.items()}
    return replace(plan, crossing=crossing, block=plan.block.refill(gram))


def _split(gram: Gram) -> tuple[tuple[int, ...], tuple[int, ...]]:
    chain: list[int] = []
    trailing: list[int] = []
    for j in range(gram.n_factors):
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


def _keys(gram: Gram, i: int, j: int, columns: TrailingColumns) -> Index:
    level, other, _ = _entries(gram, i, j)
    column = columns.offset[j] + np.arange(gram.k[j])[:, None] * gram.n_levels[j] + other
    keys: Index = (level * columns.m + column).ravel()
    return keys


def _pattern(gram: Gram, i: int, columns: TrailingColumns) -> Index:
    """Entries (level of i, trailing column) as sorted keys level * m + column."""
    return np.sort(np.concatenate([_keys(gram, i, j, columns) for j in columns.factors]))


def _union(pattern: Index, parent: Index, child: Index, m: int) -> Index:
    level, column = np.divmod(child, m)
    return np.union1d(pattern, parent[level] * m + column)


def _values(gram: Gram, i: int, trailing: tuple[int, ...], scatter: dict[tuple[int, int], Index], size: int) -> Array:
    values = np.zeros((gram.k[i], size))
    for j in trailing:
        values[:, scatter[i, j]] = _entries(gram, i, j)[2].reshape(gram.k[i], -1)
    return values
