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
  variances of both, of about the ratio mean^2 / variance of the covariate, and each alone is a minimum too. Where the
  mean is one standard deviation or two, as of days since the first visit, only a minimum with one of them at zero is
  looked at twice.

Where few levels tell all, places of all sizes and correlations and the moment estimates are followed together by steps
of the EM algorithm (`mixfit.lmm.many_places`), and Newton's search is made from where those lead that end lowest: from
one where all lead to the same. Where that costs too much, a few places with all variances alike, in units of the
variance that a level's rows tell as much of as not, are followed one by one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.gram.basis import RANK_TOLERANCE
from mixfit.lmm.by_gradient import is_estimated, root_of_gradient
from mixfit.lmm.derivatives import differentiate
from mixfit.lmm.explained import explained
from mixfit.lmm.many_places import drawn_places, settle
from mixfit.lmm.minimize import LinearCriterion, LinearMinimum, minimize, shown
from mixfit.lmm.start import moment_equations, points_at, start_points
from mixfit.lmm.start_covariance import are_levels_alike, covariance_start
from mixfit.optimize.looks import search_from_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.problem import Problem
    from mixfit.lmm.start import MomentEquations

    Array = NDArray[np.float64]

__all__ = ["is_parallel", "like_levels", "may_be_several", "mean_cosine", "search"]

# Squared cosine, within levels, from which two columns explain the same: a mean of two standard deviations; and that
# from which there may be several minima however many levels there are: a mean of eight. Of 50 random models between,
# with enough levels, none had several.
_PARALLEL = 0.8
_ALL_BUT_PARALLEL = 0.985
# And that from which a minimum with a variance of zero may not be the lowest: a mean of one standard deviation. Of 60
# models of visits on days, ``(day || subject)``, 31 end so, and two of these had another minimum, up to 29 lower.
_SOMEWHAT_PARALLEL = 0.5
# Levels that tell all, below which there may be several minima: of 700 random models one in fifteen has another one
# lower than that which the moment estimates lead to, and one in seven hundred where more levels tell.
_FEW = 4.0
# Where steps of many places at once cost too much, sizes of the variances, and how many steps of the EM algorithm are
# made from there.
_SIZES = ((1e4, 1), (10.0, 2), (10.0, 0))
# Searches that must agree there: all of them; elsewhere one is enough.
_AGREEING = 3
# Sizes where columns are parallel, over what their angle leaves.
_PARALLEL_SIZES = (3.0, 1e2)
# A size at which what is left of a response that is explained exactly is nothing beside it.
_WIDEST = 1e12
# Random effects beyond which an evaluation costs more than all around it: searches are made from below only.
_MANY_EFFECTS = 2000
# Logarithm of a ratio of variances that no two minima of random models are as close as.
_CLOSE = 1.0
# Difference of the criterion from which places are not alike, however close beside what an average level tells: more
# than the steps of the EM algorithm leave to be gone down, nearly always.
_NO_DIFFERENCE = 0.5


def search(problem: Problem, *, reml: bool, start: Sequence[Array] | None = None) -> LinearMinimum:
    """Minimize from the moment estimates, or from points `start`, and from other places where there may be several."""
    covariance = covariance_start(problem, reml=reml) if start is None else None
    if covariance is not None and are_levels_alike(problem) and problem.gram.n_levels[0] > _FEW:
        # As many levels tell of the covariance as there are, and these moments are the minimum, or next to it.
        return minimize(problem, [[covariance]], reml=reml)
    equations = moment_equations(problem)
    starts = start_points(problem, equations) if start is None else [list(start)]
    starts += [] if covariance is None else [[covariance]]
    if is_estimated(problem):
        root = root_of_gradient(problem, starts[0], reml=reml)
        return LinearMinimum(root.profile, root.derivatives, root.certificate)
    several = len(equations.columns) > 1 and all(term.structure.free_blocks for term in problem.terms)
    parallel = _parallel(problem, equations) if several else 0.0
    few = several and _telling(problem, together=parallel > _PARALLEL) < _FEW
    criterion = LinearCriterion(problem, reml=reml)
    if not (few or parallel > _ALL_BUT_PARALLEL):
        first = minimize(problem, starts, reml=reml)
        certificate = first.certificate
        one_is_zero = bool(certificate.boundary) and parallel > _SOMEWHAT_PARALLEL
        if not one_is_zero and (start is None or certificate.converged):
            return first
        if certificate.converged:
            starts, criterion.n_aside = [list(first.profile.points)], certificate.n_evaluations
    if few:
        _check_widest(criterion, equations)
    settled = _settled(problem, equations, starts, reml=reml) if few else None
    own, n_steps = settled or ([shown(problem, points) for points in starts], 0)
    cosine = 0.0 if few and parallel <= _PARALLEL else parallel
    places, n_aside = _other_places(criterion, equations, few=few and settled is None, parallel=cosine)
    if start is not None:
        places += [shown(problem, points) for points in start_points(problem, equations)]
    effects = sum(k * q for k, q in zip(problem.gram.k, problem.gram.n_levels, strict=True))
    criterion.n_aside += n_steps + n_aside
    optimum = search_from_all(
        criterion,
        [*own, *places],
        lambda a, b: _alike(problem, a.templates, b.templates),
        only_below=effects > _MANY_EFFECTS,
        agreeing=_AGREEING if few else 1,
    )
    if criterion.is_explained:
        raise explained()
    return LinearMinimum(optimum.found, optimum.local.derivatives, optimum.certificate)


