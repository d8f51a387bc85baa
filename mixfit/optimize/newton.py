r"""Damped Newton steps on relative covariance factors, with the average information as curvature.

Each step is taken in coordinates relative to the current templates, T -> T R(delta): log standard deviations
on the diagonal. There the curvature of one variance is known in closed form for balanced data,
d(v) = q [log tau + tau_hat / tau] with tau = 1 + n v; the average information is rescaled to give that
model's step from any distance, which leaves it unchanged at the optimum. Where the model's optimum is not
positive the boundary itself is tried, and kept while its one-sided derivative is nonnegative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance import semidefinite_cholesky
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate
from mixfit.optimize.boundary import boundary_parameters
from mixfit.optimize.certificate import TOLERANCE, Certificate

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
_LONGEST_STEP = 1.5
_SMALLEST_SHARE = 0.02


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
        boundary = boundary_parameters(profile, derivatives)
        full = _newton(derivatives.information, derivatives.gradient)
        decrease = -0.5 * float(derivatives.gradient @ full)
        away = max(boundary, key=lambda b: b.predicted_decrease, default=None)
        tolerance = max(TOLERANCE, profile.resolution)
        if decrease <= tolerance and (away is None or away.predicted_decrease <= tolerance):
            message = "optimality conditions hold"
            break
        candidates = _candidates(profile, derivatives, full, away)
        for templates in candidates:
            trial = evaluate(problem, templates, reml=reml)
            evaluations += 1
            if trial.value < profile.value + profile.resolution:
                break
        else:
            message = "no step decreases the criterion"
            break
        profile = trial
    certificate = _certificate(derivatives, decrease, boundary, tolerance, evaluations, message)
    return Optimum(profile, derivatives, certificate)


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


def _newton(information: Array, gradient: Array) -> Array:
    """-H^{-1} g, directions in which H says nothing left alone."""
    if not len(gradient):
        return gradient
    scale = np.sqrt(np.maximum(information.diagonal(), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    known = values > 1e-11 * len(values)
    coefficients = np.where(known, vectors.T @ (gradient / scale), 0.0) / np.where(known, values, 1.0)
    step: Array = -(vectors @ coefficients) / scale
    return step


def _candidates(
    profile: Profile, derivatives: Derivatives, full: Array, away: BoundaryParameter | None
) -> Iterator[list[Array]]:
    """Templates to try, best first."""
    if away is not None and away.predicted_decrease > -0.5 * float(derivatives.gradient @ full):
        yield from _leave_boundary(profile, away)
        return
    step, vanishing = _scaled_step(derivatives, full)
    if vanishing:
        yield _move(profile, derivatives, step, vanishing)
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        yield _move(profile, derivatives, length * step, ())
        length *= 0.5


def _leave_boundary(profile: Profile, away: BoundaryParameter) -> Iterator[list[Array]]:
    variance = away.newton_variance
    for _ in range(_MAX_HALVINGS):
        templates = list(profile.templates)
        t = templates[away.term]
        sigma = t @ t.T + variance * np.outer(away.direction, away.direction)
        templates[away.term] = semidefinite_cholesky(sigma)
        yield templates
        variance *= 0.25


def _scaled_step(derivatives: Derivatives, full: Array) -> tuple[Array, tuple[int, ...]]:
    """Newton step in the rescaled information, and the pivots that its model sends to zero."""
    m = len(derivatives.directions)
    stretch = np.ones(m)
    vanishing = []
    for a, d in enumerate(derivatives.directions):
        if d.row != d.column:
            continue
        rho = derivatives.quadratic_share[d.term][d.row]
        share = derivatives.inverse_share[d.term][d.row]
        if not (np.isfinite(rho) and share < 1.0):
            continue
        # tau = 1 / share; the balanced model's optimum is v * target.
        target = (rho - share) / (1.0 - share)
        if derivatives.gradient[a] > 0 and (target <= 0.0 or 2.0 * full[a] <= -1.0):
            vanishing.append(a)
        target = max(target, _SMALLEST_SHARE)
        if abs(target - 1.0) > 1e-8:
            stretch[a] = np.clip((target - 1.0) / (max(rho, _SMALLEST_SHARE) * np.log(target)), 0.05, 100.0)
    root = np.sqrt(stretch)
    information = derivatives.information * np.outer(root, root)
    step = _newton(information, derivatives.gradient)
    for _ in range(10):
        long = np.abs(step) > _LONGEST_STEP
        if not long.any():
            break
        information[long, long] *= 2.0 * np.abs(step[long]) / _LONGEST_STEP
        step = _newton(information, derivatives.gradient)
    return step, tuple(vanishing)


def _move(
    profile: Profile, derivatives: Derivatives, step: Array, vanishing: tuple[int, ...]
) -> list[Array]:
    """Templates T R(step): columns exp(step_jj) T_j plus the off-diagonal moves; vanishing columns zero."""
    templates = [t.copy() for t in profile.templates]
    for a, d in enumerate(derivatives.directions):
        t = templates[d.term]
        if d.row != d.column:
            t += step[a] * d.step
    for a, d in enumerate(derivatives.directions):
        if d.row == d.column:
            templates[d.term][:, d.column] *= 0.0 if a in vanishing else np.exp(step[a])
    return templates
