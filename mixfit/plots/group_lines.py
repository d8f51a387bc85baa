"""Fitted lines by group, a panel a level, and the predicted curves behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FitError
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.inference.predictors import refuse_unordered
from mixfit.matrices.censored import refuse_censored
from mixfit.plots.figure import BLUE, GREEN, RED, panels, texts, thin_labels
from mixfit.plots.random_effects import choose_factor, response_name
from mixfit.report.augment import model_frame, used_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.types import Grouping, RandomDesign
    from mixfit.plots.figure import AxesArray

    Array = NDArray[np.float64]

__all__ = [
    "Curves",
    "containing_factors",
    "fitted_lines",
    "group_curves",
    "group_regressions",
    "typical_rows",
    "variable_grid",
]

# A curve of 60 pieces looks smooth; nine columns of panels can still be read.
_GRID = 61
_MOST_COLUMNS = 9


@dataclass(frozen=True, eq=False)
class Curves:
    """Predictions for some levels of a grouping factor.

    Attributes
    ----------
    x : ndarray, shape (n,)
        The variable in the rows of the fit; of a categorical one the place among its values.
    values : tuple of str, or None
        These values, for a categorical variable.
    at : ndarray, shape (m,)
        Where the curves are evaluated.
    mixed, population : ndarray, shape (g, m)
        Mean response with the random effects of each level, and with none.
    """

    x: Array
    values: tuple[str, ...] | None
    at: Array
    mixed: Array
    population: Array


def group_curves(fit: Fit, x: str, grouping: Grouping, shown: NDArray[np.intp], data: Any = None) -> Curves:
    """Predict along `x` for the levels `shown`.

    The random effects are those of the factor and of the factors that it is nested in. The other variables are
    held at what is typical of the level's rows: see `typical_rows`.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    x : str
        A column of `data`.
    grouping : Grouping
    shown : ndarray of intp, shape (g,)
        Codes of levels.
    data : frame, optional
        That of the fit; without it there are the columns of the formula.

    Returns
    -------
    Curves

    Raises
    ------
    DataError
        For a column that is not there.
    """
    refuse_unordered(fit, "Lines of groups")
    design = fit.model.observations
    if is_generalized(fit) and fit.model.family.kind == "ordinal":
        raise FitError(
            "Ordered categories have a probability each and no one line for a group: see plot.category_probabilities()."
        )
    frame = model_frame(design) if data is None else used_rows(data, design)
    if x not in frame:
        known = ", ".join(map(repr, map(str, frame.columns)))
        ask = " Pass the frame of the fit as data=." if data is None else ""
        raise DataError(f"There is no column {x!r}; {_where(data)}: {known}.{ask}")
    panel = np.full(grouping.n_levels, -1)
    panel[shown] = np.arange(len(shown))
    of_row = panel[grouping.codes]
    rows = typical_rows(frame[of_row >= 0], of_row[of_row >= 0])
    places, values, at, grid = variable_grid(frame[x])
    new = rows.iloc[np.repeat(np.arange(len(shown)), len(at))].reset_index(drop=True)
    new[x] = pd.concat([grid] * len(shown), ignore_index=True)
    factors = containing_factors(design.random, grouping)
    mixed, population = (np.asarray(fit.predict(new, re_form=r), dtype=float) for r in (factors, "population"))
    shape = (len(shown), len(at))
    return Curves(places, values, at, mixed.reshape(shape), population.reshape(shape))


def _where(data: Any) -> str:
    return "without data= there are the columns of the formula" if data is None else "data= has"


def variable_grid(column: pd.Series[Any]) -> tuple[Array, tuple[str, ...] | None, Array, pd.Series[Any]]:
    """Places of the rows, names of the places, where to predict, and the variable there."""
    if _is_number(column):
        x = column.to_numpy(dtype=float, na_value=np.nan)
        at = np.linspace(np.nanmin(x), np.nanmax(x), _GRID)
        return x, None, at, pd.Series(at)
    codes, values = pd.factorize(column, sort=True)
    places, first = np.unique(codes, return_index=True)
    # Taken from the column, so that its type stays as it was in the fit.
    grid = column.iloc[first[places >= 0]]
    return np.where(codes < 0, np.nan, codes), tuple(texts(values)), np.arange(len(values), dtype=float), grid


def typical_rows(frame: pd.DataFrame, panel: NDArray[np.intp]) -> pd.DataFrame:
    """One row a panel: of every column a value that occurs in the panel's rows.

    Parameters
    ----------
    frame : DataFrame, shape (n, c)
    panel : ndarray of intp, shape (n,)
        0, ..., g - 1, each at least once.

    Returns
    -------
    DataFrame, shape (g, c)
        Of numbers the median (the lower of two middle ones), of other columns the most frequent value.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": [1, 2, 9, 5], "f": ["b", "a", "a", "c"]})
    >>> typical_rows(frame, np.array([0, 0, 0, 1])).to_numpy().tolist()
    [[2, 'a'], [5, 'c']]
    """
    count = np.bincount(panel)
    start = np.cumsum(count) - count
    columns = {}
    for name, column in frame.items():
        if _is_number(column):
            row = np.lexsort((column.to_numpy(dtype=float, na_value=np.nan), panel))[start + (count - 1) // 2]
        else:
            value = np.unique(np.column_stack([panel, pd.factorize(column)[0]]), axis=0, return_inverse=True)[1].ravel()
            row = np.lexsort((-np.bincount(value)[value], panel))[start]
        columns[name] = column.iloc[row].reset_index(drop=True)
    return pd.DataFrame(columns)


def _is_number(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def containing_factors(random: tuple[RandomDesign, ...], grouping: Grouping) -> list[str]:
    """Names of the factor itself and of those that it is nested in.

    Parameters
    ----------
    random : tuple of RandomDesign
    grouping : Grouping

    Returns
    -------
    list of str
    """
    names = []
    for other in {term.grouping.name: term.grouping for term in random}.values():
        pairs = np.unique(grouping.codes * other.n_levels + other.codes)
        if len(pairs) == grouping.n_levels:
            names.append(other.name)
    return names


def group_regressions(
    x: Array, y: Array, weights: Array | None, codes: NDArray[np.intp], n_levels: int
) -> tuple[Array, Array]:
    """Simple linear regression of y on x in every level.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
    weights : ndarray, shape (n,), or None
    codes : ndarray of intp, shape (n,)
    n_levels : int

    Returns
    -------
    tuple of ndarray, shape (n_levels,)
        Intercepts and slopes; NaN where x does not vary.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0])
    >>> [a.round(9).tolist() for a in group_regressions(x, 1.0 + 2.0 * x, None, np.zeros(3, dtype=int), 1)]
    [[1.0], [2.0]]
    """
    from mixfit.inference.within import unpenalized_steps

    w = np.ones(len(x)) if weights is None else weights
    # About the mean, so that rounding does not pass for variation.
    middle = float(x.mean())
    both = unpenalized_steps(np.column_stack([np.ones(len(x)), x - middle]), codes, n_levels, w, w * y)
    return both[:, 0] - middle * both[:, 1], both[:, 1]


def fitted_lines(
    fit: Fit,
    x: str,
    *,
    group: str | None = None,
    data: Any = None,
    levels: str | Sequence[object] | None = None,
    sort: bool = False,
    max_groups: int = 36,
    within: bool = False,
    population: bool = True,
    columns: int | None = None,
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw data and fitted lines along a variable, a panel a group, as lattice's ``xyplot(y ~ x | g)``.

    Each panel has the responses of the group's rows, the model's mean with the group's random effects (and those
    of factors that it is nested in; other factors' are zero) and that with none. Generalized models are drawn on
    the scale of the response. Variables other than `x` are held at what is typical of the group's rows: the median
    of numbers (the lower of two middle ones), the most frequent value of a factor.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    x : str
        A column of `data`; along a categorical one the means at its values are joined.
    group : str, optional
        Grouping factor; by default the one with the most levels.
    data : frame, optional
        That of the fit. Needed for a variable that the formula does not have.
    levels : str or sequence, optional
        Groups to show, in this order.
    sort : bool
        Whether to order the groups by the mode of their first random column, mostly the intercept.
    max_groups : int
        Of more groups as many are shown, evenly spaced in their order; the figure then says so.
    within : bool
        Whether to add each group's own regression line of the response on a numeric `x` (linear models only),
        by least squares with the prior weights.
    population : bool
        Whether to draw the line without random effects.
    columns : int, optional
        Panels side by side.
    axes : Axes or array of Axes, optional
        One a group. By default a figure is made, with common scales, in rows from the top left.

    Returns
    -------
    ndarray of Axes, shape (g,)

    Raises
    ------
    DataError
        For a column that is not there.
    FitError
        For a factor or level that the model does not have, `within` where there is no such line, or a wrong
        number of axes.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> axes = mixfit.plots.fitted_lines(fit, "Days", sort=True)
    >>> [panel.get_title() for panel in axes[:3]]
    ['309', '310', '370']
    """
    group = choose_factor(fit, group)
    grouping = next(term.grouping for term in fit.model.observations.random if term.grouping.name == group)
    order = _order(fit, grouping, levels, sort)
    shown = order if levels is not None else _spread(order, max_groups)
    curves = group_curves(fit, x, grouping, shown, data)
    regressions = _regressions(fit, x, curves, grouping) if within else None
    count = len(shown)
    wide = columns or _wide(count)
    size = (3.2, 3.0) if count <= 4 else (1.55, 1.7)
    made = panels(count, axes, columns=wide, size=size, sharex=True, sharey=True)
    refuse_censored(fit.model.design, "points of responses")
    y = fit.model.observations.y
    for place, (axis, level) in enumerate(zip(made.axes, shown, strict=True)):
        own = grouping.codes == level
        axis.scatter(curves.x[own], y[own], s=12.0, color="0.25", linewidths=0.0, alpha=0.8, label="data", zorder=3)
        if regressions is not None:
            line = regressions[0][level] + regressions[1][level] * curves.at
            axis.plot(curves.at, line, color=GREEN, linewidth=1.2, linestyle=":", label="group by itself")
        if population:
            axis.plot(curves.at, curves.population[place], color=RED, linewidth=1.2, linestyle="--", label="population")
        axis.plot(curves.at, curves.mixed[place], color=BLUE, linewidth=1.5, label="mixed model")
        axis.set_title(str(grouping.levels[level]), fontsize="small")
        axis.tick_params(labelsize="small")
        if curves.values is not None:
            thin_labels(axis.xaxis, curves.values)
            axis.set_xlim(-0.4, len(curves.at) - 0.6)
    _label(made.axes, made.figure, x, fit, group if count == len(order) else f"{group} ({count} of {len(order)})")
    return made.axes


