"""The profiled criterion as what the optimizer minimizes, over the points of the random terms.

The cheap curvature is the average information, the exact second derivatives are those of `mixfit.lmm.hessian`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.boundary import boundary_parameters
from mixfit.covariance.steps import leave_boundary, move, pivots, slopes_near, turned, units
from mixfit.lmm.criterion import evaluate, strengths
from mixfit.lmm.derivatives import differentiate, edge_curvature
from mixfit.lmm.explained import explained
from mixfit.lmm.given import given_direction, tied_slope
from mixfit.lmm.hessian import exact_hessian
from mixfit.optimize import descent
from mixfit.optimize.bounds import LONGEST_STEP
from mixfit.optimize.certificate import TOLERANCE
from mixfit.optimize.criterion import Price

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.errors import FitError
    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.derivatives import Derivatives
    from mixfit.lmm.problem import Problem
    from mixfit.optimize.certificate import BoundaryParameter, Certificate
    from mixfit.optimize.steps import Pivots

    Array = NDArray[np.float64]

# By how much log|A| may be rounded above its size: its second derivatives by the square of that, 1e-2 of them, and
# Newton's next step is then a hundredth of this one.
_STRONG = 1e7
# Size of Lambda'Z'Z Lambda beside I at which its own rounding is a hundredth of I.
_STRONGEST = 1e14
# Share of y'y that r^2 falls below wherever the response is explained exactly, and where effects are 1e4 times the
# residual. Only then are the rows asked.
_NEXT_TO_NOTHING = 1e-8
# Steps of the differences in coordinates of size 1, logarithms: their error is in the fourth digit.
_DIFFERENCE = 1e-4

__all__ = ["LinearCriterion", "LinearLocal", "LinearMinimum", "minimize", "shown"]


@dataclass(frozen=True, eq=False)
class LinearMinimum:
    """Where the optimizer stopped, with the derivatives there."""

    profile: Evaluation
    derivatives: Derivatives
    certificate: Certificate


@dataclass(frozen=True, eq=False)
class LinearLocal:
    """The criterion beside a profile, with the derivatives that it is made of; see `mixfit.optimize.criterion`."""

    derivatives: Derivatives
    pivots: Pivots
    longest: Array
    exits: tuple[BoundaryParameter, ...]
    endless: Sequence[Array] = ()

    @property
    def gradient(self) -> Array:
        """Along the derivatives' directions, (m,)."""
        return self.derivatives.gradient

    @property
    def curvature(self) -> Array:
        """The average information, (m, m)."""
        return self.derivatives.information

    @cached_property
    def unit(self) -> Array:
        """That of each direction, (m,)."""
        return units(self.derivatives.directions)


class LinearCriterion:
    """The profiled deviance or REML criterion of a problem; places are points, one a term.

    Parameters
    ----------
    problem : Problem
    reml : bool

    Attributes
    ----------
    is_explained : bool
        Whether it was found to have no minimum.
    """

    def __init__(self, problem: Problem, *, reml: bool) -> None:
        self.problem, self.reml = problem, reml
        # A sparse inverse has no second derivatives but differences.
        self.price = Price.DEAR if problem.gram.relationships else Price.CHEAP
        self.n_aside = 0
        self.is_explained = False

    def evaluate(self, place: Sequence[Array]) -> Evaluation:
        """The criterion at the same covariances by the points that steps are best made from."""
        return evaluate(self.problem, turned(self.problem.terms, place), reml=self.reml)

    def tolerance(self, found: Evaluation) -> float:
        """As the certificate's, unless the criterion is not known that well."""
        return max(TOLERANCE, found.resolution)

    def rank(self, found: Evaluation) -> int:
        """Columns with variance."""
        return sum(int(np.count_nonzero(columns)) for columns in found.regular)

    def local(self, found: Evaluation) -> LinearLocal:
        """Exact gradient and average information.

        Raises
        ------
        ExplainedError
            As `check`.
        """
        self.check(found)
        derivatives = differentiate(found)
        directions = derivatives.directions
        return LinearLocal(
            derivatives=derivatives,
            pivots=pivots(directions, derivatives.quadratic_share, derivatives.inverse_share),
            longest=np.full(len(directions), LONGEST_STEP),
            exits=self._exits(found, derivatives),
        )

    def check(self, found: Evaluation) -> None:
        """Refuse a criterion without a minimum at a place where next to nothing is left to the residual.

        Raises
        ------
        ExplainedError
            Where random and fixed effects explain the response exactly.
        """
        nothing = max(_NEXT_TO_NOTHING * float(self.problem.gram.corner[-1, -1]), self.problem.rounding)
        if found.residual < nothing and self.problem.is_explained:
            self.is_explained = True
            raise explained()

    def _exits(self, found: Evaluation, derivatives: Derivatives) -> tuple[BoundaryParameter, ...]:
        def curvature(index: int, change: Array) -> tuple[float, float]:
            return edge_curvature(found, derivatives, index, change)

        problem, slopes = self.problem, (derivatives.relative, derivatives.absolute)
        return boundary_parameters(problem.terms, found.points, problem.seen, *slopes, curvature)

    def hessian(self, found: Evaluation, local: LinearLocal) -> Array:
        """Exact second derivatives; forward differences of the exact gradient where rounding has taken those."""
        strength = max(strengths(self.problem, found.templates))
        if strength < _STRONG or (strength < _STRONGEST and found.factor.cancellation() < _STRONG):
            return exact_hessian(found, local.derivatives)
        directions = local.derivatives.directions
        tied = given_direction(self.problem.terms, directions)
        out = np.empty((len(directions), len(directions)))
        for a, row in enumerate(out):
            step = _DIFFERENCE * (np.arange(len(directions)) == a)
            moved = evaluate(self.problem, self.move(found, local, step, ()), reml=self.reml)
            there = differentiate(moved)
            along = slopes_near(self.problem.terms, moved.points, directions, there.relative, there.absolute)
            if tied is not None:
                along[tied] += tied_slope(moved.residual, moved.scale, self.problem.degrees(reml=self.reml))
            row[:] = (along - local.gradient) / _DIFFERENCE
        self.n_aside += len(directions)
        return 0.5 * (out + out.T)

    def move(self, found: Evaluation, local: LinearLocal, step: Array, vanishing: tuple[int, ...]) -> list[Array]:
        """Points a step away."""
        return move(self.problem.terms, found.points, local.derivatives.directions, step, vanishing)

    def leave(self, found: Evaluation, exit_: BoundaryParameter, variance: float) -> list[Array]:
        """Points with some variance along a direction without, or some way off a bound."""
        return leave_boundary(self.problem.terms, found.points, exit_, variance)

    def place(self, found: Evaluation) -> Sequence[Array]:
        """Its points."""
        return found.points

    def turned(self, place: Sequence[Array]) -> Sequence[Array]:
        """The place itself: `evaluate` turns it."""
        return place

    def refusal(self, error: FitError) -> FitError:
        """The error itself."""
        return error


def minimize(problem: Problem, starts: Sequence[Sequence[Array]], *, reml: bool) -> LinearMinimum:
    """Minimize the profiled criterion over the relative factors, from the best of the points `starts`."""
    optimum = descent.minimize(LinearCriterion(problem, reml=reml), [shown(problem, start) for start in starts])
    return LinearMinimum(optimum.found, optimum.local.derivatives, optimum.certificate)


def shown(problem: Problem, points: Sequence[Array]) -> list[Array]:
    """Points without what only columns that are zero in every row would tell."""
    triples = zip(problem.terms, points, problem.seen, strict=True)
    return [t.structure.shown(point, seen) for t, point, seen in triples]
