"""Six panels of a model's checks, each with its sentence."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from mixfit.plots.figure import BLUE, GREY, RED, empty_note, line_styles, panels, point_style, thin_labels
from mixfit.plots.quantile_plots import normal_points
from mixfit.plots.residual_plots import smooth_curve

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.inference.checks import ModelChecks
    from mixfit.plots.figure import AxesArray

    Array = NDArray[np.float64]

__all__ = ["binned_panel", "check_panels", "predictive_panel"]

# Width and height of a panel in inches: three stand side by side on a page.
_SIZE = (4.3, 3.9)
# Letters of a sentence that stand side by side above a panel.
_LETTERS = 54
# Curves or dots of simulated responses: as many as are still told apart.
_DRAWN = 30
# A density of so many rows, evenly spaced, looks like that of all.
_MOST_ROWS = 5000
# Whole numbers with a place of their own.
_PLACES = 30
# Of simulated frequencies.
_INTERVAL = (0.025, 0.975)
_NAMED = 3
# Of the width of a panel.
_APART = 0.12


def check_panels(checks: ModelChecks, axes: ArrayLike | Axes | None = None) -> AxesArray:
    """Draw the panels of `check_model`.

    Parameters
    ----------
    checks : ModelCheck
    axes : array of six Axes, optional
        By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (6,)
    """
    made = panels(6, axes, columns=3, size=_SIZE)
    predictive_panel(made.axes[0], checks.y, checks.simulated, checks.response, whole=checks.whole)
    if checks.binned is not None:
        binned_panel(made.axes[1], checks.binned)
    else:
        _scatter(made.axes[1], checks.fitted, checks.residuals, line=0.0)
        made.axes[1].set(xlabel=checks.predictor, ylabel=_residual_name(checks))
    _scatter(made.axes[2], checks.fitted, np.sqrt(np.abs(checks.residuals)), line=None)
    made.axes[2].set(xlabel=checks.predictor, ylabel=f"root of |{_residual_name(checks)}|")
    made.axes[2].set_ylim(bottom=0.0)
    _influence(made.axes[3], checks)
    _residual_quantiles(made.axes[4], checks)
    _mode_quantiles(made.axes[5], checks.modes)
    for axis, check in zip(made.axes, checks.checks, strict=True):
        lines = textwrap.wrap(check.words, _LETTERS)
        axis.set_title(
            check.name.capitalize(), loc="left", fontsize="medium", fontweight="bold", pad=8 + 12 * len(lines)
        )
        axis.annotate(
            "\n".join(lines), (0.0, 1.0), xytext=(0.0, 5.0), xycoords="axes fraction", textcoords="offset points",
            va="bottom", fontsize="small", color=RED if check.doubtful else "0.3", annotation_clip=False,
        )  # fmt: skip
    return made.axes


def _residual_name(checks: ModelChecks) -> str:
    return "scaled residual" if checks.uniform is None else "normal score of quantile residual"


def predictive_panel(axes: Axes, y: Array, simulated: Array, response: str, *, whole: bool) -> None:
    """Draw the distribution of the responses over those of simulated ones.

    Parameters
    ----------
    axes : Axes
    y : ndarray, shape (nobs,)
    simulated : ndarray, shape (nobs, n)
    response : str
    whole : bool
        Whether frequencies are drawn, and densities otherwise.
    """
    if whole:
        _frequencies(axes, y, simulated)
        axes.set_ylabel("rows")
    else:
        _densities(axes, y, simulated)
        axes.set_ylabel("density")
        axes.set_ylim(bottom=0.0)
    axes.set_xlabel(response)
    axes.legend(fontsize="small", frameon=False)


def _frequencies(axes: Axes, y: Array, simulated: Array) -> None:
    top = float(min(np.quantile(y, 0.995), _PLACES)) if len(np.unique(y)) > _PLACES else float(y.max())
    places = np.arange(float(y.min()), top + 1.0)
    counts = np.stack([np.count_nonzero(simulated == place, axis=0) for place in places])
    low, high = np.quantile(counts, _INTERVAL, axis=1)
    middle = np.median(counts, axis=1)
    axes.vlines(places, low, high, color=BLUE, linewidth=3.0, alpha=0.5, label="95% of simulations")
    axes.scatter(places, middle, color=BLUE, s=14.0, zorder=2)
    observed = [np.count_nonzero(y == place) for place in places]
    axes.scatter(places, observed, marker="D", facecolors="none", edgecolors="black", s=26.0, zorder=3, label="data")
    if len(places) <= 12:
        axes.set_xticks(places.tolist())
    axes.set_ylim(bottom=0.0)


def _densities(axes: Axes, y: Array, simulated: Array) -> None:
    from scipy.stats import gaussian_kde

    rows = np.unique(np.linspace(0, len(y) - 1, min(len(y), _MOST_ROWS)).astype(np.intp))
    y, drawn = y[rows], simulated[rows, :_DRAWN]
    low, high = min(y.min(), np.quantile(drawn, 0.001)), max(y.max(), np.quantile(drawn, 0.999))
    at = np.linspace(low, high, 200)
    for j, column in enumerate(drawn.T):
        if np.ptp(column) > 0.0:
            label = "simulated" if j == 0 else None
            axes.plot(at, gaussian_kde(column)(at), color=BLUE, linewidth=0.7, alpha=0.35, label=label)
    if np.ptp(y) > 0.0:
        axes.plot(at, gaussian_kde(y)(at), color="black", linewidth=2.0, label="data")


def binned_panel(axes: Axes, binned: pd.DataFrame) -> None:
    """Draw mean residuals of bins, with the bounds that the model sets them.

    Parameters
    ----------
    axes : Axes
    binned : DataFrame
        As ``binned_residuals`` gives it.
    """
    at, lower, upper = (binned[name].to_numpy(dtype=float) for name in ("expected", "lower", "upper"))
    axes.fill_between(at, lower, upper, color=GREY, alpha=0.25, linewidth=0.0, label="bounds of 95%")
    axes.axhline(0.0, color=GREY, linewidth=1.0)
    inside = binned["inside"].to_numpy(dtype=bool)
    residual = binned["residual"].to_numpy(dtype=float)
    axes.scatter(at[inside], residual[inside], color=BLUE, s=18.0, label="inside")
    if (~inside).any():
        axes.scatter(at[~inside], residual[~inside], color=RED, marker="D", s=22.0, label="outside")
    axes.set(xlabel="mean expected probability", ylabel="mean residual")
    axes.legend(fontsize="small", frameon=False)


def _scatter(axes: Axes, x: Array, y: Array, line: float | None) -> None:
    if line is not None:
        axes.axhline(line, color=GREY, linewidth=1.0, zorder=0)
    axes.scatter(x, y, color=BLUE, **point_style(len(x)))
    axes.plot(*smooth_curve(x, y, robust=True), color=RED, linewidth=1.8)


def _influence(axes: Axes, checks: ModelChecks) -> None:
    if checks.cooks is None:
        empty_note(axes, "not available for this model")
        return
    values = checks.cooks.to_numpy(dtype=float)
    at = np.arange(len(values))
    axes.vlines(at, 0.0, values, color=BLUE, linewidth=float(np.clip(200.0 / len(values), 0.5, 2.0)))
    axes.scatter(at, values, color=BLUE, s=float(np.clip(600.0 / len(values), 3.0, 18.0)))
    limit = checks.cooks_limit
    axes.axhline(limit, color=RED, linestyle="--", linewidth=1.2, label="median of F: stands out")
    named: list[int] = []
    for j in np.argsort(-np.nan_to_num(values))[:_NAMED].tolist():
        # Names of neighbours would cover one another.
        if all(abs(j - other) > _APART * len(values) for other in named):
            named.append(j)
            place = (at[j], values[j])
            axes.annotate(
                str(checks.cooks.index[j]), place, (0, 4), textcoords="offset points", ha="center", size="small"
            )
    axes.set_ylim(0.0, 1.15 * max(float(np.nanmax(values)), limit))
    thin_labels(axes.xaxis, list(checks.cooks.index))
    axes.set(xlabel=checks.by, ylabel="Cook's distance")
    axes.legend(fontsize="small", frameon=False)


def _residual_quantiles(axes: Axes, checks: ModelChecks) -> None:
    style = point_style(len(checks.y)) | {"alpha": 0.75}
    if checks.uniform is None:
        x, y = normal_points(checks.residuals)
        axes.set(xlabel="standard normal quantile", ylabel="scaled residual")
    else:
        n = len(checks.uniform)
        x, y = (np.arange(1, n + 1) - 0.5) / n, np.sort(checks.uniform)
        axes.set(xlabel="uniform quantile", ylabel="quantile residual")
    axes.axline((0.0, 0.0), slope=1.0, color=RED, linewidth=1.4, zorder=1)
    axes.scatter(x, y, color=BLUE, **style)


def _mode_quantiles(axes: Axes, modes: dict[str, Array]) -> None:
    if not modes:
        empty_note(axes, "no random effect has variance")
        return
    axes.axline((0.0, 0.0), slope=1.0, color=GREY, linewidth=1.4, zorder=1)
    for (name, values), look in zip(modes.items(), line_styles(len(modes)), strict=True):
        style = point_style(len(values)) | {"alpha": 0.75}
        at = normal_points(values)
        axes.scatter(*at, color=look["color"], marker=look["marker"], label=name, **style)
    axes.set(xlabel="standard normal quantile", ylabel="standardized mode")
    axes.legend(fontsize="small", frameon=False)
