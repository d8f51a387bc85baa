"""Coefficients of fits to each group, with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.plots.figure import BLUE, GREY, panels, refuse_fit, thin_labels
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from mixfit.inference.group_fits import FitsByGroup
    from mixfit.plots.figure import AxesArray

__all__ = ["coefficients_by_group"]

# Inches of a panel for each level, and at least and at most.
_ROW, _LEAST, _MOST = 0.16, 2.4, 9.0


def coefficients_by_group(
    fits: FitsByGroup,
    *,
    level: float | None = None,
    pool: bool = True,
    sort: bool = True,
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw the coefficients of every level with intervals, as lme4's ``plot(confint(lmList(...)))``.

    Parameters
    ----------
    fits : LmList
        What `mixfit.lm_list` gives.
    level, pool
        As of its ``conf_int``.
    sort : bool
        Whether levels stand in the order of their first coefficient, or in their own.
    axes : Axes or array of Axes, optional
        One a coefficient. By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (p,)

    Raises
    ------
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
    >>> [axes.get_title() for axes in mixfit.plots.coefficients_by_group(fits)]
    ['(Intercept)', 'Days']
    """
    refuse_fit(fits, "coefficients_by_group", "mixfit.lm_list(formula, data)")
    coefficients, ends = fits.coefficients, fits.conf_int(level, pool=pool)
    levels = coefficients.iloc[:, 0].sort_values().index if sort else coefficients.index[::-1]
    height = float(np.clip(_ROW * len(levels), _LEAST, _MOST))
    made = panels(coefficients.shape[1], axes, columns=4, size=(3.4, height), sharey=True)
    place = np.arange(len(levels))
    for axis, name in zip(made.axes, coefficients, strict=True):
        own = ends.xs(name, level=1).reindex(levels)
        axis.axvline(float(coefficients[name].mean()), color=GREY, linewidth=1.0, zorder=1)
        axis.hlines(place, own[0], own[1], color=BLUE, linewidth=1.4)
        axis.plot(coefficients[name].reindex(levels), place, "o", color=BLUE, markersize=4)
        axis.set_title(shown(str(name)), fontsize="medium")
        axis.set_ylim(-0.6, len(levels) - 0.4)
    made.axes[0].set_ylabel(fits.group)
    thin_labels(made.axes[0].yaxis, list(levels))
    return made.axes
