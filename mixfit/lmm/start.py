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

__all__ = ["MomentEquations", "moment_equations", "points_at", "start_points", "start_variances"]

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
    fixed = [gram.border[i][a, :-1] for i, a in columns]
    outer = [b @ b.T for b in fixed]
    weights = []
    for x, (i, a) in enumerate(columns):
        own = gram.diagonal[i][a, a]
        weight = np.divide(1.0, own, out=np.zeros_like(own), where=own > 0)
        weights.append(weight)
        expected[x, size] = np.count_nonzero(own) - np.sum(fixed[x] ** 2 @ weight)
        for y, (j, b) in enumerate(columns):
            expected[x, y] = _squared_coupling(problem, (i, a), (j, b), fixed[x], fixed[y], outer[y], weight)
        expected[size, x] = own.sum() - np.sum(fixed[x] ** 2)
    expected[size, size] = gram.n - problem.p
    return MomentEquations(columns, weights, expected, _bounds(problem, columns, expected[size]))


def _has_moments(term: Term) -> bool:
    """Whether a term's columns have equations of their own: not the many columns of a few parameters."""
    return bool(term.structure.free_blocks) or term.k <= _MANY_COLUMNS


def _bounds(problem: Problem, columns: list[tuple[int, int]], traces: Array) -> tuple[Array, Array]:
    bounds = np.empty((2, len(columns), 1))
    for x, (i, a) in enumerate(columns):
        typical = traces[x] / problem.gram.n_levels[i]
        if typical > 0.0:
            bounds[:, x, 0] = _SMALLEST_SHARE / typical, _LARGEST_RATIO / typical
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
    total = observed[-1] / expected[-1, -1]
    middling = _MIDDLING_SHARE * total
    residual = np.where(solution[-1] > 0.0, np.maximum(solution[-1], total / _LARGEST_RATIO), middling)
    doubtful = residual < _DOUBTFUL_SHARE * total
    residuals = [residual]
    if doubtful.any():
        residuals.append(np.where(doubtful, middling, residual))
    return [np.clip(solution[:-1] / r, *equations.bounds) for r in residuals]


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


def _squared_coupling(
    problem: Problem,
    x: tuple[int, int],
    y: tuple[int, int],
    fixed_x: Array,
    fixed_y: Array,
    outer_y: Array,
    weight: Array,
) -> float:
    """sum over levels of x: weight * sum over levels of y of (z_x'M z_y)^2, M the projection off X."""
    (i, a), (j, b) = x, y
    gram = problem.gram
    if i == j:
        coupling = gram.diagonal[i][a, b]
        squares, along = coupling**2, coupling * fixed_y
    else:
        pairs = gram.pairs[min(i, j), max(i, j)]
        values = pairs.values[a, b] if i < j else pairs.values[b, a]
        own, other = (pairs.row, pairs.col) if i < j else (pairs.col, pairs.row)
        q = gram.n_levels[i]
        squares = np.bincount(own, values**2, q)
        along = np.array([np.bincount(own, values * f.take(other), q) for f in fixed_y]).reshape(len(fixed_y), q)
    # (F - b_x'b_y)^2 = F^2 - 2 F b_x'b_y + b_x'(b_y b_y')b_x
    return float((squares + (fixed_x * (outer_y @ fixed_x - 2.0 * along)).sum(axis=0)) @ weight)
