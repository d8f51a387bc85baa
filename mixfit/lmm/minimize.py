"""Newton steps for linear models.

The average information is the curvature as long as it serves. Where the promised decrease no longer falls from step to
step it is none, and the criterion's own second derivatives take its place, in a region of trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.boundary import boundary_parameters
from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import leave_boundary, move, pivots, turned
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate, edge_curvature
from mixfit.lmm.hessian import exact_hessian
from mixfit.optimize.bounds import CREEPING, LONGEST_STEP
from mixfit.optimize.certificate import TOLERANCE, Certificate
from mixfit.optimize.steps import negligible, newton_step, scaled_step
from mixfit.optimize.trust_region import TrustRegion, quadratic_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.criterion import Profile
    from mixfit.lmm.derivatives import Derivatives
    from mixfit.lmm.problem import Problem
    from mixfit.optimize.certificate import BoundaryParameter
    from mixfit.optimize.trust_region import QuadraticModel

    Array = NDArray[np.float64]

__all__ = ["Optimum", "minimize"]

_MAX_ITERATIONS = 200
_MAX_HALVINGS = 25


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the optimizer stopped, with the derivatives there."""

    profile: Profile
    derivatives: Derivatives
    certificate: Certificate


def minimize(problem: Problem, starts: Sequence[Sequence[Array]], *, reml: bool) -> Optimum:
    """Minimize the profiled criterion over the relative factors, from the best of the points `starts`."""
    terms = problem.terms
    visible = [
        [term.structure.shown(point, seen) for term, point, seen in zip(terms, start, problem.seen, strict=True)]
        for start in starts
    ]
    tried = [evaluate(problem, turned(terms, start), reml=reml) for start in visible]
    profile = min(tried, key=lambda at: at.value)
    evaluations, message = len(tried), "iteration limit"
    patience, region, last, creeping = _Patience(), TrustRegion(), np.inf, False
    for _ in range(_MAX_ITERATIONS):
        derivatives = differentiate(profile)
        boundary = _boundary(profile, derivatives)
        full, decrease = newton_step(derivatives.information, derivatives.gradient)
        away = max(boundary, key=lambda b: b.predicted_decrease, default=None)
        off = 0.0 if away is None else away.predicted_decrease
        tolerance = max(TOLERANCE, profile.resolution)
        # Once it creeps the average information is no curvature, of this place or of those nearby.
        creeping = creeping or max(decrease, off) > CREEPING * last
        last = max(decrease, off)
        sharp = _sharpen(profile, derivatives) if creeping else None
        if sharp is not None:
            decrease = sharp.model.step(LONGEST_STEP)[1]
        if decrease <= tolerance and off <= tolerance:
            message = "optimality conditions hold"
            break
        if away is not None and off > decrease:
            candidates = leave_boundary(terms, profile.points, away)
        elif sharp is not None:
            candidates = _trusted(profile, derivatives, sharp, region, patience)
        else:
            candidates = _candidates(profile, derivatives, full, patience)
        region.promised = 0.0
        for points in candidates:
            trial = evaluate(problem, turned(terms, points), reml=reml)
            evaluations += 1
            if trial.value < profile.value + profile.resolution:
                break
        else:
            message = "no step decreases the criterion"
            break
        region.learn(profile.value - trial.value, profile.resolution)
        if _rank(trial) < _rank(profile):
            patience = _Patience()
        if _rank(trial) != _rank(profile):
            last = np.inf
        profile = trial
    certificate = _certificate(derivatives, decrease, boundary, tolerance, evaluations, message)
    return Optimum(profile, derivatives, certificate)


@dataclass(frozen=True, eq=False)
class _Sharp:
    """The criterion's own second derivatives.

    Attributes
    ----------
    model : QuadraticModel
        In coordinates that count a column's turn in radians.
    unit : ndarray, shape (m,)
        What the coordinates of the directions are multiplied by for that.
    diagonal : ndarray, shape (m,)
        Second derivative along each direction.
    """

    model: QuadraticModel
    unit: Array
    diagonal: Array


