"""Joint minimization of -2 log-likelihood over (theta, beta, phi) from exact gradients.

A marginal likelihood becomes what the optimizer minimizes (see `mixfit.optimize.descent`) in the coordinates
(directions of the templates, gamma, log phi). The cheap curvature is the working linear model's; the exact second
derivatives are differences of the exact gradient, and serve both the last Newton steps and the standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Generic

import numpy as np

from mixfit.covariance.boundary import boundary_parameters
from mixfit.covariance.steps import free_directions, leave_boundary, move, pivots, slopes_near, turned, units
from mixfit.errors import FitError
from mixfit.glmm.further_zeros import has_zeros, may_hide_zeros, with_zeros, without_zeros
from mixfit.glmm.objective import AnyPoint
from mixfit.glmm.problem import GeneralizedParameters
from mixfit.glmm.second_look import is_doubtful, is_same, leaves_out, unpooled
from mixfit.glmm.working import spectral_inverse
from mixfit.optimize.bounds import LONGEST_STEP
from mixfit.optimize.criterion import Price, values
from mixfit.optimize.descent import Descent, run
from mixfit.optimize.looks import look_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.glmm.objective import LikelihoodPoint, Objective
    from mixfit.glmm.problem import GeneralizedProblem, LikelihoodSlopes
    from mixfit.optimize.certificate import BoundaryParameter, Certificate
    from mixfit.optimize.steps import Pivots

    Array = NDArray[np.float64]

__all__ = ["UNDETERMINED", "GeneralizedCriterion", "GeneralizedMinimum", "minimize"]

# Of log phi and the shapes: a precision may lie orders of magnitude from where the data are first guessed to put it.
_LONGEST_LOG_PHI = 3.0
# Of the root mean square of a predictor of zeros or of dispersions: farther on, a mixture may have other modes.
_LONGEST_LOGIT = 0.5
# Share of a root mean square logit of one that counts as a step of one in the region of trust.
_LEAST_OF_LOGIT = 0.1
# Steps of the differences, in standard errors: their error is in the fourth digit of the second derivatives.
_DIFFERENCE = 1e-3
# No coordinate without curvature is moved farther than this times _DIFFERENCE; fixed effects by their own size.
_LONGEST_DIFFERENCE = 10.0
# On an orthonormal basis a coefficient is sqrt(n) times a predictor: 1e4 times _DIFFERENCE is 10 of them.
_LONGEST_FIXED_DIFFERENCE = 1e4
# An eigenvalue of the second derivatives, of unit diagonal, that their errors may hide; and one below which a direction
# is as good as flat, and steps along it are a hundred standard errors of its coordinates.
_FLAT = 1e-3
_FLATTEST = 1e-10
# Evaluations of a second search that leads nowhere, beside those of the first; and where a random column has no fixed
# effect, where the other optimum, if there is one, may be far.
_SECOND_LOOK = 0.35
_LONG_LOOK = 2.5
# A second derivative in a logarithm, of -2 log-likelihood, below which nothing is left of it.
_NOTHING = 1e-20
#: Share of the largest second derivative below which one is rounding of the differences.
UNDETERMINED = 1e-12


@dataclass(frozen=True, eq=False)
class GeneralizedMinimum(Generic[AnyPoint]):
    """Where the optimizer stopped.

    Attributes
    ----------
    point : LikelihoodPoint
    directions : list of Direction
        Free directions of the templates there.
    hessian : ndarray, shape (m + p (+ 1),) twice
        Second derivatives in (directions, gamma, log phi), made positive definite where they are not.
    certificate : Certificate
    """

    point: AnyPoint
    directions: list[Direction]
    hessian: Array
    certificate: Certificate

    @cached_property
    def covariance(self) -> Array:
        """That of the estimates, in the same coordinates; nothing of what the data do not determine."""
        return 2.0 * spectral_inverse(self.hessian, UNDETERMINED)


@dataclass(frozen=True, eq=False)
class _GeneralizedLocal:
    """The likelihood beside a point; the curvature is made where a step asks for it.

    Attributes
    ----------
    directions : list of Direction
    slopes : LikelihoodSlopes
    n_fixed, n_mean, n_rows : int
        Fixed effects, those of the mean, and rows.
    information : callable
        The working model's curvature.
    """

    gradient: Array
    pivots: Pivots
    longest: Array
    exits: tuple[BoundaryParameter, ...]
    endless: Sequence[Array]
    directions: list[Direction]
    slopes: LikelihoodSlopes
    n_fixed: int
    n_mean: int
    n_rows: int
    information: Callable[[], Array]

    @cached_property
    def curvature(self) -> Array:
        """The working model's, (m, m)."""
        return self.information()

    @cached_property
    def unit(self) -> Array:
        """Of the directions their own; fixed effects by what they add to the root of every row's deviance."""
        m, p = len(self.directions), self.n_fixed
        out = np.ones(len(self.gradient))
        out[:m] = units(self.directions)
        out[m : m + p] = np.sqrt(self.curvature.diagonal()[m : m + p] / self.n_rows)
        out[out <= 0.0] = 1.0
        # Where nothing is left of a logit's curvature, steps are no longer than some of it all the same.
        out[m + self.n_mean : m + p] = np.maximum(out[m + self.n_mean : m + p], _LEAST_OF_LOGIT / np.sqrt(self.n_rows))
        return out


