r"""Cross-products of many responses of one design with one grouping factor, added up over equal levels.

At any theta the levels j enter the criterion and its derivatives through F_j = Z_j'Z_j alone, and through sums of
products of the columns B_j = Z_j'[X y] over the levels that share an F_j. With u = 1..U the distinct F, these
sums are all that the iterations see: their cost is that of R x U small factors, however many levels there are.

Arrays hold the replicate and the distinct F as their last axes, (..., R, U), so that the algebra of
:mod:`mixfit.gram.levels` does all replicates at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.start import moment_equations, start_variances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.pattern import FactorRows
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.batch.own_levels import OwnLevels
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["ResponseMoments", "Responses", "SharedMoments", "distinct_levels", "equal_levels", "moments", "start_roots"]

# A residual below this share of the response is rounding of the response.
_PERFECT_FIT = 1e-11
# Bits of a level's F that must agree for it to count as the same.
_SAME_BITS = 44


@dataclass(frozen=True, eq=False)
class SharedMoments:
    """What all responses share.

    Attributes
    ----------
    problem : Problem
    blocks : tuple of slice
        Columns that vary together: those of an unstructured term, or one of any other.
    order : ndarray of intp, shape (q,)
        Levels sorted by their F.
    first : ndarray of intp, shape (U,)
        Where each distinct F begins in that order.
    count : ndarray, shape (U,)
        How many levels have it.
    gram : ndarray, shape (k, k, U)
        The distinct F.
    xx : ndarray, shape (k, k, p, p, U)
        sum_j B_jax B_jby over the levels of each.
    """

    problem: Problem
    blocks: tuple[slice, ...]
    order: Index
    first: Index
    count: Array
    gram: Array
    xx: Array

    @property
    def k(self) -> int:
        """Number of random columns."""
        return len(self.gram)

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return self.problem.p

    @property
    def log_weights(self) -> float:
        """sum log w_i."""
        return self.problem.log_weights

    @property
    def log_x(self) -> float:
        """log|X'WX|."""
        return self.problem.log_x

    def degrees(self, *, reml: bool) -> int:
        """n for maximum likelihood, n - p for REML."""
        return self.problem.degrees(reml=reml)

    def take(self, at: Index) -> SharedMoments:
        """Those of some replicates: the same."""
        return self

    def over(self, replicates: int) -> Array:
        """F for every replicate, (k, k, R * U)."""
        return np.tile(self.gram, replicates)

    def total(self, values: Array) -> Array:
        """Sum over the levels of what is the same for equal F, (..., R, U): (..., R)."""
        return np.asarray(values @ self.count)

    def mean(self, values: Array) -> Array:
        """Mean over the levels of the same."""
        return self.total(values) / self.count.sum()

    def fixed_products(self, m: Array) -> Array:
        """sum_j B_jx'M_j B_jy of symmetric M, (k, k, R, U): (p, p, R)."""
        return np.tensordot(self.xx, m, axes=([0, 1, 4], [0, 1, 3]))

    def through_fixed(self, inverse: Array) -> Array:
        """sum_j B_jX C B_jX' of symmetric C, (p, p, R): (k, k, R, U)."""
        return np.tensordot(self.xx, inverse, axes=([2, 3], [0, 1])).swapaxes(2, 3)

    def fitted(self, beta: Array) -> Array:
        """sum_j (B_jX beta) B_jX', for beta (p, R): (k, k, p, R, U)."""
        return np.tensordot(self.xx, beta, axes=([2], [0])).swapaxes(3, 4)

    def add_up(self, values: Array) -> Array:
        """Sum over the levels that share an F: (..., q) gives (..., U)."""
        if len(self.first) == len(self.order):
            return values.take(self.order, axis=-1)
        return np.add.reduceat(values.take(self.order, axis=-1), self.first, axis=-1)


