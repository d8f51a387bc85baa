"""Marginal means, slopes and effects as a user holds them: with their pictures."""

from __future__ import annotations

from dataclasses import fields
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from mixfit.inference.means import effects as _effects
from mixfit.inference.means import emmeans as _emmeans
from mixfit.inference.means import emtrends as _emtrends
from mixfit.inference.means.contrasts import Contrasts
from mixfit.inference.means.effects import EffectCurves
from mixfit.inference.means.marginal_means import EmMeans
from mixfit.plots.effects import effects_plot
from mixfit.plots.means import means_plot

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

__all__ = ["Effects", "MarginalMeans", "MeanContrasts", "effects", "emmeans", "emtrends"]

P = ParamSpec("P")
Held = TypeVar("Held")


class MeanContrasts(Contrasts):
    """Contrasts of marginal means.

    Attributes are those of `Contrasts`.

    Examples
    --------
    >>> import mixfit
    >>> penicillin = mixfit.datasets.load("penicillin")
    >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
    >>> fit.emmeans("treat").pairs().plot().get_xlabel()
    'estimate'
    """

    def plot(self, ax: Axes | None = None, *, level: float | None = None) -> Axes:
        """Draw the contrasts with their intervals, and a line at no difference.

        Parameters
        ----------
        ax, level
            As of `mixfit.plots.means_plot`.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> import mixfit
        >>> penicillin = mixfit.datasets.load("penicillin")
        >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
        >>> fit.emmeans("treat").contrast("eff").plot().get_ylabel()
        'contrast'
        """
        return means_plot(self, ax, level=level)


class MarginalMeans(EmMeans):
    """Estimated marginal means or slopes.

    Attributes are those of `EmMeans`.

    Examples
    --------
    >>> import mixfit
    >>> penicillin = mixfit.datasets.load("penicillin")
    >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
    >>> type(fit.emmeans("treat")).__name__
    'MarginalMeans'
    """

    contrasts_class: ClassVar[type[Contrasts]] = MeanContrasts

    def plot(self, ax: Axes | None = None, *, comparisons: bool = True, level: float | None = None) -> Axes:
        """Draw the means with their intervals, and arrows that overlap where two do not differ.

        Parameters
        ----------
        ax, comparisons, level
            As of `mixfit.plots.means_plot`.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> import mixfit
        >>> penicillin = mixfit.datasets.load("penicillin")
        >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
        >>> fit.emmeans("treat").plot().get_xlabel()
        'estimated marginal mean of yield'
        """
        return means_plot(self, ax, comparisons=comparisons, level=level)


class Effects(EffectCurves):
    """Means along a variable, with the data behind them.

    Attributes are those of `EffectCurves`.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age * Sex + (age | Subject)", teeth).fit()
    >>> fit.effects("age", by="Sex").to_frame().shape
    (122, 7)
    """

    def plot(self, ax: Axes | None = None, *, data: bool = True) -> Axes:
        """Draw the curves with their bands, and the data behind them.

        Parameters
        ----------
        ax, data
            As of `mixfit.plots.effects_plot`.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> import mixfit
        >>> teeth = mixfit.datasets.load("orthodont")
        >>> fit = mixfit.mixed("distance ~ age * Sex + (age | Subject)", teeth).fit()
        >>> fit.effects("age", by="Sex").plot().get_ylabel()
        'distance'
        """
        return effects_plot(self, ax, data=data)


def _holding(function: Callable[P, Any], kind: type[Held]) -> Callable[P, Held]:
    """The same function, with what it returns as something that draws itself."""

    @wraps(function)
    def held(*args: P.args, **kwargs: P.kwargs) -> Held:
        found = function(*args, **kwargs)
        parts = {field.name: getattr(found, field.name) for field in fields(found)}
        if isinstance(own := parts.get("contrasts"), Contrasts):
            parts["contrasts"] = MeanContrasts(**{field.name: getattr(own, field.name) for field in fields(own)})
        return kind(**parts)

    return held


emmeans = _holding(_emmeans.emmeans, MarginalMeans)
emtrends = _holding(_emtrends.emtrends, MarginalMeans)
effects = _holding(_effects.effects, Effects)