class GeneralizedCriterion(Generic[AnyPoint]):
    """A marginal -2 log-likelihood; places are `GeneralizedParameters`.

    Parameters
    ----------
    objective : Objective
    """

    price = Price.DEAR

    def __init__(self, objective: Objective[AnyPoint]) -> None:
        self._objective = objective
        self._problem = objective.problem
        self._n_differences = 0

    @property
    def n_aside(self) -> int:
        """Evaluations for differences, of gradients and off the boundary."""
        return self._n_differences + self._objective.n_aside

    def evaluate(self, place: GeneralizedParameters) -> AnyPoint:
        """The likelihood at a point."""
        return self._objective.evaluate(place)

    def tolerance(self, found: AnyPoint) -> float:
        """A promised decrease below this is none."""
        return found.tolerance

    def rank(self, found: AnyPoint) -> int:
        """Columns with variance."""
        return sum(int(np.count_nonzero(columns)) for columns in found.center.regular)

    def local(self, found: AnyPoint) -> _GeneralizedLocal:
        """Exact gradient and the working model's curvature."""
        objective, problem, at = self._objective, self._problem, found.at
        objective.settle(found)
        slopes = objective.slopes(found)
        directions = free_directions(problem.terms, at.points, problem.seen)
        m, p = len(directions), len(at.gamma)
        longest = np.full(m + p + problem.family.n_tail, np.inf)
        longest[:m] = LONGEST_STEP
        longest[m + p :] = _LONGEST_LOG_PHI
        if problem.stack is not None:
            # Logits and logarithms too, of orthonormal columns.
            longest[m + problem.stack.n_fixed[0] : m + p] = _LONGEST_LOGIT * np.sqrt(problem.n)
        return _GeneralizedLocal(
            gradient=_slope_vector(slopes, directions),
            pivots=pivots(directions, slopes.quadratic_share, slopes.inverse_share),
            longest=longest,
            exits=self._exits(found, slopes),
            endless=self._endless(m, p),
            directions=directions,
            slopes=slopes,
            n_fixed=p,
            n_mean=p if problem.stack is None else problem.stack.n_fixed[0],
            n_rows=problem.n,
            information=partial(objective.information, found, directions),
        )

    def _endless(self, m: int, p: int) -> list[Array]:
        """log phi, shapes, and the logits of other predictors in rows that move alone, after m directions.

        Of a criterion in which the fixed effects are profiled out, p is zero.
        """
        stack, n_tail = self._problem.stack, self._problem.family.n_tail
        out = list(np.eye(m + p + n_tail)[m + p :])
        if stack is not None and p:
            out += [np.pad(along, (m, n_tail)) for along in stack.alone]
        return out

    def _exits(self, found: AnyPoint, slopes: LikelihoodSlopes) -> tuple[BoundaryParameter, ...]:
        problem, points = self._problem, found.at.points
        if not any(term.structure.is_on_bound(point) for term, point in zip(problem.terms, points, strict=True)):
            return ()
        objective = self._objective

        def curvature(term: int, change: Array) -> tuple[float, float]:
            return objective.edge_curvature(found, term, change)

        # In units of the predictor.
        largest = objective.predictor_square(found)
        absolute = objective.boundary_slopes(found, slopes)
        return boundary_parameters(problem.terms, points, problem.seen, slopes.relative, absolute, curvature, largest)

    def hessian(self, found: AnyPoint, local: _GeneralizedLocal) -> Array:
        """Forward differences of the exact gradient over a small step.

        Their errors are a share of the coordinates' own curvatures, and hide the curvature of a direction that has
        next to none, which would then have any: where there is one, they are made along the eigenvectors again.
        """
        at, gradient = found.at, local.gradient
        m, p = len(local.directions), len(at.gamma)
        if not len(gradient):
            return np.zeros((0, 0))
        scale = 1.0 / np.sqrt(np.maximum(local.curvature.diagonal(), np.finfo(float).tiny))
        longest = np.full(len(gradient), _LONGEST_DIFFERENCE)
        longest[m : m + p] = max(_LONGEST_FIXED_DIFFERENCE, float(np.linalg.norm(at.gamma)))
        # Logits and logarithms have no units: one where nothing is left of a slope is far out.
        natural = m + (self._problem.stack.n_fixed[0] if self._problem.stack is not None else p)
        natural = m if self._problem.family.link.has_scale else natural
        longest[natural : m + p] = _LONGEST_DIFFERENCE * np.sqrt(self._problem.n)
        step = _DIFFERENCE * np.minimum(scale, longest)
        out = self._changes(found, local, np.diag(step)) / step[:, None]
        out = 0.5 * (out + out.T)
        # A logarithm at the end of its range moves nothing, and what stands beside it is rounding.
        still = m + p + np.flatnonzero(np.abs(out.diagonal()[m + p :]) < _NOTHING)
        out[still], out[:, still] = 0.0, 0.0
        unit = np.sqrt(np.maximum(np.abs(out.diagonal()), np.finfo(float).tiny))
        unit[still] = 1.0
        values, vectors = np.linalg.eigh(out / unit / unit[:, None])
        if not abs(values[0]) < _FLAT:
            return out
        along = vectors / unit[:, None]
        with np.errstate(divide="ignore"):
            farthest = (_DIFFERENCE * longest[:, None] / np.abs(along)).min(axis=0)
        length = np.minimum(_DIFFERENCE / np.sqrt(np.maximum(np.abs(values), _FLATTEST)), farthest)
        inner = self._changes(found, local, (along * length).T) @ along / length[:, None]
        out = unit[:, None] * (vectors @ (0.5 * (inner + inner.T)) @ vectors.T) * unit
        out[still], out[:, still] = 0.0, 0.0
        return out

    def _changes(self, found: AnyPoint, local: _GeneralizedLocal, steps: Array) -> Array:
        """What the gradient changes by over steps (r, m): the same shape."""
        moved = [self.move(found, local, delta, ()) for delta in steps]
        self._n_differences += len(steps)
        slopes = self._objective.slopes_close_by(moved)
        along = [self._along(at.points, own, local) for at, own in zip(moved, slopes, strict=True)]
        return np.stack(along) - local.gradient

    def _along(self, points: Sequence[Array], slopes: LikelihoodSlopes, local: _GeneralizedLocal) -> Array:
        """Gradient at points close by, in the coordinates centred where `local` is."""
        along = slopes_near(self._problem.terms, points, local.directions, slopes.relative, slopes.absolute)
        return np.concatenate([along, slopes.gamma, slopes.tail])

    def move(
        self, found: AnyPoint, local: _GeneralizedLocal, step: Array, vanishing: tuple[int, ...]
    ) -> GeneralizedParameters:
        """The point a step away; the pivots that `vanishing` names are zero there."""
        at, m, p = found.at, len(local.directions), len(found.at.gamma)
        points = move(self._problem.terms, at.points, local.directions, step[:m], vanishing)
        phi, shape = at.stepped(self._problem.family, step[m + p :])
        return GeneralizedParameters(tuple(points), at.gamma + step[m : m + p], phi, shape)

    def leave(self, found: AnyPoint, exit_: BoundaryParameter, variance: float) -> GeneralizedParameters:
        """The point with some variance along a direction without, or some way off a bound."""
        points = leave_boundary(self._problem.terms, found.at.points, exit_, variance)
        return replace(found.at, points=tuple(points))

    def place(self, found: AnyPoint) -> GeneralizedParameters:
        """Its parameters."""
        return found.at

    def turned(self, place: GeneralizedParameters) -> GeneralizedParameters:
        """The same covariances by orthogonal columns: where T T' is nearly singular, others bend the way."""
        if all(term.k == 1 for term in self._problem.terms):
            return place
        return replace(place, points=tuple(turned(self._problem.terms, place.points)))

    def refusal(self, error: FitError) -> FitError:
        """A support with an edge is what leads nowhere."""
        family = self._problem.family
        if not family.has_edge:
            return error
        return FitError(
            f"The likelihood of the {family!r} model rises up to the edge of its support, where a linear predictor "
            "reaches zero: no estimate exists inside. Choose another link, such as log, or fewer columns."
        )


