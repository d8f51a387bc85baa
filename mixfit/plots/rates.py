"""The shrinkage plot: raw rates, and what they become."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mixfit.plots.figure import length_in_inches, one_axes, thin_labels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["shrinkage_plot"]

# A line of text a unit.
_INCHES_A_UNIT = 0.32
# In inches; more units than fit have smaller marks, and every m-th has its label.
_TALLEST = 12.0


def shrinkage_plot(
    rates: pd.DataFrame,
    means: pd.Series[float],
    one_mean: bool,
    probability: float,
    ax: Axes | None = None,
    sort: bool = False,
) -> Axes:
    """Draw raw rates, posterior means and credible intervals, a line a unit.

    Parameters
    ----------
    rates : DataFrame
        Columns ``raw``, ``mean``, ``lower``, ``upper``; a row a unit.
    means : Series
        Mean that each unit shrinks towards.
    one_mean : bool
        Whether that is the same for all: one line then, a tick for each unit else.
    probability : float
        That of the intervals, for the legend.
    ax : matplotlib Axes, optional
    sort : bool
        Whether units stand in the order of their posterior means.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    MissingPackageError
        Without matplotlib.
    """
    order = np.argsort(rates["mean"].to_numpy(), kind="stable") if sort else np.arange(len(rates))
    rates, center = rates.iloc[order], means.to_numpy()[order]
    ax = one_axes(ax, (6.4, min(1.6 + _INCHES_A_UNIT * len(rates), _TALLEST)))
    at = np.arange(len(rates))
    # Marks shrink with the room that a unit has, in points.
    room = 72.0 * length_in_inches(ax.yaxis) / len(rates)
    size, edge = float(np.clip(0.6 * room, 1.0, 6.0)), float(np.clip(0.1 * room, 0.1, 1.0))
    mean, raw = rates["mean"].to_numpy(), rates["raw"].to_numpy()
    if one_mean:
        ax.axvline(center[0], color="0.6", linewidth=1, linestyle="--", label="mean of the rates")
    else:
        ax.plot(center, at, "|", markersize=2.0 * size, color="0.5", label="mean given covariates")
    ax.hlines(
        at,
        rates["lower"],
        rates["upper"],
        color="C0",
        linewidth=float(np.clip(0.5 * room, 0.3, 4.0)),
        alpha=0.35,
        label=f"{100.0 * probability:g} % credible interval",
    )
    ax.hlines(at, np.fmin(raw, mean), np.fmax(raw, mean), color="0.3", linewidth=edge)
    dots = partial(ax.plot, linestyle="", marker="o", markersize=size, markeredgewidth=edge)
    dots(raw, at, markerfacecolor="white", markeredgecolor="0.2", label="raw rate")
    dots(mean, at, color="C0", label="posterior mean")
    thin_labels(ax.yaxis, rates.index.tolist(), size=10.0)
    # The first unit stands on top, as in a table.
    ax.set_ylim(len(rates) - 0.5, -0.5)
    ax.set_xlabel("rate")
    ax.legend(fontsize="small")
    return ax
