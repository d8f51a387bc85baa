"""How what was predicted of left-out rows compares with what was observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.plots.figure import BLUE, GREY, one_axes, refuse_fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mixfit.inference.crossvalidation.validate import Validation

__all__ = ["calibration"]


def calibration(validation: Validation, *, bins: int = 10, level: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw the calibration of a cross-validation; on the diagonal, predictions are as good as they claim.

    Parameters
    ----------
    validation : CrossValidation
        What `mixfit.cross_validate` gives. Of linear models the shares of rows inside central predictive intervals
        are drawn over the probability of these; of generalized ones mean responses over mean predictions.
    bins, level
        As of its ``calibration``.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> mixfit.plots.calibration(mixfit.cross_validate(fit, by="Subject")).get_ylabel()
    'share of observations inside'
    """
    refuse_fit(validation, "calibration", "mixfit.cross_validate(fit)")
    frame = validation.calibration(bins=bins, level=level)
    axes = one_axes(ax, (4.4, 4.4))
    if "nominal" in frame:
        axes.axline((0.0, 0.0), slope=1.0, color=GREY, linewidth=1.2, zorder=1)
        axes.plot(frame["nominal"], frame["observed"], "o-", color=BLUE, markersize=5)
        axes.set(xlim=(0.0, 1.02), ylim=(0.0, 1.02))
        axes.set_xlabel("probability of the interval")
        axes.set_ylabel("share of observations inside")
    else:
        middle = float(frame["predicted"].mean())
        axes.axline((middle, middle), slope=1.0, color=GREY, linewidth=1.2, zorder=1)
        errors = (frame["observed"] - frame["lower"], frame["upper"] - frame["observed"])
        axes.errorbar(
            frame["predicted"], frame["observed"], yerr=errors, fmt="o", color=BLUE, markersize=5, elinewidth=1.2
        )
        axes.set_xlabel("predicted mean")
        axes.set_ylabel("observed mean")
    axes.set_title(f"left out by {validation.by}", fontsize="medium")
    return axes
