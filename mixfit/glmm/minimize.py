"""Joint minimization of -2 log-likelihood over (theta, beta, phi) from exact gradients.

Quasi-Newton steps from the working model's curvature lead near the optimum; there the exact Hessian is formed
from differences of the gradient, and serves both the last Newton steps and the standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.boundary import boundary_parameters
from mixfit.covariance.steps import free_directions, leave_boundary, pivots, turned
from mixfit.errors import FitError
from mixfit.glmm.coordinates import exact_hessian, shifted, slope_vector
from mixfit.glmm.point import Parameters
from mixfit.optimize.bounds import LONGEST_STEP
from mixfit.optimize.certificate import TOLERANCE, Certificate
from mixfit.optimize.quasi_newton import bfgs
from mixfit.optimize.steps import (
    limited_step,
    negligible,
    newton_step,
    scaled_step,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.glmm.objective import Objective
    from mixfit.glmm.point import Slopes
    from mixfit.optimize.certificate import BoundaryParameter

    Array = NDArray[np.float64]

__all__ = ["Optimum", "minimize"]

_MAX_ITERATIONS = 100
_MAX_HALVINGS = 20
_PATIENCE = 20
_NEAR = 1e-6
_FAR = 0.1
_FLAT = 1e-8
_LONGEST_LOG_PHI = 3.0
_RELATIVE_NOISE = 1e-12
_LAST_DIGITS = 1e-3


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the optimizer stopped.

    Attributes
    ----------
    at : Parameters
    value : float
    directions : list of Direction
        Free directions of the templates there.
    hessian : ndarray, shape (m + p (+ 1),) twice
        Exact Hessian of (directions, gamma, log phi), from differences of the exact gradient.
    certificate : Certificate
    """

    at: Parameters
    value: float
    directions: list[Direction]
    hessian: Array
    certificate: Certificate


@dataclass(frozen=True, eq=False)
class _State:
    at: Parameters
    value: float
    slopes: Slopes
    directions: list[Direction]
    gradient: Array
    curvature: Array
    exact: bool


def minimize(objective: Objective, start: Parameters) -> Optimum:
    """Minimize from `start`.

    Raises
    ------
    FitError
        Where the likelihood is not finite at the start.
    """
    value = objective.value(start)
    if not np.isfinite(value):
        raise FitError("The log-likelihood is not finite at the start values: rescale the covariates.")
    state = _arrive(objective, start, value)
    evaluations, message, polished, sharpened = 1, "iteration limit", False, False
    tolerance = max(TOLERANCE, _RELATIVE_NOISE * abs(value))
    can_turn = objective.is_invariant and any(term.k > 1 for term in objective.problem.terms)
    for iteration in range(_MAX_ITERATIONS):
        if iteration and iteration % _PATIENCE == 0 and can_turn:
            state, sharpened, evaluations = _turn(objective, state), False, evaluations + 1
        full, decrease = newton_step(state.curvature, state.gradient)
        # Where steps go on without an end in sight, the exact Hessian is worth its price from farther away.
        near = min(_NEAR * 2.0 ** max(iteration - _PATIENCE, 0), _FAR)
        if decrease < near and not (state.exact or sharpened):
            state, sharpened = _sharpen(objective, state), True
            evaluations += len(state.gradient)
            continue
        boundary = _boundary(objective, state)
        away = max(boundary, key=lambda b: b.predicted_decrease, default=None)
        off = 0.0 if away is None else away.predicted_decrease
        # With the exact Hessian at hand the last digits cost one step; more may be rounding.
        worth = tolerance if polished else _LAST_DIGITS * tolerance
        polished = max(decrease, off) <= tolerance
        if max(decrease, off) <= worth:
            message = "optimality conditions hold"
            break
        trials = _candidates(objective, state, full, away if off > decrease else None)
        found, tries = _first_lower(objective, trials, state.value + 0.1 * tolerance)
        evaluations += tries
        if found is not None:
            state, sharpened = _advance(objective, state, *found, cut=tries > 2), False
        elif state.exact or sharpened:
            message = "no step decreases the criterion"
            objective.value(state.at)
            break
        else:
            objective.value(state.at)
            state, sharpened = _sharpen(objective, state), True
            evaluations += len(state.gradient)
    boundary = _boundary(objective, state)
    off = max((b.predicted_decrease for b in boundary), default=0.0)
    _, decrease = newton_step(state.curvature, state.gradient)
    certificate = Certificate(
        converged=bool(max(decrease, off) <= tolerance and state.exact),
        projected_gradient=float(np.abs(state.gradient).max(initial=0.0)),
        predicted_decrease=decrease,
        boundary=boundary,
        tolerance=tolerance,
        n_evaluations=evaluations + objective.n_aside,
        message=message,
    )
    return Optimum(state.at, state.value, state.directions, state.curvature, certificate)


