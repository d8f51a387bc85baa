"""Cross-products of [Z X y] in blocks: all that a linear fit sees of the data.

Rows arrive already scaled by the square roots of their weights and expressed in the bases of
:mod:`mixfit.gram.basis`, so ``Z'WZ`` is a plain product here. Grouping factors are numbered by
decreasing number of levels; a factor's columns are those of all its random terms, side by side.

Where the levels of a factor are related by K = W^{-1}W'^{-1}, all right-hand sides and predictors are those of the
design Z W^{-1} with its independent effects, so that what is computed of them needs to know nothing of K; the
cross-products of the levels stay those of Z, which are sparse.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.gram.levels import matmul
from mixfit.gram.pattern import row_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.relationship import Relationship
    from mixfit.gram.pattern import FactorRows, RowPattern

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "Gram",
    "Pairs",
    "Rows",
    "cross_products",
    "random_predictor",
    "random_sums",
    "transformed",
    "weighted_border",
    "weighted_products",
]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Z_i'Z_j of two factors on the pairs of levels that occur together.

    Attributes
    ----------
    row, col : ndarray of intp, shape (nnz,)
        Levels of factors i and j, sorted by row, then col.
    values : ndarray, shape (k_i, k_j, nnz)
    """

    row: Index
    col: Index
    values: Array


@dataclass(frozen=True, eq=False)
class Rows:
    """What cross-products are products of.

    Attributes
    ----------
    factors : tuple of FactorRows
    columns : ndarray, shape (p + 1, n)
        [X y].
    """

    factors: tuple[FactorRows, ...]
    columns: Array


@dataclass(frozen=True, eq=False)
class Gram:
    """Blocks of [Z X y]'W[Z X y].

    Attributes
    ----------
    diagonal : tuple of ndarray, shape (k_i, k_i, q_i)
        Z_i'Z_i, one k x k block a level.
    pairs : dict of (i, j), i < j, to Pairs
    border : tuple of ndarray, shape (k_i, r, q_i)
        Z_i'[X y], r = p + 1.
    corner : ndarray, shape (r, r)
        [X y]'[X y].
    n : int
        Number of rows.
    rows : Rows or None
        The rows themselves, where they are at hand.
    relationships : dict of int to Relationship
        Of the factors whose levels are related.
    """

    diagonal: tuple[Array, ...]
    pairs: dict[tuple[int, int], Pairs]
    border: tuple[Array, ...]
    corner: Array
    n: int
    rows: Rows | None = None
    relationships: Mapping[int, Relationship] = field(default_factory=dict)

    @property
    def n_factors(self) -> int:
        """Number of grouping factors."""
        return len(self.diagonal)

    @cached_property
    def n_levels(self) -> tuple[int, ...]:
        """Levels of each factor."""
        return tuple(d.shape[2] for d in self.diagonal)

    @cached_property
    def k(self) -> tuple[int, ...]:
        """Columns of each factor."""
        return tuple(d.shape[0] for d in self.diagonal)

    def __add__(self, other: Gram) -> Gram:
        """Cross-products of the rows of both (same factors, levels and bases)."""
        if self.n_levels != other.n_levels or self.k != other.k or self.corner.shape != other.corner.shape:
            raise ValueError("Gram objects add up only where factors, levels and columns are the same.")
        return Gram(
            tuple(a + b for a, b in zip(self.diagonal, other.diagonal, strict=True)),
            {key: _merge(pairs, other.pairs[key], self.n_levels[key[1]]) for key, pairs in self.pairs.items()},
            tuple(a + b for a, b in zip(self.border, other.border, strict=True)),
            self.corner + other.corner,
            self.n + other.n,
            relationships=self.relationships,
        )

    def with_response(self, factors: Sequence[FactorRows], basis: Array, response: Array) -> Gram:
        """The same cross-products with another last column y, shape (n,); `basis` is X, shape (p, n)."""
        border = tuple(
            np.concatenate([old[:, :-1], _border(f, response[None])], axis=1)
            for old, f in zip(self.border, factors, strict=True)
        )
        corner = self.corner.copy()
        corner[-1, :-1] = corner[:-1, -1] = basis @ response
        corner[-1, -1] = response @ response
        rows = None if self.rows is None else Rows(tuple(factors), np.concatenate([basis, response[None]]))
        return replace(self, border=border, corner=corner, rows=rows)

    def matvec(self, blocks: Sequence[Array | None]) -> list[Array]:
        """Z'Z c for block vectors c, each of shape (k_i, r, q_i) or None for zero."""
        if self.relationships:
            return self.pulled(self._products(self.effects(blocks)))
        return self._products(blocks)

    def effects(self, blocks: Sequence[Any]) -> list[Any]:
        """Effects of the levels from independent ones, in blocks (k_i, r, q_i): W^{-1} u where they are related."""
        return [
            b if b is None or i not in self.relationships else self.relationships[i].effects(b)
            for i, b in enumerate(blocks)
        ]

    def pulled(self, blocks: Sequence[Array]) -> list[Array]:
        """Z'C of the levels as those of the independent effects: W'^{-1} Z'C where they are related."""
        return [b if i not in self.relationships else self.relationships[i].pulled(b) for i, b in enumerate(blocks)]

    def _products(self, blocks: Sequence[Array | None]) -> list[Array]:
        r = next(b.shape[1] for b in blocks if b is not None)
        out = [
            np.zeros((k, r, q)) if c is None else matmul(f, c)
            for c, f, k, q in zip(blocks, self.diagonal, self.k, self.n_levels, strict=True)
        ]
        for (i, j), pairs in self.pairs.items():
            c_i, c_j = blocks[i], blocks[j]
            if c_j is not None:
                out[i] += _pair_product(pairs.values, pairs.row, pairs.col, c_j, self.n_levels[i])
            if c_i is not None:
                out[j] += _pair_product(pairs.values.swapaxes(0, 1), pairs.col, pairs.row, c_i, self.n_levels[j])
        return out


