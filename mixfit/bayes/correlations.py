r"""Correlation matrices through canonical partial correlations (Lewandowski, Kurowicka & Joe 2009, JMVA 100).

C = L L' with, for z_ij = tanh(y_ij), i > j,

    L_ij = z_ij prod_{m < j} sqrt(1 - z_im^2),      L_ii = prod_{m < i} sqrt(1 - z_im^2).

Any y gives a correlation matrix; for two columns y is atanh of the correlation. The LKJ density |C|^(eta - 1) makes
the z independent, z_ij ~ 2 Beta(a_j, a_j) - 1 with a_j = eta + (k - 2 - j) / 2.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaln

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "correlation_root",
    "draw_partial",
    "lkj_log_density",
    "lkj_shapes",
    "log_complement",
    "partial",
    "root_slopes",
]

_LOG_2 = float(np.log(2.0))


@cache
def _pairs(k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the y of k columns."""
    return np.tril_indices(k, -1)


def log_complement(y: Array) -> Array:
    """log(1 - tanh(y)^2), also where the tanh rounds to 1."""
    size = np.abs(y)
    return np.asarray(2.0 * (_LOG_2 - size - np.log1p(np.exp(-2.0 * size))))


def _rows(y: Array, k: int) -> tuple[Array, Array, Array]:
    """z, log(1 - z^2) and prod_{m < j} sqrt(1 - z_im^2), each (..., k, k)."""
    at = (..., *_pairs(k))
    z, log_rest = np.zeros((*y.shape[:-1], k, k)), np.zeros((*y.shape[:-1], k, k))
    z[at], log_rest[at] = np.tanh(y), log_complement(y)
    before = np.exp(0.5 * (np.cumsum(log_rest, axis=-1) - log_rest))
    return z, log_rest, before


def correlation_root(y: Array, k: int) -> Array:
    """L (..., k, k) of y (..., k (k - 1) / 2)."""
    z, _, before = _rows(y, k)
    every = np.arange(k)
    z[..., every, every] = 1.0
    return np.asarray(np.tril(z * before))


def root_slopes(y: Array, root: Array, slope: Array) -> Array:
    """Derivative in y of a function whose derivative in L is `slope`, (..., k, k)."""
    k = root.shape[-1]
    z, log_rest, before = _rows(y, k)
    along = slope * root
    after = np.flip(np.cumsum(np.flip(along, -1), axis=-1), -1) - along
    at = (..., *_pairs(k))
    return np.asarray((slope * before * np.exp(log_rest) - z * after)[at])


def partial(root: Array) -> Array:
    """y of a lower-triangular L (..., k, k) with rows of length 1, none of them singular."""
    k = root.shape[-1]
    squares = np.cumsum(root**2, axis=-1) - root**2
    z = root / np.sqrt(np.maximum(1.0 - squares, np.finfo(float).tiny))
    return np.asarray(np.arctanh(z[..., *_pairs(k)]), dtype=float)


def lkj_shapes(k: int, eta: float) -> Array:
    """a_j of every y."""
    return np.asarray(eta + 0.5 * (k - 2 - _pairs(k)[1]), dtype=float)


def lkj_log_density(y: Array, k: int, eta: float) -> tuple[Array, Array]:
    """Log density of y (..., c) under LKJ(eta), and its derivative: sum_ij a_j log(1 - z_ij^2) and a constant."""
    a = lkj_shapes(k, eta)
    constant = -np.sum((2.0 * a - 1.0) * _LOG_2 + betaln(a, a))
    return np.asarray(log_complement(y) @ a + constant), np.asarray(-2.0 * a * np.tanh(y))


def draw_partial(k: int, eta: float, rng: np.random.Generator, size: int) -> Array:
    """Independent y under LKJ(eta), (size, c)."""
    a = lkj_shapes(k, eta)
    return np.asarray(np.arctanh(2.0 * rng.beta(a, a, size=(size, len(a))) - 1.0), dtype=float)
