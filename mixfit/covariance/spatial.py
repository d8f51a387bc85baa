r"""Correlations that fall with the distance between places: Ornstein-Uhlenbeck, exponential, Gaussian, Matern.

The parameter is a decay kappa >= 0, the reciprocal of a range: at kappa = 0 the range has no end and all places share
one effect, which is evaluated as such. Starts follow the distances of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import digamma, gammaln, kv, kve

from mixfit.covariance.columns import places, without_options
from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.parameter import NaturalParameter
from mixfit.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.columns import GivenColumns, Recoding
    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]

__all__ = ["Exponential", "Gaussian", "Matern", "OrnsteinUhlenbeck"]

# Ranges to start from, in distances from a place to its nearest neighbour (the median), and in the largest distance.
_NEAR = 2.0
_FAR = 0.3
# Step of the difference for the derivative of a Bessel function in its order, which has no closed form.
_ORDER_DIFFERENCE = 1e-4
_SMOOTHNESS_START = 0.5


@dataclass(frozen=True)
class _Spatial(CorrelationStructure):
    """Correlations of places.

    Attributes
    ----------
    positions : tuple of tuple of float, length k
        Coordinates of the places.
    """

    positions: tuple[tuple[float, ...], ...]

    needs_levels: ClassVar[bool] = False
    kind: ClassVar[str] = "range"

    @classmethod
    def read(cls, given: GivenColumns) -> tuple[Structure, Recoding | None]:
        """The distinct places."""
        without_options(given, cls.name)
        positions, recoding = places(given, cls.name)
        if len(positions) < 2:
            raise DataError(f"{given.text}: all rows are at one place, which leaves no distance between any two.")
        return cls(len(positions), positions), recoding

    @cached_property
    def distances(self) -> Array:
        """Euclidean distances, (k, k)."""
        x = np.array(self.positions)
        return np.asarray(np.sqrt(((x[:, None] - x) ** 2).sum(axis=-1)))

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """The range, theta holding the decay."""
        return (NaturalParameter(self.kind, of=self.name, is_reciprocal=self.kind == "range"),)

    def shape_starts(self) -> list[Array]:
        """Decays of a near and of a far range."""
        apart = self.distances + np.diag(np.full(self.k, np.inf))
        near, far = _NEAR * float(np.median(apart.min(axis=1))), _FAR * float(self.distances.max())
        return [np.array([1.0 / near]), np.array([1.0 / far])]


class Exponential(_Spatial):
    """``exp(0 + x + y | g)``: correlations exp(-kappa d), reported by the range 1 / kappa."""

    name: ClassVar[str] = "exp"

    def correlation(self, rho: Array) -> Array:
        """exp(-kappa d)."""
        return np.exp(-rho[0] * self.distances)

    def correlation_slopes(self, rho: Array) -> Array:
        """-d C."""
        return (-self.distances * self.correlation(rho))[None]

    def correlation_bends(self, rho: Array) -> Array:
        """d^2 C."""
        return (self.distances**2 * self.correlation(rho))[None, None]


class OrnsteinUhlenbeck(Exponential):
    """``ou(0 + t | g)``: the same over one number, reported by its rate kappa."""

    name: ClassVar[str] = "ou"
    kind: ClassVar[str] = "rate"


class Gaussian(_Spatial):
    """``gau(0 + x + y | g)``: correlations exp(-(kappa d)^2), reported by the range 1 / kappa."""

    name: ClassVar[str] = "gau"

    def correlation(self, rho: Array) -> Array:
        """exp(-kappa^2 d^2)."""
        return np.exp(-((rho[0] * self.distances) ** 2))

    def correlation_slopes(self, rho: Array) -> Array:
        """-2 kappa d^2 C."""
        return (-2.0 * rho[0] * self.distances**2 * self.correlation(rho))[None]

    def correlation_bends(self, rho: Array) -> Array:
        """(4 kappa^2 d^4 - 2 d^2) C."""
        squared = self.distances**2
        return ((4.0 * rho[0] ** 2 * squared**2 - 2.0 * squared) * self.correlation(rho))[None, None]


class Matern(_Spatial):
    r"""``mat(0 + x + y | g)``: correlations 2^{1 - nu} / Gamma(nu) h^nu K_nu(h), h = kappa d.

    Reported by the range 1 / kappa and the smoothness nu (Handcock & Stein 1993, Technometrics 35).
    """

    name: ClassVar[str] = "mat"

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """Range and smoothness."""
        return (*super().shape, NaturalParameter("smoothness", of=self.name))

    def shape_starts(self) -> list[Array]:
        """The ranges, with the smoothness of an exponential correlation."""
        return [np.append(start, _SMOOTHNESS_START) for start in super().shape_starts()]

    def correlation(self, rho: Array) -> Array:
        """The formula; 1 at no distance."""
        return _matern(rho[0] * self.distances, rho[1])

    def correlation_slopes(self, rho: Array) -> Array:
        """d/dh h^nu K_nu(h) = -h^nu K_{nu-1}(h); in nu by a central difference of K."""
        kappa, nu = rho
        h = kappa * self.distances
        off = h > 0.0
        x = np.where(off, h, 1.0)
        constant = np.exp((1.0 - nu) * np.log(2.0) - gammaln(nu))
        in_h = np.where(off, -constant * x**nu * kv(nu - 1.0, x), 0.0)
        ahead, behind = (kv(nu + e, x) for e in (_ORDER_DIFFERENCE, -_ORDER_DIFFERENCE))
        bend = constant * x**nu * (ahead - behind) / (2.0 * _ORDER_DIFFERENCE)
        in_nu = np.where(off, _matern(h, nu) * (np.log(x) - np.log(2.0) - digamma(nu)) + bend, 0.0)
        return np.stack([self.distances * in_h, in_nu])


def _matern(h: Array, nu: float) -> Array:
    x = np.where(h > 0.0, h, 1.0)
    # K in logarithms: h^nu and K_nu are beyond double precision where their product is not.
    with np.errstate(divide="ignore"):
        logs = (1.0 - nu) * np.log(2.0) - gammaln(nu) + nu * np.log(x) + np.log(kve(nu, x)) - x
    return np.where(h > 0.0, np.exp(logs), 1.0)
