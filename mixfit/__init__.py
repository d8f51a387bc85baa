"""mixfit: mixed-effects models that people trust as they trust lme4.

``mixed(formula, data).fit()`` parses lme4's formula language, fits by REML or maximum likelihood and gives a
result with ``summary()``, ``ranef()`` and ``predict()``; with ``family=`` it fits generalized models.
"""

from typing import TYPE_CHECKING, Any

from mixfit import datasets
from mixfit.model import LinearMixedModel, mixed

if TYPE_CHECKING:
    from mixfit.generalized import GeneralizedMixedModel
    from mixfit.rates.model import beta_binomial

__all__ = ["GeneralizedMixedModel", "LinearMixedModel", "__version__", "beta_binomial", "datasets", "mixed"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import generalized models and rates when they are first asked for."""
    if name == "GeneralizedMixedModel":
        from mixfit.generalized import GeneralizedMixedModel

        return GeneralizedMixedModel
    if name == "beta_binomial":
        from mixfit.rates.model import beta_binomial

        return beta_binomial
    raise AttributeError(f"module 'mixfit' has no attribute {name!r}")
