"""The trailing block as one dense matrix for LAPACK: the best there is where most pairs of its levels meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.linalg import blas, lapack

from mixfit.errors import DesignError, FitError
from mixfit.factor.trailing import Cost
from mixfit.machine import machine_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.crossed import Crossed
    from mixfit.factor.trailing import TrailingColumns
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["DenseBlock", "DenseDerivatives", "DenseFactor", "DenseInverse", "dense_block", "dense_cost"]

# The block, its factor, its inverse and one product are held at a time.
_COPIES = 4


@dataclass(frozen=True, eq=False)
class DenseBlock:
    """Z_T'Z_T as a matrix.

    Attributes
    ----------
    columns : TrailingColumns
    patterns : dict of i to Crossed
        Pattern of every Y_i.
    pairs : dict of (i, j) to tuple of ndarray
        Levels of two trailing factors that occur together.
    gram : ndarray, shape (m, m)
        Both triangles, Fortran order.
    """

    columns: TrailingColumns
    patterns: Mapping[int, Crossed]
    pairs: Mapping[tuple[int, int], tuple[Index, Index]]
    gram: Array

    @property
    def kind(self) -> Literal["dense"]:
        """One matrix for LAPACK."""
        return "dense"

    @property
    def order(self) -> Index:
        """As they come."""
        return np.arange(self.columns.m)

    @property
    def cost(self) -> Cost:
        """What a factorization takes."""
        return dense_cost(self.columns, self.patterns)

    @cached_property
    def aligned(self) -> dict[tuple[int, int], Index]:
        """The entries of Y_i in each column of factor j, (k_j, pairs), aligned over its columns."""
        c = self.columns
        out = {}
        for i, pattern in self.patterns.items():
            for j in c.factors:
                column = (pattern.column - c.offset[j]) // c.width[j]
                out[i, j] = np.stack([np.flatnonzero(column == b) for b in range(c.k[j])])
        return out

    def refill(self, gram: Gram) -> DenseBlock:
        """The same block for other values on the same pattern."""
        return replace(self, gram=_table(gram, self.columns))

    def factorize(self, templates: Sequence[Array], rows: Mapping[int, Array]) -> DenseFactor:
        """Factor S; FitError where it is not positive definite in double precision."""
        s = self.scale_table(templates, self.swept(rows))
        s.ravel(order="K")[:: len(s) + 1] += 1.0
        low, info = lapack.dpotrf(s, lower=1, clean=1, overwrite_a=1)
        if info:
            raise FitError(
                f"The trailing block of the factor is not positive definite at column {info}: "
                "the variance ratios are too large for double precision. Rescale the columns left of the bar."
            )
        return DenseFactor(self, templates, rows, low)

    def swept(self, rows: Mapping[int, Array]) -> Array:
        """P: lower triangle, Fortran order."""
        p = self.gram.copy(order="F")
        for i, values in rows.items():
            p = self.patterns[i].subtract_gram(values, p)
        return p

    def scale_table(self, templates: Sequence[Array], p: Array) -> Array:
        """Lambda_T'P Lambda_T in place from the lower triangle, or Lambda_T Q Lambda_T' with transposed templates."""
        if self.columns.is_scalar:
            scale = self.columns.scalars(templates)
            p *= scale
            p *= scale[:, None]
            return p
        transposed = [t.T for t in templates]
        half = self.columns.multiply(transposed, _symmetric(p))
        return np.asfortranarray(self.columns.multiply(transposed, half.T))

    def scale_rows(self, templates: Sequence[Array], i: int, rows: Array) -> Array:
        """Y Lambda_T on the pattern of chain factor i."""
        c = self.columns
        if c.is_scalar:
            return rows * c.scalars(templates).take(self.patterns[i].column)
        out = np.zeros_like(rows)
        for j in c.factors:
            entries = self.aligned[i, j]
            for b in range(c.k[j]):
                for a in range(c.k[j]):
                    out[:, entries[b]] += templates[j][a, b] * rows[:, entries[a]]
        return out


def dense_block(gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> DenseBlock:
    """Lay out a dense block; DesignError where the machine cannot hold it, before the system refuses less politely."""
    cost = dense_cost(columns, patterns)
    if cost.is_too_large:
        raise DesignError(
            f"The grouping factors cross so that {columns.m:,} random effects fill in: their dense block needs "
            f"{cost.memory / 1e9:.0f} GB, and this machine has {machine_memory() / 1e9:.0f}. Fit a linear "
            "model with solver='iterative'; else leave out the crossed factor with the most levels, or combine its "
            "rare levels."
        )
    pairs = {
        key: (p.row, p.col) for key, p in gram.pairs.items() if key[0] in columns.offset and key[1] in columns.offset
    }
    return DenseBlock(columns, patterns, pairs, _table(gram, columns))


def dense_cost(columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> Cost:
    """What a factorization takes."""
    m = float(columns.m)
    return Cost(
        flops=m**3 / 3.0 + sum(p.products for p in patterns.values()), memory=_COPIES * 8.0 * m * m, entries=m * m
    )


def _table(gram: Gram, c: TrailingColumns) -> Array:
    """Z_T'Z_T, both triangles, Fortran order."""
    out = np.zeros((c.m, c.m), order="F")
    for a, i in enumerate(c.factors):
        level = np.arange(c.width[i])
        for x in range(c.k[i]):
            for y in range(c.k[i]):
                out[c.at(i, x).start + level, c.at(i, y).start + level] = gram.diagonal[i][x, y]
        for j in c.factors[a + 1 :]:
            pairs = gram.pairs[i, j]
            for x in range(c.k[i]):
                for y in range(c.k[j]):
                    rows, cols = c.at(i, x).start + pairs.row, c.at(j, y).start + pairs.col
                    out[rows, cols] = out[cols, rows] = pairs.values[x, y]
    return out


