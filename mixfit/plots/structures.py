"""Covariances that have a structure: correlations as a heat map, and against the distance between rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.varcorr import random_covariances
from mixfit.plots.figure import BLUE, GREY, RED, one_axes
from mixfit.report.variogram import variogram
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from mixfit.fitted.protocols import Fit

__all__ = ["correlation_map", "variogram_plot"]

# Numbers of more columns than this cannot be read in their cells, and names of more cover one another.
_MOST_WRITTEN = 12
_MOST_NAMED = 30
# Of a cell's colour, beyond which white is read better than black.
_DARK = 0.6
# Areas of points, in square points: of the class with the most pairs, and of none.
_LARGEST, _SMALLEST = 60.0, 8.0


def correlation_map(fit: Fit, group: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the correlations of a random term, or of the residuals at their places, as a map of colours.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    group : str, optional
        As ``fit.varcorr()`` names it: ``"Subject"``, ``"Subject.1"``, ``"Residual"``. By default the term, or the
        residuals, with the most columns.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    FitError
        For a term that the model does not have, and where no term has two columns.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age * Sex", teeth, residual="us(age | Subject)").fit()
    >>> mixfit.plots.correlation_map(fit).get_title()
    'Correlations of Residual'
    """
    parts = {part.group: part for part in random_covariances(fit).parts if len(part.columns) > 1}
    if not parts:
        raise FitError("No random term has two columns, between which there would be a correlation.")
    name = max(parts, key=lambda own: len(parts[own].columns)) if group is None else group
    if name not in parts:
        raise FitError(f"There are no correlations of {name!r}; there are of {', '.join(map(repr, parts))}.")
    part = parts[name]
    axes, k = one_axes(ax), len(part.columns)
    corr = part.corr
    image = axes.imshow(corr, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    axes.figure.colorbar(image, ax=axes, label="correlation")
    if k <= _MOST_WRITTEN:
        for i, j in np.ndindex(k, k):
            colour = "white" if abs(corr[i, j]) > _DARK else "black"
            axes.text(j, i, f"{corr[i, j]:.2f}", ha="center", va="center", color=colour, fontsize="small")
    every = np.arange(0, k, -(-k // _MOST_NAMED))
    names = [shown(part.columns[a]) for a in every.tolist()]
    axes.set_xticks(every, names, rotation=90 if max(map(len, names)) * k > _MOST_NAMED else 0)
    axes.set_yticks(every, names)
    axes.set_title(f"Correlations of {name}")
    return axes


def variogram_plot(
    fit: Fit,
    distance: str | Sequence[str],
    *,
    group: str | None = None,
    bins: int = 12,
    data: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what ``fit.variogram`` computes: semivariances by distance, and the line that the model has for them.

    Parameters
    ----------
    fit : LinearResults
    distance, group, bins, data
        As of ``fit.variogram``.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    FitError, DataError
        As of ``fit.variogram``.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days", sleep, residual="ar1(Days | Subject)").fit()
    >>> mixfit.plots.variogram_plot(fit, "Days").get_xlabel()
    'distance in Days'
    """
    table = variogram(fit, distance, group=group, bins=bins, data=data)
    frame, axes = table.frame, one_axes(ax)
    area = _SMALLEST + (_LARGEST - _SMALLEST) * frame["pairs"] / frame["pairs"].max()
    axes.axhline(1.0, color=GREY, linewidth=1.0, zorder=0)
    axes.scatter(frame["distance"], frame["semivariance"], s=area, color=BLUE, label="data")
    axes.plot(frame["distance"], frame["fitted"], color=RED, label="model")
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(left=0.0)
    axes.set_xlabel(f"distance in {distance if isinstance(distance, str) else ', '.join(distance)}")
    axes.set_ylabel("semivariance (variance 1)")
    axes.set_title(table.heading[0])
    axes.legend()
    return axes
