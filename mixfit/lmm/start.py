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
_LARGEST_RATIO = 1e4


def start_templates(problem: Problem) -> list[Array]:
    """Diagonal templates at the moment estimates, kept off the boundary."""
    gram = problem.gram
    columns = [(i, a) for i in range(gram.n_factors) for a in range(gram.k[i])]
    size = len(columns)
    expected = np.zeros((size + 1, size + 1))
    observed = np.zeros(size + 1)
    for x, (i, a) in enumerate(columns):
        own = gram.diagonal[i][a, a]
        weight = np.divide(1.0, own, out=np.zeros_like(own), where=own > 0)
        observed[x] = (gram.border[i][a, -1] ** 2) @ weight
        expected[x, size] = np.count_nonzero(own) - np.sum(gram.border[i][a, :-1] ** 2 @ weight)
        for y, (j, b) in enumerate(columns):
            expected[x, y] = _squared_coupling(problem, i, a, j, b, weight)
        expected[size, x] = own.sum() - np.sum(gram.border[i][a, :-1] ** 2)
    observed[size] = gram.corner[-1, -1]
    expected[size, size] = gram.n - problem.p
    scale = np.sqrt(np.abs(expected).max(axis=1))
    solution = np.linalg.lstsq(expected / scale[:, None], observed / scale, rcond=None)[0]
    residual = solution[-1] if solution[-1] > 0 else observed[size] / expected[size, size]
    variances = {}
    for x, (i, a) in enumerate(columns):
        typical = max(expected[size, x], np.finfo(float).tiny) / gram.n_levels[i]
        ratio = solution[x] / residual
        variances[i, a] = min(max(ratio, _SMALLEST_SHARE / typical), _LARGEST_RATIO)
    return [np.diag([np.sqrt(variances[t.factor, t.first + a]) for a in range(t.k)]) for t in problem.terms]


def _squared_coupling(problem: Problem, i: int, a: int, j: int, b: int, weight: Array) -> float:
    """sum over levels of row i's column a: weight * (z_ia'z_jb)^2."""
    gram = problem.gram
    if i == j:
        return float(gram.diagonal[i][a, b] ** 2 @ weight)
    if i < j:
        pairs = gram.pairs[i, j]
        return float(pairs.values[a, b] ** 2 @ weight[pairs.row])
    pairs = gram.pairs[j, i]
    return float(pairs.values[b, a] ** 2 @ weight[pairs.col])
