r"""Shares of the terms in the variance: heritability, Pagel's lambda, repeatability.

Of a term of one standard deviation the variance is its square: of pedigrees that of the base population, of trees that
are scaled to a height of one that of a tip. Of other terms it is the mean of z'Sigma z over the rows. Intervals are by
the delta method on the scale of the logit, from the observed information of the variance parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.covariance.steps import split_theta
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.residual_covariance import is_structured
from mixfit.fitted.varcorr import term_order, unique_names
from mixfit.inference.variances import distribution_variance
from mixfit.tables.table import Table
from mixfit.wald import normal_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.design.types import RandomDesign
    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["heritability"]

# Eigenvalues of the information, of unit diagonal, below which a combination of variances is not determined.
_UNDETERMINED = 1e-10


def heritability(fit: Fit, level: float | None = None) -> Table:
    """Return the share of every random term in the variance, with intervals.

    For ``propto(1 | animal, A)`` that is the heritability, for ``propto(1 | species, tree)`` the phylogenetic one
    (with a row a species Pagel's lambda), for ``(1 | g)`` the repeatability. In a generalized model it is a share on
    the scale of the link, where the family's distribution has a variance too (Nakagawa et al. 2017).

    Parameters
    ----------
    level : float, optional
        Coverage; by default ``mixfit.options.level``, 0.95 at first.

    Returns
    -------
    Table
        A row a term: ``Group``, ``Variance``, ``Share``, and for linear models ``Std. Error``, ``Lower``, ``Upper``,
        which are missing where a variance is zero.

    Raises
    ------
    FitError
        For a family and link whose distribution has no variance on the scale of the link.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    >>> fit.heritability()
    Shares of the random effects in the variance
    <BLANKLINE>
     Group Variance Share Std. Error Lower Upper
     Batch     1764 0.418      0.216 0.112 0.804
    """
    alpha = 1.0 - coverage(level)
    random, estimate = fit.model.design.random, fit.estimate
    if is_structured(fit):
        raise FitError(
            "Shares in the variance are of one residual variance, and residual= or dispersion= gives the rows several: "
            "varcorr() has all variances."
        )
    residual = distribution_variance(fit) if is_generalized(fit) else estimate.unit**2
    thetas = split_theta([term.structure for term in random], estimate.theta)
    variances, gradients = [], []
    for term, theta in zip(random, thetas, strict=True):
        variance, gradient = _variance(term, theta, estimate.unit)
        variances.append(variance)
        gradients.append(gradient)
    values = np.array(variances)
    share = values / (values.sum() + residual)
    order = term_order(random)
    names = dict(zip(order, unique_names(random[t].grouping.name for t in order), strict=True))
    columns = {"Group": [names[t] for t in range(len(random))], "Variance": values, "Share": share}
    if not is_generalized(fit):
        columns |= _intervals(fit, gradients, values.sum() + residual, share, alpha)
    return Table(
        pd.DataFrame(columns),
        heading=("Shares of the random effects in the variance", ""),
        decimals={name: 3 for name in columns if name not in ("Group", "Variance")},
        show_index=False,
    )


def _variance(term: RandomDesign, theta: Array, unit: float) -> tuple[float, Array]:
    """The variance of a term, and its derivatives in the variance parameters."""
    structure: Structure = term.structure
    form = structure.variance_form(theta, unit)
    moments = term.Z.T @ term.Z / len(term.Z)
    gradient = np.einsum("ij,aij->a", moments, form.slopes)
    variance = float(gradient @ form.shares)
    if structure.n_deviations == 1 and variance > 0.0:
        # In units of the diagonal of a known matrix, which is that of the rows on average.
        base = float(structure.natural_values(theta, unit)[0]) ** 2 * float(np.trace(moments))
        return base, gradient * base / variance
    return variance, gradient


def _intervals(fit: Fit, gradients: list[Array], total: float, share: Array, alpha: float) -> dict[str, Array]:
    """Errors of the shares, and limits that are symmetric about logit(share)."""
    information = fit.variance_information.observed(reml=fit.reml)  # type: ignore[attr-defined]
    covariance = 2.0 * _positive_inverse(information)
    ends = np.cumsum([0, *(len(g) for g in gradients)])
    rates = np.zeros((len(gradients), len(covariance)))
    for t, gradient in enumerate(gradients):
        rates[t, ends[t] : ends[t + 1]] = gradient
    whole = rates.sum(axis=0)
    whole[-1] = 1.0
    slopes = (rates - share[:, None] * whole) / total
    inside = (share > 0.0) & np.array([bool(g.any()) for g in gradients])
    error = np.where(inside, np.sqrt(np.einsum("ta,ab,tb->t", slopes, covariance, slopes)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, half = np.log(share / (1.0 - share)), normal_quantile(alpha) * error / (share * (1.0 - share))
        limits = [1.0 / (1.0 + np.exp(-(middle + sign * half))) for sign in (-1.0, 1.0)]
    return {"Std. Error": error, "Lower": limits[0], "Upper": limits[1]}


def _positive_inverse(hessian: Array) -> Array:
    """Inverse on the directions in which the criterion curves upwards."""
    scale = np.sqrt(np.maximum(hessian.diagonal(), 0.0))
    scale[scale == 0.0] = 1.0
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    up = values > _UNDETERMINED
    half = (vectors[:, up] / np.sqrt(values[up])) / scale[:, None]
    return np.asarray(half @ half.T)
