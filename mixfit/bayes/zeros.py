r"""Further zeros of a response: p(y) = pi 1[y = 0] + (1 - pi) f(y), logit pi = X gamma + offset.

With r the probability that a zero is a further one, pi / p(0), and 0 where the response is another,

    d log p / d logit pi = r - pi,      d log p / d psi = (1 - r) d log f / d psi

for whatever else f depends on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, log_expit

from mixfit.errors import PriorError
from mixfit.families.several import ZERO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import GeneralizedFit, Model
    from mixfit.matrices.types import Predictor

    Array = NDArray[np.float64]

__all__ = ["Mixture", "check_further", "mixture", "zero_predictor", "zero_rows"]


@dataclass(frozen=True, eq=False)
class Mixture:
    """log p (R, n), the share 1 - r of f in it, and the slope in logit pi."""

    value: Array
    share: Array
    slope: Array


def zero_predictor(model: Model) -> Predictor | None:
    """That of further zeros, where the model has one."""
    return next((p for p in getattr(model.design, "further", ()) if p.name == ZERO), None)


def check_further(fit: GeneralizedFit) -> None:
    """Refuse predictors after the mean's that no prior is known for.

    Raises
    ------
    PriorError
    """
    for predictor in fit.model.design.further:
        if predictor.name != ZERO:
            raise PriorError(f"There is no posterior of a predictor of {predictor.name} yet: only mean and zi.")
        if predictor.random:
            raise PriorError("There is no posterior of random effects of further zeros yet: give zi fixed ones.")
        if len(fit.estimate.further[ZERO].kept) < len(predictor.exog_names):
            raise PriorError("zi: some of its columns are linear combinations of others. Leave them out.")


def zero_rows(predictor: Predictor, gamma: Array) -> Array:
    """logit pi (R, n) of the rows of the fit at coefficients (R, p)."""
    return gamma @ predictor.X.T + (0.0 if predictor.offset is None else predictor.offset)


def mixture(log_f: Array, is_zero: NDArray[np.bool_], logit: Array) -> Mixture:
    """Mix log f (R, n) with zeros of probability pi."""
    log_pi, log_rest = log_expit(logit), log_expit(-logit)
    # Families without zeros have a density of none there.
    log_f = np.where(is_zero & np.isnan(log_f), -np.inf, log_f)
    value = np.where(is_zero, np.logaddexp(log_pi, log_rest + log_f), log_rest + log_f)
    r = np.where(is_zero, np.exp(log_pi - value), 0.0)
    return Mixture(value, 1.0 - r, r - expit(logit))