def _sharpen(profile: Profile, derivatives: Derivatives) -> _Sharp:
    unit = np.array([d.unit for d in derivatives.directions])
    hessian = exact_hessian(profile, derivatives)
    model = quadratic_model(hessian / np.outer(unit, unit), derivatives.gradient / unit)
    return _Sharp(model, unit, hessian.diagonal())


def _trusted(
    profile: Profile, derivatives: Derivatives, sharp: _Sharp, region: TrustRegion, patience: _Patience
) -> Iterator[list[Array]]:
    """Points to try with the exact second derivatives, best first."""
    terms, directions, gradient = profile.problem.terms, derivatives.directions, derivatives.gradient
    nothing = negligible(pivots(directions, derivatives.quadratic_share, derivatives.inverse_share))
    # Along v = |T_j|^2 the derivatives are g / 2v and (H - 2g) / 4v^2: Newton's step is -v or beyond.
    vanishing = tuple(
        a
        for a, d in enumerate(directions)
        if a in nothing or (d.is_pivot and gradient[a] > 0.0 and sharp.diagonal[a] <= 4.0 * gradient[a])
    )
    if vanishing and patience.allows():
        step = sharp.model.step(region.radius)[0] / sharp.unit
        yield move(terms, profile.points, directions, step, vanishing)
        if len(vanishing) > 1:
            yield move(terms, profile.points, directions, step, (_least(derivatives, vanishing),))
    for step in region.steps(sharp.model):
        yield move(terms, profile.points, directions, step / sharp.unit)


def _rank(profile: Profile) -> int:
    return sum(int(regular_columns(t).sum()) for t in profile.templates)


def _certificate(
    derivatives: Derivatives,
    decrease: float,
    boundary: tuple[BoundaryParameter, ...],
    tolerance: float,
    evaluations: int,
    message: str,
) -> Certificate:
    off = max((b.predicted_decrease for b in boundary), default=0.0)
    return Certificate(
        converged=max(decrease, off) <= tolerance,
        projected_gradient=float(np.abs(derivatives.gradient).max(initial=0.0)),
        predicted_decrease=decrease,
        boundary=boundary,
        tolerance=tolerance,
        n_evaluations=evaluations,
        message=message,
    )


def _boundary(profile: Profile, derivatives: Derivatives) -> tuple[BoundaryParameter, ...]:
    def curvature(index: int, change: Array) -> tuple[float, float]:
        return edge_curvature(profile, derivatives, index, change)

    problem, slopes = profile.problem, (derivatives.relative, derivatives.absolute)
    return boundary_parameters(problem.terms, profile.points, problem.seen, *slopes, curvature)


@dataclass
class _Patience:
    """How long to wait before the boundary is tried again: longer after every failure."""

    failures: int = 0
    wait: int = 0

    def allows(self) -> bool:
        """Whether it is time; a trial counts as failed, for after success patience starts anew."""
        if self.wait:
            self.wait -= 1
            return False
        self.wait = 2**self.failures - 1
        self.failures += 1
        return True


def _candidates(profile: Profile, derivatives: Derivatives, full: Array, patience: _Patience) -> Iterator[list[Array]]:
    """Points to try, best first."""
    terms, directions = profile.problem.terms, derivatives.directions
    own = pivots(directions, derivatives.quadratic_share, derivatives.inverse_share)
    step, vanishing = scaled_step(own, len(directions), derivatives.gradient, derivatives.information, full)
    if vanishing and patience.allows():
        yield move(terms, profile.points, directions, step, vanishing)
        if len(vanishing) > 1:
            yield move(terms, profile.points, directions, step, (_least(derivatives, vanishing),))
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        yield move(terms, profile.points, directions, length * step)
        length *= 0.5


def _least(derivatives: Derivatives, vanishing: tuple[int, ...]) -> int:
    """The vanishing column that the data say least of: all together may be too many, and this still one too many."""
    places = [derivatives.directions[a] for a in vanishing]
    shares = [d.share(derivatives.inverse_share[d.term]) for d in places]
    return vanishing[int(np.argmax(np.nan_to_num(shares)))]