def _pair_product(values: Array, to: Index, at: Index, c: Array, size: int) -> Array:
    out = np.empty((values.shape[0], c.shape[1], size))
    for a in range(out.shape[0]):
        for s in range(out.shape[1]):
            terms = values[a, 0] * c[0, s].take(at)
            for b in range(1, values.shape[1]):
                terms += values[a, b] * c[b, s].take(at)
            out[a, s] = np.bincount(to, weights=terms, minlength=size)
    return out


def cross_products(factors: Sequence[FactorRows], columns: Array) -> Gram:
    """Cross-products of scaled rows.

    Parameters
    ----------
    factors : sequence of FactorRows
        By decreasing number of levels.
    columns : ndarray, shape (p + 1, n)
        X and y as rows: X in an orthonormal basis, y its least-squares residual.
    """
    gram = weighted_products(row_pattern(factors), columns, None)
    return replace(gram, rows=Rows(tuple(factors), columns))


def weighted_products(pattern: RowPattern, columns: Array, weights: Array | None) -> Gram:
    """[Z C]'W[Z C] of the rows of a pattern and columns C (r, n), for weights (n,) or None for ones."""
    factors = pattern.factors
    diagonal = tuple(_diagonal(f, weights) for f in factors)
    pairs = {key: _pairs(factors[key[0]], factors[key[1]], e, weights) for key, e in pattern.entries.items()}
    related = {i: f.relationship for i, f in enumerate(factors) if f.relationship is not None}
    return Gram(diagonal, pairs, *weighted_border(pattern, columns, weights), columns.shape[1], relationships=related)


def weighted_border(pattern: RowPattern, columns: Array, weights: Array | None) -> tuple[tuple[Array, ...], Array]:
    """The blocks of them with C: Z'WC, (k_i, r, q_i) of every factor, and C'WC, (r, r)."""
    if not len(columns):
        return pattern.no_border, np.empty((0, 0))
    weighted = columns if weights is None else columns * weights
    return tuple(_border(f, weighted) for f in pattern.factors), weighted @ columns.T


def transformed(gram: Gram, maps: Sequence[Array | None], border: Array | None) -> Gram:
    """Cross-products of [Z_i C_i] and [X y] M from those of [Z_i] and [X y].

    Parameters
    ----------
    gram : Gram
    maps : sequence of ndarray, shape (k_i, c_i), or None
        C_i of every grouping factor, None for the identity; a factor left without columns is left out.
    border : ndarray, shape (r, s), or None
        M, None for the identity.

    Returns
    -------
    Gram
    """
    C = [np.eye(k) if given is None else given for k, given in zip(gram.k, maps, strict=True)]
    M = np.eye(len(gram.corner)) if border is None else border
    kept = [i for i, c in enumerate(C) if c.shape[1]]
    number = {old: new for new, old in enumerate(kept)}
    return Gram(
        tuple(_both_sides(C[i], gram.diagonal[i], C[i]) for i in kept),
        {
            (number[i], number[j]): Pairs(pairs.row, pairs.col, _both_sides(C[i], pairs.values, C[j]))
            for (i, j), pairs in gram.pairs.items()
            if i in number and j in number
        },
        tuple(_both_sides(C[i], gram.border[i], M) for i in kept),
        M.T @ gram.corner @ M,
        gram.n,
        relationships={number[i]: known for i, known in gram.relationships.items() if i in number},
    )


