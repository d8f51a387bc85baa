"""Counts and proportions with an estimated dispersion: negative binomial (NB2) and beta-binomial.

phi is glmmTMB's: Var = mu + mu^2 / phi for NB2, and a = mu phi, b = (1 - mu) phi for the beta-binomial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln, polygamma, xlogy

from mixfit.families.base import Family
from mixfit.families.counts import Binomial, Poisson, log_choose
from mixfit.families.rising import digamma_rise, log_rise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["BetaBinomial", "NegativeBinomial"]


class NegativeBinomial(Family):
    """Counts with variance mu + mu^2 / phi (NB2); prior weights multiply the log density."""

    name = "nbinom2"
    links = ("log", "sqrt", "identity")
    edged = ("identity",)
    has_dispersion = True

    def check(self, y: Array, prior: Array, name: str) -> None:
        Poisson.check(self, y, prior, name)  # type: ignore[arg-type]

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


class BetaBinomial(Family):
    """Proportions y of `prior` trials whose probability is beta distributed with precision phi."""

    name = "betabinomial"
    links = ("logit", "probit", "cloglog")
    has_dispersion = True

    def check(self, y: Array, prior: Array, name: str) -> None:
        Binomial.check(self, y, prior, name)  # type: ignore[arg-type]

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: float) -> Array:
        a, b, s, f = mu * phi, (1.0 - mu) * phi, prior * y, prior * (1.0 - y)
        out: Array = gammaln(s + a) + gammaln(f + b) - gammaln(prior + phi) - gammaln(a) - gammaln(b) + gammaln(phi)
        return out

    def log_constant(self, y: Array, prior: Array) -> Array:
        return log_choose(prior, prior * y)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: float) -> tuple[Array, Array, Array]:
        a, b, s, f = mu * phi, (1.0 - mu) * phi, prior * y, prior * (1.0 - y)
        one = polygamma(1, s + a) + polygamma(1, f + b) - polygamma(1, a) - polygamma(1, b)
        two = polygamma(2, s + a) - polygamma(2, f + b) - polygamma(2, a) + polygamma(2, b)
        first = phi * (digamma(s + a) - digamma(f + b) - digamma(a) + digamma(b))
        return first, phi**2 * one, phi**3 * two

    def dispersion_derivatives(self, y: Array, prior: Array, mu: Array, phi: float) -> tuple[Array, Array, Array]:
        nu = 1.0 - mu
        a, b, s, f = mu * phi, nu * phi, prior * y, prior * (1.0 - y)
        f1, f2, _ = self.mean_derivatives(y, prior, mu, phi)
        loglik = mu * (digamma(s + a) - digamma(a)) + nu * (digamma(f + b) - digamma(b))
        loglik += digamma(phi) - digamma(prior + phi)
        one = mu * (polygamma(1, s + a) - polygamma(1, a)) - nu * (polygamma(1, f + b) - polygamma(1, b))
        two = mu * (polygamma(2, s + a) - polygamma(2, a)) + nu * (polygamma(2, f + b) - polygamma(2, b))
        return phi * loglik, f1 + phi**2 * one, 2.0 * f2 + phi**3 * two

    def information(self, prior: Array, mu: Array, phi: float) -> tuple[Array, Array]:
        # The binomial information deflated by the overdispersion 1 + (m - 1) / (1 + phi); exact at m = 1.
        inflation = 1.0 + (prior - 1.0) / (1.0 + phi)
        v = mu * (1.0 - mu)
        return prior / (v * inflation), -prior * (1.0 - 2.0 * mu) / (v**2 * inflation)

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        raise NotImplementedError("The beta-binomial family has no deviance.")

    def variance(self, mu: Array, phi: float) -> Array:
        return mu * (1.0 - mu)

    def row_variance(self, prior: Array, mu: Array, phi: float) -> Array:
        # The trials of a row share one probability: their mean varies more than binomial ones'.
        return self.variance(mu, phi) / prior * (1.0 + (prior - 1.0) / (1.0 + phi))

    def simulate(self, mu: Array, prior: Array, phi: float, rng: np.random.Generator) -> Array:
        p = rng.beta(mu * phi, (1.0 - mu) * phi)
        return rng.binomial(np.round(prior).astype(np.int64), p) / prior

    def start_mean(self, y: Array, prior: Array) -> Array:
        return (prior * y + 0.5) / (prior + 1.0)

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        v = prior * (y - mu) ** 2 / (mu * (1.0 - mu))
        excess = float(np.mean((v - 1.0) / np.maximum(prior - 1.0, 1.0)))
        return 1.0 / min(max(excess, 0.01), 2.0)
