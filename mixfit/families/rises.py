r"""The gamma-function difference of negative binomials, without its large parts, and its derivatives.

    R(y, r) = log Gamma(y + r) - log Gamma(r) - y log r

tends to zero like y (y - 1) / (2 r), which the difference of two log-gammas of size r log r cannot show. Stirling's
series log Gamma(z) = (z - 1/2) log z - z + log(2 pi) / 2 + s(z) leaves small terms only: with z = y + r,

    R  = (z - 1/2) log(1 + y/r) - y + s(z) - s(r)
    R' = log(1 + y/r) - y/r + y / (2 r z) + s'(z) - s'(r).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln

from mixfit.families.jets import Jet, fixed
from mixfit.families.polygammas import polygammas

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["digamma_rise", "log_rise", "rise", "rise_derivatives", "stirling_remainder"]

# Beyond it the series is exact to rounding.
_SERIES = 20.0
# s(z) = sum_k b_k / z^(2k + 1)
_BERNOULLI = (1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0)


def log_rise(y: Array, r: Array | float) -> Array:
    """R(y, r)."""
    return _by_size(r, y, _rise_of_small, _rise_of_large)


def digamma_rise(y: Array, r: Array | float) -> Array:
    """psi(y + r) - psi(r) - log(1 + y / r)."""
    return _by_size(r, y, _digamma_of_small, _digamma_of_large)


def rise(y: Array, r: Jet) -> Jet:
    """R(y, r) of a jet r."""
    value = log_rise(y, r.value)
    if r.eta is None and r.psi is None:
        return fixed(value)
    return r.through(value, *rise_derivatives(y, r.value))


def rise_derivatives(y: Array, r: Array | float) -> tuple[Array, Array, Array]:
    """The first three derivatives of R in r."""
    x = y / r
    first = digamma_rise(y, r) + np.log1p(x) - x
    second, third = _by_size(r, y, _higher_of_small, _higher_of_large)
    return first, second, third


def _by_size(
    r: Array | float, y: Array, small: Callable[[Array, Array], Array], large: Callable[[Array, Array], Array]
) -> Array:
    """One of two functions of (y, r) everywhere, or each where it holds."""
    whole = np.asarray(r, dtype=float)
    below = whole < _SERIES
    if below.all():
        return np.asarray(small(y, whole))
    if not below.any():
        return np.asarray(large(y, whole))
    # Each is evaluated at an r of its own kind everywhere: the smaller at most _SERIES, the larger at least that.
    return np.where(below, small(y, np.minimum(whole, _SERIES)), large(y, np.maximum(whole, _SERIES)))


def _rise_of_small(y: Array, r: Array) -> Array:
    return np.asarray(gammaln(y + r) - gammaln(r) - y * np.log(r))


def _rise_of_large(y: Array, r: Array) -> Array:
    return np.asarray((y + r - 0.5) * np.log1p(y / r) - y + stirling_remainder(y + r, 0) - stirling_remainder(r, 0))


def _digamma_of_small(y: Array, r: Array) -> Array:
    return np.asarray(digamma(y + r) - digamma(r) - np.log1p(y / r))


def _digamma_of_large(y: Array, r: Array) -> Array:
    z = y + r
    return np.asarray(0.5 * y / (r * z) + stirling_remainder(z, 1) - stirling_remainder(r, 1))


def _higher_of_small(y: Array, r: Array) -> Array:
    """The second and the third derivative."""
    z, inverse = y + r, 1.0 / r
    (tri, tetra), (tri_r, tetra_r) = polygammas(z), polygammas(r)
    return np.stack([tri - tri_r + y * inverse**2, tetra - tetra_r - 2.0 * y * inverse**3])


def _higher_of_large(y: Array, r: Array) -> Array:
    z = y + r
    second = y**2 / (r**2 * z) - 0.5 * y * (r + z) / (r * z) ** 2
    third = -(y**2) * (2.0 * z + r) / (r**3 * z**2) - y / (r * z) ** 2 + y * (r + z) ** 2 / (r * z) ** 3
    return np.stack(
        [
            second + stirling_remainder(z, 2) - stirling_remainder(r, 2),
            third + stirling_remainder(z, 3) - stirling_remainder(r, 3),
        ]
    )


def stirling_remainder(z: Array, order: int = 0) -> Array:
    """s(z), or its derivative of an order up to 3."""
    inverse = 1.0 / z
    square = inverse * inverse
    out = np.zeros_like(inverse)
    for k, b in reversed(list(enumerate(_BERNOULLI))):
        # d^m z^-(2k+1) / dz^m = (-1)^m (2k+1) ... (2k+m) z^-(2k+1+m)
        factor = float(np.prod([-(2 * k + 1 + m) for m in range(order)]))
        out = out * square + factor * b
    return out * inverse ** (1 + order)