def _order(fit: Fit, grouping: Grouping, levels: str | Sequence[object] | None, sort: bool) -> NDArray[np.intp]:
    """Codes of the levels, in order."""
    if levels is not None:
        chosen = [levels] if isinstance(levels, str) else list(levels)
        codes = grouping.levels.get_indexer(pd.Index(chosen))
        if (codes < 0).any():
            unknown = chosen[int(np.argmax(codes < 0))]
            raise FitError(f"The fit has no level {unknown!r} of {grouping.name}.")
        if not 0 < len(codes) == len(np.unique(codes)):
            raise FitError(f"levels= must name at least one level of {grouping.name}, and each once, not {chosen!r}.")
        return np.asarray(codes)
    if not sort:
        return np.arange(grouping.n_levels)
    return np.argsort(fit.ranef()[grouping.name].iloc[:, 0].to_numpy(dtype=float), kind="stable")


def _wide(count: int) -> int:
    """Panels side by side: about twice as many as rows, with few places left empty."""
    if count <= 4:
        return count
    root = np.sqrt(count)
    tried = np.arange(int(np.ceil(root)), min(_MOST_COLUMNS, int(2.2 * root)) + 1)
    if not len(tried):
        return _MOST_COLUMNS
    empty = -count % tried
    return int(tried[np.lexsort((np.abs(tried - np.sqrt(2.0) * root), empty))[0]])


