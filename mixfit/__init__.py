"""mixfit: mixed-effects models that people trust as they trust lme4.

``mixed(formula, data).fit()`` parses lme4's formula language, fits by REML or maximum likelihood and gives a
result with ``summary()``, ``ranef()`` and ``predict()``; with ``family=`` it fits generalized models.
"""

from typing import TYPE_CHECKING, Any

from mixfit import datasets
from mixfit.model import LinearMixedModel, mixed

if TYPE_CHECKING:
    from mixfit.generalized import GeneralizedMixedModel
    from mixfit.inference.emmeans import emmeans
    from mixfit.inference.marginaleffects_adapter import marginaleffects_adapter
    from mixfit.inference.modcomp import kr_modcomp, sat_modcomp

__all__ = [
    "GeneralizedMixedModel",
    "LinearMixedModel",
    "__version__",
    "datasets",
    "emmeans",
    "kr_modcomp",
    "marginaleffects_adapter",
    "mixed",
    "sat_modcomp",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import generalized models and inference when they are first asked for."""
    if name == "GeneralizedMixedModel":
        from mixfit.generalized import GeneralizedMixedModel

        return GeneralizedMixedModel
    if name in ("kr_modcomp", "sat_modcomp"):
        from mixfit.inference import modcomp

        return getattr(modcomp, name)
    if name in ("emmeans", "marginaleffects_adapter"):
        from importlib import import_module

        return getattr(import_module(f"mixfit.inference.{name}"), name)
    raise AttributeError(f"module 'mixfit' has no attribute {name!r}")
