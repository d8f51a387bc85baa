r"""The trailing block kept sparse: S = Lambda_T'P Lambda_T + I by fronts, where the levels that cross meet few others.

Pupils crossed with teachers inside of schools make P block-diagonal, a block a school, whatever the number of schools;
neighbouring districts make it a band or a grid. An order of minimum degree finds both: unconnected parts are fronts
that do not wait for one another, those of one shape one array (`mixfit.factor.fronts`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.errors import DesignError
from mixfit.factor.cliques import Cliques
from mixfit.factor.fronts import fronts
from mixfit.factor.moving_fronts import invert_fronts
from mixfit.factor.multifrontal import factorize_fronts
from mixfit.factor.schur_derivatives import SchurDerivatives, moved_sums
from mixfit.factor.schur_pattern import both_triangles, schur_pattern
from mixfit.factor.trailing import Cost
from mixfit.machine import machine_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.crossed import Crossed
    from mixfit.factor.fronts import Fronts
    from mixfit.factor.moving_fronts import FrontInverse
    from mixfit.factor.multifrontal import FrontFactor
    from mixfit.factor.schur_pattern import SchurPattern
    from mixfit.factor.trailing import TrailingColumns
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["SchurBlock", "SchurFactor", "SchurInverse", "eliminated", "laid_out", "schur_block", "schur_cost"]

# Cells of all fronts are held as the factor, the inverse, what is added to parents with its places, and, while it is
# differentiated, H, K and the inverse of the moving one.
_COPIES = 8
# A pair of columns of a level: the entry that it adds to, and the product.
_BYTES_A_PAIR = 16


@dataclass(frozen=True, eq=False)
class SchurBlock:
    """Z_T'Z_T and what the chain takes from it, on the pattern of both.

    Attributes
    ----------
    columns : TrailingColumns
    pattern : SchurPattern
    fronts : Fronts
    patterns : dict of i to Crossed
        Of the rows Y_i of every chain factor.
    cliques : dict of i to Cliques
        Of their products.
    gram : ndarray, shape (nnz,)
        Z_T'Z_T.
    """

    columns: TrailingColumns
    pattern: SchurPattern
    fronts: Fronts
    patterns: Mapping[int, Crossed]
    cliques: Mapping[int, Cliques]
    gram: Array

    @property
    def kind(self) -> Literal["sparse"]:
        """By fronts."""
        return "sparse"

    @property
    def order(self) -> Index:
        """Front by front."""
        return self.fronts.order

    @property
    def cost(self) -> Cost:
        """What a factorization takes."""
        return schur_cost(self.fronts, self.patterns)

    def refill(self, gram: Gram) -> SchurBlock:
        """The same block for other values on the same pattern."""
        return replace(self, gram=self.pattern.gram(gram))

    def factorize(self, templates: Sequence[Array], rows: Mapping[int, Array]) -> SchurFactor:
        """Factor S; FitError where it is not positive definite in double precision."""
        p = self.gram.copy()
        for i, y in rows.items():
            p -= self.cliques[i].product(y, y)
        s = self.pattern.congruence([t.T for t in templates], p)
        s[self.pattern.diagonal] += 1.0
        return SchurFactor(self, tuple(templates), p, factorize_fronts(self.fronts, s))


def schur_block(gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> SchurBlock:
    """Lay out a sparse block; DesignError where the machine cannot hold what fills in."""
    pattern = schur_pattern(gram, columns, patterns)
    found = eliminated(pattern)
    cost = schur_cost(found, patterns)
    if cost.is_too_large:
        raise DesignError(
            f"The grouping factors cross so that {columns.m:,} random effects fill in: their sparse block needs "
            f"{cost.memory / 1e9:.0f} GB, and this machine has {machine_memory() / 1e9:.0f}. Fit a linear "
            "model with solver='iterative'; else leave out the crossed factor with the most levels, or combine its "
            "rare levels."
        )
    return laid_out(pattern, found, gram, patterns)


def eliminated(pattern: SchurPattern) -> Fronts:
    """Fronts of S in an order of minimum degree, which takes no longer to find than one factorization where it pays."""
    m = pattern.columns.m
    return fronts(pattern.row, pattern.col, m, most_searched=m)


def laid_out(pattern: SchurPattern, found: Fronts, gram: Gram, patterns: Mapping[int, Crossed]) -> SchurBlock:
    """The block of a pattern and its fronts."""
    cliques = {i: Cliques.build(own, pattern.keys, pattern.half) for i, own in patterns.items()}
    return SchurBlock(pattern.columns, pattern, found, patterns, cliques, pattern.gram(gram))


def schur_cost(found: Fronts, patterns: Mapping[int, Crossed]) -> Cost:
    """What a factorization by these fronts takes."""
    pairs = 2.0 * sum(p.products for p in patterns.values())
    return Cost(
        flops=found.flops + pairs,
        memory=_COPIES * 8.0 * found.n_cells + _BYTES_A_PAIR * pairs,
        entries=found.n_entries,
    )


@dataclass(frozen=True, eq=False)
class SchurFactor:
    """S = LL'.

    Attributes
    ----------
    block : SchurBlock
    templates : tuple of ndarray
    p : ndarray, shape (nnz,)
        P.
    low : FrontFactor
    """

    block: SchurBlock
    templates: tuple[Array, ...]
    p: Array
    low: FrontFactor

    @property
    def logdet(self) -> float:
        """log|S|."""
        return self.low.logdet

    def forward(self, rhs: Array) -> Array:
        """L^{-1} d."""
        return self.low.forward(rhs)

    def dual(self, half: Array) -> Array:
        """The halves themselves: |L^{-1} d|^2 = d'S^{-1}d."""
        return half

    def backward(self, half: Array) -> Array:
        """L'^{-1} L^{-1} d."""
        return self.low.backward(half)

    @cached_property
    def moving(self) -> FrontInverse:
        """(I + Sigma_T P)^{-1}, which is there where templates are singular too."""
        own = {j: self.templates[j] @ self.templates[j].T for j in self.block.columns.factors}
        entries = self.block.pattern.left(own, both_triangles(self.p))
        entries[:, self.block.pattern.diagonal] += 1.0
        return invert_fronts(self.block.fronts, entries)

    def inverse(self) -> SchurInverse:
        """S^{-1} where P has entries."""
        return SchurInverse(self)

    def derivatives(self) -> SchurDerivatives:
        """Derivatives of log|I + Sigma_T P|."""
        return SchurDerivatives(self, self.inverse().covariance, {})