@dataclass(frozen=True, eq=False)
class DenseFactor:
    """S = LL'.

    Attributes
    ----------
    block : DenseBlock
    templates : sequence of ndarray
    rows : dict of i to ndarray, shape (k_i, nnz_i)
        Entries of every Y_i.
    low : ndarray, shape (m, m)
        L, Fortran order.
    """

    block: DenseBlock
    templates: Sequence[Array]
    rows: Mapping[int, Array]
    low: Array

    @cached_property
    def logdet(self) -> float:
        """log|S|."""
        return 2.0 * float(np.log(self.low.diagonal()).sum())

    def forward(self, rhs: Array) -> Array:
        """L^{-1} d."""
        return blas.dtrsm(1.0, self.low, rhs, lower=1)

    def dual(self, half: Array) -> Array:
        """The halves themselves: |L^{-1} d|^2 = d'S^{-1}d."""
        return half

    def backward(self, half: Array) -> Array:
        """L'^{-1} L^{-1} d."""
        return blas.dtrsm(1.0, self.low, half, lower=1, trans_a=1)

    def inverse(self) -> DenseInverse:
        """All of S^{-1}."""
        return DenseInverse(self, lapack.dpotri(self.low, lower=1)[0])

    def derivatives(self) -> DenseDerivatives:
        """Derivatives of log|I + Sigma_T P|."""
        return DenseDerivatives(self, _symmetric(self.block.swept(self.rows)), self.inverse().covariance, {})


@dataclass(frozen=True, eq=False)
class DenseInverse:
    """All entries of the inverse.

    Attributes
    ----------
    factor : DenseFactor
    table : ndarray, shape (m, m)
        S^{-1}, lower triangle, Fortran order.
    """

    factor: DenseFactor
    table: Array

    @cached_property
    def covariance(self) -> Array:
        """Q_TT = Lambda_T S^{-1} Lambda_T', both triangles."""
        transposed = [t.T for t in self.factor.templates]
        return _symmetric(self.factor.block.scale_table(transposed, self.table.copy(order="F")))

    def inverse_sums(self, j: int) -> Array:
        """sum_l (S^{-1})_ll."""
        return self.factor.block.columns.level_traces(self.table, j)

    def projected_sums(self, j: int) -> Array:
        """The blocks of P - P Lambda_T S^{-1} Lambda_T' P, summed."""
        block, c = self.factor.block, self.factor.block.columns
        p = _symmetric(block.swept(self.factor.rows))
        scaled = c.multiply([t.T for t in self.factor.templates], p[:, c.own(j)])
        parts = self.factor.forward(scaled).reshape(len(p), c.k[j], c.width[j])
        return c.level_traces(p, j) - np.tensordot(parts, parts, ((0, 2), (0, 2)))

    def row_sums(self, i: int, rows: Array) -> Array:
        """sum_l Y_l Q Y_l', through the rows scaled: one triangle of S^{-1} is enough."""
        pattern = self.factor.block.patterns[i]
        scaled = self.factor.block.scale_rows(self.factor.templates, i, rows)
        k = len(scaled)
        out = np.empty((k, k))
        for a in range(k):
            out[a, a] = pattern.norm(self.table, scaled[a])
            for b in range(a):
                out[a, b] = out[b, a] = pattern.inner(self.table, scaled[a], scaled[b])
        return out

    def rows(self, i: int, rows: Array) -> Array:
        """Y Q on the pattern of Y."""
        return self.factor.block.patterns[i].sampled_product(rows, self.covariance)

    def blocks(self, j: int) -> Array:
        """Q_ll at every level."""
        c = self.factor.block.columns
        at = c.offset[j] + np.arange(c.k[j])[:, None] * c.width[j] + np.arange(c.width[j])
        out: Array = self.covariance[at[:, None], at[None]]
        return out

    def between(self, i: int, j: int) -> Array:
        """Q at the pairs of levels of two factors."""
        c, (row, col) = self.factor.block.columns, self.factor.block.pairs[i, j]
        rows = c.offset[i] + np.arange(c.k[i])[:, None, None] * c.width[i] + row
        cols = c.offset[j] + np.arange(c.k[j])[None, :, None] * c.width[j] + col
        out: Array = self.covariance[rows, cols]
        return out


