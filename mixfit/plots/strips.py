"""A response by group, point by point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError
from mixfit.matrices.columns import Columns
from mixfit.plots.figure import BLUE, RED, one_axes, point_style, thin_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["side_by_side", "strip"]

# A group's strip is as wide as its points side by side; figures stay between a column and a page.
_INCHES_A_GROUP = 0.35
_WIDTHS = (3.6, 11.0)
_HALF_WIDTH = 0.36
_STEP = 0.09
_CELLS = 60


def strip(
    data: Any,
    response: str,
    group: str,
    *,
    means: bool = True,
    sort: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw a response by group: every observation a point, points of about one height side by side.

    Parameters
    ----------
    data : pandas.DataFrame, or any table that narwhals reads eagerly (polars, pyarrow)
        Rows in which response or group is missing are left out.
    response, group : str
        Columns.
    means : bool
        Whether to mark the mean of every group.
    sort : bool
        Whether to order the groups by their means, instead of by category or label.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes
        The groups at 0, 1, ... along x; their labels are thinned where there is no room for all.

    Raises
    ------
    DataError
        For a column that is not there, a response that is not numeric, or no complete row.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> axes = mixfit.plots.strip(mixfit.datasets.load("pulp"), "bright", "operator")
    >>> [label.get_text() for label in axes.get_xticklabels()]
    ['a', 'b', 'c', 'd']
    """
    y, codes, labels = _read(data, response, group)
    averages = np.bincount(codes, y) / np.bincount(codes)
    if sort:
        order = np.argsort(averages, kind="stable")
        codes, labels, averages = np.argsort(order)[codes], labels.take(order), averages[order]
    width = float(np.clip(_INCHES_A_GROUP * len(labels) + 1.6, *_WIDTHS))
    axes = one_axes(ax, (width, 3.8))
    axes.scatter(codes + side_by_side(y, codes), y, color=BLUE, **point_style(len(y)))
    if means:
        at = np.arange(len(labels))
        axes.hlines(averages, at - _HALF_WIDTH, at + _HALF_WIDTH, color=RED, linewidth=1.6, label=f"mean of {group}")
    axes.set_xlim(-0.7, len(labels) - 0.3)
    thin_labels(axes.xaxis, list(labels), size=9.0)
    axes.set_xlabel(group)
    axes.set_ylabel(response)
    return axes


def _read(data: Any, response: str, group: str) -> tuple[Array, NDArray[np.intp], pd.Index]:
    columns = Columns(data)
    for name in (response, group):
        if name not in columns:
            raise DataError(f"The data have no column {name!r}; they have {', '.join(map(repr, columns))}.")
    frame = pd.DataFrame({name: columns[name] for name in (response, group)}).dropna()
    if not len(frame):
        raise DataError(f"No row has both {response!r} and {group!r}.")
    if not pd.api.types.is_numeric_dtype(frame[response]):
        raise DataError(f"The response {response!r} must be numeric to be drawn, not {frame[response].dtype}.")
    codes, labels = pd.factorize(frame[group], sort=True)
    return frame[response].to_numpy(dtype=float), codes.astype(np.intp), pd.Index(labels)


def side_by_side(y: Array, codes: NDArray[np.intp]) -> Array:
    """Shifts along x that put points of one group and about one height beside one another.

    Parameters
    ----------
    y : ndarray, shape (n,)
    codes : ndarray of intp, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
        Symmetric about 0 in every group and cell of height, 1/60 of the range each; between -0.36 and 0.36.

    Examples
    --------
    >>> side_by_side(np.array([1.0, 1.0, 5.0]), np.array([0, 0, 0])).tolist()
    [-0.045, 0.045, 0.0]
    """
    spread = float(np.ptp(y)) or 1.0
    height = np.floor((y - y.min()) / spread * _CELLS).astype(np.intp)
    cell = np.unique(codes * (_CELLS + 1) + height, return_inverse=True)[1]
    count = np.bincount(cell)
    order = np.argsort(cell, kind="stable")
    place = np.empty(len(y))
    place[order] = np.arange(len(y)) - np.repeat(np.cumsum(count) - count, count)
    # The fullest cell fills the width of its group.
    step = min(_STEP, 2.0 * _HALF_WIDTH / max(int(count.max()) - 1, 1))
    shifts: Array = step * (place - 0.5 * (count[cell] - 1))
    return shifts
