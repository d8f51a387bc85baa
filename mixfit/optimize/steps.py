r"""Newton steps, those in log standard deviations with a model of their own.

The curvature of one variance is known in closed form for balanced data, d(v) = q [log tau + tau_hat / tau] with
tau = 1 + n v; the information is rescaled to give that model's step in log v from any distance, which leaves it
unchanged at the optimum. Where the model's optimum is not positive the boundary itself is worth trying.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from mixfit.optimize.bounds import (
    NEGLIGIBLE,
    NOTHING,
    ROUNDING,
    SAFE_PIVOT,
    SMALLEST_SHARE,
    STAND_IN,
    UNKNOWN,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Pivots", "balanced", "compensated", "limited_step", "negligible", "newton_step", "scaled_step"]

# A target this close to 1 is the optimum, where the rescaled information is the information itself.
_AT_TARGET = 1e-8
# The model is trusted to change the information by no more than these.
_STRETCH = (0.05, 100.0)
# Raises of the curvature of coordinates on their way to zero, and the largest of each.
_MAX_RAISES = 20
_LARGEST_RAISE = 4.0


def newton_step(information: Array, gradient: Array) -> tuple[Array, float]:
    """-H^{-1} g and the decrease it promises.

    Directions in which H says nothing are left alone where g is rounding there too (they are flat); where g
    is not, H has failed, and a small curvature stands in for it.
    """
    if not len(gradient):
        return gradient, 0.0
    size = np.abs(information.diagonal())
    scale = np.sqrt(np.where(size > NOTHING, size, 1.0))
    unit, slopes = information / (scale[:, None] * scale), gradient / scale
    low, failed = dpotrf(unit, lower=1)
    if not failed and low.diagonal().min() > SAFE_PIVOT:
        solved = dpotrs(low, slopes, lower=1)[0]
        return -solved / scale, 0.5 * float(slopes @ solved)
    values, vectors = np.linalg.eigh(unit)
    along = vectors.T @ slopes
    known = values > UNKNOWN * len(values)
    flat = ~known & (np.abs(along) <= ROUNDING)
    curvature = np.where(known, values, np.maximum(np.abs(values), STAND_IN))
    coefficients = np.where(flat, 0.0, along / curvature)
    step: Array = -(vectors @ coefficients) / scale
    return step, 0.5 * float(along @ coefficients)


@dataclass(frozen=True)
class Pivots:
    """Coordinates that are log standard deviations.

    Attributes
    ----------
    index : tuple of int
        Their places.
    quadratic : tuple of float
        Of each, the ratio of the quadratic part of its slope to the other parts: 1 at a stationary point, NaN where
        there are none.
    inverse : tuple of float
        1 / tau: 1 where the data say nothing of it, NaN of a logarithm that the model does not know.
    """

    index: tuple[int, ...]
    quadratic: tuple[float, ...]
    inverse: tuple[float, ...]


def scaled_step(
    pivots: Pivots, longest: Array, gradient: Array, information: Array, full: Array
) -> tuple[Array, tuple[int, ...]]:
    """Newton step in the rescaled information, and the pivots that its model sends to zero.

    `longest` is the longest step of each coordinate; `full` the step in the information as it is.
    """
    root = np.ones(len(gradient))
    vanishing: tuple[int, ...] = ()
    if pivots.index:
        at = np.array(pivots.index)
        root[at], gone = balanced(np.array(pivots.quadratic), np.array(pivots.inverse), gradient[at], full[at])
        vanishing = tuple(at[gone].tolist())
    return limited_step(information * (root[:, None] * root), gradient, longest), vanishing


def balanced(rho: Array, share: Array, gradient: Array, full: Array) -> tuple[Array, NDArray[np.bool_]]:
    """What the balanced model makes of log standard deviations, whatever the shape of the arrays.

    Parameters
    ----------
    rho, share : ndarray
        `Pivots.quadratic` and `Pivots.inverse`.
    gradient, full : ndarray
        Slope, and the step in the information as it is.

    Returns
    -------
    root : ndarray
        What rows and columns of the information are multiplied by, for its step to be the model's.
    vanishing : ndarray of bool
        Whether the model sends it to zero, or nothing is lost where it is.
    """
    usable = (share < 1.0) & np.isfinite(rho)
    rising = gradient > 0.0
    falling = rising & (full <= -0.5)
    vanishing = share > NEGLIGIBLE
    if not usable.all():
        # Where the model does not say, the step alone does.
        vanishing |= np.isnan(share) & falling
        share, rho = np.where(usable, share, 0.0), np.where(usable, rho, 1.0)
    # tau = 1 / share; the balanced model's optimum is v * target.
    target = (rho - share) / (1.0 - share)
    vanishing |= usable & (falling | (rising & (target <= 0.0)))
    target = np.maximum(target, SMALLEST_SHARE)
    far = np.abs(target - 1.0) > _AT_TARGET
    target = np.where(far, target, 2.0)
    stretch = (target - 1.0) / (np.maximum(rho, SMALLEST_SHARE) * np.log(target))
    return np.where(far, np.sqrt(np.minimum(np.maximum(stretch, _STRETCH[0]), _STRETCH[1])), 1.0), vanishing


def negligible(pivots: Pivots) -> tuple[int, ...]:
    """Columns that are zero but for their name: nothing is lost where they are, and the boundary can be looked at."""
    return tuple(a for a, share in zip(pivots.index, pivots.inverse, strict=True) if share > NEGLIGIBLE)


def compensated(
    curvature: Array, gradient: Array, step: Array, longest: Array, pivots: Pivots, vanishing: tuple[int, ...]
) -> Array:
    """The step, that of the other coordinates beside logarithms on their way to zero that the model does not know.

    A logarithm that goes to zero steps by -1 in the number itself, and what the others share with it they make up for.
    """
    shares = dict(zip(pivots.index, pivots.quadratic, strict=True))
    gone = np.array([a in vanishing and bool(np.isnan(shares[a])) for a in range(len(gradient))])
    if not gone.any() or gone.all():
        return step
    out = np.where(gone, -1.0, 0.0)
    rest = np.ix_(~gone, ~gone)
    shared = curvature[np.ix_(~gone, gone)].sum(axis=1)
    out[~gone] = newton_step(curvature[rest], gradient[~gone] - shared)[0]
    return np.clip(out, -longest, longest)


def limited_step(information: Array, gradient: Array, limit: Array) -> Array:
    """Newton step with every coordinate kept below its longest step, `limit`.

    A coordinate on its way down to zero must not hold up the others: its curvature is raised. Of a step that is
    still too long, the whole scaled down and the coordinates cut one by one, the quadratic model takes the better.
    """
    step, _ = newton_step(information, gradient)
    for _ in range(_MAX_RAISES):
        falling = (step < -limit) & (gradient > 0)
        if not falling.any():
            break
        information = information.copy()
        # No further than needed: where H is singular any raise ends the long steps of all coordinates.
        information[falling, falling] *= np.minimum(2.0 * np.abs(step[falling]) / limit[falling], _LARGEST_RAISE)
        step, _ = newton_step(information, gradient)
    excess = float((np.abs(step) / limit).max(initial=0.0))
    if excess <= 1.0:
        return step
    scaled, clipped = step / excess, np.clip(step, -limit, limit)
    return min(scaled, clipped, key=lambda s: float(gradient @ s + 0.5 * s @ information @ s))
