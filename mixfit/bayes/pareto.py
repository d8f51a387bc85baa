r"""Pareto-smoothed importance weights (Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25(72)).

The largest weights are replaced by the expected order statistics of a generalized Pareto distribution fitted to them,
whose shape k-hat says whether they have a variance: up to 0.7 the estimates are usable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["LIMIT", "fit_pareto", "smoothed"]

#: Above this k-hat weights are not to be used.
LIMIT = 0.7
# The tail: a fifth of the weights or three square roots of their number, whichever is less; no tail of fewer than five.
_SHARE, _ROOTS, _FEWEST = 0.2, 3.0, 5
# The weakly informative prior of k: as 10 observations at 0.5.
_PRIOR_WEIGHT, _PRIOR_SHAPE = 10.0, 0.5
# Points of the profile in Zhang & Stephens's estimator, beside the square root of the sample's size.
_POINTS = 30


def fit_pareto(x: Array) -> tuple[float, float]:
    """Shape k and scale of a generalized Pareto distribution (Zhang & Stephens 2009, Technometrics 51), x ascending."""
    n = len(x)
    m = _POINTS + int(np.sqrt(n))
    quartile = x[int(n / 4 + 0.5) - 1]
    b = 1.0 / x[-1] + (1.0 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3.0 * quartile)
    k = np.log1p(-b[:, None] * x).mean(axis=1)
    profile = n * (np.log(-b / k) - k - 1.0)
    weight = np.exp(profile - profile.max())
    best = float(b @ (weight / weight.sum()))
    shape = float(np.log1p(-best * x).mean())
    scale = -shape / best
    return (n * shape + _PRIOR_WEIGHT * _PRIOR_SHAPE) / (n + _PRIOR_WEIGHT), scale


def smoothed(log_weights: Array) -> tuple[Array, float]:
    """Smoothed log weights, normalized to sum 1, and k-hat (infinite where the tail is too short to tell).

    Parameters
    ----------
    log_weights : ndarray, shape (N,)

    Returns
    -------
    log_weights : ndarray, shape (N,)
    k : float
    """
    n = len(log_weights)
    out = log_weights - log_weights.max()
    tail = int(np.ceil(min(_SHARE * n, _ROOTS * np.sqrt(n))))
    k = np.inf
    if tail >= _FEWEST:
        order = np.argsort(out)
        largest = order[-tail:]
        cut = max(float(out[order[-tail - 1]]), float(np.log(np.finfo(float).tiny)))
        above = np.exp(out[largest]) - np.exp(cut)
        if above[0] > 0.0 and above[-1] > above[0] * (1.0 + 1e-10):
            k, scale = fit_pareto(above)
            p = (np.arange(tail) + 0.5) / tail
            spread = -np.log1p(-p) if abs(k) < 1e-12 else np.expm1(-k * np.log1p(-p)) / k
            out[largest] = np.minimum(np.log(scale * spread + np.exp(cut)), 0.0)
        else:
            # All the same: nothing to smooth.
            k = -np.inf
    return out - (out.max() + np.log(np.exp(out - out.max()).sum())), float(k)
