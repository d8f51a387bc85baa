r"""Differences of log-gamma functions that keep their digits where the beta distribution narrows.

The beta-binomial needs lgamma(x + k) - lgamma(x) and its derivatives at x = m s and x = (1 - m) s. Its score in s is
of the order n^2 / s^2 while each term is of the order log s: taken as they stand, the differences drown in rounding
from s = 1e6 on. Here each function is split into its leading part, whose difference is a log1p or a quotient, and a
remainder that vanishes as x grows (Stirling's series; Abramowitz & Stegun 1964, 6.1.41, 6.3.18, 6.4.12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln, zeta

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["digamma_rise", "log_gamma_rise", "trigamma_rise"]

# From here on the series below are exact to rounding.
_LARGE = 30.0
# Of Stirling's series.
_HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)


def log_gamma_rise(x: ArrayLike, k: ArrayLike) -> Array:
    """log Gamma(x + k) - log Gamma(x) for x > 0, k >= 0.

    Examples
    --------
    >>> round(float(log_gamma_rise(2.0, 3)), 6), round(float(np.log(2 * 3 * 4)), 6)
    (3.178054, 3.178054)
    """
    low, rise, high = _ends(x, k)
    leading = (low - 0.5) * np.log1p(rise / low) + rise * np.log(high) - rise
    return np.asarray(leading + _log_remainder(high) - _log_remainder(low))


def digamma_rise(x: ArrayLike, k: ArrayLike) -> Array:
    """Derivative of `log_gamma_rise` in x.

    Examples
    --------
    >>> round(float(digamma_rise(2.0, 2)), 6), round(1 / 2 + 1 / 3, 6)
    (0.833333, 0.833333)
    """
    low, rise, high = _ends(x, k)
    return np.asarray(np.log1p(rise / low) + (_digamma_remainder(high) - _digamma_remainder(low)))


def trigamma_rise(x: ArrayLike, k: ArrayLike) -> Array:
    """Second derivative of `log_gamma_rise` in x.

    Examples
    --------
    >>> round(float(trigamma_rise(2.0, 2)), 6), round(-1 / 4 - 1 / 9, 6)
    (-0.361111, -0.361111)
    """
    low, rise, high = _ends(x, k)
    return np.asarray((_trigamma_remainder(high) - _trigamma_remainder(low)) - rise / (low * high))


def _ends(x: ArrayLike, k: ArrayLike) -> tuple[Array, Array, Array]:
    """x, k and x + k as arrays."""
    low, rise = np.asarray(x, dtype=np.float64), np.asarray(k, dtype=np.float64)
    return low, rise, np.asarray(low + rise)


def _log_remainder(x: Array) -> Array:
    """log Gamma(x) - [(x - 1/2) log x - x + log(2 pi) / 2]."""
    z = 1.0 / np.maximum(x, _LARGE) ** 2
    series = (1.0 / 12.0 - z * (1.0 / 360.0 - z * (1.0 / 1260.0 - z / 1680.0))) * np.sqrt(z)
    return _exact_below(x, series, lambda v: gammaln(v) - (v - 0.5) * np.log(v) + v - _HALF_LOG_TWO_PI)


def _digamma_remainder(x: Array) -> Array:
    """digamma(x) - log x."""
    z = 1.0 / np.maximum(x, _LARGE) ** 2
    series = -0.5 * np.sqrt(z) - z * (1.0 / 12.0 - z * (1.0 / 120.0 - z * (1.0 / 252.0 - z / 240.0)))
    return _exact_below(x, series, lambda v: digamma(v) - np.log(v))


def _trigamma_remainder(x: Array) -> Array:
    """trigamma(x) - 1 / x, the trigamma function as Hurwitz's zeta(2, x)."""
    z = 1.0 / np.maximum(x, _LARGE) ** 2
    series = z * (0.5 + np.sqrt(z) * (1.0 / 6.0 - z * (1.0 / 30.0 - z * (1.0 / 42.0 - z / 30.0))))
    return _exact_below(x, series, lambda v: zeta(2.0, v) - 1.0 / v)


def _exact_below(x: Array, series: Array, exact: Callable[[Array], Array]) -> Array:
    """The series where x is large, and elsewhere the function itself (which is slow)."""
    out, near = np.array(series), x < _LARGE
    if near.any():
        out[near] = exact(x[near])
    return out
