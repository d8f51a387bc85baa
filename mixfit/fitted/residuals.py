"""Residuals of linear and generalized fits, deviances, and the test of overdispersion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]

__all__ = [
    "GeneralizedResidualKind",
    "Overdispersion",
    "ResidualKind",
    "conditional_residuals",
    "deviances",
    "mixture_residuals",
    "overdispersion_test",
    "scale_residuals",
]

ResidualKind = Literal["response", "working", "deviance", "pearson", "scaled", "normalized"]
GeneralizedResidualKind = Literal["deviance", "pearson", "response", "working", "scaled"]


def scale_residuals(
    response: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    deviations: NDArray[np.float64] | float,
    kind: ResidualKind = "response",
) -> NDArray[np.float64]:
    """Bring response residuals to another scale, as lme4's ``residuals(m, type, scaled)``.

    Parameters
    ----------
    response : ndarray, shape (n,)
        ``y`` less fitted values, in units of the response.
    weights : ndarray, shape (n,), or None
        Prior weights.
    deviations : ndarray, shape (n,), or float
        Residual standard deviation of every row, were its weight 1.
    kind : {"response", "working", "deviance", "pearson", "scaled"}
        As they are, under the first two names; times ``sqrt(weights)``, under the next two; that divided by the
        deviations.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    FitError
        For another `kind`.

    Examples
    --------
    >>> scale_residuals(np.array([1.0, -2.0]), np.array([4.0, 1.0]), 2.0, "scaled").tolist()
    [1.0, -1.0]
    """
    if kind in ("response", "working"):
        return response
    if kind not in ("deviance", "pearson", "scaled"):
        raise FitError(
            f"residuals are 'response', 'working', 'deviance', 'pearson', 'scaled' or 'normalized', not {kind!r}."
        )
    pearson = response if weights is None else np.sqrt(weights) * response
    return pearson / deviations if kind == "scaled" else pearson


class Overdispersion(NamedTuple):
    """Pearson's chi-square against its degrees of freedom.

    Attributes
    ----------
    chisq : float
    ratio : float
        ``chisq / df``: above 1 where the responses vary more than the family allows.
    df : int
        Residual degrees of freedom.
    pvalue : float
        Upper tail of the chi-square distribution.

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
    >>> test = fit.overdispersion()
    >>> round(test.chisq, 2), test.df, round(test.pvalue, 3)
    (63.08, 51, 0.119)
    """

    chisq: float
    ratio: float
    df: int
    pvalue: float


def deviances(family: Family, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
    """What every row adds to the deviance.

    Parameters
    ----------
    family : Family
    y, prior, mu : ndarray, shape (n,)
        Responses, prior weights and means.
    phi : float
        Dispersion.

    Returns
    -------
    ndarray, shape (n,)
        Never negative.

    Raises
    ------
    FitError
        For a family without a deviance.

    Examples
    --------
    >>> from mixfit.families.counts import Poisson
    >>> deviances(Poisson(), np.array([0.0, 2.0]), np.ones(2), np.array([1.0, 2.0]), 1.0).tolist()
    [2.0, 0.0]
    """
    try:
        # Rounding may leave a perfect fit a little below zero.
        return np.maximum(family.deviances(y, prior, mu, phi), 0.0)
    except NotImplementedError as error:
        raise FitError(
            f"The {family.name} family has no deviance: its means are not what a saturated model estimates. "
            "Use -2 * llf, or residuals of another kind."
        ) from error


def conditional_residuals(
    family: Family, y: Array, prior: Array, eta: Array, phi: Array | float, kind: GeneralizedResidualKind
) -> Array:
    """Residuals of `kind` at a linear predictor, as lme4 defines them.

    Parameters
    ----------
    family : Family
    y, prior, eta : ndarray, shape (n,)
    phi : float
        Dispersion.
    kind : {"deviance", "pearson", "response", "working", "scaled"}

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    FitError
        For another `kind`, and for deviance residuals of a family without a deviance.

    Examples
    --------
    >>> from mixfit.families.counts import Poisson
    >>> conditional_residuals(Poisson(), np.array([3.0]), np.ones(1), np.zeros(1), 1.0, "pearson").tolist()
    [2.0]
    """
    mu = family.link.mean(eta)
    response = y - family.expectation(eta, phi)
    if kind == "response":
        return response
    if kind == "working":
        return response / family.link.slope(eta)
    if kind == "deviance":
        return np.sign(response) * np.sqrt(deviances(family, y, prior, mu, phi))
    if kind not in ("pearson", "scaled"):
        raise FitError(f"residuals are 'deviance', 'pearson', 'response', 'working' or 'scaled', not {kind!r}.")
    unscaled = kind == "pearson" and family.is_scaled
    return response / np.sqrt(family.row_variance(prior, mu, 1.0 if unscaled else phi))


def mixture_residuals(y: Array, mean: Array, variance: Array, kind: GeneralizedResidualKind) -> Array:
    """Residuals of responses with further zeros, of which only the first two moments are used.

    Parameters
    ----------
    y, mean, variance : ndarray, shape (n,)
    kind : {"deviance", "pearson", "response", "working", "scaled"}

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    FitError
        For deviance and working residuals, which a mixture does not have.

    Examples
    --------
    >>> mixture_residuals(np.array([3.0]), np.ones(1), np.full(1, 4.0), "pearson").tolist()
    [1.0]
    """
    if kind == "response":
        return y - mean
    if kind in ("pearson", "scaled"):
        return (y - mean) / np.sqrt(variance)
    if kind in ("deviance", "working"):
        raise FitError(
            f"A model with zi= has no {kind} residuals: a mixture has no deviance and no working response. Use "
            "'pearson' or 'response', or quantile_residuals()."
        )
    raise FitError(f"residuals are 'deviance', 'pearson', 'response', 'working' or 'scaled', not {kind!r}.")


def overdispersion_test(scaled: Array, df: int) -> Overdispersion:
    """Compare the sum of squares of scaled residuals with `df`.

    Parameters
    ----------
    scaled : ndarray, shape (n,)
    df : int

    Returns
    -------
    Overdispersion

    Examples
    --------
    >>> overdispersion_test(np.array([1.0, -1.0, 2.0]), 2).ratio
    3.0
    """
    from scipy.special import chdtrc

    chisq = float(scaled @ scaled)
    return Overdispersion(chisq, chisq / df if df else np.nan, df, float(chdtrc(df, chisq)))
