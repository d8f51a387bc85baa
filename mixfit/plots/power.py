"""Power along the numbers of levels of a factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.errors import FitError
from mixfit.plots.figure import BLUE, GREEN, GREY, RED, panels, refuse_fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from mixfit.plots.figure import AxesArray

__all__ = ["PowerLike", "power_lines"]

# Lines of a second axis, or of several tests: as many as there are colours that everyone tells apart, then dashes.
_COLOURS = (BLUE, RED, GREEN, "#CC79A7", "#E69F00")
# Most axes that a line and a set of lines can show.
_MOST_AXES = 2


class PowerLike(Protocol):
    """What is asked of ``plan.power()``."""

    @property
    def frame(self) -> pd.DataFrame:
        """A row a test at a layout."""

    @property
    def axes(self) -> Sequence[str]:
        """Columns that are axes."""

    @property
    def tests(self) -> Sequence[str]:
        """Names of the tests."""


def power_lines(power: PowerLike, *, target: float | None = 0.8, axes: ArrayLike | Axes | None = None) -> AxesArray:
    """Draw power against the number of levels of a factor, with Wilson intervals; a panel a test.

    Parameters
    ----------
    power : Power
        From ``plan.power(along=...)``, of one axis or two: the second has a line for each of its places.
    target : float or None
        A power to draw a line at.
    axes : Axes or array of Axes, optional
        One a test. By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (t,)

    Raises
    ------
    FitError
        For a power without an axis or with more than two, or a wrong number of axes.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> layout = mixfit.grid(Subject=20, Days=range(10))
    >>> effects = {"fixed": {"Intercept": 250, "Days": 2}, "sd": {"Subject": 30}, "sigma": 25}
    >>> plan = mixfit.design("~ Days + (1 | Subject)", layout, **effects)
    >>> power = plan.power("Days", along={"Subject": [5, 10, 20]}, n_sim=100, seed=1, progress=False)
    >>> axes = mixfit.plots.power_lines(power)
    >>> axes[0].get_xlabel(), axes[0].get_ylabel()
    ('levels of Subject', 'power')
    """
    refuse_fit(power, "power_lines", "plan.power(along=...)")
    if not 0 < len(power.axes) <= _MOST_AXES:
        raise FitError("A figure of power has one axis or two: give them by along={'Subject': [20, 40, 80]}.")
    first, *second = power.axes
    if not np.issubdtype(power.frame[first].to_numpy().dtype, np.number):
        raise FitError(
            f"Places of {first!r} have as many levels as others, and no place on a line: make it the second."
        )
    drawn = panels(len(power.tests), axes, columns=3, size=(4.2, 3.4), sharey=True).axes
    for axis, test in zip(drawn, power.tests, strict=True):
        own = power.frame[power.frame["test"] == test]
        parts = own.groupby(second[0], sort=True) if second else [(None, own)]
        lines = [(label, part.sort_values(first)) for label, part in parts]
        for line, (label, part) in enumerate(lines):
            colour = _COLOURS[line % len(_COLOURS)]
            x = part[first].to_numpy(dtype=float)
            limits = part[["lower", "upper"]].to_numpy(dtype=float).T
            axis.fill_between(x, *limits, color=colour, alpha=0.18, linewidth=0.0)
            named = None if label is None else str(label)
            axis.plot(x, part["power"].to_numpy(), "o-", color=colour, markersize=4.0, linewidth=1.6, label=named)
        if target is not None:
            axis.axhline(target, color=GREY, linewidth=1.0, zorder=0)
        axis.set_ylim(0.0, 1.02)
        axis.set_yticks(np.linspace(0.0, 1.0, 6))
        axis.set_xlabel(f"levels of {first}")
        axis.set_title(test, fontsize=10.0)
        if second:
            axis.legend(title=f"levels of {second[0]}", fontsize=8.0, title_fontsize=8.0, frameon=False)
    drawn[0].set_ylabel("power")
    return drawn
