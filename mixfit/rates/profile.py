"""Intervals from the profile of the marginal likelihood: its ends need no symmetry, and know the parameter's bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from mixfit.errors import FitError
from mixfit.gram.basis import fixed_basis
from mixfit.rates.climb import climb
from mixfit.rates.estimate import INFINITE, maximize_marginal
from mixfit.rates.likelihood import binomial_scale, marginal_terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixfit.families.links import Link
    from mixfit.rates.estimate import RateEstimate
    from mixfit.rates.units import Units

__all__ = ["profile_interval", "profile_loglik"]

# Growing by half each, 60 steps go 1e11 times the first.
_MAX_STEPS = 60
_GROWTH = 1.5
# Of log s: a factor of seven, where a standard error says more.
_FIRST_STEP = 2.0
# Of log s: relative to s itself.
_ROOT = 1e-10
# Twice a log-likelihood: peaks this near are one.
_SAME = 1e-6


def profile_loglik(units: Units, link: Link, estimate: RateEstimate, which: int, value: float) -> float:
    """Largest marginal log-likelihood with one working parameter held.

    Parameters
    ----------
    units : Units
    link : Link
    estimate : RateEstimate
        Of these units, by marginal likelihood.
    which : int
        Number of the coefficient, or p for log s.
    value : float
        On the working scale; log s may be infinite.

    Returns
    -------
    float
    """
    if which < units.X.shape[1]:
        # Along the tangent of the profile. Least squares may start where means are 0 or 1 to all digits.
        slopes = estimate.covariance[:-1, which] / estimate.covariance[which, which]
        near = np.delete(estimate.coefficients + slopes * (value - estimate.coefficients[which]), which)
        return maximize_marginal(units.with_known_coefficient(which, value), link, near).point.value
    seen = units.take(units.n > 0.0).distinct()
    basis = fixed_basis(seen.X.T)
    data = (seen.y, seen.n, basis.rows.T, seen.offset, link)
    start, s = basis.triangle @ estimate.coefficients, float(np.exp(value))
    return climb(marginal_terms, *data, start, s, known_precision=True, times=seen.times).point.value


def profile_interval(units: Units, link: Link, estimate: RateEstimate, which: int, alpha: float) -> tuple[float, float]:
    """Values of a working parameter at which twice the log-likelihood has fallen by the chi-square quantile.

    Parameters
    ----------
    units, link, estimate, which
        As for `profile_loglik`.
    alpha : float
        One less the coverage.

    Returns
    -------
    lower, upper : float
        Of log s the upper end is infinite where rates that do not vary are within the interval.
    """
    fall = float(ndtri(1.0 - alpha / 2.0)) ** 2
    units = units.take(units.n > 0.0).distinct()

    def excess(value: float) -> float:
        return 2.0 * (estimate.llf - profile_loglik(units, link, estimate, which, value)) - fall

    if which < units.X.shape[1]:
        at, step = float(estimate.coefficients[which]), float(np.sqrt(estimate.covariance[which, which]))
        if not np.isfinite(estimate.s):
            return _crossing(excess, at, -step), _crossing(excess, at, step)

        def end(step: float) -> float:
            along = _along_the_peak(units, link, estimate, which)
            return _end(lambda value: 2.0 * (estimate.llf - along(value)) - fall, excess, at, step)

        return end(-step), end(step)
    if np.isfinite(estimate.s):
        at, step = float(np.log(estimate.s)), min(float(np.sqrt(estimate.covariance[-1, -1])), _FIRST_STEP)
        upper = np.inf if excess(np.inf) <= 0.0 else _crossing(excess, at, step)
        return _crossing(excess, at, -step), upper
    # One standard error of 1 / s away from its estimate zero, and from there towards it where that is too far.
    at = float(np.log(binomial_scale(units.n, units.times)))
    while excess(at) > 0.0:
        at += _FIRST_STEP
    return _crossing(excess, at, -_FIRST_STEP), np.inf


def _along_the_peak(units: Units, link: Link, estimate: RateEstimate, which: int) -> Callable[[float], float]:
    """The profile of a coefficient on the peak that has the estimate, each maximum from the last one's precision."""
    held, basis = units.X[:, which], fixed_basis(np.delete(units.X, which, axis=1).T)
    limit = INFINITE * binomial_scale(units.n, units.times)
    slopes = estimate.covariance[:-1, which] / estimate.covariance[which, which]
    s = estimate.s

    def value(at: float) -> float:
        nonlocal s
        near = estimate.coefficients + slopes * (at - estimate.coefficients[which])
        start = basis.triangle @ np.delete(near, which)
        data = (units.y, units.n, basis.rows.T, units.offset + at * held, link)
        found = climb(marginal_terms, *data, start, s, limit=limit, times=units.times)
        s = found.s
        return found.point.value

    return value


def _end(along: Callable[[float], float], excess: Callable[[float], float], at: float, step: float) -> float:
    """Where the profile has fallen, found along one peak and confirmed by the search for all of them."""
    try:
        found = _crossing(along, at, step)
    except FitError:
        # The peak has gone to infinity or another place.
        return _crossing(excess, at, step)
    if np.isfinite(found) and excess(found) > -_SAME:
        return found
    return _crossing(excess, at, step)


def _crossing(excess: Callable[[float], float], at: float, step: float) -> float:
    """Where `excess`, negative at `at`, becomes positive on the side of `step`; infinite where it does not."""
    for _ in range(_MAX_STEPS):
        there = at + step
        if excess(there) > 0.0:
            return float(brentq(excess, at, there, xtol=_ROOT))
        at, step = there, step * _GROWTH
    return float(np.copysign(np.inf, step))
