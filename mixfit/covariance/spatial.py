r"""Correlations that fall with the distance between places: Ornstein-Uhlenbeck, exponential, Gaussian, Matern.

The parameter is a decay kappa >= 0, the reciprocal of a range: at kappa = 0 the range has no end and all places share
one effect, which is evaluated as such. Starts follow the distances of the data.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import gamma

from mixfit.covariance.columns import places, without_options
from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.markov import Transitions
from mixfit.covariance.matern import log_matern, log_matern_derivatives
from mixfit.covariance.parameter import NaturalParameter
from mixfit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.columns import GivenColumns, Recoding
    from mixfit.covariance.structure import Containment, Structure

    Array = NDArray[np.float64]

__all__ = ["Exponential", "Gaussian", "Matern", "OrnsteinUhlenbeck", "Spatial"]

# Ranges to start from, in distances from a place to its nearest neighbour (the median), and in the largest distance.
_NEAR = 2.0
_FAR = 0.3
# How far the correlation at the largest distance falls in a step off an infinite range, at most.
_DECAY_REACH = 0.5
_SMOOTHNESS_START = 0.5
# Logarithms of gamma and Bessel functions make up for one another: measured, 1 to 30 roundings by the order.
_BESSEL_ROUNDING = 30.0
# Beyond these the Matern correlation is its limit: above, log C is that of the Gaussian correlation to 1e-6 of itself
# squared; below, correlations at distances in a proportion of 10 differ by 4.5 % of what they lack of 1.
_SMOOTHNESS_BOUNDS = (0.01, 1e6)
# Smoothness with which an infinite range is left: near independence, of an exponential, and of a smooth field.
_SMOOTHNESS_OFF_BOUND = (0.1, 0.5, 2.0)
# The largest step of nu off its lower bound, and of 1 / nu off its upper.
_SMOOTHNESS_REACH = 0.1


@dataclass(frozen=True)
class Spatial(CorrelationStructure):
    """Correlations of places.

    Attributes
    ----------
    positions : tuple of tuple of float, length k
        Coordinates of the places.
    """

    positions: tuple[tuple[float, ...], ...]

    needs_levels: ClassVar[bool] = False
    holds_on_bound: ClassVar[frozenset[str]] = frozenset({"homdiag"})
    holds_common_effect: ClassVar[bool] = True
    kind: ClassVar[str] = "range"

    @classmethod
    def read(cls, given: GivenColumns) -> tuple[Structure, Recoding | None]:
        """The distinct places."""
        without_options(given, cls.name, "nugget" if given.of_residuals else "")
        positions, recoding = places(given, cls.name)
        if len(positions) < 2:
            raise DataError(f"{given.text}: all rows are at one place, which leaves no distance between any two.")
        return cls(len(positions), positions), recoding

    def row_names(self, columns: Sequence[str]) -> list[str]:
        """One row for all places."""
        return [f"{columns[0].partition('[')[0]} ({self.k} places)"]

    def contains(self, inner: Structure) -> Containment | None:
        """Others of the same places, and independence as the limit of a range of 0."""
        places = getattr(inner, "positions", self.positions)
        return super().contains(inner) if places == self.positions else None

    @cached_property
    def locations(self) -> Array:
        """The positions as rows, (k, c)."""
        return np.array(self.positions)

    @cached_property
    def distances(self) -> Array:
        """Euclidean distances, (k, k)."""
        x = self.locations
        return np.asarray(np.sqrt(((x[:, None] - x) ** 2).sum(axis=-1)))

    def among(self, place: NDArray[np.intp]) -> Structure | None:
        """By the distances within each set."""
        x = self.locations[place]
        out = replace(self, k=place.shape[1])
        vars(out)["distances"] = np.sqrt(((x[..., :, None, :] - x[..., None, :, :]) ** 2).sum(axis=-1))
        return out

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """The range, theta holding the decay."""
        return (NaturalParameter(self.kind, of=self.name, is_reciprocal=self.kind == "range"),)

    @abstractmethod
    def correlation_at(self, distances: Array, rho: Array) -> Array:
        """C of distances of any shape."""

    def correlation(self, rho: Array) -> Array:
        """That of the distances between the places."""
        return self.correlation_at(self.distances, rho)

    def elsewhere(self, theta: Array, places: Array, known: Array) -> tuple[Array, Array]:
        """By the distances to the places of the fit."""
        between = places[:, None] - known
        c = self.correlation_at(np.sqrt((between**2).sum(axis=-1)), theta[1:])
        return theta[0] ** 2 * c, np.full(len(places), theta[0] ** 2)

    def at_origin(self, psi: Array) -> list[tuple[Array, float, float]]:
        """Psi, c and a of 1 - C = c (kappa d)^a + ... for kappa to 0."""
        return [(psi, 1.0, 1.0)]

    def shape_edges(self, psi: Array, parameter: int) -> list[tuple[Array, Array, float]]:
        """Off kappa = 0 by u = c (kappa d)^a at the largest distance: C is 1 - u (d / d_max)^a there."""
        largest = float(self.distances.max())
        out = []
        for shape, c, power in self.at_origin(psi):
            off = shape.copy()
            off[parameter] = (_DECAY_REACH / c) ** (1.0 / power) / largest
            out.append((-(psi[0] ** 2) * (self.distances / largest) ** power, off, _DECAY_REACH))
        return out

    def off_edge(self, psi: Array, parameter: int, off: Array, size: float) -> Array:
        """The decay of a size u, from that of the largest."""
        out = off.copy()
        power = next(a for shape, _, a in self.at_origin(psi) if (shape[2:] == off[2:]).all())
        out[parameter] *= (size / _DECAY_REACH) ** (1.0 / power)
        return out

    def shape_starts(self) -> list[Array]:
        """Decays of a near and of a far range."""
        apart = self.distances + np.diag(np.full(self.k, np.inf))
        return self.starts_along(float(np.median(apart.min(axis=1))), float(self.distances.max()))

    def starts_along(self, nearest: float, farthest: float) -> list[Array]:
        """Likewise, of the distances themselves."""
        return [np.array([1.0 / (_NEAR * nearest)]), np.array([1.0 / (_FAR * farthest)])]


class Exponential(Spatial):
    """``exp(0 + x + y | g)``: correlations exp(-kappa d), reported by the range 1 / kappa."""

    name: ClassVar[str] = "exp"
    holds: ClassVar[frozenset[str]] = frozenset({"ou"})

    def correlation_at(self, distances: Array, rho: Array) -> Array:
        """exp(-kappa d)."""
        return np.exp(-rho[0] * distances)

    def correlation_slopes(self, rho: Array) -> Array:
        """-d C."""
        return (-self.distances * self.correlation(rho))[None]

    def correlation_bends(self, rho: Array) -> Array:
        """d^2 C."""
        return (self.distances**2 * self.correlation(rho))[None, None]

    def times(self) -> Array | None:
        """Its places, where they have one coordinate."""
        return self.locations[:, 0] if len(self.positions[0]) == 1 else None

    def transitions(self, rho: Array, gaps: Array) -> Transitions:
        """phi = exp(-kappa d)."""
        phi = np.exp(-rho[0] * gaps)
        return Transitions(phi, -np.expm1(-2.0 * rho[0] * gaps), -gaps * phi, gaps**2 * phi)


class OrnsteinUhlenbeck(Exponential):
    """``ou(0 + t | g)``: the same over one number, reported by its rate kappa."""

    name: ClassVar[str] = "ou"
    holds: ClassVar[frozenset[str]] = frozenset({"exp"})
    kind: ClassVar[str] = "rate"


class Gaussian(Spatial):
    """``gau(0 + x + y | g)``: correlations exp(-(kappa d)^2), reported by the range 1 / kappa."""

    name: ClassVar[str] = "gau"

    def at_origin(self, psi: Array) -> list[tuple[Array, float, float]]:
        """1 - C = (kappa d)^2 - ..."""
        return [(psi, 1.0, 2.0)]

    def correlation_at(self, distances: Array, rho: Array) -> Array:
        """exp(-kappa^2 d^2)."""
        return np.exp(-((rho[0] * distances) ** 2))

    def correlation_slopes(self, rho: Array) -> Array:
        """-2 kappa d^2 C."""
        return (-2.0 * rho[0] * self.distances**2 * self.correlation(rho))[None]

    def correlation_bends(self, rho: Array) -> Array:
        """(4 kappa^2 d^4 - 2 d^2) C."""
        squared = self.distances**2
        return ((4.0 * rho[0] ** 2 * squared**2 - 2.0 * squared) * self.correlation(rho))[None, None]


class Matern(Spatial):
    r"""``mat(0 + x + y | g)``: correlations 2^{1 - nu} / Gamma(nu) h^nu K_nu(h), h = kappa d.

    Reported by the range 1 / kappa and the smoothness nu (Handcock & Stein 1993, Technometrics 35). With growing nu it
    nears the Gaussian correlation exp(-(alpha d)^2) of alpha = kappa / (2 sqrt(nu)), with nu to 0 a common effect and
    independent ones, (1 - c) I + c 1 1', of 1 - c = (kappa d)^{2 nu} for any d. Newton's steps are made in a y between
    2 log(alpha d_0) and 2 nu log(alpha d_0), in which both limits are regular; the bounds of nu stand for them.
    """

    name: ClassVar[str] = "mat"
    holds: ClassVar[frozenset[str]] = frozenset({"exp", "ou"})
    holds_on_bound: ClassVar[frozenset[str]] = frozenset({"gau", "homdiag"})
    rounding: ClassVar[float] = _BESSEL_ROUNDING

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """Range and smoothness."""
        lower, upper = _SMOOTHNESS_BOUNDS
        return (*super().shape, NaturalParameter("smoothness", of=self.name, lower=lower, upper=upper))

    def starts_along(self, nearest: float, farthest: float) -> list[Array]:
        """The ranges, with the smoothness of an exponential correlation."""
        return [np.append(start, _SMOOTHNESS_START) for start in super().starts_along(nearest, farthest)]

    def among(self, place: NDArray[np.intp]) -> None:
        """Its Bessel functions are computed once a pair of all its places."""

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return np.triu_indices(self.k, 1)

    def _filled(self, values: Array, diagonal: float) -> Array:
        """Symmetric matrices (..., k, k) of values (..., pairs) off their diagonals."""
        out = np.full((*values.shape[:-1], self.k, self.k), diagonal)
        rows, columns = self._pairs
        out[..., rows, columns] = out[..., columns, rows] = values
        return out

    def correlation_at(self, distances: Array, rho: Array) -> Array:
        """The formula; 1 at no distance."""
        out = np.ones(distances.shape)
        if rho[0] > 0.0:
            apart = distances > 0.0
            out[apart] = np.exp(log_matern(rho[0] * distances[apart], rho[1]))
        return out

    def correlation(self, rho: Array) -> Array:
        """The same, once a pair."""
        kappa, nu = rho
        if kappa == 0.0:
            return np.ones((self.k, self.k))
        return self._filled(np.exp(log_matern(kappa * self.distances[self._pairs], nu)), 1.0)

    def correlation_slopes(self, rho: Array) -> Array:
        """M d log M; at kappa = 0 the ways off are `shape_edges`."""
        if rho[0] == 0.0:
            return np.zeros((2, self.k, self.k))
        value, first, _ = log_matern_derivatives(rho[0] * self.distances[self._pairs], rho[1])
        return self._filled(np.exp(value) * first / rho[:, None], 0.0)

    def correlation_bends(self, rho: Array) -> Array:
        """M (d log M d log M' + d^2 log M), from logarithms to the parameters themselves."""
        if rho[0] == 0.0:
            return np.zeros((2, 2, self.k, self.k))
        value, first, second = log_matern_derivatives(rho[0] * self.distances[self._pairs], rho[1])
        bends = first[:, None] * first + second - np.eye(2)[..., None] * first
        return self._filled(np.exp(value) * bends / np.outer(rho, rho)[..., None], 0.0)

    # Coordinates log sd, y and m = log(1 / nu), where log kappa = y (1 + 1 / nu) / 2 - m / 2 + log(2 / d_0)

    @cached_property
    def _typical(self) -> float:
        """d_0, the median distance."""
        return float(np.median(self.distances[self._pairs]))

    def _level(self, psi: Array) -> float:
        """Y."""
        nu = psi[2]
        return float(2.0 * nu / (1.0 + nu) * np.log(0.5 * psi[1] * self._typical / np.sqrt(nu)))

    def rates(self, psi: Array) -> Array:
        """Of exponentials of log kappa and -m."""
        sd, kappa, nu = psi
        if kappa == 0.0:
            return np.diag([sd, 0.0, -nu])
        in_y, in_m = 0.5 + 0.5 / nu, 0.5 * self._level(psi) / nu - 0.5
        return np.array([[sd, 0.0, 0.0], [0.0, kappa * in_y, kappa * in_m], [0.0, 0.0, -nu]])

    def rate_bends(self, psi: Array) -> Array:
        """Likewise."""
        sd, kappa, nu = psi
        out = np.zeros((3, 3, 3))
        out[0, 0, 0], out[2, 2, 2] = sd, nu
        if kappa > 0.0:
            level = self._level(psi)
            first = np.array([0.5 + 0.5 / nu, 0.5 * level / nu - 0.5])
            second = np.array([[0.0, 0.5 / nu], [0.5 / nu, 0.5 * level / nu]])
            out[1, 1:, 1:] = kappa * (np.outer(first, first) + second)
        return out

    def stepped(self, psi: Array, step: Array, vanishing: NDArray[np.bool_]) -> Array:
        """Up to the bounds of nu, y being what it is there too."""
        lower, upper = _SMOOTHNESS_BOUNDS
        nu = upper if vanishing[2] else float(np.clip(psi[2] * np.exp(-step[2]), lower, upper))
        sd, kappa = 0.0 if vanishing[0] else psi[0] * np.exp(step[0]), 0.0
        if psi[1] > 0.0 and not vanishing[1]:
            kappa = self._decay(self._level(psi) + step[1], nu)
        return np.array([sd, kappa, nu])

    def _decay(self, level: float, nu: float) -> float:
        return float(2.0 * np.sqrt(nu) / self._typical * np.exp(0.5 * level * (1.0 + 1.0 / nu)))

    def at_origin(self, psi: Array) -> list[tuple[Array, float, float]]:
        """1 - M = c h^a + ..., a = 2 nu and c = Gamma(1 - nu) / (Gamma(1 + nu) 4^nu) of nu < 1, else 2 and others.

        Where the range has no end any smoothness is as good.
        """
        out = []
        for nu in _SMOOTHNESS_OFF_BOUND:
            c = gamma(1.0 - nu) / (gamma(1.0 + nu) * 4.0**nu) if nu < 1.0 else 0.25 / (nu - 1.0)
            out.append((np.append(psi[:2], nu), float(c), min(2.0 * nu, 2.0)))
        return out

    def shape_edges(self, psi: Array, parameter: int) -> list[tuple[Array, Array, float]]:
        """Off the bounds of nu by 1 / nu or by nu, y as it is."""
        upper = _SMOOTHNESS_BOUNDS[1]
        if parameter < 2:
            return super().shape_edges(psi, parameter)
        rate = (psi[2] if psi[2] >= upper else -1.0 / psi[2]) * self.rates(psi)[:, 2]
        reach = _SMOOTHNESS_REACH
        return [(np.tensordot(rate, self.slopes(psi), 1), self.off_edge(psi, 2, psi, reach), reach)]

    def off_edge(self, psi: Array, parameter: int, off: Array, size: float) -> Array:
        """1 / nu, or nu, by `size`."""
        if parameter < 2:
            return super().off_edge(psi, parameter, off, size)
        nu = 1.0 / (1.0 / psi[2] + size) if psi[2] >= _SMOOTHNESS_BOUNDS[1] else psi[2] + size
        return self.stepped(psi, np.array([0.0, 0.0, np.log(psi[2] / nu)]), np.zeros(3, dtype=bool))
