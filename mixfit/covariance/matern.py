r"""The Matern correlation and its derivatives, for every distance and smoothness.

M(h, nu) = 2^{1 - nu} / Gamma(nu) h^nu K_nu(h), in logarithms, and with derivatives in log h and log nu. Of moderate
orders K_nu(h) = int_0^inf exp(-h cosh t) cosh(nu t) dt, whose integrand falls so fast that the trapezoidal rule has
all digits (Trefethen & Weideman 2014, SIAM Review 56); derivatives in nu are integrals of the same kind. Of large
orders K_nu(nu z) has Debye's expansion, which holds for all z > 0 alike (Olver 1974, chapter 10; DLMF 10.41.4):
with s = sqrt(1 + z^2), w = s - 1, p = 1 / s and F(p) = sum_k (-1)^k U_k(p) / nu^k,

    log M = nu (log(1 + w / 2) - w) - log(s) / 2 + log F(p) - log F(1).

For nu to infinity at h^2 / 4 nu = g this is -g: the Gaussian correlation.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import polynomial
from scipy.special import digamma, gammaln, kve, polygamma

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["log_matern", "log_matern_derivatives"]

# The order from which Debye's expansion with `_N_DEBYE` terms has all digits: the first term left out is below 1e-16.
_LARGE_ORDER = 25.0
_N_DEBYE = 12
# Distances from which the correlations of smaller orders are 0 in double precision: 1000^25 e^-1000 = 1e-359.
_FARTHEST = 1000.0
# The integrand is cut where it is e^-40 = 4e-18 of its largest value.
_NEGLIGIBLE_LOG = 40.0
# Steps of the trapezoidal rule: its error is exp(-pi^2 / step) from the strip of width pi in which the integrand is
# analytic, and exp(-2 (pi / step)^2 / a) from its width a^{-1/2}, a = sqrt(h^2 + nu^2), near its largest value. Both
# are below 1e-16 at these; with narrower steps nothing changes, with steps twice as wide the last eight digits do.
_WIDEST_STEP = 0.2
_STEP_OF_WIDTH = 0.5
# Numbers that the integrands of one block of distances may hold: 8 MB.
_CELLS_AT_ONCE = 1_000_000


def log_matern(h: Array, nu: float) -> Array:
    """log M(h, nu) of scaled distances h > 0, (n,).

    Examples
    --------
    >>> h = np.array([1e-8, 0.5, 3.0])
    >>> bool(np.allclose(log_matern(h, 0.5), -h, rtol=1e-14))
    True
    """
    if nu >= _LARGE_ORDER:
        return _debye(h, nu)[0]
    h = np.minimum(h, _FARTHEST)
    with np.errstate(over="ignore", divide="ignore"):
        out = (1.0 - nu) * np.log(2.0) - gammaln(nu) + nu * np.log(h) + np.log(kve(nu, h)) - h
    # K overflows near 0, where h^nu makes up for it.
    beyond = ~np.isfinite(out) & (h < 1.0)
    if beyond.any():
        out[beyond] = log_matern_derivatives(h[beyond], nu)[0]
    return np.asarray(out)


def log_matern_derivatives(h: Array, nu: float) -> tuple[Array, Array, Array]:
    """Log M, its first derivatives (2, n) in log h and log nu, and its second (2, 2, n)."""
    if nu >= _LARGE_ORDER:
        return _debye(h, nu)
    h = np.minimum(h, _FARTHEST)
    step = np.minimum(_WIDEST_STEP, _STEP_OF_WIDTH * (h**2 + nu**2) ** -0.25)
    size = int(np.ceil((_ends(h, nu) / step).max(initial=1.0))) + 1
    blocks = np.array_split(h, int(np.ceil(len(h) * size / _CELLS_AT_ONCE)) or 1)
    parts = [_integrated(block, nu, size) for block in blocks]
    value, first, second = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    return value, first, second


def _ends(h: Array, nu: float) -> Array:
    """Where the integrand is negligible: its largest value is at asinh(nu / h), beyond which it falls like cosh."""
    return np.asarray(np.arcsinh(nu / h) + np.arccosh(1.0 + _NEGLIGIBLE_LOG / np.hypot(h, nu)))


def _integrated(h: Array, nu: float, size: int) -> tuple[Array, Array, Array]:
    """By moments of the integrand: K'/K in nu is the mean of t tanh(nu t), K''/K that of t^2.

    In h, with R = K_{nu - 1} / K_nu: d log(h^nu K_nu) / dh = -R, and R' = R^2 + (2 nu - 1) R / h - 1.
    """
    ends = _ends(h, nu)
    t = ends[:, None] * (np.arange(size) / (size - 1))
    logs = -h[:, None] * np.cosh(t) + _log_cosh(nu * t)
    peak = logs.max(axis=1)
    weights = np.exp(logs - peak[:, None])
    weights[:, 0] *= 0.5
    total = weights.sum(axis=1)
    log_k = peak + np.log(total * ends / (size - 1))
    value = (1.0 - nu) * np.log(2.0) - gammaln(nu) + nu * np.log(h) + log_k
    first, second = np.empty((2, len(h))), np.empty((2, 2, len(h)))
    weights /= total[:, None]
    tanh = np.tanh(nu * t)
    ratios = np.exp(_log_cosh((nu - 1.0) * t) - _log_cosh(nu * t))
    r = _mean(weights, ratios)
    tilt = _mean(weights, t * tanh)
    along_nu = np.log(h) - np.log(2.0) - digamma(nu) + tilt
    first[0], first[1] = -h * r, nu * along_nu
    r_h = r**2 + (2.0 * nu - 1.0) * r / h - 1.0
    r_nu = _mean(weights, ratios * t * np.tanh((nu - 1.0) * t)) - r * tilt
    bend = _mean(weights, t**2) - tilt**2 - polygamma(1, nu)
    second[0, 0] = -h * r - h**2 * r_h
    second[0, 1] = second[1, 0] = -h * nu * r_nu
    second[1, 1] = nu * along_nu + nu**2 * bend
    return value, first, second


def _mean(weights: Array, values: Array) -> Array:
    return np.einsum("nt,nt->n", weights, values)


def _log_cosh(x: Array) -> Array:
    size = np.abs(x)
    return np.asarray(size + np.log1p(np.exp(-2.0 * size)) - np.log(2.0))


def _debye(h: Array, nu: float) -> tuple[Array, Array, Array]:
    """Debye's expansion; with z = h / nu, ds = s - p, dw = s - p and dp = -p (1 - p^2) per d log z."""
    z = h / nu
    s = np.hypot(1.0, z)
    p, w = 1.0 / s, z**2 / (1.0 + s)
    series, at_one = _series(p, nu), _series(np.ones(1), nu)
    log_half = np.log1p(0.5 * w)
    value = nu * (log_half - w) - 0.5 * np.log(s) + series[0] - at_one[0]
    # In log z at fixed nu; then log z = log h - log nu.
    rise, bend = -0.5 * (1.0 - p**2) + series[1], -(p**2) * (1.0 - p**2) + series[2]
    first = np.stack([-nu * w + rise, nu * log_half - rise + series[3] - at_one[3]])
    second = np.empty((2, 2, len(h)))
    second[0, 0] = -nu * (s - p) + bend
    second[0, 1] = second[1, 0] = nu * (s - p - w) - bend + series[4]
    second[1, 1] = nu * (log_half + w - (s - p)) + bend - 2.0 * series[4] + series[5] - at_one[5]
    return value, first, second


