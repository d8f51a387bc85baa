"""The profiled criterion as what the optimizer minimizes, over random terms and residuals together.

Without random effects the cheap curvature is the expected information and the exact second derivatives cost little;
with them the cheap one is the average information, and the exact ones are differences of the exact gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.boundary import boundary_parameters, newton_off
from mixfit.covariance.directions import ParameterDirection, regular_columns
from mixfit.covariance.parametric import Parametric
from mixfit.covariance.steps import leave_boundary, move, pivots, slopes_near, turned, units
from mixfit.covariance.term import Term
from mixfit.errors import FitError
from mixfit.lmm.derivatives import differentiate, edge_curvature
from mixfit.lmm.residual.covariance import restricted
from mixfit.lmm.residual.criterion import JointPlace, evaluate_joint
from mixfit.lmm.residual.derivatives import differentiate_joint, residual_rows, residual_slopes
from mixfit.lmm.residual.form import ResidualPoint
from mixfit.lmm.residual.information import average_information, exact_hessian, expected_information
from mixfit.lmm.residual.pattern_slopes import PatternSlopes
from mixfit.optimize import descent
from mixfit.optimize.bounds import LONGEST_STEP
from mixfit.optimize.certificate import TOLERANCE, BoundaryParameter
from mixfit.optimize.criterion import Local, Price
from mixfit.optimize.steps import Pivots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.lmm.residual.criterion import JointEvaluation, ResidualProblem
    from mixfit.lmm.residual.derivatives import JointDerivatives
    from mixfit.optimize.certificate import Certificate

    Array = NDArray[np.float64]

__all__ = ["JointCriterion", "JointLocal", "JointMinimum", "difference_hessian", "minimize_joint"]

# Central differences of the gradient, in standard errors: their error is a millionth of the curvature's own change
# over one, and that of rounding, some 1e-13 of the criterion over this, is as small.
_DIFFERENCE = 1e-3
# Share of the distance between two bounds that a step off one of them goes at most, as of random effects.
_REACH = 0.5


@dataclass(frozen=True, eq=False)
class JointMinimum:
    """Where the optimizer stopped, with the derivatives there."""

    derivatives: JointDerivatives
    certificate: Certificate


@dataclass(frozen=True, eq=False)
class JointLocal(Local):
    """The criterion beside a place, with the derivatives that it is made of."""

    derivatives: JointDerivatives


class JointCriterion:
    """The profiled deviance or REML criterion; places are `JointPlace`.

    Parameters
    ----------
    problem : ResidualProblem
    reml : bool
    """

    def __init__(self, problem: ResidualProblem, *, reml: bool) -> None:
        self.problem, self.reml = problem, reml
        self.n_aside = 0

    @property
    def price(self) -> Price:
        """Differences of the gradient are dear."""
        return Price.DEAR if self.problem.terms else Price.CHEAP

    def evaluate(self, place: JointPlace) -> JointEvaluation:
        """The criterion at a place."""
        return evaluate_joint(self.problem, place, reml=self.reml)

    def tolerance(self, found: JointEvaluation) -> float:
        """As the certificate's, unless the criterion is not known that well."""
        return max(TOLERANCE, found.resolution)

    def rank(self, found: JointEvaluation) -> int:
        """Columns of random effects with variance."""
        return sum(int(regular_columns(t).sum()) for t in found.at.templates)

    def local(self, found: JointEvaluation) -> JointLocal:
        """Exact gradient, and the cheap curvature."""
        d = differentiate_joint(found)
        own = list(d.directions)
        size = self.problem.form.sizes()
        first = units(d.random.directions) if d.random is not None else np.empty(0)
        return JointLocal(
            gradient=d.gradient,
            curvature=average_information(d) if self.problem.terms else expected_information(d),
            pivots=_random_pivots(d),
            longest=np.concatenate([np.full(d.n_random + len(own), LONGEST_STEP), LONGEST_STEP / size]),
            unit=np.concatenate([first, units(own), size]),
            exits=_exits(found, d),
            derivatives=d,
        )

    def hessian(self, found: JointEvaluation, local: JointLocal) -> Array:
        """Exact second derivatives, or central differences of the gradient."""
        if not self.problem.terms:
            return exact_hessian(local.derivatives)
        self.n_aside += 2 * len(local.gradient)
        return difference_hessian(local.derivatives, local.curvature)

    def move(self, found: JointEvaluation, local: JointLocal, step: Array, vanishing: tuple[int, ...]) -> JointPlace:
        """The place a step away."""
        return moved_place(local.derivatives, step, vanishing)

    def leave(self, found: JointEvaluation, exit_: BoundaryParameter, variance: float) -> JointPlace:
        """The place with some variance along a direction without, or some way off a bound."""
        place, n_terms = found.place, len(self.problem.terms)
        if exit_.term < n_terms:
            return replace(place, random=tuple(leave_boundary(self.problem.terms, place.random, exit_, variance)))
        part = exit_.term - n_terms
        points = list(place.residual.points)
        points[part] = self.problem.form.structures[part].left(points[part], exit_, variance)
        return replace(place, residual=replace(place.residual, points=tuple(points)))

    def place(self, found: JointEvaluation) -> JointPlace:
        """Its place."""
        return found.place

    def turned(self, place: JointPlace) -> JointPlace:
        """The same covariances by the points that steps are best made from."""
        structures = self.problem.form.structures
        points = tuple(s.turned(point) for s, point in zip(structures, place.residual.points, strict=True))
        same = all(a is b for a, b in zip(points, place.residual.points, strict=True))
        if same and all(term.k == 1 for term in self.problem.terms):
            return place
        random = tuple(turned(self.problem.terms, place.random))
        return JointPlace(random, replace(place.residual, points=points))

    def refusal(self, error: FitError) -> FitError:
        """The edge of what covariances there are is where too many parameters lead."""
        return FitError(
            "The likelihood rises up to where the residuals of a block determine one another: their covariance has too "
            "many parameters for these blocks. Take a structure with fewer, such as homcs, ar1 or homtoep."
        )


