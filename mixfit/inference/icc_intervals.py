r"""Intervals of intraclass correlations.

Of one factor with equal groups, without covariates, the interval by the F ratio of the analysis of variance is exact:
with F_U, F_L its upper and lower quantiles and n rows a group, the ratio of the variances lies between
(F / F_U - 1) / n and (F / F_L - 1) / n (Searle, Casella & McCulloch 1992, Variance Components, section 3.6). Others are
by the delta method on the scale of the logit, or by the percentiles of a parametric bootstrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.bootstrap import bootstrap
from mixfit.inference.r2 import icc, icc_of
from mixfit.inference.variance_moments import variance_moments
from mixfit.inference.variances import variance_components
from mixfit.tables.table import Table
from mixfit.wald import normal_quantile

if TYPE_CHECKING:
    from mixfit.fitted.protocols import Fit, LinearFit

__all__ = ["icc_interval"]


def icc_interval(
    fit: Fit,
    *,
    method: Literal["delta", "f", "bootstrap"] = "delta",
    level: float | None = None,
    n: int = 1000,
    seed: int | np.random.Generator | None = None,
    progress: bool = True,
) -> Table:
    """Return the adjusted intraclass correlation with an interval.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    method : {"delta", "f", "bootstrap"}
        By the delta method (linear models); by the F ratio, which is exact for one factor with equal groups and an
        intercept alone; or by percentiles of a parametric bootstrap, for any model.
    level : float, optional
        Coverage; by default ``mixfit.options.level``, 0.95 at first.
    n, seed, progress
        As of `bootstrap`.

    Returns
    -------
    Table
        ``ICC``, ``Lower``, ``Upper``.

    Raises
    ------
    FitError
        For a method that is not for the model, and what `icc` refuses.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    >>> fit.icc_interval(method="f")
    Intraclass correlation, with a 95 % interval by the F ratio
    <BLANKLINE>
       ICC Lower Upper
     0.418 0.084 0.848
    """
    found, level = icc(fit), coverage(level)
    if method == "f":
        low, high = _by_f(fit, level)
    elif method == "delta":
        low, high = _by_delta(fit, level)
    elif method == "bootstrap":
        drawn = bootstrap(fit, _adjusted, n=n, seed=seed, progress=progress).replicates
        values: Any = np.asarray(drawn, dtype=np.float64).ravel()
        low, high = np.nanquantile(values, [0.5 * (1.0 - level), 0.5 * (1.0 + level)])
    else:
        raise FitError(f"method is 'delta', 'f' or 'bootstrap', not {method!r}.")
    frame = pd.DataFrame({"ICC": [found.adjusted], "Lower": [low], "Upper": [high]})
    names = {"delta": "the delta method", "f": "the F ratio", "bootstrap": "a parametric bootstrap"}
    heading = (f"Intraclass correlation, with a {100.0 * level:g} % interval by {names[method]}", "")
    return Table(frame, heading=heading, decimals=dict.fromkeys(("ICC", "Lower", "Upper"), 3), show_index=False)


def _adjusted(fit: Any) -> float:
    return icc_of(variance_components(fit)).adjusted


def _by_delta(fit: Fit, level: float) -> tuple[float, float]:
    if not is_linear(fit) or is_structured(fit):
        raise FitError("method='delta' is for linear models with one residual variance: use method='bootstrap'.")
    known = variance_moments(fit)
    total = known.values.sum()
    share = float(known.values[:-1].sum() / total)
    if not 0.0 < share < 1.0:
        raise FitError("The random effects have no variance, where the delta method has no interval: use 'bootstrap'.")
    rate = (np.append(np.ones(len(known.values) - 1), 0.0) - share) / total
    half = normal_quantile(1.0 - level) * np.sqrt(known.variance_of(rate)) / (share * (1.0 - share))
    middle = np.log(share / (1.0 - share))
    return tuple(float(1.0 / (1.0 + np.exp(-(middle + sign * half)))) for sign in (-1.0, 1.0))  # type: ignore[return-value]


def _by_f(fit: Fit, level: float) -> tuple[float, float]:
    design = fit.model.design
    if (
        not is_linear(fit)
        or is_structured(fit)
        or len(design.random) != 1
        or design.random[0].columns != ("Intercept",)
    ):
        raise FitError("method='f' is for a linear model with one random intercept: use 'delta' or 'bootstrap'.")
    counts = np.bincount(design.random[0].grouping.codes)
    if fit.model.exog.shape[1] != 1 or len(np.unique(counts)) > 1 or design.weights is not None or counts[0] < 2:
        raise FitError("method='f' is for equal groups without covariates or weights: use 'delta' or 'bootstrap'.")
    return _exact(fit, counts, level)


def _exact(fit: LinearFit, counts: Any, level: float) -> tuple[float, float]:
    from scipy.stats import f as f_distribution

    design = fit.model.design
    k, n = len(counts), int(counts[0])
    y = design.y if design.offset is None else design.y - design.offset
    means = np.bincount(design.random[0].grouping.codes, weights=y) / n
    between = n * float(np.var(means, ddof=1))
    within = float(((y - means[design.random[0].grouping.codes]) ** 2).sum()) / (k * (n - 1))
    ratio = between / within
    quantiles = f_distribution.isf([0.5 * (1.0 - level), 0.5 * (1.0 + level)], k - 1, k * (n - 1))
    ratios = np.maximum((ratio / quantiles - 1.0) / n, 0.0)
    return float(ratios[0] / (1.0 + ratios[0])), float(ratios[1] / (1.0 + ratios[1]))
