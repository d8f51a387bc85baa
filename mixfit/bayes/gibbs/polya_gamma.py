r"""The step for logits: Polya-Gamma variables, given which the model is linear.

With y_i successes of t_i trials, kappa_i = y_i - t_i / 2 and omega_i ~ PG(t_i, eta_i),

    p^y (1 - p)^(t - y)  ~  exp(kappa eta - omega eta^2 / 2):

kappa_i / omega_i is as normal data about eta_i with variance 1 / omega_i (Polson, Scott & Windle 2013, JASA 108,
1339-1349). PG(1, z) = J / 4 with J drawn by Devroye's method: from its own first terms, an exponential tail or a
truncated inverse Gaussian variable, accepted by an alternating series whose partial sums enclose the density.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, log_ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["draw_polya_gamma", "draw_precisions"]

# Where the two series of the density meet: each is accepted at its first term nearly always (Devroye 2009).
_MEETING = 0.64


def draw_precisions(eta: Array, row: Index, rng: np.random.Generator) -> Array:
    r"""Draw omega of all rows, each the sum of its trials' own variables.

        omega_i | ... ~ PG(t_i, eta_i).

    Parameters
    ----------
    eta : ndarray, shape (C, n)
    row : ndarray of intp, shape (sum of t_i,)
        The row of each trial, ascending; every row has one at least.
    rng : Generator

    Returns
    -------
    ndarray, shape (C, n)
    """
    each = draw_polya_gamma(eta[:, row], rng)
    return np.asarray(np.add.reduceat(each, np.flatnonzero(np.diff(row, prepend=-1)), axis=1))


def draw_polya_gamma(tilt: Array, rng: np.random.Generator) -> Array:
    """Draw PG(1, z) for tilts z of any shape.

    Parameters
    ----------
    tilt : ndarray
    rng : Generator
    """
    z = 0.5 * np.abs(tilt).ravel()
    out, left = np.empty(z.shape), np.arange(z.size)
    rate = np.pi**2 / 8.0 + 0.5 * z**2
    share = expit(_log_tail(rate) - _log_head(z))
    while left.size:
        x = _propose(z[left], rate[left], share[left], rng)
        accepted = _accept(x, rng)
        out[left[accepted]] = 0.25 * x[accepted]
        left = left[~accepted]
    return out.reshape(tilt.shape)


def _log_tail(rate: Array) -> Array:
    """Log of what the proposal has beyond where the series meet: pi / (2 K) exp(-K t)."""
    return np.asarray(np.log(0.5 * np.pi / rate) - rate * _MEETING)


def _log_head(z: Array) -> Array:
    """Log of what it has below: 2 exp(-z) times the inverse Gaussian distribution function of mean 1 / z."""
    root = 1.0 / np.sqrt(_MEETING)
    above = -z + log_ndtr(root * (_MEETING * z - 1.0))
    below = z + log_ndtr(-root * (_MEETING * z + 1.0))
    return np.asarray(np.log(2.0) + np.logaddexp(above, below))


def _propose(z: Array, rate: Array, share: Array, rng: np.random.Generator) -> Array:
    """From the tail with its share, and else from the head."""
    tail = rng.random(z.shape) < share
    out = np.empty(z.shape)
    out[tail] = _MEETING + rng.standard_exponential(int(tail.sum())) / rate[tail]
    out[~tail] = _truncated_inverse_gaussian(z[~tail], rng)
    return out


def _truncated_inverse_gaussian(z: Array, rng: np.random.Generator) -> Array:
    """Inverse Gaussian of mean 1 / z and shape 1, below where the series meet."""
    out = np.empty(z.shape)
    far = z < 1.0 / _MEETING
    left = np.flatnonzero(far)
    while left.size:
        # Without the tilt it is the inverse of a squared normal variable beyond 1 / sqrt(t).
        first, second = rng.standard_exponential((2, left.size))
        x = _MEETING / (1.0 + _MEETING * first) ** 2
        kept = (first**2 <= 2.0 * second / _MEETING) & (rng.random(left.size) < np.exp(-0.5 * z[left] ** 2 * x))
        out[left[kept]] = x[kept]
        left = left[~kept]
    left = np.flatnonzero(~far)
    while left.size:
        x = rng.wald(1.0 / z[left], 1.0)
        kept = x <= _MEETING
        out[left[kept]] = x[kept]
        left = left[~kept]
    return out


def _term(n: int, x: Array) -> Array:
    """a_n(x) of the alternating series."""
    odd = n + 0.5
    log_head = 1.5 * np.log(2.0 / (np.pi * x)) - 2.0 * odd**2 / x
    return np.asarray(np.pi * odd * np.exp(np.where(x > _MEETING, -0.5 * (odd * np.pi) ** 2 * x, log_head)))


def _accept(x: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whether a uniform share of the first term is below the whole series."""
    total, accepted = _term(0, x), np.zeros(x.shape, dtype=bool)
    height, left, n = rng.random(x.shape) * total, np.arange(x.size), 0
    while left.size:
        n += 1
        total = total + (-1.0) ** n * _term(n, x[left])
        # Odd sums are below the density, even ones above.
        done = height[left] <= total if n % 2 else height[left] > total
        if n % 2:
            accepted[left[done]] = True
        left, total = left[~done], total[~done]
    return accepted
