"""The quasi-Newton update of a curvature matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["bfgs"]


def bfgs(curvature: Array, step: Array, change: Array) -> Array:
    """Damped BFGS update (Nocedal & Wright 2006, procedure 18.2) for the change of the gradient over a step."""
    through = curvature @ step
    length = float(step @ through)
    if length <= 0.0:
        return curvature
    agreement = float(step @ change)
    if agreement < 0.2 * length:
        weight = 0.8 * length / (length - agreement)
        change = weight * change + (1.0 - weight) * through
        agreement = float(step @ change)
    return curvature - np.outer(through, through) / length + np.outer(change, change) / agreement
