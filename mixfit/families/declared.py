"""What families declare, and what they answer row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Coupling", "DispersionKind", "DispersionTerms", "Kind", "Shape", "Support", "Terms", "check_rows"]

#: Measurements; counts without a bound; shares of a number of trials, which is the prior weight; ordered categories.
Kind = Literal["continuous", "count", "proportion", "ordinal", "multinomial"]
#: No dispersion; a factor of the variance; any other parameter of the distribution, such as a precision.
DispersionKind = Literal["none", "scale", "shape"]


@dataclass(frozen=True)
class Support:
    """Responses that have a density: an interval, or the whole numbers in it (of counts; of successes in trials).

    Attributes
    ----------
    lower, upper : float
    closed : bool
        Whether the ends belong to it.
    whole : bool
    """

    lower: float = -np.inf
    upper: float = np.inf
    closed: bool = False
    whole: bool = False

    def outside(self, y: Array) -> NDArray[np.bool_]:
        """Whether each response is beyond the ends, shape (n,)."""
        if self.closed:
            return np.asarray((y < self.lower) | (y > self.upper))
        return np.asarray((y <= self.lower) | (y >= self.upper))


@dataclass(frozen=True, eq=False)
class Terms:
    """Derivatives of the log density in eta, each of shape (n,).

    Attributes
    ----------
    score : l'
    weight : W
    weight_slope : dW / d eta
    observed : -l''
    expected : E[-l'']
    """

    score: Array
    weight: Array
    weight_slope: Array
    observed: Array
    expected: Array

    def slopes(self, leverage: Array) -> Array:
        """Of log|A| along the predictor of every row, from the leverages: h dW / d eta."""
        return leverage * self.weight_slope

    @property
    def concave(self) -> NDArray[np.bool_]:
        """Where the observed curvature is positive, or of several predictors positive definite."""
        return self.observed > 0.0


@dataclass(frozen=True, eq=False)
class DispersionTerms:
    """Derivatives in a parameter psi, log phi or the coordinate of a shape, each of shape (n,).

    Attributes
    ----------
    loglik : dl / d psi
    score : dl' / d psi
    weight : dW / d psi
    """

    loglik: Array
    score: Array
    weight: Array


@dataclass(frozen=True, eq=False)
class Coupling:
    """Curvatures of the log density in eta and in the parameters psi together, positive definite as a whole.

    Attributes
    ----------
    weight : ndarray, shape (n,)
        In eta.
    cross : ndarray, shape (s, n)
        In eta and each of psi.
    tail : ndarray, shape (s, s)
        In psi, all rows together.
    """

    weight: Array
    cross: Array
    tail: Array


@dataclass(frozen=True, eq=False)
class Shape:
    """A further parameter of a distribution, a number for all rows: degrees of freedom, a power.

    Attributes
    ----------
    name : str
        By which it is given and reported.
    start : float
        Where its estimate begins.
    value, coordinate : callable
        From the unbounded coordinate that is estimated to the parameter, and back.
    inside : callable
        Whether a number can be its value.
    """

    name: str
    start: float
    value: Callable[[float], float]
    coordinate: Callable[[float], float]
    inside: Callable[[float], bool]


def check_rows(bad: NDArray[np.bool_], message: str) -> None:
    """Raise DataError with the first bad row's number where any is bad."""
    if bad.any():
        raise DataError(f"{message} ({int(bad.sum())} of {len(bad)} rows, the first is row {int(np.argmax(bad))}).")
