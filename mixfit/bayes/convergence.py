"""Effective sample sizes, R-hat and Monte Carlo errors by ranks, of many parameters at once.

As Vehtari, Gelman, Simpson, Carpenter & Buerkner (2021, Bayesian Analysis 16, 667-718) define them; draws are (chains,
draws, parameters) throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["FEWEST", "ess", "ess_bulk", "ess_tail", "mcse_mean", "mcse_sd", "r_hat"]

#: Draws of a chain below which halves of it tell nothing.
FEWEST = 8
# Parameters whose autocovariances are held at a time.
_AT_ONCE = 256
# Draws of a parameter whose spread is rounding do not vary.
_CONSTANT = 1e-12


def _halves(x: Array) -> Array:
    """Every chain as two."""
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, -half:]])


def _normal_scores(x: Array) -> Array:
    """Ranks over all chains as quantiles of a normal distribution (Blom's)."""
    flat = x.reshape(-1, x.shape[2])
    order = np.argsort(flat, axis=0, kind="stable")
    rank = np.empty(flat.shape)
    np.put_along_axis(rank, order, np.arange(1.0, len(flat) + 1.0)[:, None], axis=0)
    _share_ties(flat, order, rank)
    return ndtri((rank - 0.375) / (len(flat) + 0.25)).reshape(x.shape)


def _share_ties(flat: Array, order: NDArray[np.intp], rank: Array) -> None:
    """Give equal values the mean of their ranks, in place."""
    ordered = np.take_along_axis(flat, order, axis=0)
    for j in np.flatnonzero((np.diff(ordered, axis=0) == 0.0).any(axis=0)):
        group = np.cumsum(np.concatenate([[0], np.diff(ordered[:, j]) != 0.0]))
        means = np.bincount(group, np.arange(1.0, len(group) + 1.0)) / np.bincount(group)
        rank[order[:, j], j] = means[group]


def _split_r_hat(x: Array) -> Array:
    x = _halves(x)
    n = x.shape[1]
    between, within = x.mean(axis=1).var(axis=0, ddof=1), x.var(axis=1, ddof=1).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt((n - 1) / n + between / within)


def r_hat(x: Array) -> Array:
    """The larger of R-hat of the normal scores and of those of the distances from the median."""
    folded = np.abs(x - np.median(x, axis=(0, 1)))
    return np.maximum(_split_r_hat(_normal_scores(x)), _split_r_hat(_normal_scores(folded)))


def ess(x: Array) -> Array:
    """Effective draws for the mean, from halves of chains, by Geyer's initial monotone sequence."""
    halves = _halves(x)
    parts = range(0, x.shape[2], _AT_ONCE)
    return np.concatenate([_ess(halves[:, :, a : a + _AT_ONCE]) for a in parts]) if x.shape[2] else np.empty(0)


def _ess(x: Array) -> Array:
    m, n, _ = x.shape
    centred = x - x.mean(axis=1, keepdims=True)
    size = next_fast_len(2 * n, real=True)
    spectrum = rfft(centred, size, axis=1)
    autocovariance = irfft(np.abs(spectrum) ** 2, size, axis=1)[:, :n].mean(axis=0) / n
    within = autocovariance[0] * n / (n - 1.0)
    total = within * (n - 1.0) / n + (x.mean(axis=1).var(axis=0, ddof=1) if m > 1 else 0.0)
    constant = total <= _CONSTANT**2 * np.maximum(np.abs(x).max(axis=(0, 1)), np.finfo(float).tiny) ** 2
    total = np.where(constant, 1.0, total)
    rho = 1.0 - (within - autocovariance) / total
    rho[0] = 1.0
    pairs = rho[0 : n - n % 2 : 2] + rho[1::2]
    positive = np.cumprod(pairs > 0.0, axis=0)
    decreasing = np.minimum.accumulate(np.where(positive, pairs, 0.0), axis=0)
    tau = np.maximum(2.0 * decreasing.sum(axis=0) - 1.0, 1.0 / np.log10(m * n))
    return np.where(constant, np.nan, m * n / tau)


def ess_bulk(x: Array) -> Array:
    """Effective draws for the centre: those of the normal scores."""
    return ess(_normal_scores(x))


def ess_tail(x: Array) -> Array:
    """The fewer of the effective draws for the 5 % and the 95 % quantiles."""
    low, high = np.quantile(x, [0.05, 0.95], axis=(0, 1))
    return np.fmin(ess((x <= low).astype(float)), ess((x <= high).astype(float)))


def mcse_mean(x: Array) -> Array:
    """Monte Carlo standard error of the mean."""
    return np.asarray(x.std(axis=(0, 1), ddof=1) / np.sqrt(ess(x)))


def mcse_sd(x: Array) -> Array:
    """Monte Carlo standard error of the standard deviation, by that of the mean squared distance from the mean."""
    gap = x - x.mean(axis=(0, 1))
    variance, fourth = (gap**2).mean(axis=(0, 1)), (gap**4).mean(axis=(0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt((fourth - variance**2) / ess(np.abs(gap)) / variance / 4.0))