def _series(p: Array, nu: float) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Log F, and its derivatives z, zz, n, zn, nn in log z and n = log nu."""
    coefficients, powers = _debye_coefficients(), np.arange(_N_DEBYE)
    share = (-1.0 / nu) ** powers
    along = -p * (1.0 - p**2)
    f, f_n, f_nn = (polynomial.polyval(p, coefficients @ (share * x)) for x in (1.0, -powers, powers**2))
    slope, slope_n = (polynomial.polyder(coefficients @ (share * x)) for x in (1.0, -powers))
    f_p, f_pn = polynomial.polyval(p, slope), polynomial.polyval(p, slope_n)
    f_pp = polynomial.polyval(p, polynomial.polyder(slope))
    z, n = f_p * along / f, f_n / f
    zz = (f_pp * along**2 + f_p * (3.0 * p**2 - 1.0) * along) / f - z**2
    return np.log(f), z, zz, n, f_pn * along / f - z * n, f_nn / f - n**2


@lru_cache(maxsize=1)
def _debye_coefficients() -> Array:
    """Coefficients of U_k by powers of p, (powers, k).

    U_{k + 1} = p^2 (1 - p^2) U_k' / 2 + int_0^p (1 - 5 t^2) U_k(t) dt / 8 (DLMF 10.41.9).
    """
    u = {0: Fraction(1)}
    out = np.zeros((3 * _N_DEBYE, _N_DEBYE))
    for k in range(_N_DEBYE):
        out[list(u), k] = [float(c) for c in u.values()]
        following: dict[int, Fraction] = {}
        for m, c in u.items():
            for power, share in (
                (m + 1, Fraction(m, 2) + Fraction(1, 8 * (m + 1))),
                (m + 3, -Fraction(m, 2) - Fraction(5, 8 * (m + 3))),
            ):
                following[power] = following.get(power, Fraction(0)) + c * share
        u = following
    return out
