"""Marginal means with intervals and comparison arrows, and interaction plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.inference.means.arrows import comparison_arrows
from mixfit.inference.means.contrast_coefficients import level_text
from mixfit.inference.means.emmeans import emmeans
from mixfit.inference.means.grid_variables import grid_variables
from mixfit.inference.means.linear_functions import by_groups
from mixfit.inference.means.marginal_means import EmMeans
from mixfit.inference.means.specs import parse_specs, response_label
from mixfit.inference.predictors import seen_from
from mixfit.matrices.types import MEAN
from mixfit.plots.figure import BLUE, GREY, RED, line_styles, one_axes, refuse_fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.contrasts import Contrasts

    Array = NDArray[np.float64]

__all__ = ["emmip", "means_plot"]

# A line of text a mean, and room for the scale.
_INCHES_A_MEAN, _INCHES_AROUND, _TALLEST = 0.32, 1.1, 14.0
# Of the distance between two values, for the lines of one plot to stand side by side.
_DODGE = 0.06
# A covariate is drawn as a curve, whose 60 pieces look smooth, and its intervals as a band that others show through.
_POINTS, _MARK_EVERY = 61, 10
_BAND = 0.15
# Arrows of the outermost means, of the range of the means: what would point away from all others says nothing.
_STUB = 0.02


def means_plot(
    means: EmMeans | Contrasts, ax: Axes | None = None, *, comparisons: bool = True, level: float | None = None
) -> Axes:
    """Draw marginal means, slopes or contrasts with their intervals, a line each.

    Red arrows compare means: two whose arrows overlap do not differ, at the level of the intervals and with the
    adjustment that pairs have by default. Intervals do not say that.

    Parameters
    ----------
    means : EmMeans or Contrasts
        From ``fit.emmeans()``, ``fit.emtrends()``, or their contrasts, which have a line at no difference.
    ax : matplotlib Axes, optional
        A new figure's by default.
    comparisons : bool
        Whether to draw arrows; contrasts have none.
    level : float, optional
        Coverage of the intervals; that of the means by default.

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
    >>> cake = mixfit.datasets.load("cake")
    >>> fit = mixfit.mixed("angle ~ recipe + temperature + (1 | recipe:replicate)", cake).fit()
    >>> axes = mixfit.plots.means_plot(fit.emmeans("temperature"))
    >>> axes.get_xlabel()
    'estimated marginal mean of angle'
    """
    refuse_fit(means, "means_plot", "fit.emmeans(specs), fit.emtrends() or a contrast of them")
    frame = means.conf_int(level=level)
    names = [str(name) for name in frame.columns]
    value = names[names.index("SE") - 1]
    groups = by_groups(means.names, means.by)
    labels, places = _lines(means, groups)
    ax = one_axes(ax, (6.4, min(_INCHES_AROUND + _INCHES_A_MEAN * len(labels), _TALLEST)))
    middle = frame[value].to_numpy(dtype=np.float64)
    ax.hlines(places, frame["lower.CL"], frame["upper.CL"], color=BLUE, linewidth=6.0, alpha=0.3, label="interval")
    if isinstance(means, EmMeans):
        if comparisons:
            _draw_arrows(ax, means, groups, places, level)
    else:
        ax.axvline(1.0 if means.settings.as_ratios else 0.0, color=GREY, linewidth=1.0, zorder=0)
    ax.plot(middle, places, "o", color=BLUE, markersize=5.0)
    ax.set_yticks(range(len(labels)), labels)
    headings = set(range(len(labels))) - set(places.tolist())
    for place in headings:
        ax.get_yticklabels()[place].set_fontweight("bold")
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0.0)
    ax.set_ylabel(", ".join(str(name) for name in means.names if name not in means.by))
    ax.set_xlabel(_value_label(means, value))
    return ax


def _lines(means: EmMeans | Contrasts, groups: Sequence[NDArray[np.intp]]) -> tuple[list[str], Array]:
    """Labels of the lines, headings of groups among them, and the line of each mean."""
    own = [name for name in means.names if name not in means.by]
    labels: list[str] = []
    places = np.zeros(len(means.names))
    for rows in groups:
        if means.by:
            first = means.names.iloc[rows[0]]
            labels.append(", ".join(f"{name} = {level_text(first[name])}" for name in means.by))
        for row in rows:
            places[row] = len(labels)
            labels.append(", ".join(level_text(means.names[name].iloc[row]) for name in own) or "overall")
    return labels, places


def _draw_arrows(
    ax: Axes, means: EmMeans, groups: Sequence[NDArray[np.intp]], places: Array, level: float | None
) -> None:
    """Arrows that point to the other means of a group, on the scale that the means are shown on."""
    if min(len(rows) for rows in groups) < 2:
        return
    pairs, link = means.pairs(), means.settings.scale.link
    limits = pairs.half_widths(level=level)
    wrong = []
    for rows, own in zip(groups, by_groups(pairs.names, pairs.by), strict=True):
        k = len(rows)
        half = np.full((k, k), np.nan)
        half[np.triu_indices(k, 1)] = limits[own]
        estimate = means.estimates.estimate[rows]
        known = np.flatnonzero(~np.isnan(estimate))
        half = np.fmax(half, half.T)[np.ix_(known, known)]
        if len(known) < 2 or np.isnan(half[np.triu_indices(len(known), 1)]).any():
            continue
        at = estimate[known]
        arrows = comparison_arrows(at, half)
        stub = _STUB * np.ptp(at)
        left = np.maximum(at - arrows.left, at.min() - stub)
        right = np.minimum(at + arrows.right, at.max() + stub)
        left[at == at.min()], right[at == at.max()] = np.nan, np.nan
        ends = np.column_stack([left, at, right])
        if means.settings.scale.transforms and link is not None:
            ends = link.mean(ends)
        for place, (start, middle, stop) in zip(places[rows[known]], ends, strict=True):
            for tip in (start, stop):
                if np.isfinite(tip) and tip != middle:
                    style = {"arrowstyle": "-|>", "color": RED, "shrinkA": 0.0, "shrinkB": 0.0, "linewidth": 1.2}
                    ax.annotate("", (tip, place), (middle, place), arrowprops=style)
        wrong += [(rows[known[i]], rows[known[j]]) for i, j in arrows.misleading]
    if wrong:
        names = "; ".join(f"{_name(means, i)} and {_name(means, j)}" for i, j in wrong)
        ax.set_title(f"Arrows mislead for {names}", fontsize="small", color="0.35")


def _name(means: EmMeans | Contrasts, row: int) -> str:
    return " ".join(level_text(value) for value in means.names.iloc[row])


def _value_label(means: EmMeans | Contrasts, value: str) -> str:
    response, scale = response_label(means.settings.fit.model.design), means.settings.scale
    if not isinstance(means, EmMeans):
        return value if scale.link is None or means.settings.as_ratios else f"{value} ({scale.contrast})"
    if value.endswith(".trend"):
        return f"slope in {value.removesuffix('.trend')}"
    if value == "emmean":
        of = response if scale.link is None else f"{response} ({scale.link.name} scale)"
        return f"estimated marginal mean of {of}"
    return response


def emmip(
    fit: Fit,
    /,
    specs: str,
    *,
    by: str | Sequence[str] | None = None,
    intervals: bool = True,
    ax: Axes | None = None,
    **options: Any,
) -> Axes:
    """Draw an interaction plot: marginal means along one factor, a line for each combination of others, as R's emmip.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    specs : str
        The factor along the axis, or a formula: ``"trace ~ x"``. A covariate goes from its least to its largest value,
        or takes the values that ``at=`` gives it.
    by : str or sequence of str, optional
        The factors that there are lines for.
    intervals : bool
        Whether to draw the intervals of the means.
    ax : matplotlib Axes, optional
        A new figure's by default.
    **options
        As of `mixfit.emmeans`: at, type, weights, re_form, ...

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    FitError
        For a formula without a factor, and what `emmeans` refuses.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> cake = mixfit.datasets.load("cake")
    >>> fit = mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", cake).fit()
    >>> axes = mixfit.plots.emmip(fit, "recipe ~ temperature")
    >>> axes.get_xlabel(), len(axes.get_legend().get_texts())
    ('temperature', 3)
    """
    left, right, within = parse_specs(specs)
    traces = [*parse_specs(f"~ {left}")[1], *within] if left else list(within)
    traces += [by] if isinstance(by, str) else list(by or ())
    if len(right) != 1:
        raise FitError(f"An interaction plot is along one factor, as in 'trace ~ x', not {specs!r}.")
    x = right[0]
    at = dict(options.pop("at", None) or {})
    seen = seen_from(fit, options.get("predictor", MEAN))
    variables = grid_variables(seen, at, options.get("cov_keep", 2))
    is_curve = x in variables and x not in at and variables[x].codes is None
    if is_curve:
        known = seen.model.design.variables[x]
        at[x] = np.linspace(known.min(), known.max(), _POINTS).tolist()
    means = emmeans(fit, [x, *traces], at=at or None, **options)
    frame = means.frame
    # Probabilities of categories have a line each.
    traces += [name for name in (fit.model.design.endog_name,) if name in frame.columns]
    ax = one_axes(ax)
    numeric = pd.api.types.is_numeric_dtype(frame[x]) and not pd.api.types.is_bool_dtype(frame[x])
    codes, values = pd.factorize(frame[x])
    places = frame[x].to_numpy(dtype=np.float64) if numeric else codes.astype(np.float64)
    groups = by_groups(frame, traces)
    spacing = np.diff(np.unique(places)).min(initial=np.inf)
    step = _DODGE * (spacing if np.isfinite(spacing) else 1.0)
    value = means.settings.scale.shown
    for g, (rows, style) in enumerate(zip(groups, line_styles(len(groups)), strict=True)):
        own, label = frame.iloc[rows], " ".join(level_text(frame[name].iloc[rows[0]]) for name in traces)
        if is_curve:
            ax.plot(places[rows], own[value], **style, markevery=_MARK_EVERY, label=label)
            if intervals:
                band = {"color": style["color"], "alpha": _BAND, "linewidth": 0.0}
                ax.fill_between(places[rows], own["lower.CL"], own["upper.CL"], **band)
            continue
        place = places[rows] + step * (g - (len(groups) - 1) / 2.0)
        ax.plot(place, own[value], **style, label=label)
        if intervals:
            ax.vlines(place, own["lower.CL"], own["upper.CL"], color=style["color"], linewidth=3.0, alpha=0.35)
    if not numeric:
        ax.set_xticks(range(len(values)), [level_text(v) for v in values])
        ax.set_xlim(-0.5, len(values) - 0.5)
    ax.set_xlabel(x)
    ax.set_ylabel(_value_label(means, value))
    if traces:
        ax.legend(title=" ".join(traces), fontsize="small", frameon=False)
    return ax