def _first_lower(
    objective: Objective, trials: Iterator[tuple[Parameters, Array | None]], bound: float
) -> tuple[tuple[Parameters, float, Array | None] | None, int]:
    """The first trial whose value is below `bound`, with its value and step, and how many were tried.

    A trial without conditional modes, such as one outside the support, is no lower; FitError if none has them.
    """
    tries, failed, error = 0, 0, None
    for at, step in trials:
        tries += 1
        try:
            value = objective.value(at)
        except FitError as raised:
            failed, error = failed + 1, raised
            continue
        if value < bound:
            return (at, value, step), tries
    if error is not None and failed == tries:
        family = objective.problem.family
        if not family.has_edge:
            raise error
        raise FitError(
            f"The likelihood of the {family!r} model rises up to the edge of its support, where a linear predictor "
            "reaches zero: no estimate exists inside. Choose another link, such as log, or fewer columns."
        ) from error
    return None, tries


def _arrive(objective: Objective, at: Parameters, value: float) -> _State:
    """The state at a point whose value was just computed, with the cheap curvature."""
    slopes = objective.slopes()
    directions = free_directions(objective.problem.terms, at.points, objective.problem.seen)
    gradient = slope_vector(slopes, directions, objective.problem.family.has_dispersion)
    return _State(at, value, slopes, directions, gradient, objective.information(directions), exact=False)


def _turn(objective: Objective, state: _State) -> _State:
    """The same point with orthogonal columns: where T T' is nearly singular, others bend the way to the boundary."""
    at = Parameters(tuple(turned(objective.problem.terms, state.at.points)), state.at.gamma, state.at.phi)
    return _arrive(objective, at, objective.value(at))


def _sharpen(objective: Objective, state: _State) -> _State:
    hessian = exact_hessian(objective, state.at, state.directions, state.gradient)
    scale = np.sqrt(np.maximum(np.abs(hessian.diagonal()), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    if values.min(initial=1.0) < _FLAT:
        # Not at a minimum yet: bend the negative directions up so that steps still descend.
        hessian = (vectors * np.maximum(np.abs(values), 1e-3)) @ vectors.T * np.outer(scale, scale)
        return _State(
            state.at, state.value, state.slopes, state.directions, state.gradient, hessian, exact=values.min() > -1e-6
        )
    return _State(state.at, state.value, state.slopes, state.directions, state.gradient, hessian, exact=True)


def _advance(
    objective: Objective, old: _State, at: Parameters, value: float, step: Array | None, *, cut: bool
) -> _State:
    """The state at an accepted point: curvature kept when exact, updated by BFGS otherwise."""
    slopes = objective.slopes()
    directions = free_directions(objective.problem.terms, at.points, objective.problem.seen)
    gradient = slope_vector(slopes, directions, objective.problem.family.has_dispersion)
    # Far out the working model's curvature, made anew, is worth more than what old steps remember, unless its
    # steps have to be cut.
    far = not cut and newton_step(old.curvature, old.gradient)[1] > _FAR
    if far or step is None or len(directions) != len(old.directions):
        return _State(at, value, slopes, directions, gradient, objective.information(directions), exact=False)
    if old.exact and newton_step(old.curvature, gradient)[1] < _NEAR:
        return _State(at, value, slopes, directions, gradient, old.curvature, exact=True)
    curvature = bfgs(old.curvature, step, gradient - old.gradient)
    return _State(at, value, slopes, directions, gradient, curvature, exact=False)


def _boundary(objective: Objective, state: _State) -> tuple[BoundaryParameter, ...]:
    terms = objective.problem.terms
    if not any(term.structure.is_on_bound(point) for term, point in zip(terms, state.at.points, strict=True)):
        return ()
    # In units of the predictor: the mean square of the working response, eta and its deviation of variance 1 / W.
    mode = objective.center.mode
    largest = float(np.mean(mode.eta**2)) + 1.0 / max(float(np.mean(mode.terms.expected)), np.finfo(float).tiny)
    return boundary_parameters(
        terms,
        state.at.points,
        objective.problem.seen,
        state.slopes.relative,
        objective.boundary_slopes(state.slopes),
        objective.edge_curvature,
        largest,
    )


def _candidates(
    objective: Objective, state: _State, full: Array, away: BoundaryParameter | None
) -> Iterator[tuple[Parameters, Array | None]]:
    """Points to try, best first, with the step to each in the state's coordinates where it is one."""
    terms = objective.problem.terms
    if away is not None:
        for halvings in range(_MAX_HALVINGS):
            points = leave_boundary(terms, state.at.points, away, away.newton_variance * 0.25**halvings)
            yield Parameters(tuple(points), state.at.gamma, state.at.phi), None
        return
    m = len(state.directions)
    own = pivots(state.directions, state.slopes.quadratic_share, state.slopes.inverse_share)
    longest = np.full(len(state.gradient), np.inf)
    longest[:m] = LONGEST_STEP
    step, vanishing = scaled_step(own, longest, state.gradient, state.curvature, full)
    if state.exact:
        step = limited_step(state.curvature, state.gradient, longest)
    if len(step) > m + len(state.at.gamma):
        step[-1] = np.clip(step[-1], -_LONGEST_LOG_PHI, _LONGEST_LOG_PHI)
    if vanishing:
        yield shifted(terms, state.at, state.directions, step, vanishing), None
    # Where they are among others that are not to vanish after all.
    if (nothing := negligible(own)) and nothing != vanishing:
        yield shifted(terms, state.at, state.directions, step, nothing), None
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        yield shifted(terms, state.at, state.directions, length * step), length * step
        length *= 0.5