def _random_pivots(d: JointDerivatives) -> Pivots:
    if d.random is None:
        return Pivots((), (), ())
    return pivots(d.random.directions, d.random.quadratic_share, d.random.inverse_share)


def _exits(found: JointEvaluation, d: JointDerivatives) -> tuple[BoundaryParameter, ...]:
    """Ways off the bounds of random terms; then of residuals, whose parts count on from the terms."""
    return (*_random_exits(found, d), *_residual_exits(found, d))


def _random_exits(found: JointEvaluation, d: JointDerivatives) -> tuple[BoundaryParameter, ...]:
    random, problem = d.random, found.at.problem
    if random is None:
        return ()

    def curvature(index: int, change: Array) -> tuple[float, float]:
        return edge_curvature(found.at, random, index, change)

    return boundary_parameters(
        problem.terms, found.at.points, problem.seen, random.relative, random.absolute, curvature
    )


def _residual_exits(found: JointEvaluation, d: JointDerivatives) -> tuple[BoundaryParameter, ...]:
    """A structure may be on a bound where no block has rows at so many places that it is singular there."""
    form, points, own = found.problem.form, found.place.residual.points, d.slopes
    pairs = list(zip(form.structures, points, strict=True))
    if not any(structure.is_on_bound(point) for structure, point in pairs):
        return ()
    if form.has_own_points:
        return tuple(b for part, (s, point) in enumerate(pairs) for b in _exits_within(found, part, s, point))
    assert isinstance(own, PatternSlopes)
    slopes = [own.structure_slope(part) for part in range(len(pairs))]

    def curvature(part: int, change: Array) -> tuple[float, float]:
        whole = np.zeros((len(pairs), *change.shape))
        whole[part] = change
        patterns = own.form.layout.patterns
        along = [f.along(restricted(whole, p)) for f, p in zip(own.factor.each, patterns, strict=True)]
        counts = [p.count[:, None, None] for p in patterns]
        second = sum(float((n * a * a).sum()) for n, a in zip(counts, along, strict=True))
        quadratic = sum(float(np.vdot(a, m.of_error)) for a, m in zip(along, own.moments, strict=True))
        return second, quadratic / found.at.scale

    out = boundary_parameters(
        [Term(0, 0, structure.k, structure) for structure, _ in pairs],
        points,
        [np.ones(structure.k, dtype=bool) for structure, _ in pairs],
        [relative for relative, _ in slopes],
        {part: n for part, (_, n) in enumerate(slopes) if n is not None},
        curvature,
    )
    return tuple(replace(b, term=b.term + len(found.problem.terms)) for b in out)


