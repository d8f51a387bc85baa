"""Newton steps of many replicates at once: `mixfit.optimize.steps`, an array operation at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram import levels as lv
from mixfit.optimize.bounds import (
    LONGEST_STEP,
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

    from mixfit.lmm.batch.frame import Directions
    from mixfit.lmm.batch.slopes import Slopes

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["newton_step", "scaled_step"]


def newton_step(information: Array, gradient: Array) -> tuple[Array, Array]:
    """-H^{-1} g, (m, R), and the decrease it promises, (R,): see `mixfit.optimize.steps.newton_step`."""
    m = np.arange(len(gradient))
    size = np.abs(information[m, m])
    scale = np.sqrt(np.where(size > NOTHING, size, 1.0))
    unit, g = information / (scale[:, None] * scale), gradient / scale
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        low = lv.cholesky(unit)
        inverse = lv.lower_inverse(low)
        half = lv.matmul(inverse, g[:, None])
        step = -lv.matmul(lv.transpose(inverse), half)[:, 0]
        decrease = 0.5 * np.einsum("mr,mr->r", half[:, 0], half[:, 0])
        unsafe = np.flatnonzero(~(low[m, m].min(axis=0) > SAFE_PIVOT))
    if len(unsafe):
        values, vectors = np.linalg.eigh(np.moveaxis(unit[:, :, unsafe], 2, 0))
        along = np.einsum("rma,mr->ra", vectors, g[:, unsafe])
        known = values > UNKNOWN * len(m)
        flat = ~known & (np.abs(along) <= ROUNDING)
        curvature = np.where(known, values, np.maximum(np.abs(values), STAND_IN))
        coefficients = np.where(flat, 0.0, along / curvature)
        step[:, unsafe] = -np.einsum("rma,ra->mr", vectors, coefficients)
        decrease[unsafe] = 0.5 * np.einsum("ra,ra->r", along, coefficients)
    return step / scale, decrease


def scaled_step(
    toward: Directions, gradient: Array, information: Array, slopes: Slopes, full: Array
) -> tuple[Array, Flags]:
    """Newton step in the information rescaled to the balanced model's, and the columns that it sends to zero.

    See `mixfit.optimize.steps.scaled_step`; a step that is too long is scaled down as a whole or cut coordinate by
    coordinate, whichever the quadratic model prefers.
    """
    pivot = toward.pivot
    column = toward.column[pivot]
    rho, share = slopes.quadratic_share[column], slopes.inverse_share[column]
    own, ahead = gradient[pivot], full[pivot]
    usable = np.isfinite(rho) & (share < 1.0)
    target = (np.where(usable, rho, 1.0) - share) / np.where(usable, 1.0 - share, 1.0)
    vanishing = np.zeros(slopes.quadratic_share.shape, dtype=bool)
    vanishing[column] = (share > NEGLIGIBLE) | (usable & (own > 0) & ((target <= 0.0) | (2.0 * ahead <= -1.0)))
    target = np.maximum(target, SMALLEST_SHARE)
    far = usable & (np.abs(target - 1.0) > 1e-8)
    safe = np.where(far, target, 2.0)
    stretch = np.ones(gradient.shape)
    stretch[pivot] = np.where(
        far,
        np.clip((safe - 1.0) / (np.maximum(np.where(usable, rho, 1.0), SMALLEST_SHARE) * np.log(safe)), 0.05, 100.0),
        1.0,
    )
    root = np.sqrt(stretch)
    return _limited(information * root[:, None] * root, gradient), vanishing


def _limited(information: Array, gradient: Array) -> Array:
    step, _ = newton_step(information, gradient)
    excess = np.abs(step).max(axis=0) / LONGEST_STEP
    scaled, clipped = step / np.maximum(excess, 1.0), np.clip(step, -LONGEST_STEP, LONGEST_STEP)

    def model(s: Array) -> Array:
        return np.einsum("mr,mr->r", gradient, s) + 0.5 * np.einsum("mr,mnr,nr->r", s, information, s)

    return np.where(model(clipped) < model(scaled), clipped, scaled)
