"""The way up a likelihood of rates: the optimizer's Newton steps in coefficients and log precision."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.optimize import descent
from mixfit.optimize.certificate import TOLERANCE
from mixfit.optimize.criterion import Local, Price
from mixfit.optimize.steps import Pivots
from mixfit.rates.likelihood import Point, evaluate, rounding

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.optimize.certificate import BoundaryParameter
    from mixfit.rates.likelihood import UnitTerms

    Array = NDArray[np.float64]
    Place = tuple[Array, float]

__all__ = ["Maximum", "UnboundedError", "climb"]


class UnboundedError(FitError):
    """The precision has gone to infinity."""


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a likelihood has its maximum.

    Attributes
    ----------
    coefficients : ndarray, shape (p,)
    s : float
    point : Point
        Value and derivatives there.
    decrease : float
        What a further Newton step promises to take from -2 log L.
    """

    coefficients: Array
    s: float
    point: Point
    decrease: float


@dataclass(frozen=True, eq=False)
class _Height:
    """The likelihood at one place, as what is minimized."""

    place: Place
    point: Point
    resolution: float

    @property
    def value(self) -> float:
        """-2 log-likelihood."""
        return -2.0 * self.point.value


@dataclass(frozen=True, eq=False)
class _RateCriterion:
    """-2 log-likelihood of rates; places are (coefficients, s).

    Attributes
    ----------
    evaluator : callable
        The likelihood at coefficients and s.
    X : ndarray, shape (N, p)
    free : int
        How many of (coefficients, log s), the first, may move.
    limit : float
        Precision that counts as infinite.
    noise : float
        Rounding of the log-likelihood.
    """

    evaluator: Callable[[Array, float], Point]
    X: Array
    free: int
    limit: float
    noise: float

    price = Price.FREE
    n_aside = 0

    def evaluate(self, place: Place) -> _Height:
        """The likelihood at a place."""
        return _Height(place, self.evaluator(*place), 2.0 * self.noise)

    def tolerance(self, found: _Height) -> float:
        """As the certificate's, unless the likelihood is not known that well."""
        return max(TOLERANCE, found.resolution)

    def rank(self, found: _Height) -> int:
        """No variances."""
        return 0

    @cached_property
    def _unit(self) -> Array:
        """Coefficients by the root mean square of what they add to the linear predictors; log s as it is."""
        size = np.sqrt(np.mean(self.X**2, axis=0))
        return np.append(np.where(size > 0.0, size, 1.0), 1.0)[: self.free]

    def local(self, found: _Height) -> Local:
        """Gradient, and the Hessian for a curvature."""
        if found.place[1] > self.limit:
            raise UnboundedError(f"The likelihood still grows at a precision of {found.place[1]:.3g}.")
        curvature = -2.0 * found.point.hessian[: self.free, : self.free]
        gradient = -2.0 * found.point.gradient[: self.free]
        return Local(gradient, curvature, Pivots((), (), ()), np.full(self.free, np.inf), self._unit, ())

    def hessian(self, found: _Height, local: Local) -> Array:
        """Second derivatives in the free parameters."""
        return local.curvature

    def move(self, found: _Height, local: Local, step: Array, vanishing: tuple[int, ...]) -> Place:
        """A step in coefficients and log s."""
        coefficients, s = found.place
        p = len(coefficients)
        return coefficients + step[:p], s * float(np.exp(step[p])) if len(step) > p else s

    def leave(self, found: _Height, exit_: BoundaryParameter, variance: float) -> Place:
        """There is no boundary."""
        return found.place

    def place(self, found: _Height) -> Place:
        """Coefficients and s."""
        return found.place

    def turned(self, place: Place) -> Place:
        """The place itself."""
        return place

    def refusal(self, error: FitError) -> FitError:
        """The error itself."""
        return error


def climb(
    terms: Callable[[Array, Array, Array, float, Array], UnitTerms],
    y: Array,
    n: Array,
    X: Array,
    offset: Array,
    link: Link,
    coefficients: Array,
    s: float,
    *,
    known_precision: bool = False,
    limit: float = np.inf,
    times: Array | float = 1.0,
) -> Maximum:
    """Maximize a likelihood in (coefficients, log s).

    Parameters
    ----------
    terms : callable
        `marginal_terms` or `joint_terms`.
    y, n, X, offset, link
        As in `evaluate`.
    coefficients : ndarray, shape (p,)
    s : float
        Where to start.
    known_precision : bool
        Whether s is held.
    limit : float
        Precision that counts as infinite.
    times : ndarray, shape (N,), or float
        How often each unit counts.

    Returns
    -------
    Maximum

    Raises
    ------
    FitError
        Where the likelihood is not finite at the start, or no step raises it although one should.
    UnboundedError
        Where `s` passes `limit`.
    """

    def evaluator(coefficients: Array, s: float) -> Point:
        return evaluate(terms, y, n, X, offset, link, coefficients, s, times)

    criterion = _RateCriterion(evaluator, X, X.shape[1] + (not known_precision), limit, rounding(n, times))
    start = criterion.evaluate((coefficients, s))
    if not np.isfinite(start.value):
        raise FitError(f"The likelihood is not finite at a precision of {s:.3g}, where its maximum is looked for.")
    optimum = descent.descend(criterion, start)
    (coefficients, s), certificate = optimum.found.place, optimum.certificate
    if not certificate.converged:
        raise FitError(f"No maximum of the likelihood was found; the search ended at a precision of {s:.3g}.")
    return Maximum(coefficients, s, optimum.found.point, certificate.predicted_decrease)
