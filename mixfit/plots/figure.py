"""Axes, colours and labels that the plots have in common. matplotlib is imported when a figure is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from mixfit.errors import FitError, MissingPackageError
from mixfit.fitted.protocols import is_fit, is_nonlinear

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    AxesArray: TypeAlias = NDArray[np.object_]

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "RED",
    "Panels",
    "empty_note",
    "length_in_inches",
    "line_styles",
    "one_axes",
    "panels",
    "point_style",
    "refuse_fit",
    "texts",
    "thin_labels",
    "with_unit",
]

# Okabe & Ito's colours, told apart by colour-blind readers as well.
BLUE, RED, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.55"
_COLOURS = (BLUE, RED, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "0.2", "#8C6D00")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", ":")

# The typographer's point.
_POINTS_AN_INCH = 72.0
# Beyond this many points a scatter is drawn as pixels in vector files too.
_RASTERIZED = 5000


class Panels(NamedTuple):
    """Axes to draw on.

    Attributes
    ----------
    axes : ndarray of Axes, shape (n,)
    figure : Figure or None
        The figure that was made for them; None where the caller gave the axes.
    """

    axes: AxesArray
    figure: Figure | None


def panels(
    n: int,
    axes: ArrayLike | Axes | None,
    *,
    columns: int,
    size: tuple[float, float],
    sharex: bool = False,
    sharey: bool = False,
) -> Panels:
    """Make a figure with `n` panels, or take the axes given.

    Parameters
    ----------
    n : int
    axes : Axes, array of Axes or None
    columns : int
        Panels side by side.
    size : tuple of float
        Width and height of a panel, in inches.
    sharex, sharey : bool

    Returns
    -------
    Panels

    Raises
    ------
    FitError
        Where `axes` are not `n`.
    MissingPackageError
        Where a figure is to be made and matplotlib is not installed.
    """
    if axes is not None:
        given = np.ravel(np.asarray(axes, dtype=object))
        if len(given) != n:
            raise FitError(f"This plot has {n} {'panel' if n == 1 else 'panels'}; axes= gives {len(given)}.")
        return Panels(given, None)
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingPackageError(
            "Plots need matplotlib, which is not installed: pip install 'mixfit[plots]'."
        ) from error
    columns = max(1, min(columns, n))
    rows = -(-n // columns)
    figure, grid = pyplot.subplots(
        rows,
        columns,
        figsize=(columns * size[0], rows * size[1]),
        sharex=sharex,
        sharey=sharey,
        squeeze=False,
        layout="constrained",
    )
    flat: AxesArray = grid.ravel()
    for spare in flat[n:]:
        spare.remove()
    if sharex:
        # The last panel of every column shows the labels that it would have left to one below it.
        for axis in flat[max(0, n - columns) : n]:
            axis.tick_params(labelbottom=True)
    return Panels(flat[:n], figure)


def one_axes(ax: Axes | None, size: tuple[float, float] = (6.0, 4.2)) -> Axes:
    """Make a figure with one axes, or take the one given: see `panels`."""
    axes: Axes = panels(1, ax, columns=1, size=size).axes[0]
    return axes


def refuse_fit(given: object, plot: str, source: str) -> None:
    """Raise FitError for a fit where a plot is of what `source` computes from it."""
    if is_fit(given) or is_nonlinear(given):
        raise FitError(f"{plot} draws what {source} gives, not {type(given).__name__} itself: give it that.")


def point_style(n: int) -> dict[str, Any]:
    """Choose size and opacity of `n` points, so that many leave their density to be seen.

    Examples
    --------
    >>> point_style(100)["alpha"], point_style(100_000)["alpha"] < 0.2
    (0.75, True)
    """
    crowd = max(1.0, n / 200.0)
    return {
        "s": max(4.0, 22.0 / crowd**0.25),
        "alpha": max(0.06, 0.75 / crowd**0.4),
        "linewidths": 0.0,
        "rasterized": n > _RASTERIZED,
    }


def line_styles(n: int) -> list[dict[str, Any]]:
    """Colours, marks and dashes of `n` lines, no two alike up to the 24th and told apart without colours too.

    Examples
    --------
    >>> [style["marker"] for style in line_styles(3)]
    ['o', 's', '^']
    """
    return [
        {
            "color": _COLOURS[i % len(_COLOURS)],
            "marker": _MARKS[i % len(_MARKS)],
            "linestyle": _DASHES[i // len(_COLOURS) % len(_DASHES)],
            "linewidth": 1.6,
            "markersize": 5.0,
        }
        for i in range(n)
    ]


def length_in_inches(axis: XAxis | YAxis) -> float:
    """Length of an axis as the figure is now."""
    box = axis.axes.get_window_extent()
    return float(box.width if axis.axis_name == "x" else box.height) / float(axis.axes.figure.dpi)


def texts(labels: Sequence[object] | pd.Index[Any]) -> list[str]:
    """Labels as they are written; dates without their time where that is midnight for all.

    Examples
    --------
    >>> texts([1, "b"]), texts(pd.to_datetime(["2024-05-01", "2024-05-02"]))
    (['1', 'b'], ['2024-05-01', '2024-05-02'])
    """
    written: list[str] = pd.Index(list(labels), tupleize_cols=False).astype(str).tolist()
    return written


def thin_labels(axis: XAxis | YAxis, labels: Sequence[object], size: float = 8.0) -> None:
    """Label the places 0, 1, ... of an axis, every m-th where there is no room for all.

    Parameters
    ----------
    axis : matplotlib.axis.XAxis or YAxis
    labels : sequence, length q
    size : float
        Of the font, in points. Labels along x are turned where they are too long to stand side by side.
    """
    written, inches = texts(labels), length_in_inches(axis)
    places = np.arange(len(written))
    turned = False
    room = inches * _POINTS_AN_INCH / (1.25 * size)
    if axis.axis_name == "x":
        # A letter is about 0.6 of the size of its font wide.
        across = inches * _POINTS_AN_INCH / (0.6 * size * (1 + max(map(len, written))))
        turned = across < len(written)
        room = room if turned else across
    step = max(1, int(np.ceil(len(written) / max(room, 1.0))))
    axis.set_ticks(places[::step].tolist(), written[::step], fontsize=size, rotation=90.0 if turned else 0.0)


def with_unit(name: str, units: Mapping[str, str] | None) -> str:
    """A variable as an axis names it, with the unit that it is in where one is known.

    Examples
    --------
    >>> with_unit("Reaction", {"Reaction": "ms"}), with_unit("Days", None)
    ('Reaction (ms)', 'Days')
    """
    unit = (units or {}).get(name)
    return name if unit is None else f"{name} ({unit})"


def empty_note(axes: Axes, text: str) -> None:
    """Say in an axes why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.35", wrap=True)
    axes.set_xticks([])
    axes.set_yticks([])
