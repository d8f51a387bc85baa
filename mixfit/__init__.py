"""mixfit: mixed-effects models that people trust as they trust lme4.

``mixed(formula, data).fit()`` parses lme4's formula language, fits by REML or maximum likelihood and gives a
result with ``summary()``, ``ranef()`` and ``predict()``; with ``family=`` it fits generalized models.
"""

from typing import TYPE_CHECKING, Any

from mixfit import covariance, datasets, errors
from mixfit.model.linear import LinearMixedModel
from mixfit.model.mixed import mixed

if TYPE_CHECKING:
    from mixfit import bayes, plots
    from mixfit.covariance.pedigree import pedigree
    from mixfit.covariance.phylogeny import phylogeny
    from mixfit.inference.comparisons.exact import exact_lrt, exact_rlrt
    from mixfit.inference.comparisons.likelihood_ratio import anova
    from mixfit.inference.fixed_effects.modcomp import kr_modcomp, sat_modcomp
    from mixfit.inference.means.emmeans import emmeans
    from mixfit.inference.means.marginaleffects_adapter import marginaleffects_adapter
    from mixfit.inference.one_way import anova_estimator
    from mixfit.inference.pb_modcomp import pb_modcomp
    from mixfit.model.generalized import GeneralizedMixedModel
    from mixfit.model.nonlinear import NonlinearMixedModel, nonlinear
    from mixfit.model.ordinal import OrdinalMixedModel
    from mixfit.model.rates import beta_binomial
    from mixfit.model.residual import ResidualMixedModel

__all__ = [
    "GeneralizedMixedModel",
    "LinearMixedModel",
    "NonlinearMixedModel",
    "OrdinalMixedModel",
    "ResidualMixedModel",
    "__version__",
    "anova",
    "anova_estimator",
    "bayes",
    "beta_binomial",
    "covariance",
    "datasets",
    "emmeans",
    "errors",
    "exact_lrt",
    "exact_rlrt",
    "kr_modcomp",
    "marginaleffects_adapter",
    "mixed",
    "nonlinear",
    "pb_modcomp",
    "pedigree",
    "phylogeny",
    "plots",
    "sat_modcomp",
]

__version__ = "0.1.0"


# Imported when they are first asked for: `import mixfit` stays quick.
_LAZY = {
    "GeneralizedMixedModel": "mixfit.model.generalized",
    "NonlinearMixedModel": "mixfit.model.nonlinear",
    "OrdinalMixedModel": "mixfit.model.ordinal",
    "ResidualMixedModel": "mixfit.model.residual",
    "anova": "mixfit.inference.comparisons.likelihood_ratio",
    "anova_estimator": "mixfit.inference.one_way",
    "beta_binomial": "mixfit.model.rates",
    "emmeans": "mixfit.inference.means.emmeans",
    "exact_lrt": "mixfit.inference.comparisons.exact",
    "exact_rlrt": "mixfit.inference.comparisons.exact",
    "kr_modcomp": "mixfit.inference.fixed_effects.modcomp",
    "marginaleffects_adapter": "mixfit.inference.means.marginaleffects_adapter",
    "nonlinear": "mixfit.model.nonlinear",
    "pb_modcomp": "mixfit.inference.pb_modcomp",
    "pedigree": "mixfit.covariance.pedigree",
    "phylogeny": "mixfit.covariance.phylogeny",
    "sat_modcomp": "mixfit.inference.fixed_effects.modcomp",
}


def __dir__() -> list[str]:
    """What is public, also what has not been imported yet, and nothing else."""
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Import what is not needed to fit a linear model."""
    from importlib import import_module

    if name in ("bayes", "plots"):
        return import_module(f"mixfit.{name}")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'mixfit' has no attribute {name!r}")
