"""Average predictions, by groups of rows, and with some variables set for all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixfit.defaults import coverage
from mixfit.inference.means.averages import averages, grouped_rows
from mixfit.inference.means.grid_variables import combinations, grid_variables
from mixfit.inference.means.specs import as_names
from mixfit.inference.means.unit_means import fit_rows, new_rows, unit_means

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.averages import Averages

__all__ = ["avg_predictions"]


def avg_predictions(
    fit: Fit,
    *,
    by: str | Sequence[str] | None = None,
    variables: str | Sequence[str] | Mapping[str, Any] | None = None,
    newdata: object = None,
    what: str = "response",
    re_form: Literal["population", "marginal"] = "population",
    ddf: str | None = None,
    level: float | None = None,
) -> Averages:
    """Average predictions over rows, as marginaleffects.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    by : str or sequence of str, optional
        Columns in each of whose combinations rows are averaged.
    variables : str, sequence or mapping, optional
        Variables that all rows are given each value of, whatever their own: counterfactual averages (standardization,
        or g-computation). A name takes the levels of a factor (the mean of a covariate), a mapping gives values.
    newdata : frame, optional
        Rows to average over; those of the fit by default.
    what : {"response", "link", "conditional", "zero", "dispersion", "prob", "cumulative", "mean"}
        What is predicted, as ``fit.predict`` names it. Responses of ordered categories are the probabilities of all of
        them, a row each.
    re_form : {"population", "marginal"}
        At random effects of zero, or averaged over the population of groups.
    ddf : str, optional
        As of `emmeans`; generalized models have none.
    level : float, optional
        Coverage of intervals; by default ``mixfit.options.level``, 0.95 at first.

    Returns
    -------
    Averages

    Raises
    ------
    FitError
        For a prediction that the model does not have.
    DataError
        For a column that is not there.

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
    >>> fit.avg_predictions(by="period").to_frame()[["period", "estimate", "SE"]].round(3)
      period  estimate     SE
    0      1     0.198  0.037
    1      2     0.084  0.024
    2      3     0.074  0.023
    3      4     0.048  0.020
    """
    level = coverage(level)
    of = unit_means(fit, what, re_form, ddf)
    rows = fit_rows(fit) if newdata is None else new_rows(newdata)
    groups = as_names(by)
    if variables is not None:
        names = tuple(variables) if not isinstance(variables, str) else (variables,)
        at = dict(variables) if isinstance(variables, Mapping) else {}
        known = grid_variables(fit, at)
        cells = combinations([known[name] for name in names])
        n = len(rows)
        places = np.repeat(np.arange(len(cells)), n)
        rows = rows.iloc[np.tile(np.arange(n), len(cells))].reset_index(drop=True)
        rows = rows.assign(**{name: cells[name].take(places).reset_index(drop=True) for name in names})
        groups = (*names, *(name for name in groups if name not in names))
    grouped = grouped_rows(rows, groups)
    value, gradient = of(None if newdata is None and variables is None else rows)
    return averages(of, grouped.names, grouped.mean(value), grouped.mean(gradient), level)
