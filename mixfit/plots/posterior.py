"""Posteriors: the random effects of every level with their intervals, and priors beside what the data made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.prior_draws import prior_draws
from mixfit.errors import FitError
from mixfit.plots.figure import BLUE, GREY, length_in_inches, panels, refuse_fit, thin_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.bayes.draws import PosteriorDraws
    from mixfit.plots.figure import AxesArray

    Array = NDArray[np.float64]

__all__ = ["posterior_caterpillar", "prior_posterior"]

# A line of text a level, up to what a screen shows; more panels stand side by side than one above another.
_INCHES_A_LEVEL = 0.17
_HEIGHTS = (2.2, 8.0)
_SIDE_BY_SIDE = 4
# Half of the draws lie within the thick line.
_HALF = 0.5
# Bins of a histogram: 4,000 draws leave some hundred in the fullest ones.
_BINS = 40
# What of the draws a panel shows: priors have tails that leave no room for what lies between.
_SHOWN = (0.005, 0.995)
# Spreads of the posterior that are shown of the prior to either side.
_BESIDE = 3.0


def posterior_caterpillar(
    posterior: PosteriorDraws,
    group: str | None = None,
    *,
    level: float = 0.9,
    sort: bool = True,
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw the posterior of the random effects of a grouping factor: medians, with intervals of half and most draws.

    Unlike those of a fit's caterpillar the intervals know nothing for certain: coefficients and variances vary too.

    Parameters
    ----------
    posterior : Posterior
    group : str, optional
        Grouping factor; by default the first.
    level : float
        Share of the draws in the long intervals, tails of the same share on both sides.
    sort : bool
        Whether levels stand in the order of the medians of the first column.
    axes : Axes or array of Axes, optional
        One a column. By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (k,)

    Raises
    ------
    FitError
        For a factor that the model does not have, or a level that is none.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> posterior = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().sample(seed=1)
    >>> [axes.get_title() for axes in mixfit.plots.posterior_caterpillar(posterior)]
    ['Intercept | Subject', 'Days | Subject']
    """
    refuse_fit(posterior, "posterior_caterpillar", "fit.sample()")
    if not 0.0 < level < 1.0:
        raise FitError(f"level={level!r}: intervals hold a share of the draws between 0 and 1.")
    names = list(posterior.priors.groups)
    if group is not None and group not in names:
        raise FitError(f"The model has no grouping factor {group!r}; it has {', '.join(map(repr, names))}.")
    at = 0 if group is None else names.index(group)
    r, effects = posterior.fit.model.design.random[at], posterior.kept.effects[at]
    tails = [0.5 - 0.5 * level, 0.5 - 0.5 * _HALF, 0.5, 0.5 + 0.5 * _HALF, 0.5 + 0.5 * level]
    quantiles = np.quantile(effects, tails, axis=(0, 1))
    q, k = quantiles.shape[1:]
    order = np.argsort(quantiles[2, :, 0], kind="stable") if sort else np.arange(q)[::-1]
    height = float(np.clip(_INCHES_A_LEVEL * q + 1.0, *_HEIGHTS))
    drawn = panels(k, axes, columns=_SIDE_BY_SIDE, size=(3.6, height)).axes
    for j, panel in enumerate(drawn):
        _intervals(panel, quantiles[:, order, j], [str(r.grouping.levels[i]) for i in order])
        panel.set_title(f"{r.columns[j]} | {names[at]}", fontsize="medium")
        panel.set_xlabel(f"median, {100.0 * _HALF:g}% and {100.0 * level:g}% of the draws")
    return drawn


def _intervals(axes: Axes, quantiles: Array, labels: list[str]) -> None:
    """Ends of the long and the short intervals, and medians (5, q), from bottom to top."""
    at = np.arange(len(labels))
    room = 72.0 * length_in_inches(axes.yaxis) / len(labels)
    axes.axvline(0.0, color=GREY, linewidth=1.0, zorder=0)
    axes.hlines(at, quantiles[0], quantiles[4], color=BLUE, linewidth=float(np.clip(0.1 * room, 0.4, 1.2)), alpha=0.6)
    axes.hlines(at, quantiles[1], quantiles[3], color=BLUE, linewidth=float(np.clip(0.25 * room, 0.8, 3.0)))
    axes.plot(quantiles[2], at, "o", color=BLUE, markersize=float(np.clip(0.45 * room, 1.2, 4.5)), zorder=3)
    axes.set_ylim(-0.75, len(labels) - 0.25)
    thin_labels(axes.yaxis, labels)


def prior_posterior(
    posterior: PosteriorDraws,
    parameters: Sequence[str] | None = None,
    *,
    seed: int | np.random.Generator | None = 0,
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw what the data made of the priors: histograms of draws from the posterior, and from the prior alone.

    A panel shows where the posterior is, and three of its standard deviations beside it: where the grey line is level
    there the prior had nothing to say.

    Parameters
    ----------
    posterior : Posterior
    parameters : sequence of str, optional
        Names as in ``posterior.summary()``; by default all of them.
    seed : int, Generator or None
        Of the draws from the prior.
    axes : Axes or array of Axes, optional
        One a parameter. By default a figure is made.

    Returns
    -------
    ndarray of Axes

    Raises
    ------
    FitError
        For a parameter that the model does not have.
    PriorError
        With improper priors, of which nothing can be drawn.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> posterior = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit().sample(seed=1)
    >>> [axes.get_title() for axes in mixfit.plots.prior_posterior(posterior)]
    ['Intercept', 'sigma', 'sd(operator, Intercept)']
    """
    refuse_fit(posterior, "prior_posterior", "fit.sample()")
    names, after = posterior.parameters
    chosen = list(names) if parameters is None else list(parameters)
    for name in chosen:
        if name not in names:
            raise FitError(f"The model has no parameter {name!r}; it has {', '.join(map(repr, names))}.")
    before = prior_draws(posterior, int(np.prod(after.shape[:2])), seed).parameters[1]
    drawn = panels(len(chosen), axes, columns=3, size=(3.2, 2.4)).axes
    for panel, name in zip(drawn, chosen, strict=True):
        j = names.index(name)
        _histograms(panel, before[:, :, j].ravel(), after[:, :, j].ravel())
        panel.set_title(name, fontsize="medium")
        panel.set_yticks([])
    drawn[0].legend(frameon=False, fontsize="small")
    return drawn


def _histograms(axes: Axes, before: Array, after: Array) -> None:
    low, high = np.quantile(after, _SHOWN)
    low, high = max(low - _BESIDE * after.std(), before.min()), min(high + _BESIDE * after.std(), before.max())
    edges = np.linspace(min(low, after.min()), max(high, after.max()), _BINS + 1)
    for x, colour, label in ((before, GREY, "prior"), (after, BLUE, "posterior")):
        # Densities of all draws, those beside the panel too.
        height = np.histogram(x, edges)[0] / (len(x) * np.diff(edges))
        axes.stairs(
            height,
            edges,
            color=colour,
            fill=label == "posterior",
            alpha=0.5 if label == "posterior" else 1.0,
            label=label,
            linewidth=1.4,
        )
