"""Continuous responses: Gaussian with any link, Gamma, inverse Gaussian.

phi is the dispersion of the exponential family: Var = phi V(mu) / w.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln

from mixfit.families.base import Family
from mixfit.families.declared import Support, check_rows
from mixfit.families.jets import Jet, log, log_gamma, mean_of, square

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Gamma", "Gaussian", "InverseGaussian", "ZeroInflatedGamma"]


# Where a start needs a positive mean and the response is not: this share of the mean of those that are.
_NEAR_ZERO = 0.1


class _Scaled(Family):
    """Exponential families in which w / phi multiplies the kernel."""

    kind = "continuous"
    support = Support(lower=0.0)
    dispersion = "scale"

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        return float(np.mean(prior * (y - mu) ** 2 / self.variance(mu, 1.0)))

    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        v = self.variance(mu, phi)
        return prior / v, -prior * self._variance_slope(mu, phi) / v**2

    def _variance_slope(self, mu: Array, phi: Array | float) -> Array:
        raise NotImplementedError


class Gaussian(_Scaled):
    """Normal errors around a mean that need not be linear."""

    name = "gaussian"
    support = Support()
    links = ("identity", "log", "inverse", "sqrt")
    edged = ("inverse",)
    canonical = "identity"
    # The logarithm of the standard deviation is predicted.
    dispersion_power = 2.0

    def check(self, y: Array, prior: Array, name: str) -> None:
        if self.link.name in ("log", "sqrt"):
            # Single responses may be negative, their means may not.
            check_rows(
                (y <= 0) & (y <= 0).all(), f"A {self.link.name} link has positive means; no {name!r} is positive"
            )
        if self.link.name == "inverse":
            check_rows(y == 0, f"An inverse link starts from responses other than zero; {name!r} is zero")

    @property
    def is_linear(self) -> bool:
        return self.link.name == "identity" and self.known_phi is None

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return phi if self.link.name == "identity" else None

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        return -0.5 * (np.log(2.0 * np.pi * phi / prior) + prior * (y - mu) ** 2 / phi)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        return prior * (y - mu) / phi, -prior / phi, np.zeros_like(mu)

    def log_jet(self, y: Array, prior: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        return -0.5 * (log(phi) + prior * square(mean_of(self.link, eta) - y) / phi)

    def dispersion_derivatives(
        self, y: Array, prior: Array, mu: Array, phi: Array | float
    ) -> tuple[Array, Array, Array]:
        squared = prior * (y - mu) ** 2 / phi
        return 0.5 * (squared - 1.0), -prior * (y - mu) / phi, prior / phi

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        return (y - mu) ** 2

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return np.full_like(mu, phi)

    def _variance_slope(self, mu: Array, phi: Array | float) -> Array:
        return np.zeros_like(mu)

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return rng.normal(mu, np.sqrt(phi / prior))

    def start_mean(self, y: Array, prior: Array) -> Array:
        if self.link.name not in ("log", "sqrt"):
            return y
        positive = y > 0
        return np.where(positive, y, _NEAR_ZERO * np.mean(y[positive]))


class Gamma(_Scaled):
    """Positive responses of constant coefficient of variation sqrt(phi): shape w / phi."""

    name = "gamma"
    # Means of positive quantities multiply, and the inverse link has an edge: the logarithm comes first.
    links = ("log", "inverse", "identity")
    edged = ("inverse", "identity")
    canonical = "inverse"
    # The logarithm of the shape 1 / phi is predicted.
    dispersion_power = -1.0

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_rows(self.support.outside(y), f"A gamma response is positive; {name!r} is not")

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return float(np.log1p(phi)) if self.link.name == "log" else None

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        a = prior / phi
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(mu > 0, a * np.log(a * y / mu) - a * y / mu - np.log(y) - gammaln(a), -np.inf)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        a = prior / phi
        return (
            a * (y / mu**2 - 1.0 / mu),
            a * (1.0 / mu**2 - 2.0 * y / mu**3),
            a * (6.0 * y / mu**4 - 2.0 / mu**3),
        )

    def log_jet(self, y: Array, prior: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        a, mu = prior / phi, mean_of(self.link, eta)
        return a * (log(a) + np.log(y) - log(mu) - y / mu) - log_gamma(a)

    def dispersion_derivatives(
        self, y: Array, prior: Array, mu: Array, phi: Array | float
    ) -> tuple[Array, Array, Array]:
        a = prior / phi
        f1, f2, _ = self.mean_derivatives(y, prior, mu, phi)
        return -a * (np.log(a * y / mu) + 1.0 - y / mu - digamma(a)), -f1, -f2

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        return 2.0 * ((y - mu) / mu - np.log(y / mu))

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return phi * mu**2

    def _variance_slope(self, mu: Array, phi: Array | float) -> Array:
        return 2.0 * phi * mu

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        a = prior / phi
        return rng.gamma(np.broadcast_to(a, mu.shape), mu / a)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y


class ZeroInflatedGamma(Gamma):
    """Gamma with the link that goes with a predictor of zeros first, under glmmTMB's name; zeros need ``zi=``."""

    name = "ziGamma"
    links = ("log", "inverse", "identity")


class InverseGaussian(_Scaled):
    """Positive responses with variance phi mu^3 / w."""

    name = "inverse.gaussian"
    links = ("1/mu^2", "log", "inverse", "identity")
    edged = ("1/mu^2", "inverse", "identity")
    canonical = "1/mu^2"

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_rows(self.support.outside(y), f"An inverse Gaussian response is positive; {name!r} is not")

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        a = prior / phi
        with np.errstate(invalid="ignore", divide="ignore"):
            value = 0.5 * np.log(a / (2.0 * np.pi * y**3)) - a * (y / mu - 1.0) ** 2 / (2.0 * y)
        # The limit for mu -> oo is a density too, but without derivatives.
        return np.where((mu > 0) & (mu < np.inf), value, -np.inf)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        a = prior / phi
        return (
            a * (y - mu) / mu**3,
            a * (2.0 * mu - 3.0 * y) / mu**4,
            a * (12.0 * y - 6.0 * mu) / mu**5,
        )

    def log_jet(self, y: Array, prior: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        mu = mean_of(self.link, eta)
        return -0.5 * (log(phi) + (prior / y) * square(y / mu - 1.0) / phi)

    def dispersion_derivatives(
        self, y: Array, prior: Array, mu: Array, phi: Array | float
    ) -> tuple[Array, Array, Array]:
        f1, f2, _ = self.mean_derivatives(y, prior, mu, phi)
        return prior / phi * (y - mu) ** 2 / (2.0 * mu**2 * y) - 0.5, -f1, -f2

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        return (y - mu) ** 2 / (y * mu**2)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return phi * mu**3

    def _variance_slope(self, mu: Array, phi: Array | float) -> Array:
        return 3.0 * phi * mu**2

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return rng.wald(mu, np.broadcast_to(prior / phi, mu.shape))

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y
