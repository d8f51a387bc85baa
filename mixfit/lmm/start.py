"""Start values: Henderson's first method (1953), from the cross-products alone.

The sums of squares between the levels of each column, sum_j (z_j'e)^2 / z_j'z_j, have expectations that are
linear in the variances; solving for them costs one pass over the blocks and is, for balanced data, the
analysis of variance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["start_templates"]

_SMALLEST_SHARE = 0.1
_LARGEST_RATIO = 1e10
_DOUBTFUL_SHARE = 0.1
_MIDDLING_SHARE = 0.3


def start_templates(problem: Problem) -> list[list[Array]]:
    """Diagonal templates at the moment estimates, kept off the boundary; zero for columns of zeros.

    Where the moments leave next to nothing for the residual they may have failed (many effects, few rows), or the
    effects may be that strong: a second set with a middling residual is offered beside the first.
    """
    gram = problem.gram
    columns = [(i, a) for i in range(gram.n_factors) for a in range(gram.k[i])]
    size = len(columns)
    expected = np.zeros((size + 1, size + 1))
    observed = np.zeros(size + 1)
    fixed = [gram.border[i][a, :-1] for i, a in columns]
    outer = [b @ b.T for b in fixed]
    for x, (i, a) in enumerate(columns):
        own = gram.diagonal[i][a, a]
        weight = np.divide(1.0, own, out=np.zeros_like(own), where=own > 0)
        observed[x] = (gram.border[i][a, -1] ** 2) @ weight
        expected[x, size] = np.count_nonzero(own) - np.sum(fixed[x] ** 2 @ weight)
        for y, (j, b) in enumerate(columns):
            expected[x, y] = _squared_coupling(problem, (i, a), (j, b), fixed[x], fixed[y], outer[y], weight)
        expected[size, x] = own.sum() - np.sum(fixed[x] ** 2)
    observed[size] = gram.corner[-1, -1]
    expected[size, size] = gram.n - problem.p
    scale = np.sqrt(np.abs(expected).max(axis=1))
    scale[scale == 0.0] = 1.0
    solution = np.linalg.lstsq(expected / scale[:, None], observed / scale, rcond=None)[0]
    total = observed[size] / expected[size, size]
    residuals = [max(float(solution[-1]), total / _LARGEST_RATIO)]
    if residuals[0] < _DOUBTFUL_SHARE * total:
        residuals.append(_MIDDLING_SHARE * total)
    return [_templates(problem, columns, solution / r, expected[size]) for r in residuals]


def _templates(problem: Problem, columns: list[tuple[int, int]], ratios: Array, traces: Array) -> list[Array]:
    gram = problem.gram
    variances = {}
    for x, (i, a) in enumerate(columns):
        typical = traces[x] / gram.n_levels[i]
        if typical <= 0.0:
            variances[i, a] = 0.0 if not gram.diagonal[i][a, a].any() else 1.0
            continue
        variances[i, a] = min(max(float(ratios[x]), _SMALLEST_SHARE / typical), _LARGEST_RATIO / typical)
    return [np.diag([np.sqrt(variances[t.factor, t.first + a]) for a in range(t.k)]) for t in problem.terms]


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
