r"""Times to an event, seen or censored: accelerated failure time models, as survival's ``survreg`` has them.

    log T = eta + phi W,    z = (log t - eta) / phi

    weibull         W is the logarithm of a unit exponential variable: S(t) = exp(-e^z), a Weibull distribution of
                    scale mu = e^eta and shape 1 / phi; in proportional hazards a coefficient b is -b / phi.
    exponential     the same with phi = 1.
    lognormal_aft   W is standard normal: S(t) = Phi(-z), of median mu = e^eta.

phi is the scale of survreg, and mu not the mean. A row whose event is seen at t counts with the density
f(t) = -S'(t), one that is censored at t, without an event until then, with S(t). The responses of these families are
signed times: t where the event is seen, -t where the row is censored at t. Times are positive, so that one number
holds both, and goes wherever a response goes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import gamma

from mixfit.families.composed import Composed
from mixfit.families.declared import Support, check_rows
from mixfit.families.jets import Jet, choose, exp, log, square
from mixfit.families.unbounded import log_normal_tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.declared import DispersionKind

    Array = NDArray[np.float64]

__all__ = ["AcceleratedLogNormal", "Exponential", "Weibull"]

# e^300, squared, is below the largest double, e^709: beyond, a hazard is taken for that.
_LARGEST_Z = 300.0
# Times that are all alike say nothing of phi: a start this small is near enough.
_SMALLEST_START = 0.05


class _Accelerated(Composed):
    """log T = eta + phi W, by the log density and the log survival function of W."""

    kind = "continuous"
    support = Support(lower=0.0)
    links = ("log",)
    censors = True

    @property
    def dispersion_label(self) -> str | None:
        if self.dispersion == "none":
            return None
        return f"Scale of log times for {self.name} family (phi{', known' if self.known_phi is not None else ''})"

    @abstractmethod
    def log_survival(self, z: Jet) -> Jet:
        """log P(W > z)."""

    @abstractmethod
    def log_standard(self, z: Jet) -> Jet:
        """Log density of W at z."""

    @abstractmethod
    def standard_variance(self) -> float:
        """Var(W)."""

    @abstractmethod
    def moment(self, order: float, phi: Array | float) -> Array:
        """E[e^(order phi W)], so that E[T^order] is mu^order times it."""

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_rows(self.support.outside(np.abs(y)), f"A time to an event is positive; {name!r} is not")

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        seen, log_t = y > 0.0, np.log(np.abs(y))
        z = (log_t - eta) / phi
        if seen.all():
            return self.log_standard(z) - log(phi) - log_t
        return choose(seen, self.log_standard(z) - log(phi) - log_t, self.log_survival(z))

    def response(self, eta: Array, phi: Array | float) -> tuple[Array, Array]:
        mean = self.link.mean(eta) * self.moment(1.0, phi)
        return mean, mean

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return np.square(mu) * (self.moment(2.0, phi) - self.moment(1.0, phi) ** 2)

    def quasi_variance(self, mu: Array, phi: Array | float) -> Array:
        # With it the expected curvature is 1 / phi^2, Fisher's information of a row that is seen.
        return np.square(phi * mu)

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        # Of the logarithm of the time, whose location the predictor is.
        return phi**2 * self.standard_variance()

    def certain_sides(self, y: Array) -> Array | None:
        # A row is censored for certain where its event never comes.
        later = y < 0.0
        return np.where(later, 1.0, 0.0) if later.any() else None

    def start_mean(self, y: Array, prior: Array) -> Array:
        return np.abs(y)

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        spread = float(np.std(np.log(np.abs(y) / mu)) / np.sqrt(self.standard_variance()))
        return max(spread, _SMALLEST_START)


class Weibull(_Accelerated):
    """Times with the hazard (t / mu)^(1 / phi) / (phi t), of scale mu; phi is the inverse of the shape."""

    name = "weibull"
    mean_name = "scale"
    dispersion: ClassVar[DispersionKind] = "shape"

    def log_survival(self, z: Jet) -> Jet:
        return -_bounded_exp(z)

    def log_standard(self, z: Jet) -> Jet:
        return z - _bounded_exp(z)

    def standard_variance(self) -> float:
        return float(np.pi**2 / 6.0)

    def moment(self, order: float, phi: Array | float) -> Array:
        return np.asarray(gamma(1.0 + order * np.asarray(phi)))

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return mu * rng.exponential(size=np.shape(mu)) ** phi


class Exponential(Weibull):
    """Times with the constant hazard 1 / mu."""

    name = "exponential"
    mean_name = "response"
    dispersion = "none"


class AcceleratedLogNormal(_Accelerated):
    """Times whose logarithm is normal with mean log mu and standard deviation phi."""

    name = "lognormal_aft"
    mean_name = "median"
    dispersion = "shape"

    def log_survival(self, z: Jet) -> Jet:
        return log_normal_tail(-z)

    def log_standard(self, z: Jet) -> Jet:
        return -0.5 * square(z) - 0.5 * np.log(2.0 * np.pi)

    def standard_variance(self) -> float:
        return 1.0

    def moment(self, order: float, phi: Array | float) -> Array:
        return np.exp(0.5 * np.square(order * np.asarray(phi)))

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return mu * np.exp(phi * rng.standard_normal(np.shape(mu)))


def _bounded_exp(z: Jet) -> Jet:
    """e^z, with the derivatives of the largest one that stays in the range of doubles where z lies beyond it."""
    return exp(Jet(np.minimum(z.value, _LARGEST_Z), z.eta, z.psi))
