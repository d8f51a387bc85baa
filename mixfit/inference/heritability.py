r"""Shares of the terms in the variance: heritability, Pagel's lambda, repeatability.

Variances are those of `mixfit.inference.variance_moments`. Intervals are by the delta method on the scale of the logit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.fitted.varcorr import term_order, unique_names
from mixfit.inference.variance_moments import term_variances, variance_moments
from mixfit.inference.variances import distribution_variance
from mixfit.tables.table import Table
from mixfit.wald import normal_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, LinearFit

    Array = NDArray[np.float64]

__all__ = ["heritability"]


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
    values, _ = term_variances(fit)
    share = values / (values.sum() + residual)
    order = term_order(random)
    names = dict(zip(order, unique_names(random[t].grouping.name for t in order), strict=True))
    columns = {"Group": [names[t] for t in range(len(random))], "Variance": values, "Share": share}
    if is_linear(fit):
        columns |= _intervals(fit, share, alpha)
    return Table(
        pd.DataFrame(columns),
        heading=("Shares of the random effects in the variance", ""),
        decimals={name: 3 for name in columns if name not in ("Group", "Variance")},
        show_index=False,
    )


def _intervals(fit: LinearFit, share: Array, alpha: float) -> dict[str, Array]:
    """Errors of the shares, and limits that are symmetric about logit(share)."""
    known = variance_moments(fit)
    rates, whole = known.rates[:-1], known.rates.sum(axis=0)
    slopes = (rates - share[:, None] * whole) / known.values.sum()
    inside = (share > 0.0) & rates.any(axis=1)
    error = np.where(inside, np.sqrt(np.einsum("ta,ab,tb->t", slopes, known.covariance, slopes)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, half = np.log(share / (1.0 - share)), normal_quantile(alpha) * error / (share * (1.0 - share))
        limits = [1.0 / (1.0 + np.exp(-(middle + sign * half))) for sign in (-1.0, 1.0)]
    return {"Std. Error": error, "Lower": limits[0], "Upper": limits[1]}
