"""Wald statistics of the fixed effects: functions of estimates and standard errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["correlation", "interval", "normal_quantile", "p_values", "ratios"]


def ratios(estimates: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide estimates by their standard errors.

    Parameters
    ----------
    estimates, errors : ndarray, shape (p,)

    Returns
    -------
    ndarray, shape (p,)
        NaN or infinite where the standard error is zero.

    Examples
    --------
    >>> ratios(np.array([4.0, -1.0]), np.array([2.0, 0.5])).tolist()
    [2.0, -2.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return estimates / errors


def p_values(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided tail probabilities of a standard normal variable.

    Parameters
    ----------
    statistics : ndarray, shape (p,)

    Returns
    -------
    ndarray, shape (p,)

    Examples
    --------
    >>> p_values(np.array([0.0, 1.959963984540054])).round(6).tolist()
    [1.0, 0.05]
    """
    from scipy.special import ndtr

    return np.asarray(2.0 * ndtr(-np.abs(statistics)), dtype=np.float64)


def normal_quantile(alpha: float) -> float:
    """Compute z(1 - alpha / 2): a standard normal variable is farther from zero with probability alpha.

    Parameters
    ----------
    alpha : float
        Between 0 and 1.

    Returns
    -------
    float

    Raises
    ------
    FitError
        When `alpha` is not between 0 and 1.

    Examples
    --------
    >>> round(normal_quantile(0.05), 3)
    1.96
    """
    from scipy.special import ndtri

    if not 0.0 < alpha < 1.0:
        raise FitError(f"alpha must lie between 0 and 1, not {alpha!r}")
    return float(ndtri(1.0 - alpha / 2.0))


def interval(estimates: NDArray[np.float64], errors: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Limits ``estimate ± z(1 - alpha/2) error``.

    Parameters
    ----------
    estimates, errors : ndarray, shape (p,)
    alpha : float
        One less the coverage, 0 < alpha < 1.

    Returns
    -------
    ndarray, shape (p, 2)
        Lower and upper limits.

    Raises
    ------
    FitError
        When `alpha` is not between 0 and 1.

    Examples
    --------
    >>> interval(np.array([1.0]), np.array([1.0]), 0.05).round(3).tolist()
    [[-0.96, 2.96]]
    """
    half = normal_quantile(alpha) * errors
    return np.column_stack([estimates - half, estimates + half])


def correlation(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale a covariance matrix to correlations.

    Parameters
    ----------
    covariance : ndarray, shape (..., k, k)

    Returns
    -------
    ndarray, shape (..., k, k)
        Ones on the diagonal; NaN off it where a variance is zero.

    Examples
    --------
    >>> correlation(np.array([[4.0, 1.0], [1.0, 1.0]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = covariance / (sd[..., :, None] * sd[..., None, :])
    every = np.arange(covariance.shape[-1])
    scaled[..., every, every] = 1.0
    return np.asarray(scaled)
