r"""The likelihoods of units whose rates are beta distributed, with exact first and second derivatives.

Unit i has y of n successes at rate p, and p has a beta distribution with mean m and precision s: alpha = m s,
beta = (1 - m) s. With f = n - y,

    marginal  log Choose(n, y) + log B(y + alpha, f + beta) - log B(alpha, beta),
    joint     log Choose(n, y) + (y + alpha - 1) log p + (f + beta - 1) log(1 - p) - log B(alpha, beta),

the first being the second (as a density of y and p) integrated over p (Skellam 1948). The joint one is taken at its
maximum over p, p = (y + alpha - 1) / (n + s - 2).

Working parameters are the coefficients of eta = g(m) and log s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln, xlogy, zeta

from mixfit.families.proportions import log_choose
from mixfit.rates.ends import ends
from mixfit.rates.gamma import digamma_rise, log_gamma_rise, trigamma_rise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.links import Link

    Array = NDArray[np.float64]

__all__ = ["Point", "UnitTerms", "binomial_scale", "evaluate", "joint_terms", "marginal_terms", "rounding"]

# A rate this close to 0 or 1 is there, but for rounding.
_AT_AN_END = 1e-14
_EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class UnitTerms:
    """Log-likelihood of each unit and its derivatives in m and s, each of shape (N,)."""

    value: Array
    m: Array
    s: Array
    mm: Array
    ms: Array
    ss: Array


@dataclass(frozen=True, eq=False)
class Point:
    """A log-likelihood with its gradient (p + 1,) and Hessian (p + 1, p + 1) in (coefficients, log s)."""

    value: float
    gradient: Array
    hessian: Array


def marginal_terms(y: Array, n: Array, m: Array, s: float, q: Array | None = None) -> UnitTerms:
    """The beta-binomial of each unit; the binomial at s = infinity.

    Parameters
    ----------
    y, n : ndarray, shape (N,)
        Successes and trials.
    m : ndarray, shape (N,)
    s : float
    q : ndarray, shape (N,), optional
        1 - m, where that has more digits than are left of m.

    Returns
    -------
    UnitTerms

    Examples
    --------
    >>> y, n, m = np.array([1.0]), np.array([2.0]), np.array([0.5])
    >>> [round(float(np.exp(marginal_terms(y, n, m, s).value[0])), 4) for s in (2.0, np.inf)]
    [0.3333, 0.5]
    """
    f, q = n - y, 1.0 - m if q is None else q
    if np.isinf(s):
        value = log_choose(n, y) + xlogy(y, m) + xlogy(f, q)
        zero = np.zeros_like(value)
        return UnitTerms(value, y / m - f / q, zero, -y / m**2 - f / q**2, zero, zero)
    a, b = m * s, q * s
    value = log_choose(n, y) + log_gamma_rise(a, y) + log_gamma_rise(b, f) - log_gamma_rise(s, n)
    da, db, ds = digamma_rise(a, y), digamma_rise(b, f), digamma_rise(s, n)
    ta, tb, ts = trigamma_rise(a, y), trigamma_rise(b, f), trigamma_rise(s, n)
    return UnitTerms(
        value=value,
        m=s * (da - db),
        s=m * da + q * db - ds,
        mm=s**2 * (ta + tb),
        ms=(da - db) + s * (m * ta - q * tb),
        ss=m**2 * ta + q**2 * tb - ts,
    )


def joint_terms(y: Array, n: Array, m: Array, s: float, q: Array | None = None) -> UnitTerms:
    """The joint density of count and rate of each unit, at the rate that maximizes it.

    Parameters and returns as for `marginal_terms`; NaN where no rate inside (0, 1) is the best. Second derivatives
    are those along the maximizing rates, j_xy - j_xp j_yp / j_pp with j_pp = -(n + s - 2) / (p (1 - p)).
    """
    f, q = n - y, 1.0 - m if q is None else q
    a, b = m * s, q * s
    above, below = y + a - 1.0, f + b - 1.0
    # Both may be negative: the density is then unbounded at both ends.
    inside = np.minimum(above, below) > _AT_AN_END * np.maximum(above, below)
    total = np.where(inside, above + below, np.nan)
    p, r = above / total, below / total
    value = log_choose(n, y) + above * np.log(p) + below * np.log(r)
    value += gammaln(s) - gammaln(a) - gammaln(b)
    da, db = np.log(p) - digamma(a), np.log(r) - digamma(b)
    ta, tb = zeta(2.0, a), zeta(2.0, b)
    spread = p * r * total
    return UnitTerms(
        value=value,
        m=s * (da - db),
        s=m * da + q * db + digamma(s),
        mm=-(s**2) * (ta + tb) + s**2 / spread,
        ms=(da - db) - s * (m * ta - q * tb) + s * (m - p) / spread,
        ss=zeta(2.0, s) - m**2 * ta - q**2 * tb + (m - p) ** 2 / spread,
    )


def evaluate(
    terms: Callable[[Array, Array, Array, float, Array], UnitTerms],
    y: Array,
    n: Array,
    X: Array,
    offset: Array,
    link: Link,
    coefficients: Array,
    s: float,
    times: Array | float = 1.0,
) -> Point:
    """Sum a likelihood over the units and carry its derivatives to (coefficients, log s).

    Beyond the predictors whose means numbers can hold (`ends`) each unit's term goes on as a straight line, so that a
    search that starts there finds back.

    Parameters
    ----------
    terms : callable
        `marginal_terms` or `joint_terms`.
    y, n, offset : ndarray, shape (N,)
    X : ndarray, shape (N, p)
    link : Link
    coefficients : ndarray, shape (p,)
    s : float
        At infinity the derivatives in log s are zero.
    times : ndarray, shape (N,), or float
        How often each unit counts.

    Returns
    -------
    Point
    """
    eta = X @ coefficients + offset
    mean = ends(link, eta)
    d1, d2, beyond = mean.slope, mean.bend, mean.beyond
    t = terms(y, n, mean.m, s, mean.q)
    p = X.shape[1]
    score = times * t.m * d1
    gradient, hessian = np.zeros(p + 1), np.zeros((p + 1, p + 1))
    gradient[:p] = X.T @ score
    hessian[:p, :p] = (X.T * np.where(beyond == 0.0, times * (t.mm * d1**2 + t.m * d2), 0.0)) @ X
    if np.isfinite(s):
        gradient[p] = s * (times * (t.s + t.ms * d1 * beyond)).sum()
        hessian[p, :p] = hessian[:p, p] = s * (X.T @ (times * t.ms * d1))
        hessian[p, p] = gradient[p] + s**2 * (times * t.ss).sum()
    return Point(float((times * t.value + score * beyond).sum()), gradient, hessian)


def binomial_scale(n: Array, times: Array | float = 1.0) -> float:
    """Precision whose inverse is one standard error of r = 1 / s at r = 0, the binomial.

    As r -> 0, l = binomial + r [y (y-1) / m + f (f-1) / (1-m) - n (n-1)] / 2, whose score in r has the information
    sum n (n-1) / 2 (Tarone 1979, Biometrika 66). Far above this precision nothing tells the beta-binomial from the
    binomial.

    Examples
    --------
    >>> round(binomial_scale(np.full(10, 100.0)), 1)
    222.5
    """
    return float(np.sqrt((times * 0.5 * n * (n - 1.0)).sum()))


def rounding(n: Array, times: Array | float = 1.0) -> float:
    """Rounding error of a sum of log-likelihoods, whose terms are of the order log Gamma(n)."""
    return _EPSILON * float((times * n * np.log(n + 2.0)).sum())
