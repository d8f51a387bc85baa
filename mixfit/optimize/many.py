"""Newton steps of many searches at once: `mixfit.optimize.steps`, an array operation at a time.

The search is the last axis of every array. Bounds, the balanced model and its constants are those of one search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.optimize.bounds import LONGEST_STEP, NOTHING, ROUNDING, SAFE_PIVOT, STAND_IN, UNKNOWN
from mixfit.optimize.steps import balanced

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]
    Flags = NDArray[np.bool_]

__all__ = ["ManyPatience", "newton_steps", "scaled_steps", "stretched"]

# Steps that shrink more slowly than this are stretched, and by no more than the reciprocal of the next.
_SLOW = 0.7
# At most 50 steps in one.
_FASTEST_STRETCH = 0.02


def newton_steps(information: Array, gradient: Array) -> tuple[Array, Array]:
    """-H^{-1} g, (m, R), and the decrease it promises, (R,): see `mixfit.optimize.steps.newton_step`."""
    m = np.arange(len(gradient))
    size = np.abs(information[m, m])
    scale = np.sqrt(np.where(size > NOTHING, size, 1.0))
    unit, g = information / (scale[:, None] * scale), gradient / scale
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        step, pivot = _solve(unit, -g)
        decrease = -0.5 * np.einsum("mr,mr->r", g, step)
        unsafe = np.flatnonzero(~(pivot > SAFE_PIVOT**2))
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


def _solve(matrix: Array, right: Array) -> tuple[Array, Array]:
    """A^{-1} b of symmetric matrices by elimination, (m, R), and the smallest pivot of each, (R,)."""
    a, x = matrix.copy(), right.copy()
    smallest = np.full(right.shape[1], np.inf)
    for j in range(len(x)):
        smallest = np.fmin(smallest, a[j, j])
        for i in range(j + 1, len(x)):
            share = a[i, j] / a[j, j]
            a[i, j + 1 :] -= share * a[j, j + 1 :]
            x[i] -= share * x[j]
    for j in range(len(x) - 1, -1, -1):
        x[j] = (x[j] - np.einsum("ir,ir->r", a[j, j + 1 :], x[j + 1 :])) / a[j, j]
    # A pivot that is not a number says that one before it was zero.
    return x, np.where(np.isfinite(x).all(axis=0), smallest, -np.inf)


def scaled_steps(
    pivot: Index, rho: Array, share: Array, gradient: Array, information: Array, full: Array
) -> tuple[Array, Flags]:
    """Newton steps in the information rescaled to the balanced model's, and the pivots that it sends to zero.

    As `mixfit.optimize.steps.scaled_step`; a step that is too long is scaled down as a whole or cut coordinate by
    coordinate, whichever the quadratic model prefers.

    Parameters
    ----------
    pivot : ndarray of intp, shape (c,)
        Coordinates that are log standard deviations.
    rho, share : ndarray, shape (c, R)
        See `mixfit.optimize.steps.Pivots`.
    gradient, information, full : ndarray, shape (m, R), (m, m, R) and (m, R)
    """
    root = np.ones(gradient.shape)
    root[pivot], vanishing = balanced(rho, share, gradient[pivot], full[pivot])
    information = information * root[:, None] * root
    step, _ = newton_steps(information, gradient)
    excess = np.abs(step).max(axis=0) / LONGEST_STEP
    scaled, clipped = step / np.maximum(excess, 1.0), np.clip(step, -LONGEST_STEP, LONGEST_STEP)

    def model(s: Array) -> Array:
        return np.einsum("mr,mr->r", gradient, s) + 0.5 * np.einsum("mr,mnr,nr->r", s, information, s)

    return np.where(model(clipped) < model(scaled), clipped, scaled), vanishing


def stretched(before: Array, after: Array, step: Array) -> Array:
    """How far to go where the curvature is much too large and steps shrink slowly, (R,).

    The promised decrease falls, from `before` to `after`, by the square of the rate at which steps shrink; steps that
    shrink by rho each add up to the first over 1 - rho (Aitken's acceleration). The steps between put right what such a
    step overshoots.
    """
    tiny = np.finfo(float).tiny
    rate = np.sqrt(np.minimum(after / np.maximum(before, tiny), 1.0))
    wanted = np.where(rate > _SLOW, 1.0 / np.maximum(1.0 - rate, _FASTEST_STRETCH), 1.0)
    return np.minimum(wanted, LONGEST_STEP / np.maximum(np.abs(step).max(axis=0), tiny))


@dataclass(frozen=True, eq=False)
class ManyPatience:
    """How long each search waits before it tries zero variances again: longer after every trial."""

    trials: NDArray[np.int_]
    wait: NDArray[np.int_]

    @classmethod
    def of(cls, count: int) -> ManyPatience:
        """The patience of `count` searches at their start."""
        return cls(np.zeros(count, dtype=int), np.zeros(count, dtype=int))

    def allows(self, live: Index, vanishing: Flags) -> Flags:
        """Which of the live searches try now."""
        now = vanishing & (self.wait[live] == 0)
        self.wait[live[vanishing & ~now]] -= 1
        tried = live[now]
        self.wait[tried] = 2 ** self.trials[tried] - 1
        self.trials[tried] += 1
        return now
