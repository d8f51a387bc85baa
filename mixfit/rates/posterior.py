r"""Posterior distributions of the rates given mean and precision: Beta(y + alpha, n - y + beta).

Every function takes shapes a and b of beta distributions. They know nothing of the uncertainty of mean and precision,
but for `mode_variance`, which adds it to first order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betainc, betaincc, betaincinv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["exceedance", "greater", "mean_and_sd", "mode_variance", "modes", "quantiles"]

_ACCURACY = 1e-12


def modes(a: Array, b: Array) -> Array:
    """Where each density has its peak: (a - 1) / (a + b - 2), or 0 or 1 where it rises up to an end.

    Parameters
    ----------
    a, b : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (N,)
        NaN where the density is flat or has a peak at both ends.

    Examples
    --------
    >>> modes(np.array([3.0, 0.5, 4.0, 0.5]), np.array([5.0, 4.0, 1.0, 0.5])).round(4).tolist()
    [0.3333, 0.0, 1.0, nan]
    """
    rising, falling = b <= 1.0, a <= 1.0
    one_end = (rising != falling) | (rising & falling & ((a == 1.0) != (b == 1.0)))
    inside = ~rising & ~falling
    peak = (a - 1.0) / np.where(inside, a + b - 2.0, 1.0)
    return np.where(inside, peak, np.where(one_end, (a > b).astype(np.float64), np.nan))


def mode_variance(
    p: Array, n: Array, m: Array, s: float, slope: Array, X: Array, covariance: Array
) -> tuple[Array, Array]:
    """Variance of the rates about their modes, given m and s and in all.

    Given m and s it is the inverse curvature of the log density, p (1 - p) / (n + s - 2). The mode moves with the
    parameters, dp/dm = s / (n + s - 2) and dp/ds = (m - p) / (n + s - 2), and J V J' adds their covariance V: the
    inverse of the Hessian in rates and parameters together (Kass & Steffey 1989, JASA 84).

    Parameters
    ----------
    p, n, m : ndarray, shape (N,)
        Modes, trials and means.
    s : float
    slope : ndarray, shape (N,)
        dm / d eta.
    X : ndarray, shape (N, p)
    covariance : ndarray, shape (p + 1, p + 1)
        Of the coefficients and log s.

    Returns
    -------
    given, total : ndarray, shape (N,)
        NaN where the mode is not inside (0, 1).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where((p > 0.0) & (p < 1.0), n + s - 2.0, np.nan)
        given = p * (1.0 - p) / size
        J = np.column_stack([(s * slope / size)[:, None] * X, s * (m - p) / size])
    return given, given + np.einsum("ij,jk,ik->i", J, covariance, J)


def mean_and_sd(a: Array, b: Array) -> tuple[Array, Array]:
    """Mean a / (a + b) and standard deviation of each distribution."""
    mean = a / (a + b)
    return mean, np.sqrt(mean * (1.0 - mean) / (a + b + 1.0))


def quantiles(a: Array, b: Array, probability: float) -> Array:
    """The quantile of each distribution at one probability."""
    return np.asarray(betaincinv(a, b, probability))


def exceedance(a: Array, b: Array, threshold: float) -> Array:
    """Probability that each rate is above a threshold in [0, 1]."""
    return np.asarray(betaincc(a, b, threshold))


def greater(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Probability that one beta variable exceeds another, independent one.

    P(p > q) is the integral of F_q(F_p^{-1}(u)) over u in (0, 1), by adaptive quadrature to about 12 digits after the
    point.

    Parameters
    ----------
    first, second : (a, b)

    Returns
    -------
    float

    Examples
    --------
    >>> round(greater((2.0, 1.0), (1.0, 1.0)), 6)
    0.666667
    """
    from scipy.integrate import quad

    # Where the integrand rises: at the quantiles of the second variable.
    rise = betaincinv(*second, np.array([1e-3, 0.1, 0.5, 0.9, 0.999]))
    breaks = np.unique(betainc(*first, rise))
    breaks = breaks[(breaks > 0.0) & (breaks < 1.0)]
    value, _ = quad(
        lambda u: betainc(*second, betaincinv(*first, u)),
        0.0,
        1.0,
        points=breaks.tolist() or None,
        epsabs=_ACCURACY,
        epsrel=_ACCURACY,
        limit=500,
    )
    return float(min(max(value, 0.0), 1.0))
