"""What the optimizer asks of a criterion that is minimized: values at places, and what it is like beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.optimize.certificate import BoundaryParameter
    from mixfit.optimize.steps import Pivots

    Array = NDArray[np.float64]

__all__ = ["AnyLocal", "Beside", "Criterion", "Found", "Local", "Place", "Price", "Valued", "by_value", "values"]


class Price(Enum):
    """What the exact second derivatives cost."""

    FREE = "they come with the gradient"
    CHEAP = "a few evaluations"
    DEAR = "an evaluation for every coordinate"


class Valued(Protocol):
    """A place with the value of the criterion there."""

    @property
    def value(self) -> float:
        """The criterion; it may be infinite."""

    @property
    def resolution(self) -> float:
        """Differences of the criterion smaller than this are rounding."""


class Beside(Protocol):
    """What a criterion is like at a place, in coordinates of the place's own."""

    @property
    def gradient(self) -> Array:
        """Shape (m,)."""

    @property
    def curvature(self) -> Array:
        """A cheap one, positive semidefinite, (m, m); not every step asks for it."""

    @property
    def pivots(self) -> Pivots:
        """Which coordinates are log standard deviations."""

    @property
    def longest(self) -> Array:
        """Longest step of each coordinate by anything but the exact second derivatives, (m,); may be infinite."""

    @property
    def unit(self) -> Array:
        """What brings the coordinates to one scale, on which a step of 1 is a large one, (m,)."""

    @property
    def exits(self) -> tuple[BoundaryParameter, ...]:
        """Directions without variance."""

    @property
    def endless(self) -> tuple[tuple[int, float], ...]:
        """Coordinates that are logarithms, of numbers of which zero or infinity may be the optimum, and their units."""


@dataclass(frozen=True, eq=False)
class Local:
    """The same where all of it is at hand; see `Beside`.

    Attributes
    ----------
    gradient : ndarray, shape (m,)
    curvature : ndarray, shape (m, m)
    pivots : Pivots
    longest, unit : ndarray, shape (m,)
    exits : tuple of BoundaryParameter
    endless : tuple of (int, float)
    """

    gradient: Array
    curvature: Array
    pivots: Pivots
    longest: Array
    unit: Array
    exits: tuple[BoundaryParameter, ...]
    endless: tuple[tuple[int, float], ...] = field(default=(), kw_only=True)


Place = TypeVar("Place")
Found = TypeVar("Found", bound=Valued)
AnyLocal = TypeVar("AnyLocal", bound=Beside)


class Criterion(Protocol[Place, Found, AnyLocal]):
    """What is minimized."""

    @property
    def price(self) -> Price:
        """Of the exact second derivatives."""

    @property
    def n_aside(self) -> int:
        """Evaluations beside those that the search asked for, such as differences."""

    def evaluate(self, place: Place, /) -> Found:
        """The criterion at a place; a FitError where it has no value."""

    def tolerance(self, found: Found, /) -> float:
        """A promised decrease below this is none."""

    def rank(self, found: Found, /) -> int:
        """Number of variances that are not zero."""

    def local(self, found: Found, /) -> AnyLocal:
        """Gradient and cheap curvature at a place that the search goes on from."""

    def hessian(self, found: Found, local: AnyLocal, /) -> Array:
        """Exact second derivatives in the coordinates of `local`, (m, m)."""

    def move(self, found: Found, local: AnyLocal, step: Array, vanishing: tuple[int, ...], /) -> Place:
        """The place a step away, the `vanishing` pivots at zero there."""

    def leave(self, found: Found, exit_: BoundaryParameter, variance: float, /) -> Place:
        """The place with some variance along a direction without."""

    def place(self, found: Found, /) -> Place:
        """Where a value was found."""

    def turned(self, place: Place, /) -> Place:
        """The same place in the coordinates that steps are best made in; `evaluate` may do that by itself."""

    def refusal(self, error: FitError, /) -> FitError:
        """What to say where no step leads to a place with a value."""


def values(criterion: Criterion[Place, Found, AnyLocal], places: Sequence[Place]) -> list[Found]:
    """Places with their values, the lowest first; the error of the first place where none has a value."""
    found, errors = [], []
    for place in places:
        try:
            found.append(criterion.evaluate(place))
        except FitError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return by_value(found)


def by_value(found: Sequence[Found]) -> list[Found]:
    """The lowest first, those without a finite value last."""
    return sorted(found, key=lambda at: at.value if np.isfinite(at.value) else np.inf)