@dataclass(frozen=True, eq=False)
class DenseDerivatives:
    """Derivatives of log|I + Sigma_T P|, Sigma_T and P both moving.

    Attributes
    ----------
    factor : DenseFactor
    table, covariance : ndarray, shape (m, m)
        P and Q_TT, both triangles of each.
    slopes : dict of x to ndarray, shape (m, m)
        First derivatives of P.
    """

    factor: DenseFactor
    table: Array
    covariance: Array
    slopes: dict[int, Array]

    def move(self, x: int, i: int, left: Array, right: Array) -> None:
        """Subtract (L'R + R'L) / 2 from the derivative of P along x."""
        product = self.factor.block.patterns[i].product(left, right)
        slope = -0.5 * (product + product.T)
        self.slopes[x] = self.slopes[x] + slope if x in self.slopes else slope

    def inner(self, i: int, left: Array, right: Array) -> float:
        """<Q, L'R>."""
        return float(np.vdot(self.covariance, self.factor.block.patterns[i].product(left, right)))

    def finish(self, directions: Mapping[int, Mapping[int, Array]], size: int) -> tuple[Array, Array]:
        """tr(Q P_x) + tr(M D_x), and what they move by, with M = PE = Z_T'H^{-1}Z_T and E = I - Q P."""
        c = self.factor.block.columns
        first, second = np.zeros(size), np.zeros((size, size))

        def add(x: int, y: int, value: float) -> None:
            second[x, y] += value
            if x != y:
                second[y, x] += value

        e = -(self.covariance @ self.table)
        e.ravel()[:: len(e) + 1] += 1.0
        between = self.table @ e
        sigma = [t @ t.T for t in self.factor.templates]
        pushed: dict[int, Array] = {}
        for x, slope in self.slopes.items():
            first[x] += float(np.vdot(self.covariance, slope))
            right = slope @ e
            for j, own in directions.items():
                blocks = _column_products(c, j, e, right)
                for y, d in own.items():
                    add(x, y, float(np.vdot(d, blocks)))
            # dP Q = (dP E) Sigma
            pushed[x] = c.multiply(sigma, right.T)
            for y in pushed:
                add(y, x, -float(np.vdot(pushed[y], pushed[x].T)))
        for a, j in enumerate(c.factors):
            traces = c.level_traces(between, j)
            for x, d in directions[j].items():
                first[x] += float(np.vdot(d, traces))
            for h in c.factors[a:]:
                products = _block_products(c, between, j, h)
                for x, d in directions[j].items():
                    for y, f in directions[h].items():
                        if h != j or x <= y:
                            # tr(D_x M_ll' D_y M_l'l) over all pairs of levels
                            add(x, y, -float(np.einsum("ab,cd,bcad->", d, f, products)))
        return first, second


def _symmetric(lower: Array) -> Array:
    """The whole of a symmetric matrix from its lower triangle."""
    out = np.tril(lower)
    out += np.tril(lower, -1).T
    return out


def _column_products(c: TrailingColumns, j: int, left: Array, right: Array) -> Array:
    """sum over levels l of left_{al}'right_{bl}, columns of factor j: (k, k)."""
    k = c.k[j]
    return np.array(
        [[np.einsum("ml,ml->", left[:, c.at(j, a)], right[:, c.at(j, b)]) for b in range(k)] for a in range(k)]
    )


def _block_products(c: TrailingColumns, table: Array, j: int, h: int) -> Array:
    """<M_bc, M_ad> of the blocks between columns of factors j and h: (k_j, k_h, k_j, k_h)."""
    k, r = c.k[j], c.k[h]
    blocks = np.stack([table[c.at(j, a), c.at(h, b)].ravel() for a in range(k) for b in range(r)])
    out: Array = (blocks @ blocks.T).reshape(k, r, k, r)
    return out
