"""Damped Newton steps for linear models, with the average information as curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.boundary import boundary_parameters
from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import leave_boundary, move, pivots, turned
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate, edge_curvature
from mixfit.optimize.certificate import TOLERANCE, Certificate
from mixfit.optimize.steps import newton_step, scaled_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.criterion import Profile
    from mixfit.lmm.derivatives import Derivatives
    from mixfit.lmm.problem import Problem
    from mixfit.optimize.certificate import BoundaryParameter

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
    tried = [evaluate(problem, turned(problem.terms, start), reml=reml) for start in starts]
    profile = min(tried, key=lambda at: at.value)
    evaluations, message = len(tried), "iteration limit"
    patience = _Patience()
    for _ in range(_MAX_ITERATIONS):
        derivatives = differentiate(profile)
        boundary = _boundary(profile, derivatives)
        full, decrease = newton_step(derivatives.information, derivatives.gradient)
        away = max(boundary, key=lambda b: b.predicted_decrease, default=None)
        tolerance = max(TOLERANCE, profile.resolution)
        if decrease <= tolerance and (away is None or away.predicted_decrease <= tolerance):
            message = "optimality conditions hold"
            break
        if away is not None and away.predicted_decrease > decrease:
            candidates = leave_boundary(problem.terms, profile.points, away)
        else:
            candidates = _candidates(profile, derivatives, full, patience)
        for points in candidates:
            trial = evaluate(problem, turned(problem.terms, points), reml=reml)
            evaluations += 1
            if trial.value < profile.value + profile.resolution:
                break
        else:
            message = "no step decreases the criterion"
            break
        if _rank(trial) < _rank(profile):
            patience = _Patience()
        profile = trial
    certificate = _certificate(derivatives, decrease, boundary, tolerance, evaluations, message)
    return Optimum(profile, derivatives, certificate)


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

    terms, points = profile.problem.terms, profile.points
    return boundary_parameters(terms, points, derivatives.relative, derivatives.absolute, curvature)


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
            # Together they may be too many: the one that the data say least of may still be one too many.
            inverse = [own.inverse[own.index.index(a)] for a in vanishing]
            yield move(terms, profile.points, directions, step, (vanishing[int(np.argmax(inverse))],))
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        yield move(terms, profile.points, directions, length * step)
        length *= 0.5
