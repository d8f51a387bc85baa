"""mixfit: mixed-effects models that people trust as they trust lme4.

``mixed(formula, data).fit()`` parses lme4's formula language, fits by REML or maximum likelihood and gives a
result with ``summary()``, ``ranef()`` and ``predict()``.
"""

from mixfit import datasets
from mixfit.generalized import GeneralizedMixedModel
from mixfit.model import LinearMixedModel, mixed

__all__ = ["GeneralizedMixedModel", "LinearMixedModel", "__version__", "datasets", "mixed"]

__version__ = "0.1.0"
