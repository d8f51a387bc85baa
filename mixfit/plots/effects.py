"""Effects: curves or means along a variable, with intervals, and the data behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.inference.means.contrast_coefficients import level_text
from mixfit.inference.means.linear_functions import by_groups
from mixfit.plots.figure import line_styles, one_axes, point_style, refuse_fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixfit.inference.means.effects import EffectCurves

    Array = NDArray[np.float64]

__all__ = ["effects_plot"]

# Of the distance between two levels: how far lines of several curves stand apart, and points are spread.
_DODGE, _SPREAD = 0.14, 0.04


def effects_plot(effects: EffectCurves, ax: Axes | None = None, *, data: bool = True) -> Axes:
    """Draw effects: a curve with its band along a covariate, means with intervals along a factor.

    Parameters
    ----------
    effects : EffectCurves
        From ``fit.effects()``.
    ax : matplotlib Axes, optional
        A new figure's by default.
    data : bool
        Whether to draw the responses of the fit behind, in the colours of the levels that curves are for. They are not
        adjusted for the other variables.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age * Sex + (age | Subject)", teeth).fit()
    >>> axes = mixfit.plots.effects_plot(fit.effects("age", by="Sex"))
    >>> axes.get_xlabel(), axes.get_ylabel(), len(axes.lines)
    ('age', 'distance', 2)
    """
    refuse_fit(effects, "effects_plot", "fit.effects(x)")
    ax = one_axes(ax)
    frame, x, by = effects.frame, effects.x, list(effects.by)
    groups = by_groups(frame, by)
    levels = pd.Index(frame[x].unique())
    at = frame[x].to_numpy(np.float64) if effects.is_curve else levels.get_indexer(frame[x]).astype(np.float64)
    behind = effects.data if data else effects.data.iloc[:0]
    apart = 0.0 if effects.is_curve else _DODGE
    for g, (rows, style) in enumerate(zip(groups, line_styles(len(groups)), strict=True)):
        own = frame.iloc[rows]
        shift = apart * (g - (len(groups) - 1) / 2.0)
        label = ", ".join(level_text(own[name].iloc[0]) for name in by)
        if len(behind):
            _points(ax, effects, behind, own, levels, shift, style["color"] if len(groups) > 1 else "0.4")
        lower, upper = own["lower.CL"].to_numpy(np.float64), own["upper.CL"].to_numpy(np.float64)
        if effects.is_curve:
            ax.fill_between(at[rows], lower, upper, color=style["color"], alpha=0.2, linewidth=0.0)
            style = {**style, "marker": ""}
        else:
            ax.vlines(at[rows] + shift, lower, upper, color=style["color"], linewidth=5.0, alpha=0.35)
            style = {**style, "linestyle": "", "markersize": 7.0, "markeredgecolor": "white"}
        ax.plot(at[rows] + shift, own[effects.mean_name], **style, label=label)
    if not effects.is_curve:
        ax.set_xticks(range(len(levels)), [level_text(level) for level in levels])
        ax.set_xlim(-0.5, len(levels) - 0.5)
    ax.set_xlabel(x)
    ax.set_ylabel(effects.response)
    if by:
        ax.legend(title=", ".join(by), fontsize="small", frameon=False)
    return ax


def _points(
    ax: Axes, effects: EffectCurves, behind: pd.DataFrame, own: pd.DataFrame, levels: pd.Index, shift: float, color: str
) -> None:
    """The rows of the data that a curve is for: those of its level of every factor, or of the nearest number."""
    mine = np.ones(len(behind), dtype=bool)
    for name in effects.by:
        value, column = own[name].iloc[0], behind[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = np.sort(effects.frame[name].unique().astype(np.float64))
            nearest = np.abs(column.to_numpy(np.float64)[:, None] - values).argmin(axis=1)
            mine &= values[nearest] == float(value)
        else:
            mine &= (column == value).to_numpy()
    x, y = behind[effects.x][mine], behind["response"][mine].to_numpy(np.float64)
    if effects.is_curve:
        places: Array = x.to_numpy(np.float64)
    else:
        codes = levels.get_indexer(pd.Index(x))
        known = codes >= 0
        spread = _SPREAD * np.linspace(-1.0, 1.0, max(int(known.sum()), 1))
        places, y = codes[known] + shift + spread, y[known]
    ax.scatter(places, y, color=color, **point_style(len(behind)), zorder=1)
