r"""Counts that are never zero: what is left of a distribution p without its p(0), p(y) / (1 - p(0)) for y > 0.

The predictor and phi are those of p, as in glmmTMB: mu is the mean that p has with its zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import gammaln

from mixfit.families.compois import ConwayMaxwellPoisson, compois, compois_at
from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.declared import Support
from mixfit.families.dispersed import CountFamily, GeneralizedPoisson, NegativeBinomial1, genpois, nbinom1
from mixfit.families.draws import draw_counts
from mixfit.families.jets import Jet, exp, fixed, log1mexp, log1p
from mixfit.families.rises import rise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]

__all__ = [
    "Truncated",
    "TruncatedConwayMaxwellPoisson",
    "TruncatedGeneralizedPoisson",
    "TruncatedNegativeBinomial",
    "TruncatedNegativeBinomial1",
    "TruncatedPoisson",
]

# Below this mean rounding may leave nothing of the variance, which is at least a quarter of it.
_SMALL_MEAN = 1e-7


class Truncated(CountFamily):
    """Positive counts.

    Attributes
    ----------
    whole : type of Family
        The distribution with zeros.
    """

    links = ("log",)
    edged = ()
    support = Support(lower=1.0, closed=True, whole=True)
    whole: ClassVar[type[Family]]

    def log_whole(self, y: Array, eta: Jet, phi: Jet) -> Jet:
        """Log density of the distribution with zeros."""
        raise NotImplementedError

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        return self.log_whole(y, eta, phi) - log1mexp(self.log_whole(np.zeros(()), eta, phi))

    def response(self, eta: Array, phi: Array | float) -> tuple[Array, Array]:
        jet = Jet(eta, (np.ones(()), np.zeros(()), np.zeros(())))
        # log(mu / (1 - p(0))), which is log 1 at its lower end.
        mean = exp(jet - log1mexp(self.log_whole(np.zeros(()), jet, fixed(phi))))
        return mean.value, mean.value * 0.0 if mean.eta is None else mean.eta[0]

    def variance(self, mu: Array, phi: Array | float) -> Array:
        log_zero = self.log_whole(np.zeros(()), fixed(np.log(mu)), fixed(phi)).value
        with np.errstate(over="ignore", divide="ignore"):
            odds = 1.0 / np.expm1(-log_zero)
            # E[y^2] - E[y]^2 with E[y] = mu (1 + odds), less the mu^2 that cancels for large means.
            exact = (1.0 + odds) * (self.whole(self.link.name).variance(mu, phi) - mu * (mu * odds))
        return np.where(mu < _SMALL_MEAN, np.maximum(exact, 0.25 * mu), exact)

    def start_mean(self, y: Array, prior: Array) -> Array:
        # A mean of m with zeros is about m + 1/2 without, where m is small.
        return np.maximum(y - 0.5, 0.5)

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        # A mean mu with zeros is no mean of these responses: moments about it would lead on to more and more zeros.
        return 1.0


class TruncatedPoisson(Truncated):
    """Positive counts, Poisson but for their zeros."""

    name = "truncated_poisson"
    whole = Poisson
    dispersion = "none"

    def log_whole(self, y: Array, eta: Jet, phi: Jet) -> Jet:
        return y * eta - self.mean(eta) - gammaln(y + 1.0)


class TruncatedNegativeBinomial(Truncated):
    """Positive counts, nbinom2 but for their zeros."""

    name = "truncated_nbinom2"
    whole = NegativeBinomial

    def log_whole(self, y: Array, eta: Jet, phi: Jet) -> Jet:
        # (y + phi) log(1 + mu / phi) and y eta - R(y, phi), as of nbinom2.
        return rise(y, phi) + y * eta - (phi + y) * log1p(self.mean(eta) / phi) - gammaln(y + 1.0)


class TruncatedNegativeBinomial1(Truncated):
    """Positive counts, nbinom1 but for their zeros."""

    name = "truncated_nbinom1"
    whole = NegativeBinomial1

    def log_whole(self, y: Array, eta: Jet, phi: Jet) -> Jet:
        return nbinom1(y, eta, self.mean(eta), phi)


class TruncatedGeneralizedPoisson(Truncated):
    """Positive counts, generalized Poisson but for their zeros."""

    name = "truncated_genpois"
    whole = GeneralizedPoisson

    def log_whole(self, y: Array, eta: Jet, phi: Jet) -> Jet:
        return genpois(y, self.mean(eta), phi)


class TruncatedConwayMaxwellPoisson(Truncated):
    """Positive counts, Conway-Maxwell-Poisson but for their zeros."""

    name = "truncated_compois"
    whole = ConwayMaxwellPoisson

    def log_whole(self, y: Array, eta: Jet, phi: Jet) -> Jet:
        return compois(y, self.mean(eta), phi)

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        whole = compois_at(mu, phi)
        positive = log1mexp(fixed(whole(np.zeros(())))).value
        return draw_counts(lambda y: whole(y) - positive, np.shape(mu), self.support.lower, rng)
