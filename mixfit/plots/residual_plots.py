"""Residuals and their size against fitted values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.plots.figure import BLUE, GREY, RED, one_axes, point_style
from mixfit.plots.random_effects import response_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["Against", "Kind", "residual_label", "residual_values", "residuals_fitted", "scale_location", "smooth_curve"]

Kind = Literal["response", "pearson", "scaled", "deviance", "working"]
Against = Literal["response", "link"]

# What R's panel.smooth takes.
_SPAN = 2.0 / 3.0
# As lowess (Cleveland 1979) takes them.
_ROBUST_STEPS = 3


def residuals_fitted(
    fit: Fit,
    kind: Kind = "pearson",
    *,
    against: Against = "response",
    smooth: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw residuals against fitted values, as lme4's ``plot(m)``.

    A trend of the smooth line says that the mean is of another form than the model's; for 0/1 responses, whose
    residuals lie on two curves, only that line can be read.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    kind : {"pearson", "response", "scaled", "deviance", "working"}
        As of ``fit.residuals``; the last two for generalized models.
    against : {"response", "link"}
        Fitted means, or linear predictors, random effects included.
    smooth : bool
        Whether to draw a lowess line: span 2/3, 3 robust steps for linear models and none for generalized ones,
        as R's ``plot.lm``.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    FitError
        For deviance residuals of a family without a deviance, or another `against`.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> mixfit.plots.residuals_fitted(fit, "scaled").get_ylabel()
    'scaled residual'
    """
    x, y = _fitted(fit, against), residual_values(fit, kind)
    axes = one_axes(ax)
    axes.axhline(0.0, color=GREY, linewidth=1.0, zorder=0)
    _scatter(axes, fit, x, y, smooth)
    axes.set_xlabel(_fitted_label(fit, against))
    axes.set_ylabel(residual_label(kind))
    return axes


def scale_location(
    fit: Fit,
    kind: Kind = "scaled",
    *,
    against: Against = "response",
    smooth: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the square roots of absolute residuals against fitted values.

    A smooth line that rises says that the variance grows faster with the mean than in the model.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    kind, against, smooth, ax
        As of `residuals_fitted`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> mixfit.plots.scale_location(fit).get_xlabel()
    'fitted bright'
    """
    x, y = _fitted(fit, against), np.sqrt(np.abs(residual_values(fit, kind)))
    axes = one_axes(ax)
    _scatter(axes, fit, x, y, smooth)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(_fitted_label(fit, against))
    axes.set_ylabel(rf"$\sqrt{{|\mathrm{{{residual_label(kind).replace(' ', chr(92) + ' ')}}}|}}$")
    return axes


def residual_values(fit: Fit, kind: Kind) -> Array:
    """Residuals of a kind, shape (nobs,)."""
    # Which kinds there are is the fit's to say.
    return np.asarray(fit.residuals(kind).dropna(), dtype=float)


def residual_label(kind: Kind) -> str:
    """Name of residuals on an axis.

    Examples
    --------
    >>> residual_label("pearson"), residual_label("response")
    ('Pearson residual', 'residual')
    """
    names = {"pearson": "Pearson residual", "response": "residual"}
    return names.get(kind, f"{kind} residual")


def smooth_curve(x: Array, y: Array, robust: bool) -> tuple[Array, Array]:
    """Lowess of y on x, with the span and the interpolation of R's ``lowess``.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
    robust : bool
        Whether to weigh outliers down, in 3 steps.

    Returns
    -------
    tuple of ndarray, shape (n,)
        Sorted x, and the curve there; empty where x does not vary.
    """
    from statsmodels.nonparametric.smoothers_lowess import lowess

    spread = float(np.ptp(x))
    if spread <= 1e-10 * float(np.abs(x).max()):
        return np.empty(0), np.empty(0)
    curve = lowess(y, x, frac=_SPAN, it=_ROBUST_STEPS if robust else 0, delta=0.01 * spread)
    known = np.isfinite(curve[:, 1])
    return curve[known, 0], curve[known, 1]


def _scatter(axes: Axes, fit: Fit, x: Array, y: Array, smooth: bool) -> None:

    axes.scatter(x, y, color=BLUE, **point_style(len(x)))
    if smooth:
        axes.plot(*smooth_curve(x, y, robust=is_linear(fit)), color=RED, linewidth=1.8, label="lowess")


def _fitted(fit: Fit, against: Against) -> Array:
    if against not in ("response", "link"):
        raise FitError(f"residuals are drawn against 'response' or 'link', not {against!r}.")
    if against == "link" and is_generalized(fit):
        return np.asarray(fit.linear_predictor.dropna(), dtype=float)
    return np.asarray(fit.fittedvalues.dropna(), dtype=float)


def _fitted_label(fit: Fit, against: Against) -> str:
    return f"fitted {response_name(fit)}" if against == "response" else "linear predictor"
