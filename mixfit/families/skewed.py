r"""Continuous responses with a longer tail: log-normal.

lognormal   log y is normal; mu and phi are mean and standard deviation of y itself, as in glmmTMB, so that
s^2 = Var(log y) = log(1 + phi^2 / mu^2) and E[log y] = log mu - s^2 / 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.families.composed import Composed
from mixfit.families.declared import Support, check_rows
from mixfit.families.jets import Jet, log, softplus, square

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["LogNormal"]


class LogNormal(Composed):
    """Positive responses of mean mu and standard deviation phi whose logarithm is normal."""

    name = "lognormal"
    kind = "continuous"
    support = Support(lower=0.0)
    links = ("log", "identity", "inverse")
    edged = ("identity", "inverse")
    # The third derivative of 1 / s^2 is of the eighth power of the mean.
    largest_log_mean = 50.0

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_rows(self.support.outside(y), f"A lognormal response is positive; {name!r} is not")

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return float(np.log1p((phi / null_mean()) ** 2)) if self.link.name == "log" else None

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        log_y, log_mu = np.log(y), self.log_mean(eta)
        s2 = softplus(2.0 * (log(phi) - log_mu))
        return -0.5 * (log(s2) + square(log_mu - log_y - 0.5 * s2) / s2) - log_y - 0.5 * np.log(2.0 * np.pi)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return np.broadcast_to(np.square(phi), np.shape(mu))

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        s2 = np.log1p(np.square(phi / mu))
        return rng.lognormal(np.log(mu) - 0.5 * s2, np.sqrt(s2))

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        return float(np.sqrt(np.mean((y - mu) ** 2)))
