"""A density that is to be sampled has to be finite where that begins; what is not is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.errors import PriorError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.mode import Values
    from mixfit.bayes.resolve import ResolvedPriors

    Array = NDArray[np.float64]

__all__ = ["demand_finite"]


class _Density(Protocol):
    priors: ResolvedPriors

    def evaluate(self, x: Array, *, slopes: bool = False) -> Values:
        """At places (R, d)."""


def demand_finite(density: _Density, starts: Array, x: Array, log_sigma: float = 0.0) -> None:
    """Refuse a density without a value at places (R, d), by the priors at coordinates (m,) of the fit's covariances.

    Raises
    ------
    PriorError
        Naming the prior that excludes the estimates of the fit, or the likelihood.
    """
    if np.isfinite(density.evaluate(starts).value).all():
        return
    priors = density.priors
    excluded = []
    if priors.sigma is not None and not np.isfinite(priors.sigma.log_density(np.exp(log_sigma))):
        excluded.append("sigma")
    first = 0
    for name, size, prior in zip(priors.groups, priors.sizes, priors.terms, strict=True):
        found = prior.density(x[None, first : first + size], np.array([log_sigma]))
        if not np.isfinite(found.value[0]):
            excluded.append(f"the covariance of {name}")
        first += size
    if excluded:
        raise PriorError(
            f"The prior of {', '.join(excluded)} has no density at the estimates of the fit, where sampling begins. "
            "Widen its bounds, or take a prior without any."
        )
    raise PriorError(
        "The likelihood is not finite at the estimates of the fit, where sampling begins. Covariates of size 1 "
        "(centred, in other units) keep it within the range of numbers."
    )
