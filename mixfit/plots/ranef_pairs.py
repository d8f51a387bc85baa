"""Random effects of one level against one another, with the distribution that the model gives them."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import block_diag

from mixfit.arguments import check_probability
from mixfit.errors import FitError
from mixfit.plots.figure import BLUE, GREY, RED, panels, point_style
from mixfit.plots.random_effects import choose_columns, choose_factor
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.plots.figure import AxesArray

    Array = NDArray[np.float64]

__all__ = ["ranef_pairs"]

# More names than this cover one another.
_MOST_NAMED = 20
# Points of an ellipse that looks smooth.
_AROUND = 121


def ranef_pairs(
    fit: Fit,
    group: str | None = None,
    *,
    columns: str | Sequence[str] | None = None,
    level: float = 0.95,
    names: bool | None = None,
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw the conditional modes of each pair of random columns, with the estimated distribution of the effects.

    The ellipse is where a share of all levels lie, known and unknown, by the estimated covariance. Modes are shrunk:
    they fill less of it where a level has few rows, which is no sign of a wrong model.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    group : str, optional
        Grouping factor; by default the one with the most levels.
    columns : str or sequence of str, optional
        Random columns; all by default.
    level : float
        Share of levels inside the ellipse.
    names : bool, optional
        Whether to write the levels at their points; by default up to 20 of them.
    axes : Axes or array of Axes, optional
        One a pair of columns. By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (m,)
        One a pair.

    Raises
    ------
    FitError
        For a factor with one random column, and names that the model does not have.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> (axes,) = mixfit.plots.ranef_pairs(fit)
    >>> axes.get_title()
    'Subject, correlation 0.07'
    """
    check_probability("level", level)
    group = choose_factor(fit, group)
    modes = fit.ranef()[group]
    chosen = choose_columns([str(c) for c in modes.columns], columns, group)
    if len(chosen) < 2:
        raise FitError(f"{group} has one random column to draw, {shown(chosen[0])!r}: a pair takes two.")
    covariance = _covariance(fit, group, [str(c) for c in modes.columns])
    place = {str(name): j for j, name in enumerate(modes.columns)}
    pairs = list(combinations(chosen, 2))
    made = panels(len(pairs), axes, columns=3, size=(5.0, 4.6) if len(pairs) == 1 else (3.9, 3.6))
    named = len(modes) <= _MOST_NAMED if names is None else names
    for axis, (first, second) in zip(made.axes, pairs, strict=True):
        own = [place[first], place[second]]
        _draw(axis, modes.to_numpy(dtype=float)[:, own], covariance[np.ix_(own, own)], level)
        if named:
            for name, at in zip(modes.index, modes.to_numpy(dtype=float)[:, own], strict=True):
                axis.annotate(str(name), at, (4, 3), textcoords="offset points", fontsize=7.5, color="0.3")
        axis.set_xlabel(shown(first))
        axis.set_ylabel(shown(second))
        axis.set_title(f"{group}, correlation {_correlation(covariance[np.ix_(own, own)])}", fontsize="medium")
    if made.figure is None:
        made.axes[0].legend(fontsize="small", framealpha=0.8)
    else:
        drawn = made.axes[0].get_legend_handles_labels()
        made.figure.legend(*drawn, loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    return made.axes


def _covariance(fit: Fit, group: str, columns: Sequence[str]) -> Array:
    """Of all columns of a factor, as ``ranef()`` has them; those of different terms are independent."""
    blocks = []
    for term, template in zip(fit.model.design.random, fit.estimate.templates, strict=True):
        if term.grouping.name == group:
            # Of a term that several predictors share the mean's columns.
            own = template if term.shared is None else template[list(term.shared.own)]
            blocks.append(fit.estimate.unit**2 * own @ own.T)
    out = np.asarray(block_diag(*blocks))
    if len(out) != len(columns):
        raise FitError(f"The effects of {group} are of one covariance over its levels, and no pairs of columns.")
    return out


def _correlation(covariance: Array) -> str:
    spread = np.sqrt(np.diagonal(covariance))
    return f"{covariance[0, 1] / spread.prod():.2f}" if spread.all() else "not defined"


def _draw(axes: Axes, points: Array, covariance: Array, level: float) -> None:
    from scipy.stats import chi2

    values, vectors = np.linalg.eigh(covariance)
    radius = np.sqrt(chi2.ppf(level, 2) * np.maximum(values, 0.0))
    angle = np.linspace(0.0, 2.0 * np.pi, _AROUND)
    around = vectors @ (radius[:, None] * np.stack([np.cos(angle), np.sin(angle)]))
    axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=0)
    axes.axvline(0.0, color=GREY, linewidth=0.8, zorder=0)
    axes.plot(*around, color=RED, linewidth=1.4, label=f"{100.0 * level:g}% of levels", zorder=1)
    axes.scatter(*points.T, color=BLUE, label="conditional modes", zorder=2, **point_style(len(points)))
