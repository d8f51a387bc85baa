"""Damped Newton steps for linear models, with the average information as curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate, variance_curvature
from mixfit.optimize.boundary import boundary_parameters
from mixfit.optimize.certificate import TOLERANCE, Certificate
from mixfit.optimize.steps import leave_boundary, move, newton_step, scaled_step

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


def minimize(problem: Problem, start: Sequence[Array], *, reml: bool) -> Optimum:
    """Minimize the profiled criterion over the relative factors, from the templates `start`."""
    profile = evaluate(problem, start, reml=reml)
    evaluations, message = 1, "iteration limit"
    for _ in range(_MAX_ITERATIONS):
        derivatives = differentiate(profile)
        boundary = _boundary(profile, derivatives)
        full = newton_step(derivatives.information, derivatives.gradient)
        decrease = -0.5 * float(derivatives.gradient @ full)
        away = max(boundary, key=lambda b: b.predicted_decrease, default=None)
        tolerance = max(TOLERANCE, profile.resolution)
        if decrease <= tolerance and (away is None or away.predicted_decrease <= tolerance):
            message = "optimality conditions hold"
            break
        for templates in _candidates(profile, derivatives, full, away):
            trial = evaluate(problem, templates, reml=reml)
            evaluations += 1
            if trial.value < profile.value + profile.resolution:
                break
        else:
            message = "no step decreases the criterion"
            break
        profile = trial
    off = max((b.predicted_decrease for b in boundary), default=0.0)
    certificate = Certificate(
        converged=max(decrease, off) <= tolerance,
        projected_gradient=float(np.abs(derivatives.gradient).max(initial=0.0)),
        predicted_decrease=decrease,
        boundary=boundary,
        tolerance=tolerance,
        n_evaluations=evaluations,
        message=message,
    )
    return Optimum(profile, derivatives, certificate)


def _boundary(profile: Profile, derivatives: Derivatives) -> tuple[BoundaryParameter, ...]:
    def curvature(index: int, direction: Array) -> tuple[float, float]:
        return variance_curvature(profile, derivatives, index, direction)

    return boundary_parameters(profile.problem.terms, profile.templates, derivatives.absolute, curvature)


def _candidates(
    profile: Profile, derivatives: Derivatives, full: Array, away: BoundaryParameter | None
) -> Iterator[list[Array]]:
    """Templates to try, best first."""
    if away is not None and away.predicted_decrease > -0.5 * float(derivatives.gradient @ full):
        yield from leave_boundary(profile.templates, away)
        return
    shares = derivatives.quadratic_share, derivatives.inverse_share
    directions = derivatives.directions
    step, vanishing = scaled_step(directions, derivatives.gradient, derivatives.information, shares, full)
    if vanishing:
        yield move(profile.templates, directions, step, vanishing)
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        yield move(profile.templates, directions, length * step)
        length *= 0.5