def _both_sides(left: Array, blocks: Array, right: Array) -> Array:
    """L'B R of every block B = blocks[:, :, q]."""
    return np.einsum("ac,abq,bd->cdq", left, blocks, right, optimize=True)


def random_sums(factors: Sequence[FactorRows], columns: Array) -> list[Array]:
    """Z'C for columns (r, n), in blocks (k_i, r, q_i)."""
    return [_border(f, columns) for f in factors]


def random_predictor(factors: Sequence[FactorRows], blocks: Sequence[Array]) -> Array:
    """Z b for blocks (k_i, r, q_i), as rows (r, n)."""
    blocks = [b if f.relationship is None else f.relationship.effects(b) for f, b in zip(factors, blocks, strict=True)]
    out = np.empty((blocks[0].shape[1], len(factors[0].codes)))
    columns = [(f, block, a) for f, block in zip(factors, blocks, strict=True) for a in range(f.k)]
    for r, row in enumerate(out):
        row[:] = _column_values(*columns[0], r)
        for column in columns[1:]:
            row += _column_values(*column, r)
    return out


def _column_values(f: FactorRows, block: Array, a: int, r: int) -> Array:
    """What column a of a factor contributes to Z b in every row."""
    part = block[a, r].take(f.codes)
    if f.columns is not None:
        part *= f.columns[a]
    return part


def _diagonal(f: FactorRows, weights: Array | None) -> Array:
    if f.columns is None:
        return np.asarray(np.bincount(f.codes, weights, f.n_levels), dtype=float)[None, None]
    if f.n_levels == 1:
        return ((f.columns if weights is None else f.columns * weights) @ f.columns.T)[:, :, None]
    out = np.empty((f.k, f.k, f.n_levels))
    for a in range(f.k):
        left = f.columns[a] if weights is None else f.columns[a] * weights
        for b in range(a + 1):
            out[a, b] = out[b, a] = np.bincount(f.codes, left * f.columns[b], f.n_levels)
    return out


def _border(f: FactorRows, columns: Array) -> Array:
    if f.n_levels == 1 and f.columns is not None:
        return (f.columns @ columns.T)[:, :, None]
    out = np.empty((f.k, len(columns), f.n_levels))
    for a in range(f.k):
        for c, column in enumerate(columns):
            product = column if f.columns is None else f.columns[a] * column
            out[a, c] = np.bincount(f.codes, product, f.n_levels)
    return out if f.relationship is None else f.relationship.pulled(out)


def _pairs(f: FactorRows, g: FactorRows, entries: tuple[Index, Index, Index], weights: Array | None) -> Pairs:
    row, col, entry = entries
    values = np.empty((f.k, g.k, len(row)))
    for a in range(f.k):
        left = None if f.columns is None else f.columns[a]
        left = _times(weights, left)
        for b in range(g.k):
            right = None if g.columns is None else g.columns[b]
            values[a, b] = np.bincount(entry, _times(left, right), len(row))
    return Pairs(row, col, values)


def _times(a: Array | None, b: Array | None) -> Array | None:
    if a is None or b is None:
        return b if a is None else a
    return a * b


def _merge(a: Pairs, b: Pairs, n_cols: int) -> Pairs:
    keys = np.concatenate([a.row, b.row]) * n_cols + np.concatenate([a.col, b.col])
    distinct, entry = np.unique(keys, return_inverse=True)
    values = np.concatenate([a.values, b.values], axis=2)
    out = np.empty((*values.shape[:2], len(distinct)))
    for x in range(out.shape[0]):
        for y in range(out.shape[1]):
            out[x, y] = np.bincount(entry, values[x, y], len(distinct))
    row, col = np.divmod(distinct, n_cols)
    return Pairs(row, col, out)
