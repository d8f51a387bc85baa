"""The mode of a log density with an exact gradient, and its curvature there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.errors import FitError
from mixfit.optimize import descent
from mixfit.optimize.certificate import TOLERANCE
from mixfit.optimize.criterion import Local, Price
from mixfit.optimize.steps import Pivots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.optimize.certificate import BoundaryParameter, Certificate

    Array = NDArray[np.float64]

__all__ = ["LogDensity", "PosteriorMode", "Values", "find_mode"]

# Of the coordinates, whose scale is about 1: central differences of an exact gradient are then good to 1e-8.
_DIFFERENCE = 1e-4
# Longest step in any coordinate: a logarithm's factor of e^2.
_LONGEST = 2.0
# Rounding of a log density relative to its size.
_ROUNDING = 1e-13
# Curvature of a direction in which the density is flat or bends upward where the search stopped.
_LEAST_CURVATURE = 1e-2


class Values(Protocol):
    """A log density at R places."""

    @property
    def value(self) -> Array:
        """(R,)."""

    @property
    def slope(self) -> Array | None:
        """(R, d), where it was asked for."""


class LogDensity(Protocol):
    """A log density on d coordinates that run over all numbers."""

    @property
    def size(self) -> int:
        """d."""

    def evaluate(self, x: Array, *, slopes: bool = False) -> Values:
        """At places (R, d)."""


@dataclass(frozen=True, eq=False)
class PosteriorMode:
    """A maximum.

    Attributes
    ----------
    place : ndarray, shape (d,)
    value : float
    curvature : ndarray, shape (d, d)
        Minus the second derivatives, made positive definite.
    certificate : Certificate
        Of -2 log density.
    """

    place: Array
    value: float
    curvature: Array
    certificate: Certificate


@dataclass(frozen=True, eq=False)
class _Height:
    place: Array
    value: float
    resolution: float


@dataclass(frozen=True, eq=False)
class _Depth:
    """-2 log density, as what is minimized."""

    density: LogDensity
    price = Price.FREE
    n_aside = 0

    def evaluate(self, place: Array) -> _Height:
        """At one place."""
        value = -2.0 * float(self.density.evaluate(place[None]).value[0])
        return _Height(place, value if np.isfinite(value) else np.inf, _ROUNDING * abs(value))

    def tolerance(self, found: _Height) -> float:
        """As the certificate's, unless the density is not known that well."""
        return max(TOLERANCE, found.resolution)

    def rank(self, found: _Height) -> int:
        """No variance is zero."""
        return 0

    def local(self, found: _Height) -> Local:
        """Gradient, and second derivatives by differences of it."""
        gradient, hessian = _derivatives(self.density, found.place)
        d = len(gradient)
        longest = np.full(d, _LONGEST)
        return Local(-2.0 * gradient, -2.0 * hessian, Pivots((), (), ()), longest, np.ones(d), ())

    def hessian(self, found: _Height, local: Local) -> Array:
        """As they came with the gradient."""
        return local.curvature

    def move(self, found: _Height, local: Local, step: Array, vanishing: tuple[int, ...]) -> Array:
        """A step away."""
        return np.asarray(found.place + step)

    def leave(self, found: _Height, exit_: BoundaryParameter, variance: float) -> Array:
        """There is no boundary."""
        return found.place

    def place(self, found: _Height) -> Array:
        """Where it was found."""
        return found.place

    def turned(self, place: Array) -> Array:
        """The place itself."""
        return place

    def refusal(self, error: FitError) -> FitError:
        """The error itself."""
        return error


def _derivatives(density: LogDensity, place: Array) -> tuple[Array, Array]:
    d = len(place)
    steps = _DIFFERENCE * np.eye(d)
    slope = density.evaluate(np.concatenate([place[None], place + steps, place - steps]), slopes=True).slope
    assert slope is not None
    hessian = (slope[1 : d + 1] - slope[d + 1 :]) / (2.0 * _DIFFERENCE)
    return slope[0], 0.5 * (hessian + hessian.T)


def find_mode(density: LogDensity, start: Array) -> PosteriorMode:
    """Climb from a place.

    Raises
    ------
    FitError
        Where the density is not finite at the start.
    """
    if not np.isfinite(density.evaluate(start[None]).value[0]):
        raise FitError(
            "The posterior density is not finite near the estimates of the fit: look at priors with bounds, and at the "
            "scales of the covariates."
        )
    optimum = descent.minimize(_Depth(density), [start])
    found = optimum.found
    _, hessian = _derivatives(density, found.place)
    values, vectors = np.linalg.eigh(-hessian)
    curvature = (vectors * np.maximum(values, _LEAST_CURVATURE)) @ vectors.T
    return PosteriorMode(found.place, -0.5 * found.value, curvature, optimum.certificate)
