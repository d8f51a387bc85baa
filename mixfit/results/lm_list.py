"""Fits to each group as a user holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FormulaError
from mixfit.formula import parse
from mixfit.formula.structured import masked
from mixfit.helped import helped
from mixfit.inference.group_fits import FitsByGroup
from mixfit.lmm.by_group import fit_groups
from mixfit.matrices.build import build
from mixfit.matrices.some_rows import some_rows
from mixfit.plots.coefficients_by_group import coefficients_by_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from mixfit.plots.figure import AxesArray

__all__ = ["LmList", "lm_list"]


class LmList(FitsByGroup):
    """Least squares within each level of a factor.

    Examples
    --------
    >>> import mixfit
    >>> fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
    >>> round(fits.sigma, 2), fits.df_resid
    (25.59, 144)
    """

    def plot(
        self,
        *,
        level: float | None = None,
        pool: bool = True,
        sort: bool = True,
        axes: ArrayLike | Axes | None = None,
    ) -> AxesArray:
        """Draw the coefficients of every level; see `mixfit.plots.coefficients_by_group`.

        Parameters
        ----------
        level, pool, sort, axes
            As of `mixfit.plots.coefficients_by_group`.

        Returns
        -------
        ndarray of Axes, shape (p,)

        Examples
        --------
        >>> import mixfit
        >>> fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
        >>> fits.plot()[0].get_ylabel()
        'Subject'
        """
        return coefficients_by_group(self, level=level, pool=pool, sort=sort, axes=axes)


@helped
def lm_list(
    formula: str,
    data: Any,
    *,
    weights: str | ArrayLike | None = None,
    subset: str | ArrayLike | None = None,
    context: Mapping[str, Any] | None = None,
) -> LmList:
    """Fit a linear model to each group by itself, as lme4's ``lmList``: what a mixed model's effects are shrunk from.

    Parameters
    ----------
    formula : str
        ``"y ~ x | g"``, or ``"y ~ x | a:b"``.
    data : frame
    weights : str or array-like, shape (n,), optional
        The residual variance of row i is sigma**2 / w_i.
    subset : str or array-like of bool, shape (n,), optional
        Rows to fit to.
    context : mapping, optional
        Names that the formula's expressions may use besides the columns.

    Returns
    -------
    LmList
        ``coef()``, ``conf_int()``, ``bse()``, pooled ``sigma``, ``plot()``.

    Raises
    ------
    FormulaError
        For a formula without one bar.
    DataError
        For columns that cannot be used.

    Notes
    -----
    Columns are coded once, for all groups: contrasts of a factor are those of all its levels, and a coefficient that a
    group's rows do not determine is NaN there.

    Examples
    --------
    >>> import mixfit
    >>> fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
    >>> fits.coef().std().round(2).to_dict()
    {'Intercept': 28.95, 'Days': 6.56}
    """
    before, group = _split(formula)
    data, (weights,) = some_rows(subset, data, context, (weights,))
    design = build(parse(f"{before} + (1 | {group})"), data, weights, None, "drop", context, residual=False)
    grouping = design.random[0].grouping
    response = design.y if design.offset is None else design.y - design.offset
    found = fit_groups(design.X, response, design.weights, grouping.codes, grouping.n_levels)
    levels = grouping.levels.rename(grouping.name)
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = np.where(found.df > 0, np.sqrt(found.squares / found.df), np.nan)
    return LmList(
        formula=formula,
        group=grouping.name,
        coefficients=pd.DataFrame(found.coefficients, index=levels, columns=list(design.exog_names)),
        unscaled=pd.DataFrame(found.unscaled, index=levels, columns=list(design.exog_names)),
        sigmas=pd.Series(sigma, index=levels),
        df=pd.Series(found.df, index=levels),
        resid=pd.Series(found.residual, index=design.index),
        fittedvalues=pd.Series(design.y - found.residual, index=design.index),
    )


def _split(formula: str) -> tuple[str, str]:
    """What stands left and right of the bar that is in no parentheses."""
    depth, bars = 0, []
    for place, char in enumerate(masked(formula)):
        depth += (char in "([{") - (char in ")]}")
        if char == "|" and not depth:
            bars.append(place)
    if len(bars) != 1:
        raise FormulaError(f"{formula!r} is no formula of groups: write response ~ terms | group.")
    return formula[: bars[0]].strip(), formula[bars[0] + 1 :].strip()
