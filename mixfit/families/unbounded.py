r"""Responses on the whole line that are not normal: heavy tails, skewness.

With z = (y - location) / scale:

    t           Student's t with df degrees of freedom about mu, of scale phi; not its standard deviation.
    skewnormal  f(y) = 2 / omega normal(z) Phi(alpha z) (Azzalini 1985), of mean mu and standard deviation phi:
                omega = phi / sqrt(1 - 2 delta^2 / pi), location mu - omega delta sqrt(2 / pi),
                delta = alpha / sqrt(1 + alpha^2).
"""

from __future__ import annotations

from math import exp as exp_of
from math import log as log_of
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfcx, log_ndtr

from mixfit.families.composed import Composed
from mixfit.families.declared import Shape, Support
from mixfit.families.jets import Jet, exp, fixed, log, log1p, power, square
from mixfit.families.rises import rise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["SkewNormal", "StudentT", "log_normal_tail"]

# The skewness of a skew-normal variable lies below 0.9953: a start is kept off the end.
_LARGEST_SKEWNESS = 0.9
_FIRST_DF = 5.0


class _OnTheLine(Composed):
    kind = "continuous"
    support = Support()
    links = ("identity", "log", "inverse")
    edged = ("inverse",)

    def check(self, y: Array, prior: Array, name: str) -> None:
        """Every number has a density."""

    def start_mean(self, y: Array, prior: Array) -> Array:
        # Single responses may be negative, the means of a log link may not.
        return y if self.link.name == "identity" else np.maximum(y, 0.1 * np.mean(np.abs(y)))

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        return float(np.sqrt(np.mean((y - mu) ** 2)))


class StudentT(_OnTheLine):
    """Responses about mu with Student's tails: scale phi, degrees of freedom `df`."""

    name = "t"
    shapes = (Shape("df", log_of(_FIRST_DF), exp_of, log_of, lambda df: 0.0 < df < np.inf),)

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        (df,) = self.shape_values.values()
        return phi**2 * df / (df - 2.0) if self.link.name == "identity" and df > 2.0 else None

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        df = exp(shapes[0])
        z2 = square((self.mean(eta) - y) / phi)
        # log Gamma((df + 1) / 2) - log Gamma(df / 2) - log(df / 2) / 2, which vanishes for df -> oo.
        gammas = rise(np.full((), 0.5), 0.5 * df)
        return gammas - 0.5 * np.log(2.0 * np.pi) - log(phi) - 0.5 * (df + 1.0) * log1p(z2 / df)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        (df,) = self.shape_values.values()
        return np.broadcast_to(np.square(phi) * (df / (df - 2.0) if df > 2.0 else np.inf), np.shape(mu))

    def quasi_variance(self, mu: Array, phi: Array | float) -> Array:
        # 1 over Fisher's information.
        (df,) = self.shape_values.values()
        return np.broadcast_to(np.square(phi) * (df + 3.0) / (df + 1.0), np.shape(mu))

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        (df,) = self.shape_values.values()
        return mu + phi * rng.standard_t(df, np.shape(mu))


class SkewNormal(_OnTheLine):
    """Responses of mean mu and standard deviation phi, skewed as `alpha` says."""

    name = "skewnormal"
    shapes = (Shape("alpha", 1.0, float, float, np.isfinite),)

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return phi**2 if self.link.name == "identity" else None

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        alpha = shapes[0]
        delta = alpha * power(square(alpha) + 1.0, -0.5)
        omega = phi * power(1.0 - (2.0 / np.pi) * square(delta), -0.5)
        z = (y - self.mean(eta)) / omega + np.sqrt(2.0 / np.pi) * delta
        return np.log(2.0) - 0.5 * np.log(2.0 * np.pi) - log(omega) - 0.5 * square(z) + log_normal_tail(alpha * z)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return np.broadcast_to(np.square(phi), np.shape(mu))

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        (alpha,) = self.shape_values.values()
        delta = alpha / np.hypot(1.0, alpha)
        omega = phi / np.sqrt(1.0 - 2.0 * delta**2 / np.pi)
        half, other = np.abs(rng.standard_normal(np.shape(mu))), rng.standard_normal(np.shape(mu))
        return mu + omega * (delta * (half - np.sqrt(2.0 / np.pi)) + np.sqrt(1.0 - delta**2) * other)

    def start_shapes(self, y: Array, prior: Array, mu: Array) -> Array:
        # alpha = 0 is a stationary point of every likelihood: by the skewness of the residuals, away from it.
        if not self.free:
            return np.empty(0)
        residual = y - mu
        skewness = float(np.mean(residual**3) / np.mean(residual**2) ** 1.5)
        ratio = min(abs(skewness), _LARGEST_SKEWNESS) ** (2.0 / 3.0)
        delta = np.sqrt(0.5 * np.pi * ratio / (ratio + (0.5 * (4.0 - np.pi)) ** (2.0 / 3.0)))
        return np.array([np.copysign(delta / np.sqrt(1.0 - delta**2), skewness)])


def log_normal_tail(x: Jet) -> Jet:
    """log Phi(x), with Mills' ratio r = Phi' / Phi: r' = -r (x + r)."""
    at = x.value
    if x.eta is None and x.psi is None:
        return fixed(log_ndtr(at))
    r = np.sqrt(2.0 / np.pi) / erfcx(-np.sqrt(0.5) * at)
    total = at + r
    return x.through(log_ndtr(at), r, -r * total, r * (total * (total + r) - 1.0))
