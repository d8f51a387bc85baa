r"""Where a criterion of variances may have several minima, and places to look for them from.

One minimum is all that random models show where every level of a factor tells about as much as every other, and no two
variances explain the same differences. Two kinds do show several:

- columns of one factor that have a variance each, no covariance, and are all but parallel within levels: an intercept
  and a covariate far from zero. What an intercept and a slope at the covariate's mean would explain takes large
  variances of both, of about the ratio mean^2 / variance of the covariate, and each alone is a minimum too;
- rows of which few tell nearly everything, by weights over orders of magnitude or by their covariates: the variances
  may be such that they explain these, or the others.

The places have all variances alike, in units of the variance that a level's rows tell as much of as not.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.minimize import LinearCriterion, LinearMinimum, minimize, shown
from mixfit.lmm.start import moment_equations, points_at, start_points
from mixfit.optimize.looks import search_from_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.problem import Problem
    from mixfit.lmm.start import MomentEquations

    Array = NDArray[np.float64]

__all__ = ["search"]

# Squared cosine, within levels, from which two columns are all but parallel: a mean of two standard deviations.
_PARALLEL = 0.8
# Share of the levels that tell all, above which they tell about the same: of random models with several minima none
# has more.
_EVEN = 0.5
# The same where rows have no weights: that groups differ in size makes no second minimum.
_EVEN_ROWS = 0.25
# Sizes of the variances where few levels tell all, and where columns are parallel, over what their angle leaves.
_SIZES = (1.0, 1e2, 1e4, 1e6)
_PARALLEL_SIZES = (3.0, 1e2)
# Random effects beyond which an evaluation costs more than all around it: searches are made from below only.
_MANY_EFFECTS = 2000
# Logarithm of a ratio of variances that no two minima of random models are as close as.
_CLOSE = 0.2


def search(problem: Problem, *, reml: bool, start: Sequence[Array] | None = None) -> LinearMinimum:
    """Minimize from the moment estimates, or from points `start`, and from other places where there may be several."""
    equations = moment_equations(problem)
    starts = start_points(problem, equations) if start is None else [list(start)]
    others = [points_at(problem, equations, size * equations.units) for size in _sizes(problem, equations)]
    if not others:
        first = minimize(problem, starts, reml=reml)
        if start is None or first.certificate.converged:
            return first
    if start is not None:
        others = [*start_points(problem, equations), *others]
    effects = sum(k * q for k, q in zip(problem.gram.k, problem.gram.n_levels, strict=True))
    own, places = ([shown(problem, points) for points in given] for given in (starts, others))
    criterion = LinearCriterion(problem, reml=reml)
    optimum = search_from_all(
        criterion,
        own,
        places,
        partial(_same, problem),
        only_below=effects > _MANY_EFFECTS,
        thorough=bool(problem.log_weights) and _evenness(problem) < _EVEN,
    )
    return LinearMinimum(optimum.found, optimum.local.derivatives, optimum.certificate)


def _sizes(problem: Problem, equations: MomentEquations) -> tuple[float, ...]:
    """Sizes of the variances to look again from; none where one minimum is all there is."""
    if len(equations.columns) < 2 or not all(term.structure.free_blocks for term in problem.terms):
        return ()
    sizes: tuple[float, ...] = _SIZES if _evenness(problem) < (_EVEN if problem.log_weights else _EVEN_ROWS) else ()
    parallel = _parallel(problem, equations)
    if parallel > _PARALLEL:
        sizes += tuple(size / max(1.0 - parallel, np.finfo(float).eps) for size in _PARALLEL_SIZES)
    return sizes


def _parallel(problem: Problem, equations: MomentEquations) -> float:
    """Largest mean squared cosine, within levels, of two columns of a factor that have no covariance."""
    largest = 0.0
    block = {
        (term.factor, term.first + a): (x, b.start)
        for x, term in enumerate(problem.terms)
        for b in term.structure.free_blocks
        for a in range(b.start, b.stop)
    }
    for i, a in equations.columns:
        for j, b in equations.columns:
            if i == j and a < b and block[i, a] != block[i, b]:
                d = problem.gram.diagonal[i]
                both = d[a, a] * d[b, b]
                cosine = np.divide(d[a, b] ** 2, both, out=np.zeros_like(both), where=both > 0.0)
                largest = max(largest, float(cosine @ both**0.5 / max(float((both**0.5).sum()), np.finfo(float).tiny)))
    return largest


def _evenness(problem: Problem) -> float:
    """Least share of the levels that tells as much of a column as all do: (sum z'z)^2 / (q sum (z'z)^2)."""
    shares = [1.0]
    for term in problem.terms:
        own = np.einsum("aaq->aq", problem.gram.diagonal[term.factor][term.columns, term.columns])
        total, squares = own.sum(axis=1), (own**2).sum(axis=1)
        shares += (total[squares > 0.0] ** 2 / squares[squares > 0.0] / own.shape[1]).tolist()
    return min(shares)


def _same(problem: Problem, a: Evaluation, b: Evaluation) -> bool:
    """Whether the covariances are close beside what the data tell of them.

    With H the mean cross-product of a level, H^(1/2) Sigma H^(1/2) + I of both: eigenvalues of their quotient near 1.
    """
    for term, s, t, squares in zip(problem.terms, a.templates, b.templates, problem.squares, strict=True):
        root = np.sqrt(squares)[:, None]
        one, other = ((root * x) @ (root * x).T + np.eye(term.k) for x in (s, t))
        ratio = np.linalg.eigvals(np.linalg.solve(one, other)).real
        if np.abs(np.log(np.maximum(ratio, np.finfo(float).tiny))).max() > _CLOSE:
            return False
    return True
