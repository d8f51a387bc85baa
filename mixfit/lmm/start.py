"""Start values: Henderson's first method (1953), from the cross-products alone.

The sums of squares between the levels of each column, sum_j (z_j'e)^2 / z_j'z_j, have expectations that are
linear in the variances; solving for them costs one pass over the blocks and is, for balanced data, the
analysis of variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = [
    "MomentEquations",
    "kept_variances",
    "moment_equations",
    "points_at",
    "start_points",
    "start_variances",
    "variance_bounds",
]

# Of the information: a variance that changes A by a tenth, from where Newton's steps find zero or the optimum.
_SMALLEST_SHARE = 0.1
# Variances ten orders apart: beyond it the cross-products have no digits of the smaller one.
_LARGEST_RATIO = 1e10
# A moment estimate of the residual below this share of the total may be an error of theirs: the next is tried, too.
_DOUBTFUL_SHARE = 0.1
_MIDDLING_SHARE = 0.3
# Terms of more columns and few parameters start at an equal share: their equations would cost more than the fit.
_MANY_COLUMNS = 8


@dataclass(frozen=True, eq=False)
class MomentEquations:
    """What the sums of squares are expected to be; the same for every response of a design.

    Attributes
    ----------
    columns : list of tuple of int
        Factor and column of each of the m random columns.
    weights : list of ndarray, shape (q,)
        Of the squares (z_j'e)^2 of each column: 1 / z_j'z_j, 0 for levels without.
    expected : ndarray, shape (m + 1, m + 1)
        Expected sums of squares, the last row the total, by variance, the last column the residual's.
    bounds : tuple of ndarray, shape (m, 1)
        Smallest and largest relative variance to start from, against the mean of z_j'M z_j over the levels, M the
        projection off X; 1 where X leaves nothing of the column, 0 for a column of zeros.
    """

    columns: list[tuple[int, int]]
    weights: list[Array]
    expected: Array
    bounds: tuple[Array, Array]

    @property
    def units(self) -> Array:
        """Relative variances that a level's rows tell as much of as not, (m,)."""
        return self.bounds[0][:, 0] / _SMALLEST_SHARE


def moment_equations(problem: Problem) -> MomentEquations:
    """Expectations of the sums of squares between levels of every random column, and of the total."""
    gram = problem.gram
    terms = sorted((t for t in problem.terms if _has_moments(t)), key=lambda t: (t.factor, t.first))
    columns = [(t.factor, t.first + a) for t in terms for a in range(t.k)]
    size = len(columns)
    expected = np.zeros((size + 1, size + 1))
    weights: list[Array] = []
    blocks: dict[int, _Moments] = {}
    for i in sorted({t.factor for t in terms}):
        own = [a for j, a in columns if j == i]
        at = slice(len(weights), len(weights) + len(own))
        block = blocks[i] = _Moments.of(problem, i, own, at)
        weights += list(block.weights)
        squares = np.einsum("aaq->aq", block.products)
        among = np.einsum("apq,apq->aq", block.fixed, block.fixed)
        expected[at, size] = np.count_nonzero(squares, axis=1) - (among * block.weights).sum(axis=1)
        expected[size, at] = squares.sum(axis=1) - among.sum(axis=1)
        expected[at, at] = _within(block)
    for i, x in blocks.items():
        for j, y in blocks.items():
            if i != j:
                expected[x.at, y.at] = _between(problem, (i, x), (j, y))
    expected[size, size] = gram.n - problem.p
    return MomentEquations(columns, weights, expected, _bounds(problem, columns, expected[size]))


@dataclass(frozen=True, eq=False)
class _Moments:
    """Columns of a factor that have equations, and their places among all of them.

    Attributes
    ----------
    columns : list of int
    at : slice
    products : ndarray, shape (k, k, q)
        z_j'z_j.
    fixed : ndarray, shape (k, p, q)
        X'z_j.
    weights : ndarray, shape (k, q)
        1 / z_j'z_j, 0 for levels without.
    outer : ndarray, shape (k, p, p)
        sum_j X'z_j z_j'X.
    """

    columns: list[int]
    at: slice
    products: Array
    fixed: Array
    weights: Array
    outer: Array

    @staticmethod
    def of(problem: Problem, factor: int, columns: list[int], at: slice) -> _Moments:
        """Those of one factor."""
        gram = problem.gram
        products, fixed = gram.diagonal[factor], gram.border[factor][:, :-1]
        if len(columns) < len(products):
            products, fixed = products[np.ix_(columns, columns)], fixed[columns]
        squares = np.einsum("aaq->aq", products)
        weights = np.divide(1.0, squares, out=np.zeros(squares.shape), where=squares > 0.0)
        return _Moments(columns, at, products, fixed, weights, np.matmul(fixed, fixed.swapaxes(1, 2)))

    def through(self, outer: Array) -> Array:
        """sum_j w_j z_j'X O X'z_j for the O of every other column, `outer` (m, p, p): (k, m)."""
        weighted = np.matmul(self.fixed * self.weights[:, None], self.fixed.swapaxes(1, 2))
        return np.asarray(weighted.reshape(len(weighted), -1) @ outer.reshape(len(outer), -1).T)


def _has_moments(term: Term) -> bool:
    """Whether a term's columns have equations of their own: not the many columns of a few parameters."""
    return bool(term.structure.free_blocks) or term.k <= _MANY_COLUMNS


def _bounds(problem: Problem, columns: list[tuple[int, int]], traces: Array) -> tuple[Array, Array]:
    bounds = np.empty((2, len(columns), 1))
    for x, (i, a) in enumerate(columns):
        typical = traces[x] / problem.gram.n_levels[i]
        if typical > 0.0:
            bounds[:, x, 0] = variance_bounds(typical)
        else:
            bounds[:, x, 0] = 1.0 if problem.gram.diagonal[i][a, a].any() else 0.0
    return bounds[0], bounds[1]


def start_variances(equations: MomentEquations, observed: Array) -> list[Array]:
    """Moment estimates of the relative variances, kept off the boundary, from observed sums of squares.

    Where the moments leave next to nothing for the residual they may have failed (many effects, few rows), or the
    effects may be that strong: a second set with a middling residual is offered beside the first.

    Parameters
    ----------
    equations : MomentEquations
    observed : ndarray, shape (m + 1, r)
        Of r responses.

    Returns
    -------
    list of ndarray, shape (m, r)
        One set of variances, or two where any response needs the second.
    """
    expected = equations.expected
    scale = np.sqrt(np.abs(expected).max(axis=1))
    scale[scale == 0.0] = 1.0
    solution = np.linalg.lstsq(expected / scale[:, None], observed / scale[:, None], rcond=None)[0]
    return kept_variances(solution, observed[-1] / expected[-1, -1], equations.bounds)


def kept_variances(solution: Array, total: Array, bounds: tuple[Array, Array]) -> list[Array]:
    """Relative variances that are made of solutions of the equations, (m + 1, r): see `start_variances`.

    `total` (r,) are the variances of the responses, `bounds` those of `MomentEquations`, or (m, r).
    """
    middling = _MIDDLING_SHARE * total
    residual = np.where(solution[-1] > 0.0, np.maximum(solution[-1], total / _LARGEST_RATIO), middling)
    doubtful = residual < _DOUBTFUL_SHARE * total
    residuals = [residual]
    if doubtful.any():
        residuals.append(np.where(doubtful, middling, residual))
    return [np.clip(solution[:-1] / r, *bounds) for r in residuals]


def variance_bounds(typical: Array) -> tuple[Array, Array]:
    """Smallest and largest relative variances to start from, against the mean of z_j'M z_j over the levels."""
    return _SMALLEST_SHARE / typical, _LARGEST_RATIO / typical


def start_points(problem: Problem, equations: MomentEquations | None = None) -> list[list[Array]]:
    """Points of all terms at the moment estimates; see `start_variances`."""
    gram = problem.gram
    equations = moment_equations(problem) if equations is None else equations
    squares = [(gram.border[i][a, -1] ** 2) @ w for (i, a), w in zip(equations.columns, equations.weights, strict=True)]
    observed = np.array([*squares, gram.corner[-1, -1]])[:, None]
    out = []
    for variances in start_variances(equations, observed):
        starts = [
            t.structure.starts(v)
            for t, v in zip(problem.terms, _by_term(problem, equations, variances[:, 0]), strict=True)
        ]
        # The structures with several go through them side by side.
        out += [[s[x % len(s)] for s in starts] for x in range(max(map(len, starts)))]
    return out


def points_at(problem: Problem, equations: MomentEquations, variances: Array) -> list[Array]:
    """Points of all terms at relative variances of the random columns that have moments, independent of one another."""
    own = _by_term(problem, equations, variances)
    return [t.structure.starts(v)[0] for t, v in zip(problem.terms, own, strict=True)]


def _by_term(problem: Problem, equations: MomentEquations, variances: Array) -> list[Array]:
    place = {column: x for x, column in enumerate(equations.columns)}
    return [
        np.array([variances[place[t.factor, t.first + a]] for a in range(t.k)])
        if _has_moments(t)
        else _equal_share(problem, t)
        for t in problem.terms
    ]


def _equal_share(problem: Problem, term: Term) -> Array:
    """Relative variances with which the columns together have as much variance as the residual, on average."""
    squares = np.einsum("aaq->a", problem.gram.diagonal[term.factor][term.columns, term.columns])
    return np.divide(problem.gram.n, term.k * squares, out=np.zeros(term.k), where=squares > 0.0)


# Of columns x and y, sum over levels of x: weight * sum over levels of y of (z_x'M z_y)^2, M the projection off X, with
# (F - b_x'b_y)^2 = F^2 - 2 F b_x'b_y + b_x'(b_y b_y')b_x.


def _within(x: _Moments) -> Array:
    """Between the columns of one factor, whose levels meet no others: (k, k)."""
    along = np.einsum("apq,bpq->abq", x.fixed, x.fixed)
    direct = x.products * (x.products - 2.0 * along)
    return np.einsum("abq,aq->ab", direct, x.weights) + x.through(x.outer)


def _between(problem: Problem, one: tuple[int, _Moments], other: tuple[int, _Moments]) -> Array:
    """Between the columns of two factors: (k_i, k_j)."""
    (i, x), (j, y) = one, other
    pairs = problem.gram.pairs[min(i, j), max(i, j)]
    values, row, col = (pairs.values, pairs.row, pairs.col)
    if i > j:
        values, row, col = values.swapaxes(0, 1), col, row
    out = x.through(y.outer)
    for a, weight, fixed_x in zip(range(len(out)), x.weights, x.fixed, strict=True):
        for b, fixed_y in enumerate(y.fixed):
            coupling = values[x.columns[a], y.columns[b]]
            squares = np.bincount(row, coupling**2, len(weight))
            for f, h in zip(fixed_x, fixed_y, strict=True):
                squares -= 2.0 * f * np.bincount(row, coupling * h.take(col), len(weight))
            out[a, b] += float(squares @ weight)
    return out