def _check_widest(criterion: LinearCriterion, equations: MomentEquations) -> None:
    """Refuse a response that is explained exactly, where a search may end at a minimum beside the way to nothing."""
    with suppress(FitError):
        criterion.n_aside += 1
        found = criterion.evaluate(points_at(criterion.problem, equations, _WIDEST * equations.units))
        criterion.check(found)
    if criterion.is_explained:
        raise explained()


def _settled(
    problem: Problem, equations: MomentEquations, starts: Sequence[Sequence[Array]], *, reml: bool
) -> tuple[list[Sequence[Array]], int] | None:
    """Where places of all kinds and the starts lead, one of those that are alike, and the steps that led there."""
    kept = [relative_factors(problem.terms, points) for points in starts]
    places, n_steps = settle(problem, drawn_places(problem, equations), kept, reml=reml)
    different: list[tuple[float, Sequence[Array]]] = []
    for value, place in places:
        near = (other for lower, other in different if value - lower < _NO_DIFFERENCE)
        if not any(_alike(problem, place, other) for other in near):
            different.append((value, place))
    return ([shown(problem, place) for _, place in different], n_steps) if different else None


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
    if parallel:
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
                largest = max(largest, float(mean_cosine(d[a, a], d[b, b], d[a, b])))
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
    """That of F_j of q levels, (k, k, q); infinite where there is nothing."""
    return float(like_levels(squares.transpose(2, 0, 1)))


def like_levels(squares: Array) -> Array:
    """(sum_j tr G_j)^2 / (r sum_j tr G_j^2) for F_j of q levels, (..., q, k, k); infinite where there is nothing."""
    values, vectors = np.linalg.eigh(squares.sum(axis=-3))
    seen = values > RANK_TOLERANCE * values[..., -1:]
    root = vectors / np.sqrt(np.where(seen, values, np.inf))[..., None, :]
    relative = root.swapaxes(-1, -2)[..., None, :, :] @ squares @ root[..., None, :, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(seen.any(axis=-1), seen.sum(axis=-1) / (relative**2).sum(axis=(-3, -2, -1)), np.inf))


def mean_cosine(one: Array, other: Array, product: Array) -> Array:
    """Mean squared cosine of two columns within levels, from their squares and products (..., q)."""
    both = one * other
    cosine = np.divide(product**2, both, out=np.zeros_like(both), where=both > 0.0)
    lengths = np.sqrt(both)
    return np.asarray((cosine * lengths).sum(axis=-1) / np.maximum(lengths.sum(axis=-1), np.finfo(float).tiny))


def is_parallel(parallel: Array) -> NDArray[np.bool_]:
    """Whether columns are so near to parallel that all of a factor counts as one covariance."""
    return np.asarray(parallel > _PARALLEL)


def may_be_several(telling: Array, parallel: Array) -> NDArray[np.bool_]:
    """Whether there may be several minima, from the number of levels that tell all and the cosine of parallel ones."""
    return np.asarray((telling < _FEW) | (parallel > _ALL_BUT_PARALLEL))


def _alike(problem: Problem, one: Sequence[Array], other: Sequence[Array]) -> bool:
    """Whether the covariances are close beside what the data tell of them.

    With H the mean cross-product of a level, H^(1/2) Sigma H^(1/2) + I of both: eigenvalues of their quotient near 1.
    """
    for term, s, t, squares in zip(problem.terms, one, other, problem.squares, strict=True):
        root = np.sqrt(squares)[:, None]
        first, second = ((root * x) @ (root * x).T + np.eye(term.k) for x in (s, t))
        ratio = np.linalg.eigvals(np.linalg.solve(first, second)).real
        if np.abs(np.log(np.maximum(ratio, np.finfo(float).tiny))).max() > _CLOSE:
            return False
    return True
