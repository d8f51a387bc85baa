r"""Posterior distributions of the rates given mean and precision: Beta(y + alpha, n - y + beta).

Every function takes shapes a and b of beta distributions. They know nothing of the uncertainty of mean and precision,
but for `mode_variance`, which adds it to first order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betainc, betaincc, betaincinv

from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["exceedance", "greater", "mean_and_sd", "mode_variance", "modes", "quantiles"]

# Of a probability: quad reaches it on each of its pieces.
_ACCURACY = 1e-11
# A probability printed with six digits is still right.
_USABLE = 1e-6
_TINY = float(np.finfo(float).tiny)


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

    P(p > q) is the integral of F_q(F_p^{-1}(u)) over u in (0, 1), by adaptive quadrature; where p is above 1/2 in
    terms of 1 - p, which keeps its digits there.

    Parameters
    ----------
    first, second : (a, b)

    Returns
    -------
    float

    Raises
    ------
    FitError
        Where six digits cannot be had.

    Examples
    --------
    >>> round(greater((2.0, 1.0), (1.0, 1.0)), 6)
    0.666667
    """
    (a, b), (c, d) = first, second
    below = _lower_part(first, second, lambda p: float(betainc(c, d, p)))
    below += _both_tiny(first, second)
    above = _lower_part((b, a), (d, c), lambda q: float(betaincc(d, c, q)))
    above += float(betainc(b, a, _TINY)) - _both_tiny((b, a), (d, c))
    return min(max(below + above, 0.0), 1.0)


def _both_tiny(first: tuple[float, float], second: tuple[float, float]) -> float:
    """P(q < p < tiny), numbers too small to be told apart.

    There the distribution functions are powers, F_p(x) = F_p(tiny) (x / tiny)^a, and the integral is closed.
    """
    return float(betainc(*first, _TINY) * betainc(*second, _TINY)) * first[0] / (first[0] + second[0])


def _lower_part(first: tuple[float, float], second: tuple[float, float], integrand: Callable[[float], float]) -> float:
    """Integral of a function of F_p^{-1}(u) over the u that belong to p from the smallest number to 1/2."""
    from scipy.integrate import quad

    start, end = (float(betainc(*first, p)) for p in (_TINY, 0.5))
    # It rises or falls where the second variable has its quantiles.
    turns = betaincinv(*second, np.array([1e-3, 0.1, 0.5, 0.9, 0.999]))
    breaks = np.unique(betainc(*first, turns))
    # Pieces that are too short to count would only stop the quadrature.
    breaks = breaks[(np.diff(breaks, prepend=start) > _ACCURACY) & (breaks < end - _ACCURACY)]
    value, error, *_ = quad(
        lambda u: integrand(float(betaincinv(*first, u))),
        start,
        end,
        points=breaks.tolist() or None,
        epsabs=_ACCURACY,
        epsrel=0.0,
        limit=500,
        full_output=True,
    )
    if error > _USABLE:
        raise FitError(f"The comparison of Beta{first} with Beta{second} could be computed to {error:.1g} only.")
    return float(value)
