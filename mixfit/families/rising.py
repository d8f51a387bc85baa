r"""Gamma-function differences of the negative binomial that stay exact for any dispersion.

    r(y, phi) = log Gamma(y + phi) - log Gamma(phi) - y log phi

tends to zero like y (y - 1) / (2 phi), which the difference of two log-gammas of size phi log phi cannot show.
Stirling's series log Gamma(z) = (z - 1/2) log z - z + log(2 pi) / 2 + s(z) leaves small terms only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["digamma_rise", "log_rise"]

# Beyond it the series is exact to rounding.
_SERIES = 20.0
_BERNOULLI = (1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0)


def log_rise(y: Array, phi: float) -> Array:
    """r(y, phi)."""
    if phi < _SERIES:
        return np.asarray(gammaln(y + phi) - gammaln(phi) - y * np.log(phi))
    return np.asarray((y + phi - 0.5) * np.log1p(y / phi) - y + _remainder(y + phi) - _remainder(phi))


def digamma_rise(y: Array, phi: float) -> Array:
    """psi(y + phi) - psi(phi) - log(1 + y / phi)."""
    if phi < _SERIES:
        return np.asarray(digamma(y + phi) - digamma(phi) - np.log1p(y / phi))
    z = y + phi
    return np.asarray(0.5 * y / (phi * z) + _remainder_slope(z) - _remainder_slope(phi))


def _remainder(z: Array | float) -> Array:
    """s(z)."""
    inverse = 1.0 / np.asarray(z)
    square = inverse * inverse
    out = np.zeros_like(inverse)
    for b in reversed(_BERNOULLI):
        out = out * square + b
    return out * inverse


def _remainder_slope(z: Array | float) -> Array:
    """ds/dz."""
    square = 1.0 / np.square(np.asarray(z, dtype=float))
    out = np.zeros_like(square)
    for power, b in reversed(list(enumerate(_BERNOULLI))):
        out = out * square - (2 * power + 1) * b
    return out * square
