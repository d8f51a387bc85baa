r"""Counts with another variance than Poisson's: negative binomial (NB1), generalized Poisson, Bell.

With phi as in glmmTMB:

    nbinom1   Var = mu (1 + phi): negative binomial of size r = mu / phi.
    genpois   Var = mu phi: with theta = mu / sqrt(phi) and lambda = 1 - 1 / sqrt(phi),
              p(y) = theta (theta + lambda y)^(y - 1) e^(-theta - lambda y) / y!   (Consul & Famoye 1992).
    bell      p(y) = theta^y e^(1 - e^theta) B_y / y!, theta e^theta = mu, B_y Bell's numbers
              (Castellares, Ferrari & Lemonte 2018): Var = mu (1 + theta).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import gammaln, lambertw

from mixfit.families.composed import Composed
from mixfit.families.counts import COUNTS, check_counts
from mixfit.families.declared import check_rows
from mixfit.families.draws import draw_counts
from mixfit.families.jets import Jet, exp, log, log1p, power
from mixfit.families.rises import rise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "Bell",
    "CountFamily",
    "GeneralizedPoisson",
    "NegativeBinomial1",
    "genpois",
    "log_bell_numbers",
    "log_lambert",
    "nbinom1",
]

# Beyond it mixfit computes no Bell numbers.
_LARGEST_BELL = 1e4
# Logarithms of means whose mean is a double, with room for its powers.
_MODERATE = 500.0
# Moment estimates of a dispersion are kept in a range that the search can leave.
_SMALLEST_START, _LARGEST_START = 0.05, 20.0


class CountFamily(Composed):
    """Counts without an upper end."""

    kind = "count"
    support = COUNTS
    links: ClassVar[tuple[str, ...]] = ("log", "sqrt", "identity")
    edged: ClassVar[tuple[str, ...]] = ("identity",)

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_counts(self, y, name)

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        one, eta = np.ones(()), self.link.eta(mu)
        return draw_counts(lambda y: self.loglik(y, one, eta, phi), np.shape(mu), self.support.lower, rng)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y + 0.1

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        # The variance over the mean, which it is a function of.
        ratio = float(np.mean((y - mu) ** 2) / np.mean(mu))
        return self._start_of(ratio)

    def _start_of(self, ratio: float) -> float:
        return float(np.clip(ratio, _SMALLEST_START, _LARGEST_START))


def nbinom1(y: Array, log_mu: Jet, mu: Jet, phi: Jet) -> Jet:
    """Log density of NB1."""
    # With r = mu / phi: R(y, r) is all that is not Poisson's, and it and log(1 + phi) / phi - 1 vanish with phi.
    r = mu / phi
    return rise(y, r) + y * log_mu - (r + y) * log1p(phi) - gammaln(y + 1.0)


def genpois(y: Array, mu: Jet, phi: Jet) -> Jet:
    """Log density of the generalized Poisson distribution; NaN beyond its end."""
    # With s = 1 / sqrt(phi): theta = s mu, theta + lambda y = y + s (mu - y), and nothing is left of either at y = 0.
    s = power(phi, -0.5)
    total = s * (mu - y) + y
    inside = Jet(np.where(total.value > 0.0, total.value, np.nan), total.eta, total.psi)
    share = y * (1.0 - s) / (s * mu)
    return y * log(inside) - log1p(share) - total - gammaln(y + 1.0)


class NegativeBinomial1(CountFamily):
    """Counts with variance mu (1 + phi) (NB1); prior weights multiply the log density."""

    name = "nbinom1"

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return float(np.log1p((1.0 + phi) / null_mean())) if self.link.name == "log" else None

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        return nbinom1(y, self.log_mean(eta), self.mean(eta), phi)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return mu * (1.0 + phi)

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return rng.poisson(rng.gamma(mu / phi, phi)).astype(float)

    def _start_of(self, ratio: float) -> float:
        return super()._start_of(ratio - 1.0)


class GeneralizedPoisson(CountFamily):
    """Counts with variance mu phi; below phi = 1 they end where theta + lambda y does, as glmmTMB has it.

    There the probabilities add up to a little more or less than 1: phi much below 1 is for `compois`.
    """

    name = "genpois"

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return float(np.log1p(phi / null_mean())) if self.link.name == "log" else None

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        return genpois(y, self.mean(eta), phi)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return mu * phi

    def _start_of(self, ratio: float) -> float:
        # From phi = 1 on every count has a probability.
        return max(super()._start_of(ratio), 1.0)


class Bell(CountFamily):
    """Counts with variance mu (1 + theta), theta e^theta = mu: overdispersed without a dispersion."""

    name = "bell"
    dispersion = "none"
    mean_name = "rate"

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        # log theta solves log theta + theta = log mu, whose derivatives are those of Lambert's function.
        log_mu = self.log_mean(eta)
        theta = log_lambert(log_mu.value)
        one = 1.0 / (1.0 + theta)
        log_theta = log_mu.through(np.log(theta), one, -theta * one**3, theta * (2.0 * theta - 1.0) * one**5)
        return y * log_theta + 1.0 - exp(exp(log_theta)) + (log_bell_numbers(y) - gammaln(y + 1.0))

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return mu * (1.0 + log_lambert(np.log(mu)))

    def check(self, y: Array, prior: Array, name: str) -> None:
        super().check(y, prior, name)
        check_rows(y > _LARGEST_BELL, f"Bell's numbers are known up to {_LARGEST_BELL:.0f}; {name!r} is larger")


def log_lambert(log_mu: Array) -> Array:
    """theta with theta e^theta = mu, of any log mu: for large ones by Newton's steps on log theta + theta."""
    moderate: Array = np.exp(np.minimum(log_mu, _MODERATE))
    theta: Array = lambertw(moderate, 0).real
    large = log_mu > _MODERATE
    if np.any(large):
        guess = np.maximum(log_mu, 2.0) - np.log(np.maximum(log_mu, 2.0))
        for _ in range(5):
            guess -= (guess + np.log(guess) - np.maximum(log_mu, 2.0)) * guess / (1.0 + guess)
        theta = np.where(large, guess, theta)
    # Where mu underflows theta is mu.
    return np.maximum(theta, np.finfo(float).tiny)


def log_bell_numbers(y: Array) -> Array:
    """log B_y of whole numbers, by Dobinski's sum B_y = e^-1 sum_k k^y / k!.

    Examples
    --------
    >>> np.exp(log_bell_numbers(np.arange(6.0))).round(9).tolist()
    [1.0, 1.0, 2.0, 5.0, 15.0, 52.0]
    """
    found, back = np.unique(np.asarray(y, dtype=float), return_inverse=True)
    # The summand is largest where k log k = y, and no wider there than its k.
    peak = found / np.maximum(np.real(lambertw(np.maximum(found, 1.0))), 1.0)
    k = np.arange(1.0, 40.0 + 2.0 * float(peak.max(initial=1.0)) + 10.0 * np.sqrt(float(peak.max(initial=1.0))))
    terms = np.multiply.outer(found, np.log(k)) - gammaln(k + 1.0)
    top = terms.max(axis=-1)
    # k = 0 adds to B_0 alone.
    total = np.exp(terms - top[:, None]).sum(axis=-1) + np.where(found == 0.0, np.exp(-top), 0.0)
    return np.asarray((top + np.log(total) - 1.0)[back].reshape(np.shape(y)))
