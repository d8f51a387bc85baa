"""Means of what is known by its logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["log_mean"]


def log_mean(values: Array) -> Array:
    """Logarithm of the mean of exp(values) along the first axis."""
    top = values.max(axis=0)
    return np.asarray(np.log(np.exp(values - top).mean(axis=0)) + top)