@dataclass(frozen=True, eq=False)
class ResponseMoments:
    """R responses y, as unit residuals from X in its orthonormal basis.

    Attributes
    ----------
    levels : SharedMoments, or OwnLevels
        What the responses share, or what each has of its own.
    xy : ndarray, shape (k, k, p, R, U)
        sum_j B_ja B_jbx: the first index for y, the second for X.
    yy : ndarray, shape (k, k, R, U)
        sum_j B_ja B_jb, both for y.
    log_scale : ndarray, shape (R,)
        log of the lengths of the residuals.
    """

    levels: SharedMoments | OwnLevels
    xy: Array
    yy: Array
    log_scale: Array

    def __len__(self) -> int:
        return len(self.log_scale)

    def take(self, at: Index) -> ResponseMoments:
        """Some of the responses."""
        if len(at) == len(self):
            return self
        return ResponseMoments(self.levels.take(at), self.xy[:, :, :, at], self.yy[:, :, at], self.log_scale[at])


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses in the basis of the cross-products.

    Attributes
    ----------
    moments : ResponseMoments
    gamma : ndarray, shape (p, R)
        Coefficients of the orthonormal columns of X by least squares.
    scale : ndarray, shape (R,)
        Lengths of the residuals.
    start : ndarray, shape (k, R, 1 or 2)
        Standard deviations to start from.
    perfect : ndarray of bool, shape (R,)
        Responses that X explains, of which nothing is left: their moments mean nothing.
    """

    moments: ResponseMoments
    gamma: Array
    scale: Array
    start: Array
    perfect: NDArray[np.bool_]


def distinct_levels(problem: Problem) -> SharedMoments:
    """Find the distinct F of the levels, and add up the products of X."""
    q, grams = problem.gram.n_levels[0], problem.gram.diagonal[0]
    group = equal_levels(grams)
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    blocks = [
        slice(term.first + b.start, term.first + b.stop) for term in problem.terms for b in term.structure.free_blocks
    ]
    count = np.diff(first, append=q).astype(float)
    levels = SharedMoments(problem, tuple(blocks), order, first, count, grams[:, :, order[first]], np.empty(0))
    x = problem.gram.border[0][:, :-1]
    return replace(levels, xx=levels.add_up(x[:, None, :, None] * x[None, :, None]))


def equal_levels(grams: Array) -> Index:
    """For every level the number of its F among the distinct ones, from all F (k, k, q): shape (q,)."""
    k, _, q = grams.shape
    exponent = np.frexp(np.abs(grams).max(axis=(0, 1)))[1]
    rounded = np.rint(np.ldexp(grams, _SAME_BITS - exponent)).reshape(k * k, q)
    return np.unique(np.vstack([rounded, exponent]), axis=1, return_inverse=True)[1].reshape(-1)


def moments(assembly: Assembly, levels: SharedMoments, y: Array) -> Responses:
    """Cross-products of responses y, (n, R), their offset taken off."""
    problem, fixed = assembly.problem, assembly.fixed
    rows = assembly.stage.whiten(y.T)
    gamma = rows @ fixed.rows.T
    rest = rows - gamma @ fixed.rows
    again = rest @ fixed.rows.T
    rest -= again @ fixed.rows
    length, scale = np.linalg.norm(rows, axis=1), np.linalg.norm(rest, axis=1)
    perfect = scale <= _PERFECT_FIT * length
    rest /= np.where(perfect, 1.0, scale)[:, None]
    border_x, border_y = problem.gram.border[0][:, :-1], _random_sums(assembly.rows[0], rest)
    xy = np.stack(
        [
            [[levels.add_up(border_y[a] * x) for x in border_x[b]] for b in range(levels.k)]
            if problem.p
            else np.empty((levels.k, 0, len(rest), len(levels.count)))
            for a in range(levels.k)
        ]
    )
    yy = np.stack([[levels.add_up(a * b) for b in border_y] for a in border_y])
    return Responses(
        moments=ResponseMoments(levels, xy, yy, np.log(np.where(perfect, 1.0, scale))),
        gamma=(gamma + again).T,
        scale=scale,
        start=start_roots(problem, border_y),
        perfect=perfect,
    )


def start_roots(problem: Problem, border_y: Array) -> Array:
    """Moment estimates of the relative standard deviations from Z'y, (k, R, q): (k, R, sets)."""
    equations = moment_equations(problem)
    squares = [b**2 @ w for b, w in zip(border_y, equations.weights, strict=True)]
    observed = np.stack([*squares, np.ones(border_y.shape[1])])
    return np.sqrt(np.stack(start_variances(equations, observed), axis=-1))


def _random_sums(rows: FactorRows, values: Array) -> Array:
    """Z'v for values (R, n): (k, R, q)."""
    from scipy.sparse import csr_array

    n = len(rows.codes)
    columns = np.ones((1, n)) if rows.columns is None else rows.columns
    every = np.arange(n)
    return np.stack(
        [
            np.ascontiguousarray((csr_array((c, (rows.codes, every)), shape=(rows.n_levels, n)) @ values.T).T)
            for c in columns
        ]
    )
