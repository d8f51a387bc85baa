r"""Steps for categories: a latent normal variable y* = eta + e with variance 1 that thresholds cut.

An observation is in category c where tau_{c-1} < y* <= tau_c; two categories are cut at zero. Given y* the model is
linear (Albert & Chib 1993, JASA 88, 669-679).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["cuts", "draw_latent", "draw_thresholds", "log_interval", "with_gaps"]


def log_interval(low: Array, high: Array) -> Array:
    """log(Phi(high) - Phi(low)), in the tail where both lie."""
    flip = low > 0.0
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    top = log_ndtr(b)
    with np.errstate(divide="ignore"):
        return np.asarray(top + np.log(-np.expm1(log_ndtr(a) - top)))


def draw_latent(eta: Array, low: Array, high: Array, rng: np.random.Generator) -> Array:
    r"""Draw the latent variables of all rows.

        y*_i | ... ~ N(eta_i, 1) between the thresholds of its category,

    by the inverse of the distribution function, in the tail that the interval is in, so that no digits are lost there.

    Parameters
    ----------
    eta, low, high : ndarray, shape (C, n)
    rng : Generator

    Returns
    -------
    ndarray, shape (C, n)
    """
    a, b = low - eta, high - eta
    flip = a > 0.0
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)
    bottom, top = log_ndtr(a), log_ndtr(b)
    share = rng.random(eta.shape)
    with np.errstate(divide="ignore"):
        # log of Phi(a) + share (Phi(b) - Phi(a)).
        z = ndtri_exp(np.logaddexp(np.log(share) + top, np.log1p(-share) + bottom))
    z = np.clip(z, a, b)
    return np.asarray(eta + np.where(flip, -z, z))


def with_gaps(log_gaps: Array) -> Array:
    """Thresholds (C, K - 1) from the logarithms of their distances (C, K - 2), the first at zero."""
    first = np.zeros((len(log_gaps), 1))
    return np.concatenate([first, np.cumsum(np.exp(log_gaps), axis=1)], axis=1)


def cuts(tau: Array, category: Index) -> tuple[Array, Array]:
    """Lower and upper threshold (C, n) of every row's category, (n,) or (C, n), 0 to K - 1, from tau (C, K - 1)."""
    end = np.full((len(tau), 1), np.inf)
    every = np.concatenate([-end, tau, end], axis=1)
    at = np.broadcast_to(category, (len(tau), category.shape[-1]))
    return np.take_along_axis(every, at, axis=1), np.take_along_axis(every, at + 1, axis=1)


def draw_thresholds(
    log_gaps: Array, eta: Array, category: Index, step: Array, rng: np.random.Generator
) -> tuple[Array, NDArray[np.bool_]]:
    r"""Move the thresholds by a Metropolis step, the latent variables integrated out (Cowles 1996, Stat. Comput. 6).

    The first is zero, and a constant among the coefficients in its place; of the others
    delta_c = log(tau_{c+1} - tau_c) walks at random, and is accepted by the ratio of

        p(delta) prod_i [Phi(tau_{y_i} - eta_i) - Phi(tau_{y_i - 1} - eta_i)],    p(delta) = exp sum_c delta_c,

    a flat density of thresholds in order. Latent variables are to be drawn anew afterwards.

    Parameters
    ----------
    log_gaps : ndarray, shape (C, K - 2)
        delta.
    eta : ndarray, shape (C, n)
    category : ndarray of intp, shape (n,) or (C, n)
        0 to K - 1.
    step : ndarray, shape (K - 2,)
        Standard deviations of the walk.
    rng : Generator

    Returns
    -------
    log_gaps : ndarray, shape (C, K - 2)
    accepted : ndarray of bool, shape (C,)
    """
    proposed = log_gaps + step * rng.standard_normal(log_gaps.shape)
    gain = _log_density(proposed, eta, category) - _log_density(log_gaps, eta, category)
    accepted = np.log(rng.random(len(gain))) < gain
    return np.where(accepted[:, None], proposed, log_gaps), np.asarray(accepted, dtype=bool)


def _log_density(log_gaps: Array, eta: Array, category: Index) -> Array:
    low, high = cuts(with_gaps(log_gaps), category)
    return np.asarray(log_gaps.sum(axis=1) + log_interval(low - eta, high - eta).sum(axis=1))
