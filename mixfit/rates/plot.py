"""The shrinkage plot: raw rates, and what they become."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import MissingPackageError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["shrinkage_plot"]

_INCHES_A_UNIT = 0.32


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
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise MissingPackageError("Plots need matplotlib: pip install 'mixfit[plots]'.") from error
    order = np.argsort(rates["mean"].to_numpy(), kind="stable") if sort else np.arange(len(rates))
    rates, center = rates.iloc[order], means.to_numpy()[order]
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 1.6 + _INCHES_A_UNIT * len(rates)), layout="constrained")
    at = np.arange(len(rates))
    mean, raw = rates["mean"].to_numpy(), rates["raw"].to_numpy()
    if one_mean:
        ax.axvline(center[0], color="0.6", linewidth=1, linestyle="--", label="mean of the rates")
    else:
        ax.plot(center, at, linestyle="", marker="|", markersize=12, color="0.5", label="mean given covariates")
    ax.hlines(
        at,
        rates["lower"],
        rates["upper"],
        color="C0",
        linewidth=4,
        alpha=0.35,
        label=f"{100.0 * probability:g} % credible interval",
    )
    ax.hlines(at, np.fmin(raw, mean), np.fmax(raw, mean), color="0.3", linewidth=1)
    ax.plot(raw, at, linestyle="", marker="o", markerfacecolor="white", markeredgecolor="0.2", label="raw rate")
    ax.plot(mean, at, linestyle="", marker="o", color="C0", label="posterior mean")
    ax.set_yticks(at, [str(label) for label in rates.index])
    # The first unit stands on top, as in a table.
    ax.set_ylim(len(rates) - 0.5, -0.5)
    ax.set_xlabel("rate")
    ax.legend(fontsize="small")
    return ax
