r"""Where a criterion of variances may have several minima, and places to look for them from.

One minimum is all that random models show where many levels tell of every covariance, and no two variances explain the
same differences. Two kinds do show several:

- covariances of which few levels tell nearly everything: few there are, or weights or covariates make the others say
  next to nothing. With F_j = Z_j'Z_j of a block of columns and G_j = F^(-1/2) F_j F^(-1/2), F their mean, these are
  as many as

      (sum_j tr G_j)^2 / (r sum_j tr G_j^2)      levels that tell the same, of r columns each:

  q of them where all F_j are equal, 1 where one is all there is, fewer where it is of some columns only;
- columns of one factor that have a variance each, no covariance, and are all but parallel within levels: an intercept
  and a covariate far from zero. What an intercept and a slope at the covariate's mean would explain takes large
  variances of both, of about the ratio mean^2 / variance of the covariate, and each alone is a minimum too.

The places have all variances alike, in units of the variance that a level's rows tell as much of as not. Where few
levels tell all, steps of the EM algorithm bring them to what the data say of each column and of their correlations, of
effects that are as if they were fixed and of others.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.gram.basis import RANK_TOLERANCE
from mixfit.lmm.by_gradient import is_estimated, root_of_gradient
from mixfit.lmm.derivatives import differentiate
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

# Squared cosine, within levels, from which two columns explain the same: a mean of two standard deviations; and that
# from which there may be several minima however many levels there are: a mean of eight. Of 50 random models between,
# with enough levels, none had several.
_PARALLEL = 0.8
_ALL_BUT_PARALLEL = 0.985
# Levels that tell all, below which there may be several minima: of 1,000 random models one in twenty has another one
# lower than that which the moment estimates lead to. Nine in ten of these have fewer levels, or parallel columns, and
# half of all models have more.
_FEW = 2.65
# Sizes of the variances where few levels tell all, and how many steps of the EM algorithm are made from there: of 1,000
# random models with 44 minima that were missed, searches from these miss five, with two of them nine, from sizes alone
# seven in half again the evaluations.
_SIZES = ((1e4, 1), (10.0, 2), (10.0, 0))
# Searches that must agree there: all of them; elsewhere one is enough.
_AGREEING = 3
# Sizes where columns are parallel, over what their angle leaves.
_PARALLEL_SIZES = (3.0, 1e2)
# Random effects beyond which an evaluation costs more than all around it: searches are made from below only.
_MANY_EFFECTS = 2000
# Logarithm of a ratio of variances that no two minima of random models are as close as.
_CLOSE = 1.0


def search(problem: Problem, *, reml: bool, start: Sequence[Array] | None = None) -> LinearMinimum:
    """Minimize from the moment estimates, or from points `start`, and from other places where there may be several."""
    equations = moment_equations(problem)
    starts = start_points(problem, equations) if start is None else [list(start)]
    if is_estimated(problem):
        root = root_of_gradient(problem, starts[0], reml=reml)
        return LinearMinimum(root.profile, root.derivatives, root.certificate)
    several = len(equations.columns) > 1 and all(term.structure.free_blocks for term in problem.terms)
    parallel = _parallel(problem, equations) if several else 0.0
    few = several and _telling(problem, together=parallel > _PARALLEL) < _FEW
    if not (few or parallel > _ALL_BUT_PARALLEL):
        first = minimize(problem, starts, reml=reml)
        if start is None or first.certificate.converged:
            return first
    own = [shown(problem, points) for points in starts]
    criterion = LinearCriterion(problem, reml=reml)
    places, n_aside = _other_places(criterion, equations, few=few, parallel=parallel)
    if start is not None:
        places += [shown(problem, points) for points in start_points(problem, equations)]
    effects = sum(k * q for k, q in zip(problem.gram.k, problem.gram.n_levels, strict=True))
    criterion.n_aside += n_aside
    optimum = search_from_all(
        criterion,
        own,
        places,
        partial(_same, problem),
        only_below=effects > _MANY_EFFECTS,
        agreeing=_AGREEING if few else 1,
    )
    return LinearMinimum(optimum.found, optimum.local.derivatives, optimum.certificate)


def _other_places(
    criterion: LinearCriterion, equations: MomentEquations, *, few: bool, parallel: float
) -> tuple[list[Sequence[Array]], int]:
    """Places to look again from, and the evaluations that led there."""
    problem = criterion.problem
    places: list[Sequence[Array]] = []
    n_evaluations = 0
    for size, steps in _SIZES * few:
        place: Sequence[Array] = points_at(problem, equations, size * equations.units)
        with suppress(FitError):
            for _ in range(steps):
                n_evaluations += 1
                place = _expected(criterion.evaluate(shown(problem, place)))
            places.append(place)
    if parallel > _PARALLEL:
        sizes = [size / max(1.0 - parallel, np.finfo(float).eps) for size in _PARALLEL_SIZES]
        places += [shown(problem, points_at(problem, equations, size * equations.units)) for size in sizes]
    return places, n_evaluations


def _expected(at: Evaluation) -> list[Array]:
    """A step of the EM algorithm, to the mean over the levels of E(bb' | y) / sigma^2 = T (I - T'N T / q) T'.

    Laird & Ware (1982), Biometrics 38, eq. 3.5 and 3.6.
    """
    problem, relative = at.problem, differentiate(at).relative
    out = []
    for term, t, slope in zip(problem.terms, at.templates, relative, strict=True):
        point = np.zeros(t.shape)
        share = np.eye(term.k) - slope / problem.gram.n_levels[term.factor]
        for block in term.structure.free_blocks:
            values, vectors = np.linalg.eigh(share[block, block])
            point[block, block] = t[block, block] @ (vectors * np.sqrt(np.maximum(values, 0.0)))
        out.append(point)
    return out


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


def _telling(problem: Problem, *, together: bool) -> float:
    """Least number of levels that would tell as much of a covariance, or of all of a factor, if they told the same."""
    gram = problem.gram
    if together:
        return min(_like_levels(squares) for squares in gram.diagonal)
    return min(
        _like_levels(gram.diagonal[term.factor][term.columns, term.columns][block, block])
        for term in problem.terms
        for block in term.structure.free_blocks
    )


def _like_levels(squares: Array) -> float:
    """(sum_j tr G_j)^2 / (r sum_j tr G_j^2) for F_j of q levels, (k, k, q); infinite where there is nothing."""
    values, vectors = np.linalg.eigh(squares.sum(axis=2))
    seen = values > RANK_TOLERANCE * values[-1]
    if not seen.any():
        return np.inf
    root = vectors[:, seen] / np.sqrt(values[seen])
    relative = root.T @ squares.transpose(2, 0, 1) @ root
    return float(np.count_nonzero(seen) / np.vdot(relative, relative))


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