@dataclass(frozen=True, eq=False)
class SchurInverse:
    """Entries of S^{-1} where P has some.

    Attributes
    ----------
    factor : SchurFactor
    """

    factor: SchurFactor

    @cached_property
    def covariance(self) -> Array:
        """Q_TT = Lambda_T S^{-1} Lambda_T': (nnz,)."""
        return self.factor.block.pattern.congruence(self.factor.templates, self.factor.low.inverse_entries)

    def inverse_sums(self, j: int) -> Array:
        """sum_l (S^{-1})_ll."""
        return np.asarray(self.factor.low.inverse_entries[self.factor.block.pattern.own[j]].sum(axis=2))

    def projected_sums(self, j: int) -> Array:
        """sum_l (P - P Q P)_ll, which is P (I + Sigma P)^{-1}."""
        return moved_sums(self.factor, j)

    def row_sums(self, i: int, rows: Array) -> Array:
        """sum_l Y_l Q Y_l'."""
        product = self.factor.block.cliques[i].rows(self.covariance, rows)
        return np.asarray(rows @ product.T)

    def rows(self, i: int, rows: Array) -> Array:
        """Y Q on the pattern of Y."""
        return self.factor.block.cliques[i].rows(self.covariance, rows)

    def blocks(self, j: int) -> Array:
        """Q_ll at every level."""
        return np.asarray(self.covariance[self.factor.block.pattern.own[j]])

    def between(self, i: int, j: int) -> Array:
        """Q at the pairs of levels of two factors."""
        return np.asarray(self.covariance[self.factor.block.pattern.pairs[i, j]])
