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
    from mixfit.covariance.term import Term
    from mixfit.glmm.objective import Objective
    from mixfit.glmm.point import Slopes

    Array = NDArray[np.float64]

__all__ = ["exact_hessian", "shifted", "slope_vector"]

_DIFFERENCE = 1e-3


def slope_vector(slopes: Slopes, directions: Sequence[Direction], dispersion: bool) -> Array:
    """The gradient in (directions, gamma, log phi), of the slopes at one point."""
    out = [d.slope(slopes.relative[d.term], slopes.absolute.get(d.term)) for d in directions]
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
        moved = shifted(objective.problem.terms, at, directions, delta)
        objective.value(moved)
        slopes = objective.slopes()
        out[a] = (_along(slopes, moved, directions, objective) - gradient) / step[a]
    objective.value(at)
    objective.slopes()
    return 0.5 * (out + out.T)


def _along(slopes: Slopes, moved: Parameters, directions: Sequence[Direction], objective: Objective) -> Array:
    """Gradient at `moved` in the coordinates centred where the directions are."""
    out = np.empty(len(directions))
    for index, (term, point) in enumerate(zip(objective.problem.terms, moved.points, strict=True)):
        own = [a for a, d in enumerate(directions) if d.term == index]
        known = slopes.relative[index], slopes.absolute.get(index)
        out[own] = term.structure.slopes_after([directions[a] for a in own], point, *known)
    tail = [slopes.log_phi] if objective.problem.family.has_dispersion else []
    return np.concatenate([out, slopes.gamma, tail])


def shifted(
    terms: Sequence[Term],
    at: Parameters,
    directions: Sequence[Direction],
    step: Array,
    vanishing: tuple[int, ...] = (),
) -> Parameters:
    """The point a step away; the pivots that `vanishing` names are zero there."""
    m, p = len(directions), len(at.gamma)
    points = move(terms, at.points, directions, step[:m], vanishing)
    phi = at.phi * float(np.exp(step[-1])) if len(step) > m + p else at.phi
    return Parameters(tuple(points), at.gamma + step[m : m + p], phi)
