"""Draws of counts from their log probabilities, by inversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["draw_counts"]

# A tail smaller than this is what rounding leaves of a sum of probabilities.
_TAIL = 1e-14
_LARGEST = 10_000_000


def draw_counts(
    log_probability: Callable[[Array], Array], shape: tuple[int, ...], lowest: float, rng: np.random.Generator
) -> Array:
    """Draw counts of a shape: the first at which the distribution function passes a uniform number.

    Parameters
    ----------
    log_probability : callable
        log p(y) of one count at every place.
    shape : tuple of int
    lowest : float
        The smallest count.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray
    """
    uniform = rng.uniform(size=shape)
    out = np.full(shape, lowest)
    below = np.zeros(shape)
    at, rising = lowest, np.ones(shape, dtype=bool)
    last = np.zeros(shape)
    while rising.any() and at < _LARGEST:
        p = np.exp(np.broadcast_to(log_probability(np.asarray(at)), shape))
        below += p
        at += 1.0
        # Past the mode, what is still missing may be rounding, or no probability at all.
        ended = (p < _TAIL) & (p <= last) & (below > 0.5)
        rising = (uniform > below) & ~ended
        out[rising] = at
        last = p
    return out
