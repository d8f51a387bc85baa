"""Start values: Henderson's first method (1953), from the cross-products alone.

The sums of squares between the levels of each column, sum_j (z_j'e)^2 / z_j'z_j, have expectations that are
linear in the variances; solving for them costs one pass over the blocks and is, for balanced data, the
analysis of variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.products import Pairs
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["MomentEquations", "moment_equations", "start_points", "start_variances"]

_SMALLEST_SHARE = 0.1
_LARGEST_RATIO = 1e10
_DOUBTFUL_SHARE = 0.1
_MIDDLING_SHARE = 0.3


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


def moment_equations(problem: Problem) -> MomentEquations:
    """Expectations of the sums of squares between levels of every random column, and of the total."""
    gram = problem.gram
    columns = [(i, a) for i, k in enumerate(gram.k) for a in range(k)]
    size = len(columns)
    own = [slice(a, b) for a, b in pairwise(accumulate(gram.k, initial=0))]
    expected = np.zeros((size + 1, size + 1))
    fixed = [z[:, :-1] for z in gram.border]
    weights = []
    for i, f in enumerate(gram.diagonal):
        squares = np.einsum("aaq->aq", f)
        there = squares > 0
        weights.append(np.divide(1.0, squares, out=np.zeros(squares.shape), where=there))
        explained = np.einsum("apq,apq->aq", fixed[i], fixed[i])
        expected[own[i], size] = there.sum(axis=1) - np.einsum("aq,aq->a", explained, weights[i])
        expected[size, own[i]] = squares.sum(axis=1) - explained.sum(axis=1)
    # (F - b_x'b_y)^2 = F (F - 2 b_x'b_y) + b_x'(b_y b_y')b_x, F = z_x'z_y: the first part where levels meet
    weighed = [np.matmul(b * w[:, None], b.swapaxes(1, 2)) for b, w in zip(fixed, weights, strict=True)]
    outer = [np.matmul(b, b.swapaxes(1, 2)) for b in fixed]
    for i, f in enumerate(gram.diagonal):
        for j in range(gram.n_factors):
            expected[own[i], own[j]] = np.einsum("aru,bru->ab", weighed[i], outer[j])
        met = f * (f - 2.0 * np.einsum("apq,bpq->abq", fixed[i], fixed[i]))
        expected[own[i], own[i]] += np.einsum("abq,aq->ab", met, weights[i])
    for (i, j), pairs in gram.pairs.items():
        met = pairs.values * (pairs.values - 2.0 * _explained_pairs(fixed[i], fixed[j], pairs))
        expected[own[i], own[j]] += np.einsum("abe,ae->ab", met, weights[i].take(pairs.row, axis=1))
        expected[own[j], own[i]] += np.einsum("abe,be->ba", met, weights[j].take(pairs.col, axis=1))
    expected[size, size] = gram.n - problem.p
    return MomentEquations(
        columns, [w for of_factor in weights for w in of_factor], expected, _bounds(problem, columns, expected[size])
    )


def _explained_pairs(left: Array, right: Array, pairs: Pairs) -> Array:
    """b_x'b_y at the pairs of levels of two factors, b of shape (k, p, q): (k_i, k_j, pairs)."""
    out = np.zeros(pairs.values.shape)
    for x, y in zip(left.swapaxes(0, 1), right.swapaxes(0, 1), strict=True):
        out += x.take(pairs.row, axis=1)[:, None] * y.take(pairs.col, axis=1)
    return out


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
    least, most = equations.bounds
    return [np.minimum(np.maximum(solution[:-1] / r, least), most) for r in residuals]


def start_points(problem: Problem) -> list[list[Array]]:
    """Points of all terms at the moment estimates; see `start_variances`."""
    gram, equations = problem.gram, moment_equations(problem)
    squares = [(gram.border[i][a, -1] ** 2) @ w for (i, a), w in zip(equations.columns, equations.weights, strict=True)]
    observed = np.array([*squares, gram.corner[-1, -1]])[:, None]
    place = {column: x for x, column in enumerate(equations.columns)}
    out = []
    for variances in start_variances(equations, observed):
        own = [np.array([variances[place[t.factor, t.first + a], 0] for a in range(t.k)]) for t in problem.terms]
        starts = [t.structure.starts(v) for t, v in zip(problem.terms, own, strict=True)]
        # The structures with several go through them side by side.
        out += [[s[x % len(s)] for s in starts] for x in range(max(map(len, starts)))]
    return out
