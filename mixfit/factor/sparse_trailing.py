r"""All of A as one sparse matrix, eliminated in an order of minimum degree: for levels that are related.

Effects of a factor whose levels have covariance K = W^{-1}W'^{-1}, Q = W'W sparse, are those of the design Z W^{-1}
with independent effects (`mixfit.gram.products`). Of them

    A = Lambda'W'^{-1}Z'Z W^{-1}Lambda + I = W'^{-1} S W^{-1},      S = Lambda'Z'Z Lambda + Q,

as Lambda is a number of each such factor: S is sparse, A never formed, log|A| = log|S| - log|Q|,
A^{-1} = W S^{-1} W', and the trace of A^{-1} that a gradient asks for is tr(S^{-1}Q), of entries of the inverse where
S has entries. Q is I where the levels are independent, so that other terms stand beside those in one matrix, and no
factor has to be eliminated first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.sparse import coo_array, tril

from mixfit.errors import DesignError
from mixfit.factor.fronts import fronts
from mixfit.factor.multifrontal import factorize_fronts
from mixfit.factor.sparse_derivatives import SparseDerivatives, projected_sums
from mixfit.factor.trailing import Cost
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.relationship import Relationship
    from mixfit.factor.crossed import Crossed
    from mixfit.factor.fronts import Fronts
    from mixfit.factor.multifrontal import FrontFactor
    from mixfit.factor.trailing import TrailingColumns
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["SparseBlock", "SparseFactor", "SparseInverse", "sparse_block"]

# Cells of all fronts are held three times: factor, inverse, and what is added to parents with its places.
_COPIES = 4


@dataclass(frozen=True, eq=False)
class SparsePattern:
    """Where the entries of S's lower triangle come from.

    Attributes
    ----------
    fronts : Fronts
    prior : ndarray, shape (nnz,)
        Entries of Q, the identity where levels are independent.
    own : dict of j to ndarray, shape (k_j, k_j, q_j)
        The entry of each cell of each level's block, both triangles.
    pairs : dict of (i, j) to ndarray, shape (k_i, k_j, nnz)
        Likewise of the levels that occur together.
    weights : dict of j to ndarray, shape (nnz,)
        Of the entries of S^{-1} in tr(S^{-1}Q), of each factor whose levels are related.
    log_prior : float
        log|Q|.
    """

    fronts: Fronts
    prior: Array
    own: Mapping[int, Index]
    pairs: Mapping[tuple[int, int], Index]
    weights: Mapping[int, Array]
    log_prior: float


@dataclass(frozen=True, eq=False)
class SparseBlock:
    """Z'Z and Q as sparse matrices.

    Attributes
    ----------
    columns : TrailingColumns
    pattern : SparsePattern
    gram : Gram
    """

    columns: TrailingColumns
    pattern: SparsePattern
    gram: Gram

    @property
    def kind(self) -> Literal["sparse"]:
        """By fronts."""
        return "sparse"

    @property
    def order(self) -> Index:
        """Front by front."""
        return self.pattern.fronts.order

    @property
    def cost(self) -> Cost:
        """What a factorization takes."""
        found = self.pattern.fronts
        return Cost(flops=found.flops, memory=_COPIES * 8.0 * found.n_cells, entries=found.n_entries)

    @property
    def relationships(self) -> Mapping[int, Relationship]:
        """Of the factors whose levels are related."""
        return self.gram.relationships

    def refill(self, gram: Gram) -> SparseBlock:
        """The same block for other values on the same pattern."""
        return replace(self, gram=gram)

    def factorize(self, templates: Sequence[Array], rows: Mapping[int, Array]) -> SparseFactor:
        """Factor S; FitError where it is not positive definite in double precision."""
        assert not rows, "nothing is eliminated before"
        values = self.pattern.prior.copy()
        for j, at in self.pattern.own.items():
            block = lv.congruence(templates[j], self.gram.diagonal[j])
            for a in range(len(block)):
                for b in range(a + 1):
                    values[at[a, b]] += block[a, b]
        for (i, j), at in self.pattern.pairs.items():
            block = _both_sides(templates[i].T, self.gram.pairs[i, j].values, templates[j])
            values[at.ravel()] += block.ravel()
        return SparseFactor(self, tuple(templates), factorize_fronts(self.pattern.fronts, values))


def sparse_block(gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> SparseBlock:
    """Lay out a sparse block of all factors; DesignError where the machine cannot hold what fills in."""
    block = SparseBlock(columns, _pattern(gram, columns), gram)
    if block.cost.is_too_large:
        raise DesignError(
            f"The known covariance and the terms beside it fill in: the Cholesky factor of their {columns.m:,} random "
            f"effects has {block.cost.entries:,.0f} entries, and needs {block.cost.memory / 1e9:.0f} GB. Leave out the "
            "crossed factor with the most levels, or the oldest generations of the pedigree."
        )
    return block


def _pattern(gram: Gram, c: TrailingColumns) -> SparsePattern:
    prior = {j: _prior(gram, c, j) for j in c.factors}
    own, pairs = {}, {}
    for a, i in enumerate(c.factors):
        at = c.offset[i] + np.arange(c.k[i])[:, None] * c.width[i] + np.arange(c.width[i])
        own[i] = np.maximum(at[:, None], at[None]) * c.m + np.minimum(at[:, None], at[None])
        for j in c.factors[a + 1 :]:
            p = gram.pairs[i, j]
            row = c.offset[j] + np.arange(c.k[j])[None, :, None] * c.width[j] + p.col
            col = c.offset[i] + np.arange(c.k[i])[:, None, None] * c.width[i] + p.row
            pairs[i, j] = row * c.m + col
    parts = (*(key for key, _ in prior.values()), *own.values(), *pairs.values())
    keys = np.unique(np.concatenate([part.ravel() for part in parts]))
    row, col = np.divmod(keys, c.m)
    values, weights = np.zeros(len(keys)), {}
    for j, (key, entries) in prior.items():
        at = np.searchsorted(keys, key)
        values[at] = entries
        if j in gram.relationships:
            weights[j] = np.zeros(len(keys))
            weights[j][at] = np.where(row[at] == col[at], 1.0, 2.0) * entries
    return SparsePattern(
        fronts(row, col, c.m),
        values,
        {j: np.searchsorted(keys, key) for j, key in own.items()},
        {both: np.searchsorted(keys, key) for both, key in pairs.items()},
        weights,
        sum(known.log_determinant for known in gram.relationships.values()),
    )


def _prior(gram: Gram, c: TrailingColumns, j: int) -> tuple[Index, Array]:
    """Keys row * m + column and values of Q's lower triangle; of the identity where levels are independent."""
    if j not in gram.relationships:
        own = np.arange(c.own(j).start, c.own(j).stop, dtype=np.intp)
        return own * (c.m + 1), np.ones(len(own))
    low = coo_array(tril(gram.relationships[j].precision))
    row, col = (c.offset[j] + at.astype(np.intp) for at in (low.row, low.col))
    return row * c.m + col, low.data


