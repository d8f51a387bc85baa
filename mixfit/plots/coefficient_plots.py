"""Fixed effects with their intervals, of one model or several, and how their estimates are correlated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit import wald
from mixfit.arguments import check_flag, one_by_one
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.plots.figure import GREY, line_styles, one_axes
from mixfit.report.model_rows import estimates
from mixfit.report.model_table import named_fits
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["coefficients", "effect_correlations"]

# Heights: of a line of text, of a coefficient with air around it, and what a page and a screen show.
_INCHES_A_LINE = 0.28
_INCHES_A_COEFFICIENT = 0.55
_HEIGHTS = (1.8, 12.0)
# Of the distance between two coefficients, what the lines of several models take.
_SHARE = 0.6
# Powers of ten beyond which an axis has no room for others between them.
_WIDE = 3.0
# Correlations in a picture of more are too small to be read as numbers.
_MOST_WRITTEN = 12
# A cell darker than this has light letters.
_DARK = 0.6


def coefficients(
    fits: Any,
    *,
    names: Sequence[str] | None = None,
    terms: Sequence[str] | None = None,
    intercept: bool = False,
    level: float | None = None,
    ddf: str | None = None,
    exponentiate: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw fixed effects with their intervals, those of several models side by side.

    Parameters
    ----------
    fits : fit, sequence of fits, or mapping of str to fit
        The keys of a mapping are names.
    names : sequence of str, optional
        Of the models, for the legend.
    terms : sequence of str, optional
        Fixed effects to draw, from top to bottom; all but the constant by default.
    intercept : bool
        Whether the constant is among them by default.
    level : float, optional
        Coverage of the intervals; by default ``mixfit.options.level``, 0.95 at first.
    ddf : str, optional
        Degrees of freedom of linear models, as in ``summary``.
    exponentiate : bool
        Whether odds ratios or ratios are drawn, on a logarithmic axis.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    FitError
        For a fixed effect that no model has.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age * Sex + (1 | Subject)", teeth).fit()
    >>> [label.get_text() for label in mixfit.plots.coefficients(fit).get_yticklabels()]
    ['age', 'Sex[T.Female]', 'age:Sex[T.Female]']
    """
    models = named_fits(*one_by_one((fits,), names))
    share = coverage(level)
    check_flag("exponentiate", exponentiate)
    options = {"conf_int": True, "level": share, "exponentiate": exponentiate}
    frames = [estimates(fit, ddf, options) for fit in models.values()]
    frames = [frame[frame["part"] == "fixed"].set_index("term") for frame in frames]
    chosen = _chosen(frames, terms, intercept)
    k = len(models)
    height = float(np.clip(len(chosen) * max(_INCHES_A_COEFFICIENT, k * _INCHES_A_LINE) + 0.9, *_HEIGHTS))
    axes = one_axes(ax, (6.0, height))
    axes.axvline(1.0 if exponentiate else 0.0, color=GREY, linewidth=1.0, zorder=0)
    styles = line_styles(k)
    for j, (name, frame) in enumerate(zip(models, frames, strict=True)):
        rows = frame.reindex(chosen)
        at = np.arange(len(chosen)) + (_SHARE * (j - 0.5 * (k - 1)) / k)
        middle, low, high = (rows[c].to_numpy(dtype=float) for c in ("estimate", "conf.low", "conf.high"))
        style = styles[j]
        axes.hlines(at, low, high, color=style["color"], linewidth=1.8)
        axes.plot(middle, at, style["marker"], color=style["color"], markersize=6.0, label=name)
    axes.set_yticks(np.arange(len(chosen)), chosen)
    axes.set_ylim(len(chosen) - 0.5, -0.5)
    what = "exponentiated coefficient" if exponentiate else "coefficient"
    axes.set_xlabel(f"{what}, {100.0 * share:g}% interval")
    if exponentiate:
        _logarithmic(axes)
    if k > 1:
        axes.legend(fontsize="small", frameon=False)
    responses = dict.fromkeys(fit.model.design.endog_name for fit in models.values())
    axes.set_title(", ".join(responses), fontsize="medium")
    return axes


def _logarithmic(axes: Axes) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 times the powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    decades = np.log10(high / low)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < _WIDE else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _chosen(frames: Sequence[Any], terms: Sequence[str] | None, intercept: bool) -> list[str]:
    known = list(dict.fromkeys(name for frame in frames for name in frame.index))
    if terms is None:
        chosen = [name for name in known if intercept or name != shown("Intercept")]
        if not chosen:
            raise FitError("There are no fixed effects beside the constant: intercept=True draws it.")
        return chosen
    wanted = [shown(str(name)) for name in terms]
    for name in wanted:
        if name not in known:
            raise FitError(f"No model has the fixed effect {name!r}; there are {', '.join(known)}.")
    return wanted


def effect_correlations(fit: Fit, *, ax: Axes | None = None) -> Axes:
    """Draw the correlations of the estimated fixed effects: which of them the data cannot well tell apart.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    FitError
        For a model of fewer than two fixed effects.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> mixfit.plots.effect_correlations(fit).texts[0].get_text()
    '-0.14'
    """
    names = [shown(str(name)) for name in fit.fixef.index]
    p = len(names)
    if p < 2:
        raise FitError(f"The model has {p} fixed effects: correlations take two.")
    matrix = wald.correlation(np.asarray(fit.estimate.cov_beta))
    below = np.tril(np.ones((p, p), dtype=bool), -1)[1:, :-1]
    values = np.where(below, matrix[1:, :-1], np.nan)
    side = float(np.clip(0.62 * p, 3.2, 9.0))
    axes = one_axes(ax, (side + 1.2, side))
    # Purple and orange: told apart by colour-blind readers, and pale where there is nothing.
    picture = axes.imshow(values, cmap="PuOr", vmin=-1.0, vmax=1.0)
    if p <= _MOST_WRITTEN:
        for i, j in zip(*np.nonzero(below), strict=True):
            colour = "white" if abs(values[i, j]) > _DARK else "black"
            axes.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", color=colour, fontsize="small")
    axes.set_xticks(np.arange(p - 1), names[:-1], rotation=90.0 if p > 3 else 0.0)
    axes.set_yticks(np.arange(p - 1), names[1:])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0.0)
    axes.set_title("estimates of fixed effects", fontsize="medium")
    axes.figure.colorbar(picture, ax=axes, label="correlation")
    return axes