def _exits_within(found: JointEvaluation, part: int, structure: Structure, point: Array) -> list[BoundaryParameter]:
    """Ways off the bounds of shapes whose coordinates are regular there, as a nugget is, by the slope along each.

    A decay of zero has a logarithm, which is not: no search gets there.
    """
    assert isinstance(structure, Parametric)
    (lower, upper), rates, nothing, out = structure.box(), structure.rates(point), np.empty((0, 0)), []
    rows, n_terms = residual_rows(found), len(found.problem.terms)
    for m in range(structure.n_deviations, len(point)):
        if lower[m] < point[m] < upper[m] or not rates[m, m]:
            continue
        inward = 1.0 if point[m] <= lower[m] else -1.0
        reach, off = _REACH * float(upper[m] - lower[m]), point.copy()
        off[m] += inward * reach
        direction = ParameterDirection(part, nothing, m, nothing, None, False, False)
        own = residual_slopes(found, (direction,), rows)
        slope = inward * float(own.gradient()[0] / rates[m, m])
        decrease, size = 0.0, 0.0
        if slope < 0:
            second = float(own.pair_traces()[0, 0] / rates[m, m] ** 2)
            quadratic = inward * float(own.quadratics()[0] / rates[m, m]) / found.at.scale
            decrease, size = newton_off(slope, second, quadratic, reach)
        out.append(BoundaryParameter(n_terms + part, off, slope, decrease, size, m, reach))
    return out


def moved_place(d: JointDerivatives, step: Array, vanishing: tuple[int, ...] = ()) -> JointPlace:
    """The place that a step in the coordinates of the derivatives leads to."""
    problem, place = d.at.problem, d.at.place
    m, r = d.n_random, len(d.directions)
    random = place.random
    if d.random is not None:
        random = tuple(move(problem.terms, random, d.random.directions, step[:m], vanishing))
    points = []
    for part, (structure, point) in enumerate(zip(problem.form.structures, place.residual.points, strict=True)):
        own = [(x, float(step[m + a])) for a, x in enumerate(d.directions) if x.term == part]
        points.append(structure.moved(point, own, []) if own else point)
    return JointPlace(random, ResidualPoint(tuple(points), place.residual.gamma + step[m + r :]))


def difference_hessian(d: JointDerivatives, curvature: Array) -> Array:
    """Central differences of the exact gradient, in steps that suit a rough `curvature`: (m, m)."""
    m = len(d.gradient)
    step = _DIFFERENCE / np.sqrt(np.maximum(curvature.diagonal(), 1.0))
    out = np.empty((m, m))
    for a in range(m):
        delta = np.zeros(m)
        delta[a] = step[a]
        ahead, behind = (_gradient_near(d, sign * delta) for sign in (1.0, -1.0))
        out[a] = (ahead - behind) / (2.0 * step[a])
    return 0.5 * (out + out.T)


def _gradient_near(d: JointDerivatives, step: Array) -> Array:
    """The gradient a small step away, in the coordinates centred where `d` is."""
    problem = d.at.problem
    there = differentiate_joint(evaluate_joint(problem, moved_place(d, step), reml=d.at.at.reml))
    out = np.empty(len(d.gradient))
    if d.random is not None:
        after = there.random if there.random is not None else differentiate(there.at.at)
        points, directions = there.at.at.points, d.random.directions
        out[: d.n_random] = slopes_near(problem.terms, points, directions, after.relative, after.absolute)
    for part, (structure, point) in enumerate(
        zip(problem.form.structures, there.at.place.residual.points, strict=True)
    ):
        own = [a for a, x in enumerate(d.directions) if x.term == part]
        mine = [d.directions[a] for a in own]
        at = d.n_random + np.array(own, dtype=np.intp)
        if isinstance(there.slopes, PatternSlopes) and not problem.form.has_own_points:
            out[at] = structure.slopes_after(mine, point, *there.slopes.structure_slope(part))
        else:
            # The same coordinates everywhere, and inside the bounds the same directions.
            out[at] = there.residual_gradient[own]
    if problem.form.g:
        out[-problem.form.g :] = there.residual_gradient[-problem.form.g :]
    return out


def minimize_joint(problem: ResidualProblem, starts: Sequence[JointPlace], *, reml: bool) -> JointMinimum:
    """Minimize the criterion from the best of `starts`."""
    optimum = descent.minimize(JointCriterion(problem, reml=reml), starts)
    return JointMinimum(optimum.local.derivatives, optimum.certificate)
