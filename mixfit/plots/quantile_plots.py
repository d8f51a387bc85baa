"""Normal quantile-quantile plots of residuals and of random effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.errors import FitError
from mixfit.inference.standardized_modes import standardized_modes
from mixfit.plots.figure import BLUE, RED, empty_note, one_axes, panels, point_style
from mixfit.plots.random_effects import choose_factors
from mixfit.plots.residual_plots import residual_label, residual_values
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.plots.figure import AxesArray
    from mixfit.plots.residual_plots import Kind

    Array = NDArray[np.float64]

__all__ = ["Line", "normal_points", "qq_ranef", "qq_residuals", "reference_line", "standardized_modes"]

Line = Literal["quartiles", "identity"]


def qq_residuals(fit: Fit, kind: Kind = "scaled", *, line: Line | None = "quartiles", ax: Axes | None = None) -> Axes:
    """Draw a normal quantile-quantile plot of the residuals, as lme4's ``qqmath(m)``.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
        Residuals of generalized models are normal only roughly, where the counts are large; see
        ``fit.quantile_residuals()`` for those that are uniform under the model.
    kind : {"scaled", "response", "pearson", "deviance", "working"}
        As of ``fit.residuals``.
    line : {"quartiles", "identity"} or None
        Reference line: through the quartiles, as R's ``qqline``; y = x; none.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    FitError
        For another `line`, or deviance residuals of a family without a deviance.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> mixfit.plots.qq_residuals(fit).get_xlabel()
    'standard normal quantile'
    """
    values = residual_values(fit, kind)
    axes = one_axes(ax, (4.6, 4.4))
    _draw(axes, values, line)
    axes.set_ylabel(residual_label(kind))
    return axes


def qq_ranef(
    fit: Fit,
    groups: str | Sequence[str] | None = None,
    *,
    standardize: bool = True,
    line: Line | None = "quartiles",
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw normal quantile-quantile plots of the conditional modes of the random effects.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    groups : str or sequence of str, optional
        Grouping factors; all by default.
    standardize : bool
        Whether to divide each mode by its standard deviation over data sets: see `standardized_modes`. Without
        it levels with few rows, whose modes are shrunk most, make the tails look short.
    line : {"quartiles", "identity"} or None
        As of `qq_residuals`.
    axes : Axes or array of Axes, optional
        One a column of each factor. By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (m,)

    Raises
    ------
    FitError
        For a factor that the model does not have, another `line` or a wrong number of axes.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> [axes.get_title() for axes in mixfit.plots.qq_ranef(fit)]
    ['(Intercept) | Subject', 'Days | Subject']
    """
    frames = standardized_modes(fit) if standardize else fit.ranef()
    chosen = [(name, j) for name in choose_factors(fit, groups) for j in range(frames[name].shape[1])]
    made = panels(len(chosen), axes, columns=4, size=(3.6, 3.5))
    for axis, (name, j) in zip(made.axes, chosen, strict=True):
        column = frames[name].iloc[:, j]
        known = column.to_numpy(dtype=float)[column.notna().to_numpy()]
        axis.set_title(f"{shown(str(column.name))} | {name}", fontsize="medium")
        if not len(known) or np.ptp(known) == 0.0:
            empty_note(axis, "The estimated variance is zero.")
            continue
        _draw(axis, known, line)
        axis.set_ylabel("standardized mode" if standardize else "conditional mode")
    return made.axes


def normal_points(values: Array) -> tuple[Array, Array]:
    """Sorted values, and the standard normal quantiles that they are drawn against, as R's ``qqnorm``.

    Parameters
    ----------
    values : ndarray, shape (n,)

    Returns
    -------
    tuple of ndarray, shape (n,)
        Quantiles of (i - a) / (n + 1 - 2a), a = 3/8 for up to 10 values and 1/2 for more (R's ``ppoints``); values.

    Examples
    --------
    >>> normal_points(np.array([2.0, 1.0, 3.0]))[0].round(3).tolist()
    [-0.869, 0.0, 0.869]
    """
    from scipy.special import ndtri

    n = len(values)
    a = 0.375 if n <= 10 else 0.5
    return ndtri((np.arange(1, n + 1) - a) / (n + 1 - 2.0 * a)), np.sort(values)


def reference_line(values: Array, line: Line) -> tuple[float, float]:
    """Intercept and slope of the reference line.

    Parameters
    ----------
    values : ndarray, shape (n,)
    line : {"quartiles", "identity"}
        Through the quartiles of values and normal distribution, as R's ``qqline``; y = x.

    Returns
    -------
    tuple of float

    Raises
    ------
    FitError
        For another `line`.

    Examples
    --------
    >>> reference_line(np.arange(5.0), "identity")
    (0.0, 1.0)
    """
    from scipy.special import ndtri

    if line == "identity":
        return 0.0, 1.0
    if line != "quartiles":
        raise FitError(f"line is 'quartiles', 'identity' or None, not {line!r}.")
    low, high = np.quantile(values, [0.25, 0.75])
    return float(0.5 * (low + high)), float((high - low) / (2.0 * ndtri(0.75)))


def _draw(axes: Axes, values: Array, line: Line | None) -> None:
    quantiles, ordered = normal_points(values)
    if line is not None:
        intercept, slope = reference_line(values, line)
        axes.axline((0.0, intercept), slope=slope, color=RED, linewidth=1.4, zorder=1)
    axes.scatter(quantiles, ordered, color=BLUE, **(point_style(len(values)) | {"alpha": 0.75}))
    axes.set_xlabel("standard normal quantile")
