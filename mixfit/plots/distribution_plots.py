"""Whether the responses are distributed as the fitted model says: quantile residuals, and rootograms of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized
from mixfit.inference.binned import binned_residuals, is_binary
from mixfit.inference.frequencies import frequencies
from mixfit.inference.predictors import refuse_unordered
from mixfit.inference.quantile import tested_residuals
from mixfit.matrices.censored import refuse_censored
from mixfit.plots.figure import BLUE, GREY, RED, one_axes, panels, point_style
from mixfit.plots.model_check import binned_panel, predictive_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.fitted.re_form import ReForm
    from mixfit.plots.figure import AxesArray

    Array = NDArray[np.float64]

__all__ = ["binned_residual_plot", "predictive_check", "quantile_residual_plot", "rootogram"]

# Lines at the quartiles of uniform residuals.
_QUARTILES = (0.25, 0.5, 0.75)
# A bar for each count, up to some: the tail beyond has its own.
_BARS = 40


def quantile_residual_plot(
    fit: Fit,
    n: int = 250,
    *,
    seed: int | np.random.Generator | None = None,
    re_form: ReForm = "population",
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw quantile residuals as DHARMa does: against uniform quantiles, and against the ranks of the predictions.

    Left the residuals of a true model lie on the diagonal, right they are spread alike everywhere. The left title has
    the p-values of `residual_tests`.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    n : int
        Number of simulated responses.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.
    re_form : None, str, False or sequence of str
        As of ``fit.quantile_residuals``.
    axes : array of two Axes, optional
        By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (2,)

    Raises
    ------
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> ticks = mixfit.datasets.load("grouseticks")
    >>> fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="nbinom2").fit()
    >>> left, right = fit.plot.quantile_residual_plot(n=50, seed=1)
    >>> left.get_xlabel(), right.get_ylabel()
    ('uniform quantile', 'quantile residual')
    """
    values, table = tested_residuals(fit, n, seed=seed, re_form=re_form)
    tests = table.frame["p.value"]
    made = panels(2, axes, columns=2, size=(4.4, 4.2))
    left, right = made.axes
    m = len(values)
    left.axline((0.0, 0.0), slope=1.0, color=RED, linewidth=1.4, zorder=1)
    style = point_style(m) | {"alpha": 0.75}
    left.scatter((np.arange(1, m + 1) - 0.5) / m, np.sort(values), color=BLUE, **style)
    left.set_xlabel("uniform quantile")
    left.set_ylabel("quantile residual")
    left.set_title("\n".join(f"{name}: p = {p:.3f}" for name, p in tests.items()), fontsize="small", loc="left")
    predicted = np.asarray(fit.predict(re_form=re_form), dtype=float)
    if predicted.ndim > 1:
        # Probabilities of categories, which the linear predictor orders.
        predicted = np.asarray(fit.predict(re_form=re_form, type="link"), dtype=float)
    right.scatter(np.argsort(np.argsort(predicted, kind="stable")) / max(m - 1, 1), values, color=BLUE, **style)
    for quartile in _QUARTILES:
        right.axhline(quartile, color=GREY, linewidth=1.0, linestyle="--", zorder=0)
    right.set_xlabel("rank of the prediction")
    right.set_ylabel("quantile residual")
    return made.axes


def rootogram(fit: Fit, largest: int | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw a hanging rootogram of counts: bars of the root of what is observed hang from that of what is expected.

    A bar that ends above the axis was expected more often than it is there, one that crosses it less often.

    Parameters
    ----------
    fit : GeneralizedResults
        Of counts.
    largest : int, optional
        The largest count with a bar of its own; up to 40 by default.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    FitError
        For responses that are no counts.
    MissingPackageError
        Where matplotlib is not installed.

    References
    ----------
    Kleiber & Zeileis (2016), The American Statistician 70, 296-303.

    Examples
    --------
    >>> import mixfit
    >>> ticks = mixfit.datasets.load("grouseticks")
    >>> fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="nbinom2").fit()
    >>> fit.plot.rootogram().get_ylabel()
    'square root of the frequency'
    """
    if largest is not None and largest < 1:
        raise FitError(f"largest is a count of at least 1, not {largest!r}.")
    top = min(int(fit.model.design.y.max()), _BARS) if largest is None else largest
    frame = frequencies(fit, top).frame
    roots = np.sqrt(np.maximum(frame[["observed", "expected"]].to_numpy(dtype=float), 0.0))
    places = np.arange(len(frame))
    axes = one_axes(ax)
    axes.bar(places, roots[:, 0], bottom=roots[:, 1] - roots[:, 0], color=BLUE, alpha=0.6, width=0.9)
    axes.plot(places, roots[:, 1], color=RED, marker="o", markersize=3.0, linewidth=1.2)
    axes.axhline(0.0, color=GREY, linewidth=1.0)
    shown = places[:: max(1, len(places) // 12)]
    axes.set_xticks(shown, [str(frame.index[j]) for j in shown])
    axes.set_xlabel(str(fit.model.design.endog_name))
    axes.set_ylabel("square root of the frequency")
    return axes


def binned_residual_plot(
    fit: Fit,
    bins: int | None = None,
    *,
    n: int = 250,
    seed: int | np.random.Generator | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw mean residuals of a binary response over the probabilities that the model expects, as arm's ``binnedplot``.

    Parameters
    ----------
    fit : GeneralizedResults
        Of responses of 0 and 1.
    bins, n, seed
        As of ``fit.binned_residuals``.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    FitError
        For other responses.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> toenail = mixfit.datasets.load("toenail")
    >>> fit = mixfit.mixed("outcome ~ treatment * time + (1 | patientID)", toenail, family="binomial").fit()
    >>> fit.plot.binned_residual_plot(20, n=50, seed=1).get_ylabel()
    'mean residual'
    """
    frame = binned_residuals(fit, bins, n=n, seed=seed)
    axes = one_axes(ax)
    binned_panel(axes, frame)
    return axes


def predictive_check(
    fit: Fit, n: int = 100, *, seed: int | np.random.Generator | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the distribution of the responses over those of responses simulated with new random effects.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    n : int
        Number of simulated responses. Of densities 30 are drawn, of frequencies an interval.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.
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
    >>> ticks = mixfit.datasets.load("grouseticks")
    >>> fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="nbinom2").fit()
    >>> fit.plot.predictive_check(50, seed=1).get_ylabel()
    'rows'
    """
    refuse_unordered(fit, "Predictive checks")
    refuse_censored(fit.model.design, "a predictive check")
    simulated = np.asarray(fit.simulate(n, seed=seed), dtype=float)
    whole = is_generalized(fit) and (fit.model.family.kind in ("count", "ordinal") or is_binary(fit))
    axes = one_axes(ax)
    predictive_panel(axes, fit.model.observations.y, simulated, str(fit.model.design.endog_name), whole=whole)
    return axes
