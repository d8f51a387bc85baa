"""All groups in one picture: their data as lines, and the lines that the model fits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import FitError
from mixfit.matrices.censored import refuse_censored
from mixfit.plots.figure import BLUE, RED, one_axes, thin_labels, with_unit
from mixfit.plots.group_lines import group_curves
from mixfit.plots.random_effects import choose_factor, response_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["spaghetti"]

# Lines of this many groups are still seen one by one; of more they get paler.
_CLEAR = 20.0
_LINE_SEGMENTS = 200


def spaghetti(
    fit: Fit,
    x: str,
    *,
    group: str | None = None,
    data: Any = None,
    observed: bool = True,
    population: bool = True,
    max_groups: int = _LINE_SEGMENTS,
    units: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the responses of every group as a line along a variable, with its fitted line, in one panel.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
        Generalized models are drawn on the scale of the response.
    x : str
        A column of `data`; other variables are at what is typical of each group's rows.
    group : str, optional
        Grouping factor; by default the one with the most levels.
    data : frame, optional
        That of the fit. Needed for a variable that the formula does not have.
    observed : bool
        Whether the data are drawn.
    population : bool
        Whether the mean of the groups' lines without random effects is drawn.
    max_groups : int
        Of more groups as many are drawn, evenly spaced in their order; the title then says so.
    units : mapping of str to str, optional
        Of variables, for the axes: ``{"Reaction": "ms"}``.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        For a column that is not there.
    FitError
        For a factor that the model does not have.
    MissingPackageError
        Where matplotlib is not installed.

    See Also
    --------
    fitted_lines : A panel a group.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> axes = mixfit.plots.spaghetti(fit, "Days", units={"Reaction": "ms"})
    >>> axes.get_ylabel(), axes.get_title()
    ('Reaction (ms)', '18 levels of Subject')
    """
    if max_groups < 1:
        raise FitError(f"max_groups must be positive, not {max_groups!r}.")
    group = choose_factor(fit, group)
    grouping = next(term.grouping for term in fit.model.observations.random if term.grouping.name == group)
    count = min(grouping.n_levels, max_groups)
    levels = np.round(np.linspace(0, grouping.n_levels - 1, count)).astype(np.intp)
    curves = group_curves(fit, x, grouping, levels, data)
    y = fit.model.observations.y
    if observed:
        refuse_censored(fit.model.design, "points of responses")
    axes = one_axes(ax, (6.4, 4.4))
    alpha = float(np.clip((_CLEAR / count) ** 0.5, 0.15, 1.0))
    if observed:
        for level in levels:
            own = np.flatnonzero((grouping.codes == level) & np.isfinite(curves.x))
            own = own[np.argsort(curves.x[own], kind="stable")]
            axes.plot(curves.x[own], y[own], color="0.45", linewidth=0.8, alpha=0.6 * alpha, zorder=1, marker=".", ms=3)
    for line in curves.mixed:
        axes.plot(curves.at, line, color=BLUE, linewidth=1.2, alpha=alpha, zorder=2)
    if population:
        axes.plot(curves.at, curves.population.mean(axis=0), color=RED, linewidth=2.6, zorder=3)
    _legend(axes, observed=observed, population=population)
    if curves.values is not None:
        thin_labels(axes.xaxis, curves.values)
    axes.set_xlabel(with_unit(x, units))
    axes.set_ylabel(with_unit(response_name(fit), units))
    of = f"{count} of {grouping.n_levels}" if count < grouping.n_levels else str(count)
    axes.set_title(f"{of} levels of {group}", fontsize="medium")
    return axes


def _legend(axes: Axes, *, observed: bool, population: bool) -> None:
    """Of one line a kind, in full colour."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color="0.45", linewidth=0.8, marker=".", ms=3, label="data")] if observed else []
    handles.append(Line2D([], [], color=BLUE, linewidth=1.2, label="mixed model"))
    if population:
        handles.append(Line2D([], [], color=RED, linewidth=2.6, label="population"))
    axes.legend(handles=handles, fontsize="small", frameon=False)
