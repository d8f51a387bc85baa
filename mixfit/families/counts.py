"""Counts: Poisson and negative binomial (NB2).

phi is glmmTMB's: Var = mu + mu^2 / phi. The gamma-function difference of the negative binomial

    r(y, phi) = log Gamma(y + phi) - log Gamma(phi) - y log phi

tends to zero like y (y - 1) / (2 phi), which the difference of two log-gammas of size phi log phi cannot show.
Stirling's series log Gamma(z) = (z - 1/2) log z - z + log(2 pi) / 2 + s(z) leaves small terms only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from mixfit.families.base import Family, Support, Terms, check_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["NegativeBinomial", "Poisson", "digamma_rise", "log_rise"]

# exp(600) times any count is still a double.
_LARGEST_EXPONENT = 600.0
_COUNTS = Support(lower=0.0, closed=True, whole=True)
# The latent variance of a square root of a Poisson count.
_SQUARE_ROOT_VARIANCE = 0.25
# Beyond it the series is exact to rounding.
_SERIES = 20.0
# B_2m / (2m (2m - 1)) of Stirling's series, m = 1 to 5.
_BERNOULLI = (1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0)


def _check_counts(family: Family, y: Array, name: str) -> None:
    check_rows(family.support.outside(y), f"A {family.name} response is not negative; {name!r} is")
    check_rows(y != np.round(y), f"A {family.name} response is a whole number; {name!r} is not")


class Poisson(Family):
    """Counts; prior weights multiply the log density, as in R."""

    name = "poisson"
    kind = "count"
    support = _COUNTS
    mean_name = "rate"
    links = ("log", "sqrt", "identity")
    edged = ("identity",)
    canonical = "log"
    expected_weights = True

    def check(self, y: Array, prior: Array, name: str) -> None:
        _check_counts(self, y, name)

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        if self.link.name == "log":
            return float(np.log1p(1.0 / null_mean()))
        return _SQUARE_ROOT_VARIANCE if self.link.name == "sqrt" else None

    def log_constant(self, y: Array, prior: Array) -> Array:
        if self.link.name != "log":
            return -prior * gammaln(y + 1.0)
        most = np.maximum(y, 1.0)
        return prior * (y * np.log(most) - most - gammaln(y + 1.0))

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: float) -> Array:
        if self.link.name != "log":
            return super().log_kernel(y, prior, eta, phi)
        # About log y, where y eta - mu of a large count would lose the digits that tell predictors apart.
        most = np.maximum(y, 1.0)
        distance = eta - np.log(most)
        return prior * (y * distance - most * np.expm1(np.minimum(distance, _LARGEST_EXPONENT)))

    def terms(self, y: Array, prior: Array, eta: Array, phi: float) -> Terms:
        if self.link.name != "log":
            return super().terms(y, prior, eta, phi)
        weight: Array = prior * self.link.mean(eta)
        return Terms(prior * y - weight, weight, weight, weight, weight)

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: float) -> Array:
        with np.errstate(invalid="ignore"):
            kernel = prior * (xlogy(y, mu) - mu)
        # An identity link can leave the support: no density there, whatever the count.
        return np.where(mu > 0.0 if self.has_edge else mu >= 0.0, kernel, -np.inf)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: float) -> tuple[Array, Array, Array]:
        return prior * (y / mu - 1.0), -prior * y / mu**2, 2.0 * prior * y / mu**3

    def information(self, prior: Array, mu: Array, phi: float) -> tuple[Array, Array]:
        return prior / mu, -prior / mu**2

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        out: Array = 2.0 * (xlogy(y, y / mu) - (y - mu))
        return out

    def variance(self, mu: Array, phi: float) -> Array:
        return mu

    def simulate(self, mu: Array, prior: Array, phi: float, rng: np.random.Generator) -> Array:
        return rng.poisson(mu).astype(float)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y + 0.1


class NegativeBinomial(Family):
    """Counts with variance mu + mu^2 / phi (NB2); prior weights multiply the log density."""

    name = "nbinom2"
    kind = "count"
    support = _COUNTS
    links = ("log", "sqrt", "identity")
    edged = ("identity",)
    dispersion = "shape"

    def check(self, y: Array, prior: Array, name: str) -> None:
        _check_counts(self, y, name)

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return float(np.log1p(1.0 / null_mean() + 1.0 / phi)) if self.link.name == "log" else None

    def log_constant(self, y: Array, prior: Array) -> Array:
        return -prior * gammaln(y + 1.0)

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: float) -> Array:
        if self.link.name != "log":
            return super().log_kernel(y, prior, eta, phi)
        # The Poisson density of the mean mu / (1 + mu / phi) with what phi adds to it: its limit for phi -> oo.
        odds = self.link.mean(eta) / phi
        return prior * (log_rise(y, phi) + y * eta - (y + phi) * np.log1p(odds))

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: float) -> Array:
        constant = log_rise(y, phi)
        with np.errstate(invalid="ignore"):
            kernel = prior * (constant + xlogy(y, mu) - (y + phi) * np.log1p(mu / phi))
        return np.where(mu > 0.0 if self.has_edge else mu >= 0.0, kernel, -np.inf)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: float) -> tuple[Array, Array, Array]:
        s = mu + phi
        return (
            prior * (y / mu - (y + phi) / s),
            prior * ((y + phi) / s**2 - y / mu**2),
            2.0 * prior * (y / mu**3 - (y + phi) / s**3),
        )

    def dispersion_derivatives(self, y: Array, prior: Array, mu: Array, phi: float) -> tuple[Array, Array, Array]:
        s = mu + phi
        w = (y - mu) / s
        # log(1 + w), which rounds where w does: to zero for a large phi, to -1 for a large mean.
        log_ratio = np.where(w > -0.5, np.log1p(np.maximum(w, -0.5)), np.log((y + phi) / s))
        return (
            prior * phi * (digamma_rise(y, phi) + log_ratio - w),
            prior * phi * (y - mu) / s**2,
            prior * phi * (1.0 / s**2 - 2.0 * (y + phi) / s**3),
        )

    def information(self, prior: Array, mu: Array, phi: float) -> tuple[Array, Array]:
        v = mu + mu**2 / phi
        return prior / v, -prior * (1.0 + 2.0 * mu / phi) / v**2

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        raise NotImplementedError("The deviance of the negative binomial depends on phi.")

    def deviances(self, y: Array, prior: Array, mu: Array, phi: float) -> Array:
        # The saturated model's means are the responses themselves.
        return 2.0 * (self.loglik_mean(y, prior, y, phi) - self.loglik_mean(y, prior, mu, phi))

    def variance(self, mu: Array, phi: float) -> Array:
        return mu + mu**2 / phi

    def simulate(self, mu: Array, prior: Array, phi: float, rng: np.random.Generator) -> Array:
        return rng.poisson(rng.gamma(phi, mu / phi)).astype(float)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y + 0.1

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        excess = float(np.mean(((y - mu) ** 2 - mu) / mu**2))
        return 1.0 / min(max(excess, 0.02), 10.0)


def log_rise(y: Array, phi: float) -> Array:
    """r(y, phi)."""
    if phi < _SERIES:
        return np.asarray(gammaln(y + phi) - gammaln(phi) - y * np.log(phi))
    return np.asarray((y + phi - 0.5) * np.log1p(y / phi) - y + _remainder(y + phi) - _remainder(phi))


def digamma_rise(y: Array, phi: float) -> Array:
    """psi(y + phi) - psi(phi) - log(1 + y / phi)."""
    if phi < _SERIES:
        return np.asarray(digamma(y + phi) - digamma(phi) - np.log1p(y / phi))
    z = y + phi
    return np.asarray(0.5 * y / (phi * z) + _remainder_slope(z) - _remainder_slope(phi))


def _remainder(z: Array | float) -> Array:
    """s(z)."""
    inverse = 1.0 / np.asarray(z)
    square = inverse * inverse
    out = np.zeros_like(inverse)
    for b in reversed(_BERNOULLI):
        out = out * square + b
    return out * inverse


def _remainder_slope(z: Array | float) -> Array:
    """ds/dz."""
    square = 1.0 / np.square(np.asarray(z, dtype=float))
    out = np.zeros_like(square)
    for power, b in reversed(list(enumerate(_BERNOULLI))):
        out = out * square - (2 * power + 1) * b
    return out * square
