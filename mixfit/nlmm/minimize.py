"""The approximated likelihood of a nonlinear model as what the optimizer minimizes, over (theta, beta, gamma).

The cheap curvature is that of the linear model beside the point; the exact second derivatives are differences of the
exact gradient, and serve the last steps and the standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.boundary import boundary_parameters
from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import free_directions, leave_boundary, move, pivots, slopes_near, turned, units
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate, edge_curvature
from mixfit.nlmm.problem import NonlinearParameters
from mixfit.nlmm.working import linear_model_beside
from mixfit.optimize import descent
from mixfit.optimize.bounds import LONGEST_STEP
from mixfit.optimize.criterion import Local, Price

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.errors import FitError
    from mixfit.nlmm.laplace import Approximation, NonlinearPoint, NonlinearSlopes
    from mixfit.optimize.certificate import BoundaryParameter
    from mixfit.optimize.descent import Optimum

    Array = NDArray[np.float64]

__all__ = ["NonlinearCriterion", "NonlinearLocal", "minimize"]

# Steps of the differences, in standard errors: their error is in the fourth digit of the second derivatives.
_DIFFERENCE = 1e-3
# A direction without curvature is moved no farther than this.
_LONGEST_DIFFERENCE = 1e-2


@dataclass(frozen=True, eq=False)
class NonlinearLocal(Local):
    """The criterion beside a point, with its slopes and the directions they are in."""

    directions: list[Direction]
    slopes: NonlinearSlopes


class NonlinearCriterion:
    """An approximation of a problem's likelihood; places are `NonlinearParameters`.

    Parameters
    ----------
    approximation : Approximation
    """

    price = Price.DEAR

    def __init__(self, approximation: Approximation) -> None:
        self.approximation, self.problem = approximation, approximation.problem
        self.n_aside = 0
        self._near: list[Array] | None = None

    def evaluate(self, place: NonlinearParameters) -> NonlinearPoint:
        """The approximation at a place; the mode is looked for from that of the last place gone on from."""
        return self.approximation.evaluate(place, self._near)

    def tolerance(self, found: NonlinearPoint) -> float:
        """A promised decrease below this is none."""
        return found.tolerance

    def rank(self, found: NonlinearPoint) -> int:
        """Columns with variance."""
        return sum(int(regular_columns(t).sum()) for t in found.mode.templates)

    def local(self, found: NonlinearPoint) -> NonlinearLocal:
        """Exact gradient, and the curvature of the linear model beside the point."""
        problem, points = self.problem, found.at.points
        self._near = found.mode.u
        slopes = self.approximation.slopes(found)
        directions = free_directions(problem.terms, points, problem.seen)
        m, p, g = len(directions), problem.p, problem.log_deviations.shape[1]
        beside = linear_model_beside(found.problem, found.mode)
        profile = evaluate(beside.problem, points, reml=False)
        derivatives = differentiate(profile)
        curvature = np.zeros((m + p + g, m + p + g))
        curvature[:m, :m] = derivatives.average
        # Of the log standard deviations of rows without random effects, sigma profiled out.
        centred = problem.log_deviations - problem.log_deviations.mean(axis=0)
        curvature[m + p :, m + p :] = 4.0 * centred.T @ centred
        curvature[m : m + p, m : m + p] = 2.0 * beside.information(profile) / found.scale
        longest = np.full(m + p + g, np.inf)
        longest[:m] = LONGEST_STEP
        unit = np.concatenate([units(directions), np.sqrt(curvature.diagonal()[m:] / problem.n)])

        def curved(index: int, change: Array) -> tuple[float, float]:
            return edge_curvature(profile, derivatives, index, change)

        absolute = self.approximation.boundary_slopes(found, slopes)
        exits = boundary_parameters(problem.terms, points, problem.seen, slopes.relative, absolute, curved)
        return NonlinearLocal(
            gradient=_vector(slopes, directions),
            curvature=curvature,
            pivots=pivots(directions, slopes.quadratic_share, slopes.inverse_share),
            longest=longest,
            unit=unit,
            exits=exits,
            directions=directions,
            slopes=slopes,
        )

    def hessian(self, found: NonlinearPoint, local: NonlinearLocal) -> Array:
        """Central differences of the exact gradient over a small step."""
        size = len(local.gradient)
        scale = 1.0 / np.sqrt(np.maximum(local.curvature.diagonal(), np.finfo(float).tiny))
        m = len(local.directions)
        step = _DIFFERENCE * scale
        step[:m] = np.minimum(step[:m], _LONGEST_DIFFERENCE)
        out = np.empty((size, size))
        for a in range(size):
            delta = np.zeros(size)
            delta[a] = step[a]
            sides = [self.evaluate(self.move(found, local, d, ())) for d in (delta, -delta)]
            out[a] = (self._along(sides[0], local) - self._along(sides[1], local)) / (2.0 * step[a])
        self.n_aside += 2 * size
        return 0.5 * (out + out.T)

    def _along(self, moved: NonlinearPoint, local: NonlinearLocal) -> Array:
        """Gradient at a point close by, in the coordinates centred where `local` is."""
        slopes = self.approximation.slopes(moved)
        points = moved.at.points
        along = slopes_near(self.problem.terms, points, local.directions, slopes.relative, slopes.absolute)
        return np.concatenate([along, slopes.beta, slopes.gamma])

    def move(
        self, found: NonlinearPoint, local: NonlinearLocal, step: Array, vanishing: tuple[int, ...]
    ) -> NonlinearParameters:
        """The point a step away; the pivots that `vanishing` names are zero there."""
        at, m, p = found.at, len(local.directions), self.problem.p
        points = move(self.problem.terms, at.points, local.directions, step[:m], vanishing)
        return NonlinearParameters(tuple(points), at.beta + step[m : m + p], at.gamma + step[m + p :])

    def leave(self, found: NonlinearPoint, exit_: BoundaryParameter, variance: float) -> NonlinearParameters:
        """The point with some variance along a direction without, or some way off a bound."""
        points = leave_boundary(self.problem.terms, found.at.points, exit_, variance)
        return replace(found.at, points=tuple(points))

    def place(self, found: NonlinearPoint) -> NonlinearParameters:
        """Its parameters."""
        return found.at

    def turned(self, place: NonlinearParameters) -> NonlinearParameters:
        """The same covariances by the points that steps are best made from."""
        if all(term.k == 1 for term in self.problem.terms):
            return place
        return replace(place, points=tuple(turned(self.problem.terms, place.points)))

    def refusal(self, error: FitError) -> FitError:
        """The error itself."""
        return error


def _vector(slopes: NonlinearSlopes, directions: list[Direction]) -> Array:
    """The gradient in (directions, beta, gamma)."""
    own = [d.slope(slopes.relative[d.term], slopes.absolute.get(d.term)) for d in directions]
    return np.concatenate([own, slopes.beta, slopes.gamma])


def minimize(approximation: Approximation, start: NonlinearParameters) -> Optimum[NonlinearPoint, NonlinearLocal]:
    """Minimize from `start`."""
    return descent.minimize(NonlinearCriterion(approximation), [start])
