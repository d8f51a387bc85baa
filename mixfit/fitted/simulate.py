"""Responses simulated from a fit, on its rows or on others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.fitted.draws import draw_rows
from mixfit.fitted.new_responses import draw_new_responses
from mixfit.fitted.stated import restated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from mixfit.fitted.new_responses import NewLevels
    from mixfit.fitted.protocols import Fit
    from mixfit.fitted.re_form import ReForm

__all__ = ["simulate"]


def simulate(
    fit: Fit,
    n: int = 1,
    *,
    newdata: object = None,
    params: Mapping[str, float] | None = None,
    seed: int | np.random.Generator | None = None,
    re_form: ReForm = "population",
    new_levels: NewLevels = "sample",
    weights: ArrayLike | None = None,
) -> pd.DataFrame:
    """Draw new responses from the fitted model, on the rows of the fit or on those of another frame.

    Parameters
    ----------
    n : int
        Number of replicates.
    newdata : frame, optional
        Rows to draw responses for, with the columns of the formula, grouping factors included; levels may be new. The
        rows of the fit by default. A row with a missing value, or of weight zero, gives NaN.
    params : mapping of str to float, optional
        Other values of some parameters, by the names that ``bootstrap().estimates`` has: ``{"Days": 0, "sigma": 20}``.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.
    re_form : None, str, False or sequence of str
        Random terms to hold at their modes; all others are drawn anew. None holds all.
    new_levels : {"sample", "zero"}
        What the effects of a level are that the fit never saw, where `re_form` holds its term: drawn, or zero.
    weights : array_like, shape (m,) or (), optional
        Prior weights of the new rows, or numbers of trials; from the columns that the fit had them from by default.

    Returns
    -------
    DataFrame, shape (m, n)
        Columns ``sim_1``, ``sim_2``, ...; what `refit` takes, so proportions for a binomial model. Of
        ``censored(time, event)`` times of events, none of them censored. Prior weights are those of the fit: they
        divide the residual variance of a linear model.

    Raises
    ------
    FitError
        Where `n` is not positive, or `re_form` holds only some columns of a term; with `newdata`, for a model whose
        residuals are structured, and for places and times that a term has no effects for.
    ParameterError
        For names in `params` that the model does not have, and values that cannot be.
    DataError
        Where the new rows lack a column, or have no weights.

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
    >>> fit.simulate(2, seed=1).head(2).round(3)
       sim_1  sim_2
    0  0.071  0.143
    1  0.083  0.083

    Two more herds of 20 animals, in their first period:

    >>> import pandas as pd
    >>> new = pd.DataFrame({"herd": ["a", "b"], "period": ["1", "1"]})
    >>> fit.simulate(2, newdata=new, weights=20, seed=1).round(3)
       sim_1  sim_2
    0    0.2   0.40
    1    0.2   0.05
    """
    rng = np.random.default_rng(seed)
    if params is not None:
        fit = restated(fit, params)
    if newdata is None:
        if weights is not None:
            raise FitError("weights= are those of new rows: give these by newdata=.")
        index = fit.model.design.index
        values = draw_rows(fit, n, re_form, rng)
    else:
        values, index = draw_new_responses(
            fit, newdata, n, re_form=re_form, new_levels=new_levels, weights=weights, rng=rng
        )
    names = [f"sim_{i + 1}" for i in range(values.shape[1])]
    return pd.DataFrame(values, index=index, columns=names)
