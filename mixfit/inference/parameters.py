"""The parameters of a fit on the scale of its summary, each under one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.results.names import shown
from mixfit.results.varcorr import term_order, unique_names
from mixfit.results.wald import correlation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.results.base import MixedResults
    from mixfit.results.protocol import FittedModel

    Array = NDArray[np.float64]

__all__ = ["parameter_array", "parameter_names", "parameter_values"]


def parameter_names(model: FittedModel) -> list[str]:
    """Name the parameters of a model.

    Parameters
    ----------
    model : LinearMixedModel or GeneralizedMixedModel

    Returns
    -------
    list of str
        The fixed effects under their names in ``fit.params``; term by term, by decreasing number of levels,
        ``"sd(x|g)"`` and ``"cor(x,y|g)"``; then ``"sigma"``, the residual standard deviation of a linear model, or
        ``"phi"``, the dispersion of a generalized one that has one.

    Examples
    --------
    >>> import mixfit
    >>> parameter_names(mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy")))[2:]
    ['sd((Intercept)|Subject)', 'sd(Days|Subject)', 'cor((Intercept),Days|Subject)', 'sigma']
    """
    names = list(model.exog_names)
    random = model.design.random
    for t in term_order(random):
        columns, group = [shown(c) for c in random[t].columns], random[t].grouping.name
        names += [f"sd({c}|{group})" for c in columns]
        if random[t].structure == "us":
            names += [f"cor({columns[j]},{columns[i]}|{group})" for i, j in _pairs(len(columns))]
    last = _last_name(model)
    return unique_names(names if last is None else [*names, last])


def parameter_values(fit: MixedResults) -> pd.Series[float]:
    """Estimates of all parameters of a fit, under the names of `parameter_names`.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults

    Returns
    -------
    Series
        NaN for a correlation with an effect whose standard deviation is zero.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("bright ~ 1 + (1|operator)", mixfit.datasets.load("pulp")).fit()
    >>> parameter_values(fit).round(3).to_dict()
    {'Intercept': 60.4, 'sd((Intercept)|operator)': 0.261, 'sigma': 0.326}
    """
    estimate: Any = fit.estimate
    generalized = getattr(fit.model, "family", None) is not None
    values = parameter_array(
        fit.model,
        estimate.beta[None],
        [t[None] for t in estimate.templates],
        np.ones(1) if generalized else np.array([estimate.sigma]),
        np.array([estimate.phi if generalized else estimate.sigma]),
    )
    return pd.Series(values[0], index=parameter_names(fit.model))


def parameter_array(model: FittedModel, beta: Array, templates: Sequence[Array], unit: Array, last: Array) -> Array:
    """The same for R sets of estimates at once.

    Parameters
    ----------
    model : LinearMixedModel or GeneralizedMixedModel
    beta : ndarray, shape (R, p)
    templates : sequence of ndarray, shape (R, k_t, k_t)
        Relative factors of the terms, in the order of the formula.
    unit : ndarray, shape (R,)
        What they are relative to.
    last : ndarray, shape (R,)
        sigma or phi; left out where the model has neither.

    Returns
    -------
    ndarray, shape (R, m)
    """
    columns = [*beta.T]
    random = model.design.random
    for t in term_order(random):
        factor = unit[:, None, None] * templates[t]
        covariance = factor @ factor.swapaxes(1, 2)
        columns += [*np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).T]
        if random[t].structure == "us":
            corr = correlation(covariance)
            columns += [corr[:, i, j] for i, j in _pairs(covariance.shape[1])]
    return np.stack(columns if _last_name(model) is None else [*columns, last], axis=1)


def _pairs(k: int) -> list[tuple[int, int]]:
    """Rows and columns of the correlations of k effects, column by column."""
    return [(i, j) for j in range(k) for i in range(j + 1, k)]


def _last_name(model: FittedModel) -> str | None:
    family = getattr(model, "family", None)
    if family is None:
        return "sigma"
    return "phi" if family.has_dispersion else None
