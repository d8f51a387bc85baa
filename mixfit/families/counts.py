"""Counts: Poisson and negative binomial (NB2).

phi is glmmTMB's: Var = mu + mu^2 / phi.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln, xlogy

from mixfit.families.base import Family
from mixfit.families.declared import Support, Terms, check_rows
from mixfit.families.jets import Jet, log, log1p, mean_of
from mixfit.families.rises import digamma_rise, log_rise, rise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["COUNTS", "NegativeBinomial", "Poisson", "check_counts"]

# exp(600) times any count is still a double.
_LARGEST_EXPONENT = 600.0
COUNTS = Support(lower=0.0, closed=True, whole=True)
# The latent variance of a square root of a Poisson count.
_SQUARE_ROOT_VARIANCE = 0.25


def check_counts(family: Family, y: Array, name: str) -> None:
    """Refuse responses that are no counts, or outside the family's support."""
    lowest = family.support.lower
    what = f"not negative; {name!r} is" if lowest == 0.0 else f"at least {lowest:.0f}; {name!r} is not"
    check_rows(family.support.outside(y), f"A {family.name} response is {what}")
    check_rows(y != np.round(y), f"A {family.name} response is a whole number; {name!r} is not")


class Poisson(Family):
    """Counts; prior weights multiply the log density, as in R."""

    name = "poisson"
    kind = "count"
    support = COUNTS
    mean_name = "rate"
    links = ("log", "sqrt", "identity")
    edged = ("identity",)
    canonical = "log"
    expected_weights = True

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_counts(self, y, name)

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        if self.link.name == "log":
            return float(np.log1p(1.0 / null_mean()))
        return _SQUARE_ROOT_VARIANCE if self.link.name == "sqrt" else None

    def log_constant(self, y: Array, prior: Array) -> Array:
        if self.link.name != "log":
            return -prior * gammaln(y + 1.0)
        most = np.maximum(y, 1.0)
        return prior * (y * np.log(most) - most - gammaln(y + 1.0))

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        if self.link.name != "log":
            return super().log_kernel(y, prior, eta, phi)
        # About log y, where y eta - mu of a large count would lose the digits that tell predictors apart.
        most = np.maximum(y, 1.0)
        distance = eta - np.log(most)
        return prior * (y * distance - most * np.expm1(np.minimum(distance, _LARGEST_EXPONENT)))

    def terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Terms:
        if self.link.name != "log":
            return super().terms(y, prior, eta, phi)
        weight: Array = prior * self.link.mean(eta)
        return Terms(prior * y - weight, weight, weight, weight, weight)

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        with np.errstate(invalid="ignore"):
            kernel = prior * (xlogy(y, mu) - mu)
        # An identity link can leave the support: no density there, whatever the count.
        return np.where(mu > 0.0 if self.has_edge else mu >= 0.0, kernel, -np.inf)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        return prior * (y / mu - 1.0), -prior * y / mu**2, 2.0 * prior * y / mu**3

    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        return prior / mu, -prior / mu**2

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        out: Array = 2.0 * (xlogy(y, y / mu) - (y - mu))
        return out

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return mu

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return rng.poisson(mu).astype(float)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y + 0.1


class NegativeBinomial(Family):
    """Counts with variance mu + mu^2 / phi (NB2); prior weights multiply the log density."""

    name = "nbinom2"
    kind = "count"
    support = COUNTS
    links = ("log", "sqrt", "identity")
    edged = ("identity",)
    dispersion = "shape"

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_counts(self, y, name)

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return float(np.log1p(1.0 / null_mean() + 1.0 / phi)) if self.link.name == "log" else None

    def log_constant(self, y: Array, prior: Array) -> Array:
        return -prior * gammaln(y + 1.0)

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        if self.link.name != "log":
            return super().log_kernel(y, prior, eta, phi)
        # The Poisson density of the mean mu / (1 + mu / phi) with what phi adds to it: its limit for phi -> oo.
        odds = self.link.mean(eta) / phi
        return prior * (log_rise(y, phi) + y * eta - (y + phi) * np.log1p(odds))

    def log_jet(self, y: Array, prior: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        mu = mean_of(self.link, eta)
        log_mu = eta if self.link.name == "log" else log(mu)
        return prior * (rise(y, phi) + y * log_mu - (phi + y) * log1p(mu / phi))

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        constant = log_rise(y, phi)
        with np.errstate(invalid="ignore"):
            kernel = prior * (constant + xlogy(y, mu) - (y + phi) * np.log1p(mu / phi))
        return np.where(mu > 0.0 if self.has_edge else mu >= 0.0, kernel, -np.inf)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        s = mu + phi
        return (
            prior * (y / mu - (y + phi) / s),
            prior * ((y + phi) / s**2 - y / mu**2),
            2.0 * prior * (y / mu**3 - (y + phi) / s**3),
        )

    def dispersion_derivatives(
        self, y: Array, prior: Array, mu: Array, phi: Array | float
    ) -> tuple[Array, Array, Array]:
        s = mu + phi
        w = (y - mu) / s
        # log(1 + w), which rounds where w does: to zero for a large phi, to -1 for a large mean.
        log_ratio = np.where(w > -0.5, np.log1p(np.maximum(w, -0.5)), np.log((y + phi) / s))
        return (
            prior * phi * (digamma_rise(y, phi) + log_ratio - w),
            prior * phi * (y - mu) / s**2,
            prior * phi * (1.0 / s**2 - 2.0 * (y + phi) / s**3),
        )

    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        v = mu + mu**2 / phi
        return prior / v, -prior * (1.0 + 2.0 * mu / phi) / v**2

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        raise NotImplementedError("The deviance of the negative binomial depends on phi.")

    def deviances(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        # The saturated model's means are the responses themselves.
        return 2.0 * (self.loglik_mean(y, prior, y, phi) - self.loglik_mean(y, prior, mu, phi))

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return mu + mu**2 / phi

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return rng.poisson(rng.gamma(phi, mu / phi)).astype(float)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y + 0.1

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        excess = float(np.mean(((y - mu) ** 2 - mu) / mu**2))
        return 1.0 / min(max(excess, 0.02), 10.0)
