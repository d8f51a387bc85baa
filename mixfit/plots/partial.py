"""The effect of one variable, with what every row adds to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import DataError, FitError
from mixfit.fitted.protocols import is_generalized, is_nonlinear
from mixfit.inference.predictors import refuse_unordered
from mixfit.plots.figure import BLUE, RED, one_axes, point_style, thin_labels, with_unit
from mixfit.plots.group_lines import typical_rows, variable_grid
from mixfit.plots.random_effects import response_name
from mixfit.plots.residual_plots import smooth_curve
from mixfit.report.augment import model_frame, used_rows
from mixfit.wald import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["partial_residuals"]

# Half the width over which rows of one category are spread.
_JITTER = 0.18


def partial_residuals(
    fit: Fit,
    x: str,
    *,
    data: Any = None,
    level: float | None = None,
    smooth: bool = True,
    units: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the fitted effect of a variable with partial residuals, as R's visreg.

    The line is the linear predictor along `x`, other variables being at what is typical (medians, most frequent
    values) and random effects at zero, with its interval. A point is what the line says of a row's own `x`, plus the
    row's residual given its random effects. Points that leave the line in a curve say that `x` enters in another form.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
        Working residuals are taken of a generalized model.
    x : str
        A column of `data`.
    data : frame, optional
        That of the fit. Needed for a variable that the formula does not have.
    level : float, optional
        Coverage of the interval of the line; by default ``mixfit.options.level``, 0.95 at first.
    smooth : bool
        Whether to draw a lowess line through the points, where `x` is a number.
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
        For ordered categories, whose predictor has no residuals, and for unordered ones.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age + Sex + (1 | Subject)", teeth).fit()
    >>> mixfit.plots.partial_residuals(fit, "age", units={"age": "years"}).get_xlabel()
    'age (years)'
    """
    refuse_unordered(fit, "Partial residuals")
    if is_generalized(fit) and fit.model.family.kind == "ordinal":
        raise FitError("Ordered categories have no residuals on the scale of the predictor to draw.")
    if is_nonlinear(fit):
        raise FitError("A curve is no sum of parts, one of which residuals could be drawn about: see plot.spaghetti().")
    share, design = coverage(level), fit.model.design
    frame = model_frame(design) if data is None else used_rows(data, design)
    if x not in frame:
        there = ", ".join(map(repr, map(str, frame.columns)))
        raise DataError(f"There is no column {x!r} among {there}: pass the frame of the fit as data=.")
    typical = typical_rows(frame, np.zeros(len(frame), dtype=np.intp))
    places, values, at, grid = variable_grid(frame[x])
    band = _predictor(fit, typical, x, grid, se=True)
    own = _predictor(fit, typical, x, frame[x], se=False)["mean"].to_numpy(dtype=float)
    points = own + np.asarray(fit.residuals("working"), dtype=float)
    axes = one_axes(ax)
    middle, half = band["mean"].to_numpy(dtype=float), normal_quantile(1.0 - share) * band["mean_se"].to_numpy()
    if values is None:
        axes.scatter(places, points, color="0.35", zorder=1, **point_style(len(points)))
        axes.fill_between(at, middle - half, middle + half, color=BLUE, alpha=0.2, linewidth=0.0, zorder=2)
        axes.plot(at, middle, color=BLUE, linewidth=2.0, label=f"model, {100.0 * share:g}% interval", zorder=3)
        if smooth:
            known = np.isfinite(places)
            curve = smooth_curve(places[known], points[known], robust=not is_generalized(fit))
            axes.plot(*curve, color=RED, linewidth=1.6, linestyle="--", label="lowess of the points", zorder=3)
    else:
        spread = np.linspace(-_JITTER, _JITTER, len(points))[np.random.default_rng(0).permutation(len(points))]
        axes.scatter(places + spread, points, color="0.35", zorder=1, **point_style(len(points)))
        label = f"model, {100.0 * share:g}% interval"
        axes.errorbar(at, middle, half, fmt="o", color=BLUE, markersize=7.0, elinewidth=2.0, label=label, zorder=3)
        axes.set_xlim(-0.5, len(at) - 0.5)
        thin_labels(axes.xaxis, values)
    axes.set_xlabel(with_unit(x, units))
    name = "linear predictor" if is_generalized(fit) else with_unit(response_name(fit), units)
    axes.set_ylabel(f"{name}, other variables typical")
    axes.legend(fontsize="small", frameon=False)
    return axes


def _predictor(fit: Fit, typical: pd.DataFrame, x: str, column: pd.Series[Any], *, se: bool) -> pd.DataFrame:
    """The linear predictor of typical rows with the values of a column."""
    new = typical.iloc[np.zeros(len(column), dtype=np.intp)].reset_index(drop=True)
    new[x] = column.reset_index(drop=True)
    found = fit.predict(new, re_form="population", type="link", se=se)
    return found if se else pd.DataFrame({"mean": np.asarray(found)})
