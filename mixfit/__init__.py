"""mixfit: mixed-effects models that people trust as they trust lme4.

``mixed(formula, data).fit()`` parses lme4's formula language, fits by REML or maximum likelihood and gives a
result with ``summary()``, ``ranef()`` and ``predict()``; with ``family=`` it fits generalized models.
"""

from typing import TYPE_CHECKING, Any

from mixfit import datasets
from mixfit.model import LinearMixedModel, mixed

if TYPE_CHECKING:
    from mixfit import plots
    from mixfit.generalized import GeneralizedMixedModel

__all__ = ["GeneralizedMixedModel", "LinearMixedModel", "__version__", "datasets", "mixed", "plots"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the generalized models and the plots when they are first asked for."""
    if name == "GeneralizedMixedModel":
        from mixfit.generalized import GeneralizedMixedModel

        return GeneralizedMixedModel
    if name == "plots":
        from importlib import import_module

        return import_module("mixfit.plots")
    raise AttributeError(f"module 'mixfit' has no attribute {name!r}")
