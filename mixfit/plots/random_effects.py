"""The caterpillar plot: conditional modes of the random effects with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.plots.factors import choose_columns, choose_factors
from mixfit.plots.figure import BLUE, GREY, length_in_inches, panels, thin_labels
from mixfit.results.names import shown
from mixfit.results.wald import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.plots.figure import AxesArray, Fit

__all__ = ["caterpillar"]

_INCHES_A_LEVEL = 0.17
_HEIGHTS = (2.2, 8.0)
_SIDE_BY_SIDE = 4
# Points that a level needs for the line at zero to be seen between the intervals.
_WIDE = 3.0


def caterpillar(
    fit: Fit,
    groups: str | Sequence[str] | None = None,
    *,
    alpha: float = 0.05,
    sort: bool | str = True,
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw the conditional modes of the random effects with intervals, as lme4's ``dotplot(ranef(m))``.

    The intervals are mode ± z(1 - alpha/2) times the conditional standard deviation, given the data, the fixed
    effects and theta. They are for looking at one level at a time: that two of them overlap is no test of a
    difference.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    groups : str or sequence of str, optional
        Grouping factors; all by default, by decreasing number of levels.
    alpha : float
        One less the coverage.
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
