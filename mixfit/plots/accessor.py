"""``fit.plot``: the plots of a fit as methods."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, NoReturn, ParamSpec, TypeVar

from mixfit.errors import ArgumentError
from mixfit.helped import Helped, helped
from mixfit.plots.categories import category_probabilities
from mixfit.plots.coefficient_plots import coefficients, effect_correlations
from mixfit.plots.distribution_plots import (
    binned_residual_plot,
    predictive_check,
    quantile_residual_plot,
    rootogram,
)
from mixfit.plots.group_lines import fitted_lines
from mixfit.plots.means import emmip
from mixfit.plots.partial import partial_residuals
from mixfit.plots.quantile_plots import qq_ranef, qq_residuals
from mixfit.plots.random_effects import caterpillar, shrinkage
from mixfit.plots.ranef_pairs import ranef_pairs
from mixfit.plots.residual_plots import residuals_fitted, scale_location
from mixfit.plots.spaghetti import spaghetti
from mixfit.plots.structures import correlation_map, variogram_plot

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixfit.fitted.protocols import Fit


__all__ = ["Plots"]

P = ParamSpec("P")
Answer = TypeVar("Answer")


def _method(function: Callable[Concatenate[Fit, P], Answer]) -> Callable[Concatenate[Plots, P], Answer]:
    function = helped(function)

    @wraps(function)
    def method(self: Plots, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return function(self._fit, *args, **kwargs)

    return method


class Plots(Helped):
    """The functions of `mixfit.plots` that draw a fit, with the fit filled in.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> (axes,) = fit.plot.caterpillar()
    >>> axes.get_title()
    '(Intercept) | operator'
    """

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    def __call__(self, *_: object, **options: object) -> NoReturn:
        """There is no plot of everything.

        Raises
        ------
        ArgumentError
            Always.
        """
        raise ArgumentError(
            "Figures have names, such as plot.residuals_fitted(); check_model().plot() has six of them."
        )

    def __repr__(self) -> str:
        return f"<Plots of {self._fit!r}: {', '.join(name for name in dir(self) if not name.startswith('_'))}>"

    binned_residual_plot = _method(binned_residual_plot)
    category_probabilities = _method(category_probabilities)
    caterpillar = _method(caterpillar)
    coefficients = _method(coefficients)
    effect_correlations = _method(effect_correlations)
    correlation_map = _method(correlation_map)
    emmip = _method(emmip)
    fitted_lines = _method(fitted_lines)
    partial_residuals = _method(partial_residuals)
    predictive_check = _method(predictive_check)
    qq_ranef = _method(qq_ranef)
    qq_residuals = _method(qq_residuals)
    quantile_residual_plot = _method(quantile_residual_plot)
    ranef_pairs = _method(ranef_pairs)
    residuals_fitted = _method(residuals_fitted)
    rootogram = _method(rootogram)
    scale_location = _method(scale_location)
    shrinkage = _method(shrinkage)
    spaghetti = _method(spaghetti)
    variogram = _method(variogram_plot)
