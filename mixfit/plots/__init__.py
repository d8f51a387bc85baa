"""Plots of fits and of grouped data, by matplotlib (``pip install 'mixfit[plots]'``).

Every function draws on the axes that it is given, or makes a figure, and returns the axes; none shows or saves.
``fit.plot.caterpillar(...)`` is ``mixfit.plots.caterpillar(fit, ...)``.
"""

from mixfit.plots.calibration import calibration
from mixfit.plots.categories import category_probabilities
from mixfit.plots.coefficient_plots import coefficients, effect_correlations
from mixfit.plots.coefficients_by_group import coefficients_by_group
from mixfit.plots.distribution_plots import (
    binned_residual_plot,
    predictive_check,
    quantile_residual_plot,
    rootogram,
)
from mixfit.plots.effects import effects_plot
from mixfit.plots.group_lines import fitted_lines
from mixfit.plots.means import emmip, means_plot
from mixfit.plots.partial import partial_residuals
from mixfit.plots.posterior import posterior_caterpillar, prior_posterior
from mixfit.plots.power import power_lines
from mixfit.plots.quantile_plots import qq_ranef, qq_residuals
from mixfit.plots.random_effects import caterpillar, shrinkage
from mixfit.plots.ranef_pairs import ranef_pairs
from mixfit.plots.residual_plots import residuals_fitted, scale_location
from mixfit.plots.spaghetti import spaghetti
from mixfit.plots.strips import strip
from mixfit.plots.structures import correlation_map, variogram_plot
from mixfit.plots.zeta import profile_zeta

__all__ = [
    "binned_residual_plot",
    "calibration",
    "category_probabilities",
    "caterpillar",
    "coefficients",
    "coefficients_by_group",
    "correlation_map",
    "effect_correlations",
    "effects_plot",
    "emmip",
    "fitted_lines",
    "means_plot",
    "partial_residuals",
    "posterior_caterpillar",
    "power_lines",
    "predictive_check",
    "prior_posterior",
    "profile_zeta",
    "qq_ranef",
    "qq_residuals",
    "quantile_residual_plot",
    "ranef_pairs",
    "residuals_fitted",
    "rootogram",
    "scale_location",
    "shrinkage",
    "spaghetti",
    "strip",
    "variogram_plot",
]


def __dir__() -> list[str]:
    """What is public."""
    return sorted(__all__)