def _spread(order: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    if most < 1:
        raise FitError(f"max_groups must be positive, not {most!r}.")
    if len(order) <= most:
        return order
    return order[np.round(np.linspace(0, len(order) - 1, most)).astype(int)]


def _regressions(fit: Fit, x: str, curves: Curves, grouping: Grouping) -> tuple[Array, Array]:

    design = fit.model.observations
    if not is_linear(fit):
        raise FitError("within=True is for linear models: a group by itself may have no finite estimate.")
    if curves.values is not None:
        raise FitError(f"within=True needs a numeric x; {x!r} is categorical.")
    known = ~np.isnan(curves.x)
    weights = None if design.weights is None else design.weights[known]
    return group_regressions(curves.x[known], design.y[known], weights, grouping.codes[known], grouping.n_levels)


def _label(axes: AxesArray, figure: Any, x: str, fit: Fit, title: str) -> None:
    """Name axes and lines: once for the figure where it was made here."""
    handles, labels = axes[0].get_legend_handles_labels()
    if figure is None:
        for axis in axes:
            axis.set_xlabel(x)
            axis.set_ylabel(response_name(fit))
        axes[0].legend(fontsize="small")
        return
    figure.supxlabel(x, fontsize="medium")
    figure.supylabel(response_name(fit), fontsize="medium")
    figure.legend(
        handles, labels, loc="outside upper center", ncols=len(labels), fontsize="small", frameon=False, title=title
    )
