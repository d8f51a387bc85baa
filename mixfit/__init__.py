"""mixfit: mixed-effects models that people trust as they trust lme4.

``mixed(formula, data).fit()`` parses lme4's formula language, fits by REML or maximum likelihood and gives a
result with ``summary()``, ``ranef()`` and ``predict()``; with ``family=`` it fits generalized models.
"""

from typing import TYPE_CHECKING, Any

from mixfit.version import __version__

if TYPE_CHECKING:
    from mixfit import bayes, covariance, datasets, errors, plots
    from mixfit.covariance.pedigree import pedigree
    from mixfit.covariance.phylogeny import phylogeny
    from mixfit.defaults import options
    from mixfit.fitted.saved import load
    from mixfit.inference.comparisons.compare import compare
    from mixfit.inference.comparisons.exact import exact_lrt, exact_rlrt
    from mixfit.inference.comparisons.likelihood_ratio import anova
    from mixfit.inference.comparisons.subsets import all_subsets
    from mixfit.inference.fixed_effects.modcomp import kr_modcomp, sat_modcomp
    from mixfit.inference.means.joint_tests import joint_tests
    from mixfit.inference.means.marginaleffects_adapter import marginaleffects_adapter
    from mixfit.inference.one_way import anova_estimator
    from mixfit.inference.pb_modcomp import pb_modcomp
    from mixfit.model.generalized import GeneralizedMixedModel
    from mixfit.model.linear import LinearMixedModel
    from mixfit.model.many import fit_many
    from mixfit.model.mixed import mixed
    from mixfit.model.multinomial import MultinomialMixedModel
    from mixfit.model.nonlinear import NonlinearMixedModel, nonlinear
    from mixfit.model.ordinal import OrdinalMixedModel
    from mixfit.model.planned import design
    from mixfit.model.rates import beta_binomial
    from mixfit.model.residual import ResidualMixedModel
    from mixfit.planning.grid import grid
    from mixfit.report.model_table import table
    from mixfit.results.cross_validation import cross_validate
    from mixfit.results.lm_list import lm_list
    from mixfit.results.means import emmeans, emtrends

__all__ = [
    "GeneralizedMixedModel",
    "LinearMixedModel",
    "MultinomialMixedModel",
    "NonlinearMixedModel",
    "OrdinalMixedModel",
    "ResidualMixedModel",
    "__version__",
    "all_subsets",
    "anova",
    "anova_estimator",
    "bayes",
    "beta_binomial",
    "compare",
    "covariance",
    "cross_validate",
    "datasets",
    "design",
    "emmeans",
    "emtrends",
    "errors",
    "exact_lrt",
    "exact_rlrt",
    "fit_many",
    "grid",
    "joint_tests",
    "kr_modcomp",
    "lm_list",
    "load",
    "marginaleffects_adapter",
    "mixed",
    "nonlinear",
    "options",
    "pb_modcomp",
    "pedigree",
    "phylogeny",
    "plots",
    "sat_modcomp",
    "table",
]

# Imported when they are first asked for: `import mixfit` is quick, and what a program does not use costs it nothing.
_MODULES = ("bayes", "covariance", "datasets", "errors", "plots")
_LAZY = {
    "GeneralizedMixedModel": "mixfit.model.generalized",
    "LinearMixedModel": "mixfit.model.linear",
    "MultinomialMixedModel": "mixfit.model.multinomial",
    "NonlinearMixedModel": "mixfit.model.nonlinear",
    "OrdinalMixedModel": "mixfit.model.ordinal",
    "ResidualMixedModel": "mixfit.model.residual",
    "all_subsets": "mixfit.inference.comparisons.subsets",
    "anova": "mixfit.inference.comparisons.likelihood_ratio",
    "anova_estimator": "mixfit.inference.one_way",
    "beta_binomial": "mixfit.model.rates",
    "compare": "mixfit.inference.comparisons.compare",
    "cross_validate": "mixfit.results.cross_validation",
    "design": "mixfit.model.planned",
    "emmeans": "mixfit.results.means",
    "emtrends": "mixfit.results.means",
    "exact_lrt": "mixfit.inference.comparisons.exact",
    "exact_rlrt": "mixfit.inference.comparisons.exact",
    "fit_many": "mixfit.model.many",
    "grid": "mixfit.planning.grid",
    "joint_tests": "mixfit.inference.means.joint_tests",
    "kr_modcomp": "mixfit.inference.fixed_effects.modcomp",
    "lm_list": "mixfit.results.lm_list",
    "load": "mixfit.fitted.saved",
    "marginaleffects_adapter": "mixfit.inference.means.marginaleffects_adapter",
    "mixed": "mixfit.model.mixed",
    "nonlinear": "mixfit.model.nonlinear",
    "options": "mixfit.defaults",
    "pb_modcomp": "mixfit.inference.pb_modcomp",
    "pedigree": "mixfit.covariance.pedigree",
    "phylogeny": "mixfit.covariance.phylogeny",
    "sat_modcomp": "mixfit.inference.fixed_effects.modcomp",
    "table": "mixfit.report.model_table",
}


def __dir__() -> list[str]:
    """What is public, also what has not been imported yet, and nothing else."""
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Import what is asked for, once."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"mixfit.{name}")
    if name in _LAZY:
        found = globals()[name] = getattr(import_module(_LAZY[name]), name)
        return found
    if name.startswith("_"):
        raise AttributeError(f"module 'mixfit' has no attribute {name!r}")
    from mixfit.errors import UnknownNameError

    raise UnknownNameError("mixfit", name)