def _slope_vector(slopes: LikelihoodSlopes, directions: Sequence[Direction]) -> Array:
    """The gradient in (directions, gamma, tail), of the slopes at one point."""
    out = [d.slope(slopes.relative[d.term], slopes.absolute.get(d.term)) for d in directions]
    return np.concatenate([out, slopes.gamma, slopes.tail])


def minimize(
    objective: Objective[AnyPoint], *starts: GeneralizedParameters, twice: bool = False
) -> GeneralizedMinimum[AnyPoint]:
    """Minimize from the best of `starts` and, where there may be several optima and `twice` asks for it, from another.

    Raises
    ------
    FitError
        Where the likelihood is finite at none of them.
    """
    criterion = GeneralizedCriterion(objective)
    starts = tuple(_of_what_is_seen(objective.problem, at) for at in starts)
    first = run(Descent(criterion, values(criterion, starts)[0], len(starts)))
    optimum = look_again(first, criterion, _places(first.found), is_same) if twice else first.optimum()
    return GeneralizedMinimum(optimum.found, optimum.local.directions, optimum.curvature, optimum.certificate)


def _places(found: LikelihoodPoint) -> Iterator[tuple[Callable[[], GeneralizedParameters], float]]:
    """Where another optimum than this one may be found from, and what a search from there is worth."""
    if may_hide_zeros(found):
        yield partial(with_zeros, found), _SECOND_LOOK
    if has_zeros(found):
        yield partial(without_zeros, found), _SECOND_LOOK
    if is_doubtful(found):
        yield partial(unpooled, found), _LONG_LOOK if leaves_out(found) else _SECOND_LOOK


def _of_what_is_seen(problem: GeneralizedProblem, at: GeneralizedParameters) -> GeneralizedParameters:
    """The place itself, or with no variance of what no row shows: so that who comes back to it knows it again."""
    points = problem.shown(at.points)
    same = all(np.array_equal(own, before) for own, before in zip(points, at.points, strict=True))
    return at if same else replace(at, points=points)