def _both_sides(left: Array, blocks: Array, right: Array) -> Array:
    """L B R of every block B = blocks[:, :, q]."""
    if blocks.shape[:2] == (1, 1):
        return blocks * (left[0, 0] * right[0, 0])
    return np.einsum("ca,abq,bd->cdq", left, blocks, right, optimize=True)


@dataclass(frozen=True, eq=False)
class SparseFactor:
    """S = LL'. The halves of right-hand sides are these themselves.

    Attributes
    ----------
    block : SparseBlock
    templates : tuple of ndarray
    low : FrontFactor
    solved : deque of tuple of ndarray
        Halves and what is dual to them: a criterion and its derivatives ask for the same ones.
    """

    block: SparseBlock
    templates: tuple[Array, ...]
    low: FrontFactor
    solved: deque[tuple[Array, Array]] = field(default_factory=lambda: deque(maxlen=2), repr=False)

    @property
    def logdet(self) -> float:
        """log|A| = log|S| - log|Q|."""
        return self.low.logdet - self.block.pattern.log_prior

    def forward(self, rhs: Array) -> Array:
        """The right-hand sides themselves."""
        return rhs

    def dual(self, half: Array) -> Array:
        """A^{-1} d = W S^{-1} W'd, remembered for the halves that were asked for last."""
        for known, found in self.solved:
            if known is half:
                return found
        inner = self.low.solve(self._each(half, transposed=True))
        out = self._each(inner, transposed=False)
        self.solved.append((half, out))
        return out

    def backward(self, half: Array) -> Array:
        """The same."""
        return self.dual(half)

    def _each(self, columns: Array, *, transposed: bool) -> Array:
        """W or W' times columns (m, r)."""
        out = columns.copy()
        for j, known in self.block.relationships.items():
            own = self.block.columns.own(j)
            w = known.increments.T if transposed else known.increments
            out[own] = w @ columns[own]
        return out

    def at(self, templates: Sequence[Array]) -> SparseFactor:
        """The factor at other templates."""
        return self.block.factorize(templates, {})

    def n_levels(self, j: int) -> int:
        """Levels of factor j."""
        return self.block.columns.width[j]

    def total(self, j: int) -> Array:
        """Z_j'Z_j summed over levels."""
        return np.asarray(self.block.gram.diagonal[j].sum(axis=2))

    def inverse_sums(self, j: int) -> Array:
        """sum_l (A^{-1})_ll: tr(S^{-1}Q) where levels are related."""
        pattern, entries = self.block.pattern, self.low.inverse_entries
        if j not in pattern.weights:
            return np.asarray(entries[pattern.own[j]].sum(axis=2))
        return np.full((1, 1), float(entries @ pattern.weights[j]))

    def inverse(self) -> SparseInverse:
        """Entries of S^{-1} where S has entries."""
        return SparseInverse(self)

    def derivatives(self) -> SparseDerivatives:
        """Derivatives of log|A|."""
        return SparseDerivatives(self)


@dataclass(frozen=True, eq=False)
class SparseInverse:
    """Entries of the inverse where S has some."""

    factor: SparseFactor

    @property
    def _entries(self) -> Array:
        return self.factor.low.inverse_entries

    def inverse_sums(self, j: int) -> Array:
        """sum_l (A^{-1})_ll."""
        return self.factor.inverse_sums(j)

    def projected_sums(self, j: int) -> Array:
        """sum_l (Z'V^{-1}Z)_ll of the independent effects of factor j, its template singular or not."""
        return projected_sums(self.factor, j)

    def row_sums(self, i: int, rows: Array) -> Array:
        """No factor is eliminated before."""
        raise NotImplementedError

    def rows(self, i: int, rows: Array) -> Array:
        """No factor is eliminated before."""
        raise NotImplementedError

    def blocks(self, j: int) -> Array:
        """Q_ll of the levels themselves, related or not: T (S^{-1})_ll T'."""
        t = self.factor.templates[j]
        return lv.congruence(t.T, self._entries[self.factor.block.pattern.own[j]])

    def between(self, i: int, j: int) -> Array:
        """The same at the pairs of levels that occur together."""
        t = self.factor.templates
        return _both_sides(t[i], self._entries[self.factor.block.pattern.pairs[i, j]], t[j].T)
