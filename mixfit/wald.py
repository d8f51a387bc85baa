"""Wald statistics, information criteria, and tail probabilities of normal, t, F and chi-square variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from mixfit.arguments import check_probability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "HELD",
    "aic",
    "aicc",
    "are_free",
    "bic",
    "correlation",
    "f_tail",
    "f_tails",
    "interval",
    "n_parameters",
    "normal_quantile",
    "p_values",
    "ratios",
    "t_quantile",
    "t_tails",
    "t_upper",
    "wilson",
]


#: Variances below this share of the largest are rounding of zero: standard errors of one share in 1e12.
HELD = 1e-24


def ratios(estimates: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide estimates by their standard errors.

    Parameters
    ----------
    estimates, errors : ndarray, shape (p,)

    Returns
    -------
    ndarray, shape (p,)
        NaN where the standard error is zero: of what is held there is no test.

    Examples
    --------
    >>> ratios(np.array([4.0, -1.0]), np.array([2.0, 0.5])).tolist()
    [2.0, -2.0]
    """
    return np.divide(estimates, errors, out=np.full(np.shape(estimates), np.nan), where=errors > 0.0)


def are_free(covariance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which estimates are not held at a value: those whose variance is more than rounding of the largest.

    Parameters
    ----------
    covariance : ndarray, shape (p, p)

    Returns
    -------
    ndarray of bool, shape (p,)

    Examples
    --------
    >>> are_free(np.diag([2.0, 0.0])).tolist()
    [True, False]
    """
    variances = np.diagonal(covariance)
    return np.asarray(variances > HELD * variances.max(initial=0.0))


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

    check_probability("alpha", alpha)
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


def t_tails(statistics: Array, df: Array) -> Array:
    """Two-sided p-values of t statistics; normal where df is infinite.

    Examples
    --------
    >>> t_tails(np.array([2.0, 2.0]), np.array([10.0, np.inf])).round(4).tolist()
    [0.0734, 0.0455]
    """
    left = -np.abs(statistics)
    return np.asarray(2.0 * np.where(np.isinf(df), ndtr(left), stdtr(df, left)))


def t_upper(statistics: Array, df: Array) -> Array:
    """Upper tail probabilities of t statistics; normal where df is infinite.

    Examples
    --------
    >>> t_upper(np.array([2.0, -2.0]), np.array([10.0, np.inf])).round(4).tolist()
    [0.0367, 0.9772]
    """
    return np.asarray(np.where(np.isinf(df), ndtr(-statistics), stdtr(df, -statistics)))


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


def f_tails(statistics: Array, ndf: float, ddf: Array) -> Array:
    """Upper tail probabilities of F statistics with the same ndf, as `f_tail`; NaN stays NaN.

    Examples
    --------
    >>> f_tails(np.array([3.0, 3.0]), 2, np.array([10.0, np.inf])).round(4).tolist()
    [0.0954, 0.0498]
    """
    positive = np.maximum(statistics, 0.0)
    return np.asarray(np.where(np.isinf(ddf), chdtrc(ndf, ndf * positive), fdtrc(ndf, ddf, positive)))


def wilson(successes: Array, n: int, level: float = 0.95) -> tuple[Array, Array]:
    """Wilson's interval of a probability, from successes in n trials (Wilson 1927, JASA 22, 209-212).

    Examples
    --------
    >>> [limit.round(4).tolist() for limit in wilson(np.array([0.0, 8.0]), 10)]
    [[0.0, 0.4902], [0.2775, 0.9433]]
    """
    z = ndtri(0.5 + 0.5 * level)
    share = successes / n
    center = share + z**2 / (2.0 * n)
    half = z * np.sqrt(share * (1.0 - share) / n + z**2 / (4.0 * n**2))
    scale = 1.0 + z**2 / n
    return np.maximum((center - half) / scale, 0.0), np.minimum((center + half) / scale, 1.0)


def n_parameters(n_fixed: int, n_theta: int, n_scale: int = 1) -> int:
    """Count the parameters of a model: fixed effects, theta and the residual variance or dispersion.

    Parameters
    ----------
    n_fixed : int
        Fixed effects that are estimated (aliased ones do not count).
    n_theta : int
        Free entries of the relative covariance factors.
    n_scale : int
        1 where a residual variance or a dispersion is estimated, 0 where there is none.

    Returns
    -------
    int
        ``n_fixed + n_theta + n_scale``, lme4's count for REML and ML alike.

    Examples
    --------
    >>> n_parameters(2, 3), n_parameters(4, 1, 0)
    (6, 5)
    """
    return n_fixed + n_theta + n_scale


def aic(llf: float, n_params: int) -> float:
    """Akaike's criterion ``-2 llf + 2 n_params`` (Akaike 1974).

    Parameters
    ----------
    llf : float
        (Restricted) log-likelihood.
    n_params : int
        Number of parameters.

    Returns
    -------
    float

    Examples
    --------
    >>> aic(-10.0, 3)
    26.0
    """
    return -2.0 * llf + 2.0 * n_params


def aicc(llf: float, npar: int, nobs: int) -> float:
    """Compute Akaike's criterion corrected for few observations (Hurvich & Tsai 1989, Biometrika 76, 297-307).

    Parameters
    ----------
    llf : float
        Log-likelihood.
    npar : int
        Number of parameters k.
    nobs : int
        Number of observations n.

    Returns
    -------
    float
        ``-2 llf + 2 k n / (n - k - 1)``; infinite where no observation is left.

    Examples
    --------
    >>> aicc(-10.0, 2, 9)
    26.0
    """
    left = nobs - npar - 1
    return -2.0 * llf + 2.0 * npar * nobs / left if left > 0 else float("inf")


def bic(llf: float, n_params: int, nobs: int) -> float:
    """Schwarz's criterion ``-2 llf + log(nobs) n_params`` (Schwarz 1978).

    Parameters
    ----------
    llf : float
        (Restricted) log-likelihood.
    n_params : int
        Number of parameters.
    nobs : int
        Observations: all n of them for REML too, as in lme4.

    Returns
    -------
    float

    Examples
    --------
    >>> round(bic(-10.0, 3, 20), 4)
    28.9872
    """
    return -2.0 * llf + float(np.log(nobs)) * n_params
