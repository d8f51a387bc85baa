"""Random effects of every level: caterpillar plots, and the arrows of shrinkage."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.inference.means.specs import response_label
from mixfit.inference.within import pooling
from mixfit.plots.figure import BLUE, GREEN, GREY, RED, length_in_inches, panels, thin_labels
from mixfit.tables.layout import shown
from mixfit.wald import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.within import Pooling
    from mixfit.plots.figure import AxesArray

    Array = NDArray[np.float64]

__all__ = ["caterpillar", "choose_columns", "choose_factor", "choose_factors", "response_name", "shrinkage"]

# A line of text a level, up to what a screen shows; more panels stand side by side than one above another.
_INCHES_A_LEVEL = 0.17
_HEIGHTS = (2.2, 8.0)
_SIDE_BY_SIDE = 4
# Points that a level needs for the line at zero to be seen between the intervals.
_WIDE = 3.0
# More names than this cover one another.
_MOST_NAMED = 30
_INCHES_AN_ARROW = 0.19
_HEIGHTS_OF_ARROWS = (2.6, 8.0)
_LEGEND_SIZE = 24.0
# In points.
_NAME_DISTANCE = 11.0


def choose_factors(fit: Fit, groups: str | Sequence[str] | None) -> list[str]:
    """Names of grouping factors; all by default, by decreasing number of levels.

    Raises
    ------
    FitError
        For one that the model does not have.
    """
    known = list(dict.fromkeys(fit.ranef()))
    if not known:
        raise FitError("The model has no random effects to draw.")
    if groups is None:
        return known
    chosen = [groups] if isinstance(groups, str) else list(groups)
    for name in chosen:
        if name not in known:
            raise FitError(f"The model has no grouping factor {name!r}; it has {', '.join(map(repr, known))}.")
    return chosen


def choose_factor(fit: Fit, group: str | None) -> str:
    """One grouping factor; by default the one with the most levels."""
    return choose_factors(fit, group)[0]


def choose_columns(known: Sequence[str], columns: str | Sequence[str] | None, group: str) -> list[str]:
    """Random columns of a grouping factor; all by default, each once. ``"(Intercept)"`` is ``"Intercept"``.

    Raises
    ------
    FitError
        For one that the factor does not have.

    Examples
    --------
    >>> choose_columns(["Intercept", "Days"], "(Intercept)", "Subject")
    ['Intercept']
    """
    distinct = {shown(name): name for name in known}
    if columns is None:
        return list(distinct.values())
    chosen = [shown(name) for name in ([columns] if isinstance(columns, str) else columns)]
    for name in chosen:
        if name not in distinct:
            raise FitError(f"{group} has no random column {name!r}; it has {', '.join(map(repr, distinct))}.")
    return [distinct[name] for name in chosen]


def response_name(fit: Fit) -> str:
    """Name of the response for an axis; of ``cbind(a, b)`` the proportion of the first."""
    return response_label(fit.model.design)


def caterpillar(
    fit: Fit,
    groups: str | Sequence[str] | None = None,
    *,
    level: float | None = None,
    sort: bool | str = True,
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw the conditional modes of the random effects with intervals, as lme4's ``dotplot(ranef(m))``.

    The intervals are mode ± z((1 + level) / 2) times the conditional standard deviation, given the data, the fixed
    effects and theta. They are for looking at one level at a time: that two of them overlap is no test of a
    difference.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    groups : str or sequence of str, optional
        Grouping factors; all by default, by decreasing number of levels.
    level : float, optional
        Coverage; by default ``mixfit.options.level``, 0.95 at first.
    sort : bool or str
        True orders the levels of a factor by its first column in all its panels, as lme4 does; a name by that
        column; ``"each"`` every panel by its own; False leaves them as they are, from top to bottom.
    axes : Axes or array of Axes, optional
        One a column of each factor. By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (m,)
        One a column of each factor, in the order of ``fit.ranef()``. Labels of levels are thinned where
        there is no room for all.

    Raises
    ------
    FitError
        For a factor or column that the model does not have, or a wrong number of axes.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> [axes.get_title() for axes in mixfit.plots.caterpillar(fit)]
    ['(Intercept) | Subject', 'Days | Subject']
    """
    alpha = 1.0 - coverage(level)
    z = normal_quantile(alpha)
    names = choose_factors(fit, groups)
    frames = fit.ranef(condsd=True)
    n = sum(frames[name].shape[1] // 2 for name in names)
    tallest = max(len(frames[name]) for name in names)
    height = float(np.clip(_INCHES_A_LEVEL * tallest + 1.0, *_HEIGHTS))
    drawn = panels(n, axes, columns=_SIDE_BY_SIDE, size=(3.6, height)).axes
    places = iter(drawn)
    for name in names:
        modes, deviations = pd.DataFrame(frames[name]["mode"]), pd.DataFrame(frames[name]["sd"])
        for j, order in enumerate(_orders(modes, sort, name)):
            _draw(next(places), modes.iloc[order, j], z * deviations.iloc[order, j].to_numpy(dtype=float), name, alpha)
    return drawn


def _orders(modes: pd.DataFrame, sort: bool | str, group: str) -> list[NDArray[np.intp]]:
    """From bottom to top, a column each."""
    values = modes.to_numpy(dtype=float)
    k = values.shape[1]
    if sort is False:
        return [np.arange(len(values))[::-1]] * k
    if sort == "each":
        return [np.argsort(values[:, j], kind="stable") for j in range(k)]
    by = 0
    if sort is not True:
        if not isinstance(sort, str):
            raise FitError(f"sort is True, False, 'each' or a column's name, not {sort!r}.")
        (name,) = choose_columns([str(c) for c in modes.columns], sort, group)
        by = [str(c) for c in modes.columns].index(name)
    return [np.argsort(values[:, by], kind="stable")] * k


def _draw(axes: Axes, modes: pd.Series[float], half: NDArray[np.float64], group: str, alpha: float) -> None:
    values, at = modes.to_numpy(dtype=float), np.arange(len(modes))
    inches = length_in_inches(axes.yaxis)
    # Marks shrink with the room that a level has.
    room = 72.0 * inches / len(values)
    # Nor do neighbouring intervals cover one another, however many there are.
    width = float(np.clip(0.15 * room, min(0.8 * room, 0.6), 1.6))
    axes.hlines(at, values - half, values + half, color=BLUE, linewidth=width, alpha=0.6, zorder=1)
    axes.axvline(0.0, color=GREY, linewidth=1.0, zorder=0 if room > _WIDE else 2)
    size = float(np.clip(0.45 * room, 1.2, 4.5))
    axes.plot(values, at, "o", color=BLUE, markersize=size, markeredgewidth=0.0, zorder=3)
    if not values.any() and not half.any():
        # Without variance there is no scale either, and matplotlib's would be that of rounding.
        axes.set_xlim(-1.0, 1.0)
    axes.set_ylim(-0.75, len(values) - 0.25)
    thin_labels(axes.yaxis, list(modes.index))
    axes.set_title(f"{shown(str(modes.name))} | {group}", fontsize="medium")
    axes.set_xlabel(f"conditional mode, {100.0 * (1.0 - alpha):g}% interval")


def shrinkage(
    fit: Fit,
    group: str | None = None,
    *,
    columns: str | Sequence[str] | None = None,
    names: bool | None = None,
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw arrows from the least-squares coefficients of every level to the partially pooled ones.

    Two columns make a plane, as in the shrinkage plots of lme4's and MixedModels.jl's authors; more make a panel
    a pair; one makes a line a level, sorted by the coefficients of the levels by themselves. Levels of which
    little is known move most, and toward the fixed effects.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    group : str, optional
        Grouping factor; by default the one with the most levels.
    columns : str or sequence of str, optional
        Random columns; all by default.
    names : bool, optional
        Whether to write the levels beside their arrows in the plane; by default up to 30 of them.
    axes : Axes or array of Axes, optional
        One a pair of columns. By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (m,)

    Raises
    ------
    FitError
        For a factor or column that the model does not have, or a wrong number of axes.
    MissingPackageError
        Where matplotlib is not installed.

    Notes
    -----
    Least squares holds the other parts of the model (fixed columns that do not vary by level, other grouping
    factors, the offset) at their estimates. For generalized models the arrow starts where one scoring step
    without the penalty leads, since the estimate of one level alone may be infinite. A level whose own rows do
    not determine the coefficients has no arrow, only its partially pooled point.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> (axes,) = mixfit.plots.shrinkage(fit)
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('(Intercept)', 'Days')
    """
    group = choose_factor(fit, group)
    pools = pooling(fit, group)
    chosen = choose_columns(list(pools.pooled.columns), columns, group)
    if len(set(chosen)) < len(chosen):
        raise FitError(f"columns= names {chosen[0]!r} more than once.")
    if len(chosen) == 1:
        height = float(np.clip(_INCHES_AN_ARROW * len(pools.pooled) + 1.2, *_HEIGHTS_OF_ARROWS))
        made = panels(1, axes, columns=1, size=(5.2, height))
        _lines(made.axes[0], pools, chosen[0])
    else:
        pairs = list(combinations(chosen, 2))
        size = (5.6, 5.0) if len(pairs) == 1 else (4.2, 3.8)
        made = panels(len(pairs), axes, columns=3, size=size)
        named = len(pools.pooled) <= _MOST_NAMED if names is None else names
        for axis, (first, second) in zip(made.axes, pairs, strict=True):
            _plane(axis, pools, first, second, named)
    if made.figure is None:
        legend = made.axes[0].legend(fontsize="small", framealpha=0.8)
    else:
        handles, labels = made.axes[0].get_legend_handles_labels()
        legend = made.figure.legend(
            handles, labels, loc="outside lower center", ncols=3, fontsize="small", frameon=False
        )
    for handle in legend.legend_handles:
        # Of many levels the points are too small for a legend.
        if hasattr(handle, "set_sizes"):
            handle.set_sizes([_LEGEND_SIZE])
    for axis in made.axes:
        axis.set_title(group, fontsize="medium")
    return made.axes


def _arrows(axes: Axes, x: Array, y: Array, to_x: Array, to_y: Array) -> None:
    axes.quiver(
        x, y, to_x - x, to_y - y, angles="xy", scale_units="xy", scale=1.0, units="dots", width=1.6,
        headwidth=5.0, headlength=6.0, headaxislength=5.0, color=GREY, zorder=1,
    )  # fmt: skip


def _plane(axes: Axes, pools: Pooling, first: str, second: str, named: bool) -> None:
    x, y = (pools.within[name].to_numpy(dtype=float) for name in (first, second))
    to_x, to_y = (pools.pooled[name].to_numpy(dtype=float) for name in (first, second))
    known = ~np.isnan(x)
    _arrows(axes, x[known], y[known], to_x[known], to_y[known])
    axes.scatter(x[known], y[known], s=22.0, facecolors="white", edgecolors=RED, label="each level by itself", zorder=2)
    axes.scatter(to_x, to_y, s=20.0, color=BLUE, label="mixed model", zorder=3)
    at = (float(pools.fixed[first]), float(pools.fixed[second]))
    axes.scatter(*at, s=70.0, marker="D", color=GREEN, edgecolors="white", label="fixed effects", zorder=4)
    if named:
        _name(axes, [str(level) for level in pools.within.index[known]], x[known], y[known], to_x[known], to_y[known])
    axes.set_xlabel(shown(first))
    axes.set_ylabel(shown(second))


def _name(axes: Axes, names: Sequence[str], x: Array, y: Array, to_x: Array, to_y: Array) -> None:
    """Write every name behind the start of its arrow."""
    axes.margins(0.09)
    # Of one level, or levels all alike, there is no spread to measure by; the name is then at its point.
    scale = np.array([np.ptp(x) or np.inf, np.ptp(y) or np.inf])
    back = np.column_stack([x - to_x, y - to_y]) / scale
    length = np.linalg.norm(back, axis=1, keepdims=True)
    back *= _NAME_DISTANCE / np.where(length > 0.0, length, np.inf)
    for name, at, offset in zip(names, zip(x, y, strict=True), back, strict=True):
        axes.annotate(
            name, at, xytext=offset, textcoords="offset points", ha="center", va="center", fontsize=7.5, color="0.3"
        )


def _lines(axes: Axes, pools: Pooling, column: str) -> None:
    x, to_x = (frame[column].to_numpy(dtype=float) for frame in (pools.within, pools.pooled))
    order = np.argsort(np.where(np.isnan(x), to_x, x), kind="stable")
    x, to_x, at = x[order], to_x[order], np.arange(len(x), dtype=float)
    known = ~np.isnan(x)
    room = float(np.clip(72.0 * length_in_inches(axes.yaxis) / len(x), 0.1, 10.0))
    axes.axvline(float(pools.fixed[column]), color=GREEN, linewidth=1.4, zorder=0, label="fixed effect")
    axes.hlines(at[known], x[known], to_x[known], color=GREY, linewidth=float(np.clip(0.15 * room, 0.3, 1.6)), zorder=1)
    size, edge = float(np.clip(2.2 * room, 1.5, 22.0)), float(np.clip(0.4 * room, 0.4, 1.2))
    hollow = axes.scatter(x[known], at[known], s=size, facecolors="white", edgecolors=RED, linewidths=edge, zorder=2)
    hollow.set_label("each level by itself")
    axes.scatter(to_x, at, s=size, linewidths=0.0, color=BLUE, label="mixed model", zorder=3)
    axes.set_ylim(-0.75, len(x) - 0.25)
    thin_labels(axes.yaxis, list(pools.pooled.index[order]))
    axes.set_xlabel(shown(column))
