"""Damped Newton steps for many replicates, each with its own theta, step length and end.

The steps are those of :mod:`mixfit.lmm.minimize`. Replicates that are done leave the arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.batch.boundary import examine, leave, null_curvature
from mixfit.lmm.batch.frame import Frame, directions, frame
from mixfit.lmm.batch.profile import evaluate
from mixfit.lmm.batch.slopes import differentiate, gradient, information
from mixfit.optimize.many import ManyPatience, newton_steps, scaled_steps, stretched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.batch.boundary import Boundary
    from mixfit.lmm.batch.frame import Directions
    from mixfit.lmm.batch.moments import ResponseMoments
    from mixfit.lmm.batch.profile import Profiles

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]
    Flags = NDArray[np.bool_]

__all__ = ["Optima", "minimize"]

# Most replicates end within 20; those that creep are refitted alone.
_MAX_ITERATIONS = 200
# 2^-25 of a step is 3e-8 of it: a direction that is still not lower is none.
_MAX_HALVINGS = 25
# The predicted decrease at which a replicate may stop, and that at which it counts as converged (see
# `mixfit.optimize.certificate`): the steps between are cheap, and make estimates comparable to 1e-6.
_STOP = 1e-12
_CONVERGED = 1e-8
# Of every so many steps the last is stretched.
_CYCLE = 3


@dataclass(frozen=True, eq=False)
class Optima:
    """Where every replicate stopped.

    Attributes
    ----------
    frame : Frame
    profiles : Profiles
    decrease : ndarray, shape (R,)
        Decrease of the criterion that the next step would have promised.
    converged : ndarray of bool, shape (R,)
    """

    frame: Frame
    profiles: Profiles
    decrease: Array
    converged: Flags


def minimize(moments: ResponseMoments, start: Array, *, reml: bool) -> Optima:
    """Minimize the profiled criterion of every replicate, from the better of its `start`, (k, R, sets)."""
    blocks = moments.levels.blocks
    toward = directions(blocks)
    current, value, resolution = _best_start(moments, start, reml=reml)
    decrease = np.zeros(len(moments))
    patience = ManyPatience.of(len(moments))
    live = np.flatnonzero(np.isfinite(value))
    decrease[~np.isfinite(value)] = np.inf
    for iteration in range(_MAX_ITERATIONS):
        part, here, before = moments.take(live), current.take(live), decrease[live]
        plan, decrease[live] = _plan(part, here, toward, reml=reml)
        last = iteration % _CYCLE == _CYCLE - 1
        reach = stretched(before, decrease[live], plan.step) if last else np.ones(len(live))
        going = np.flatnonzero(decrease[live] > np.maximum(_STOP, resolution[live]))
        live = live[going]
        if not len(live):
            break
        wishing: Flags = np.any(plan.vanishing[:, going], axis=0)
        plan = plan.take(going, patience.allows(live, wishing), reach)
        bound = value[live] + resolution[live]
        moved = _advance(part.take(going), here.take(going), plan, toward, bound, reml=reml)
        ahead = np.flatnonzero(np.isfinite(moved.value))
        live = live[ahead]
        current.put(live, moved.frame.take(ahead))
        value[live], resolution[live] = moved.value[ahead], moved.resolution[ahead]
    profiles = evaluate(moments, current.templates, reml=reml)
    return Optima(current, profiles, decrease, decrease <= np.maximum(_CONVERGED, resolution))


def _best_start(moments: ResponseMoments, start: Array, *, reml: bool) -> tuple[Frame, Array, Array]:
    k, blocks = np.arange(moments.levels.k), moments.levels.blocks
    best: tuple[Frame, Array, Array] | None = None
    for deviations in np.moveaxis(start, 2, 0):
        templates = np.zeros((len(k), len(k), len(moments)))
        templates[k, k] = deviations
        tried = frame(templates, blocks)
        at = evaluate(moments, tried.templates, reml=reml)
        if best is None:
            best = tried, at.value, at.resolution
        else:
            better = np.flatnonzero(at.value < best[1])
            best[0].put(better, tried.take(better))
            best[1][better], best[2][better] = at.value[better], at.resolution[better]
    assert best is not None
    return best


@dataclass(frozen=True, eq=False)
class _Plan:
    """The step of every replicate.

    Attributes
    ----------
    step : ndarray, shape (m, R)
    vanishing : ndarray of bool, shape (k, R)
        Columns that may have no variance.
    least : ndarray of bool, shape (k, R)
        Of these the one that the data say least of.
    boundary : Boundary
    leaving : ndarray of bool, shape (R,)
        Whether the way leads off the boundary instead.
    trying : ndarray of bool, shape (R,)
        Whether the vanishing columns are tried first: all of them, then the least.
    reach : ndarray, shape (R,)
        Length of the step to begin with.
    """

    step: Array
    vanishing: Flags
    least: Flags
    boundary: Boundary
    leaving: Flags
    trying: Flags
    reach: Array

    def take(self, at: Index, trying: Flags, reach: Array) -> _Plan:
        """Of some replicates, of which some try the boundary."""
        return _Plan(
            self.step[:, at],
            self.vanishing[:, at],
            self.least[:, at],
            self.boundary.take(at),
            self.leaving[at],
            trying & ~self.leaving[at],
            np.where(self.leaving, 1.0, reach)[at],
        )


def _plan(moments: ResponseMoments, here: Frame, toward: Directions, *, reml: bool) -> tuple[_Plan, Array]:
    """Steps, and the decrease that they promise."""
    slopes = differentiate(moments, evaluate(moments, here.templates, reml=reml), here)
    weights = toward.weights(here)
    boundary = examine(slopes, here, moments.levels.blocks)
    g, curvature = gradient(slopes, toward, weights), information(slopes, toward, weights)
    if here.null.any():
        curvature += null_curvature(boundary, toward, here, weights)
    full, decrease = newton_steps(curvature, g)
    pivot = np.flatnonzero(toward.pivot)
    column = toward.column[pivot]
    rho, share = slopes.quadratic_share[column], slopes.inverse_share[column]
    vanishing = np.zeros(slopes.quadratic_share.shape, dtype=bool)
    step, vanishing[column] = scaled_steps(pivot, rho, share, g, curvature, full)
    leaving = boundary.decrease > decrease
    vanishing &= ~here.null & ~leaving
    informed = np.where(vanishing, slopes.inverse_share, -1.0)
    least = vanishing & (np.arange(len(informed))[:, None] == informed.argmax(axis=0))
    return (
        _Plan(step, vanishing, least, boundary, leaving, leaving, np.ones(len(leaving))),
        np.maximum(decrease, boundary.decrease),
    )


@dataclass(frozen=True, eq=False)
class _Moved:
    """Where the steps led: a value of NaN where no step decreased the criterion."""

    frame: Frame
    value: Array
    resolution: Array


def _advance(
    moments: ResponseMoments, here: Frame, plan: _Plan, toward: Directions, bound: Array, *, reml: bool
) -> _Moved:
    """Shorten every step, until the criterion is below its bound."""
    count = len(moments)
    moved = _Moved(Frame(here.axes.copy(), here.lengths.copy()), np.full(count, np.nan), np.zeros(count))
    pending, length = np.arange(count), plan.reach.copy()
    # What is still to be tried before the steps: 2 for all vanishing columns, 1 for the least of them.
    trials = plan.trying * np.minimum(plan.vanishing.sum(axis=0), 2)
    for _ in range(_MAX_HALVINGS + 2):
        part, origin, left = moments.take(pending), here.take(pending), trials[pending]
        vanishing = np.where(left == 2, plan.vanishing[:, pending], plan.least[:, pending] & (left == 1))
        templates = toward.move(origin, length[pending] * plan.step[:, pending], vanishing)
        off = np.flatnonzero(plan.leaving[pending])
        if len(off):
            out = pending[off]
            variance = plan.boundary.variance[out] * length[out] ** 2
            templates[:, :, off] = leave(origin.take(off), plan.boundary.direction[:, out], variance)
        trial = frame(templates, moments.levels.blocks)
        at = evaluate(part, trial.templates, reml=reml)
        lower = at.value < bound[pending]
        good = np.flatnonzero(lower)
        moved.frame.put(pending[good], trial.take(good))
        moved.value[pending[good]], moved.resolution[pending[good]] = at.value[good], at.resolution[good]
        pending = pending[~lower]
        if not len(pending):
            break
        length[pending] *= np.where(trials[pending] > 0, 1.0, 0.5)
        trials[pending] = np.maximum(trials[pending] - 1, 0)
    return moved
