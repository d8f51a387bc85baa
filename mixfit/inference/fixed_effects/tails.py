"""Tail probabilities of t, F, normal and chi-square statistics; infinite degrees of freedom are limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["f_tail", "t_quantile", "t_tails"]


def t_tails(statistics: Array, df: Array) -> Array:
    """Two-sided p-values of t statistics; normal where df is infinite.

    Examples
    --------
    >>> t_tails(np.array([2.0, 2.0]), np.array([10.0, np.inf])).round(4).tolist()
    [0.0734, 0.0455]
    """
    left = -np.abs(statistics)
    return np.asarray(2.0 * np.where(np.isinf(df), ndtr(left), stdtr(df, left)))


def t_quantile(probability: float, df: Array) -> Array:
    """Quantiles of t distributions; normal where df is infinite."""
    return np.where(np.isinf(df), ndtri(probability), stdtrit(df, probability))


def f_tail(statistic: float, ndf: float, ddf: float) -> float:
    """Upper tail probability of an F statistic; that of ndf F as chi-square where ddf is infinite.

    Examples
    --------
    >>> round(f_tail(3.0, 2, 10.0), 4), round(f_tail(3.0, 2, np.inf), 4)
    (0.0954, 0.0498)
    """
    if np.isnan(statistic) or np.isnan(ddf):
        return float("nan")
    if np.isinf(ddf):
        return float(chdtrc(ndf, max(ndf * statistic, 0.0)))
    return float(fdtrc(ndf, ddf, max(statistic, 0.0)))
