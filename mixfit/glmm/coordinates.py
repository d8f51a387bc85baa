"""The optimizer's coordinates (free directions of the templates, gamma, log phi): moves, gradient and exact Hessian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import move
from mixfit.glmm.point import Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.glmm.objective import Objective
    from mixfit.glmm.point import Slopes

    Array = NDArray[np.float64]

__all__ = ["exact_hessian", "shifted", "slope_vector"]

_DIFFERENCE = 1e-3


def slope_vector(slopes: Slopes, at: Parameters, directions: Sequence[Direction], dispersion: bool) -> Array:
    """The gradient in (directions, gamma, log phi), of the slopes at one point."""
    out = [
        2.0 * slopes.relative[d.term][d.row, d.column]
        if d.relative
        else 2.0 * float(np.vdot(slopes.absolute[d.term] @ at.templates[d.term], d.step))
        for d in directions
    ]
    return np.concatenate([out, slopes.gamma, [slopes.log_phi] if dispersion else []])


def exact_hessian(objective: Objective, at: Parameters, directions: Sequence[Direction], gradient: Array) -> Array:
    """Hessian of (directions, gamma, log phi): forward differences of the exact gradient over a small step.

    The step is a thousandth of a standard error where the cheap curvature gives one: its error is in the fourth digit.
    """
    scale = 1.0 / np.sqrt(np.maximum(objective.information(directions).diagonal(), np.finfo(float).tiny))
    m, p = len(directions), len(at.gamma)
    longest = np.full(len(gradient), 10.0)
    longest[m : m + p] = max(1e4, float(np.linalg.norm(at.gamma)))
    step = _DIFFERENCE * np.minimum(scale, longest)
    out = np.empty((len(gradient), len(gradient)))
    for a in range(len(gradient)):
        delta = np.zeros(len(gradient))
        delta[a] = step[a]
        moved = shifted(at, directions, delta)
        objective.value(moved)
        slopes = objective.slopes()
        out[a] = (_along(slopes, at, moved, directions, objective) - gradient) / step[a]
    objective.value(at)
    objective.slopes()
    return 0.5 * (out + out.T)


def _along(
    slopes: Slopes, at: Parameters, moved: Parameters, directions: Sequence[Direction], objective: Objective
) -> Array:
    """Gradient at `moved` in the coordinates centred at `at`.

    The point is T R(delta) with R = I + delta_ij E_ij off the diagonal and exp on it; there d/d delta_ij has the
    step T E_ij R_jj, whose gradient is 2 <N T_moved, step>.
    """
    out = []
    for d in directions:
        t = moved.templates[d.term]
        step = d.step if d.row != d.column else np.outer(t[:, d.column], np.eye(len(t))[d.column])
        out.append(2.0 * float(np.vdot(_slope_times_template(slopes, moved, d.term), step)))
    tail = [slopes.log_phi] if objective.problem.family.has_dispersion else []
    return np.concatenate([out, slopes.gamma, tail])


def _slope_times_template(slopes: Slopes, at: Parameters, term: int) -> Array:
    t = at.templates[term]
    if term in slopes.absolute:
        return slopes.absolute[term] @ t
    return np.asarray(np.linalg.solve(t.T, slopes.relative[term]))


def shifted(
    at: Parameters, directions: Sequence[Direction], step: Array, vanishing: tuple[int, ...] = ()
) -> Parameters:
    """The point a step away; the columns of templates that `vanishing` names are zero there."""
    m, p = len(directions), len(at.gamma)
    templates = move(at.templates, directions, step[:m], vanishing)
    phi = at.phi * float(np.exp(step[-1])) if len(step) > m + p else at.phi
    return Parameters(tuple(templates), at.gamma + step[m : m + p], phi)
