r"""Families whose log density is written once, and differentiated by jets (see :mod:`mixfit.families.jets`)."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.families.base import Family
from mixfit.families.declared import DispersionTerms, Terms
from mixfit.families.jets import Jet, fixed, log, mean_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.declared import DispersionKind

    Array = NDArray[np.float64]

__all__ = ["Composed"]

_ONE, _ZERO = np.ones(()), np.zeros(())


class Composed(Family):
    """A family by its log density; prior weights multiply it.

    The expected curvature, for which only its sign matters, is mu'^2 / Var(y): that of the quasi-likelihood.
    """

    dispersion: ClassVar[DispersionKind] = "shape"

    @abstractmethod
    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        """Log density of an observation of weight 1, with all constants; `shapes` are coordinates."""

    def quasi_variance(self, mu: Array, phi: Array | float) -> Array:
        """What stands for the variance in the expected curvature."""
        return self.variance(mu, phi)

    def mean(self, eta: Jet) -> Jet:
        """The inverse link of a jet."""
        return mean_of(self.link, eta)

    def log_mean(self, eta: Jet) -> Jet:
        """log mu, which is the predictor itself of a log link."""
        return eta if self.link.name == "log" else log(self.mean(eta))

    def _fixed_shapes(self) -> tuple[Jet, ...]:
        return tuple(fixed(c) for c in self.psi)

    def log_jet(self, y: Array, prior: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        return prior * self.log_density(y, eta, phi, shapes)

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        with np.errstate(all="ignore"):
            value = self.log_density(y, fixed(eta), fixed(phi), self._fixed_shapes()).value
        # Where the parts overflow against one another there is no density left.
        return prior * np.where(np.isnan(value), -np.inf, value)

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        return self.log_kernel(y, prior, self.link.eta(mu), phi)

    def terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Terms:
        eta = self._within_range(eta)
        with np.errstate(all="ignore"):
            jet = self.log_density(y, Jet(eta, (_ONE, _ZERO, _ZERO)), fixed(phi), self._fixed_shapes())
        first, second, third = self._derivatives(jet.eta, prior, eta)
        variance = np.maximum(self.quasi_variance(self.link.mean(eta), phi), np.finfo(float).tiny)
        expected = prior * self.link.slope(eta) ** 2 / variance
        # One array, by which a factor of one is known for that of the other.
        observed = -second
        return Terms(first, observed, -third, observed, expected)

    def dispersion_terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> DispersionTerms:
        if self.dispersion == "none":
            raise NotImplementedError(f"{self.name} has no dispersion parameter")
        return self._in_parameter(y, prior, eta, Jet(np.asarray(phi), None, (np.asarray(phi), _ZERO, _ZERO)), None)

    def shape_terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> tuple[DispersionTerms, ...]:
        return tuple(self._in_parameter(y, prior, eta, fixed(phi), i) for i in self.free)

    def _in_parameter(self, y: Array, prior: Array, eta: Array, phi: Jet, moved: int | None) -> DispersionTerms:
        """Derivatives in log phi, or in the coordinate of a shape."""
        eta = self._within_range(eta)
        shapes = tuple(
            Jet(np.asarray(c), None, (_ONE, _ZERO, _ZERO)) if i == moved else fixed(c) for i, c in enumerate(self.psi)
        )
        with np.errstate(all="ignore"):
            jet = self.log_density(y, Jet(eta, (_ONE, _ZERO, _ZERO)), phi, shapes)
        loglik, score, second = self._derivatives(jet.psi, prior, eta)
        return DispersionTerms(loglik, score, -second)

    def _derivatives(self, three: tuple[Array, Array, Array] | None, prior: Array, eta: Array) -> tuple[Array, ...]:
        if three is None:
            return (np.zeros(eta.shape),) * 3
        return tuple(np.broadcast_to(prior * d, eta.shape) for d in three)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        raise NotImplementedError(f"{self.name} is differentiated in the predictor")

    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        raise NotImplementedError(f"{self.name} has the information of its quasi-likelihood")

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        raise NotImplementedError(f"The {self.name} family has no deviance.")
