"""The numbers that a covariance structure is reported by: standard deviations, correlations, ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "NaturalParameter",
    "VarianceForm",
    "correlation_of",
    "deviation_of",
    "deviations_and_correlations",
]


@dataclass(frozen=True)
class NaturalParameter:
    """A number that a structure is reported by.

    Attributes
    ----------
    kind : str
        ``"sd"``, ``"cor"``, ``"range"``, ...
    first, second : int
        Columns of the term that it is of, equal for a standard deviation; -1 where it is of all of them.
    of : str
        What stands in its name for the columns, where it is of all of them.
    lower, upper : float
        Its bounds. A bound that is finite belongs to its values.
    scale : {"log", "atanh"}
        Where it is least far from normal: the logarithm of a positive number, or the inverse hyperbolic tangent of
        one between two bounds, these carried to -1 and 1.
    is_reciprocal : bool
        Whether the structure's own parameter, to which the bounds belong, is its reciprocal: a range is that of a
        decay, which is 0 where the range has no end.
    """

    kind: str
    first: int = -1
    second: int = -1
    of: str = ""
    lower: float = 0.0
    upper: float = np.inf
    scale: Literal["log", "atanh"] = "log"
    is_reciprocal: bool = False

    def label(self, columns: Sequence[str], group: str) -> str:
        """Its name: ``"sd(x|g)"``, ``"cor(x,z|g)"``, ``"cor(ar1|g)"``."""
        named = self.of or ",".join(dict.fromkeys((columns[self.first], columns[self.second])))
        return f"{self.kind}({named}|{group})"

    def working(self, value: float) -> float:
        """The value on the scale."""
        return float(np.log(value) if self.scale == "log" else np.arctanh(self._centred(value)))

    def natural(self, working: float) -> float:
        """The value of a place on the scale."""
        if self.scale == "log":
            return float(np.exp(working))
        return float(0.5 * (self.lower + self.upper) + 0.5 * (self.upper - self.lower) * np.tanh(working))

    def rate(self, value: float) -> float:
        """Derivative of the scale in the value."""
        if self.scale == "log":
            return 1.0 / value
        return 2.0 / ((self.upper - self.lower) * (1.0 - self._centred(value) ** 2))

    def _centred(self, value: float) -> float:
        return (2.0 * value - self.lower - self.upper) / (self.upper - self.lower)


@dataclass(frozen=True, eq=False)
class VarianceForm:
    """A term's covariance Sigma, in squared units of the response, as a function of m variance parameters.

    Attributes
    ----------
    values : ndarray, shape (m,)
        Entries of Sigma, in which it is linear, or natural parameters.
    slopes : ndarray, shape (m, k, k)
        dSigma.
    shares : ndarray, shape (m,)
        c with sum_i c_i slopes_i = Sigma.
    first, second : ndarray, shapes (m, m + 1) and (m, m + 1, m + 1)
        Derivatives of the values in (theta, sigma), or the identity and zero.
    """

    values: Array
    slopes: Array
    shares: Array
    first: Array
    second: Array


def deviation_of(column: int) -> NaturalParameter:
    """The standard deviation of a column's effects."""
    return NaturalParameter("sd", column, column)


def correlation_of(first: int, second: int) -> NaturalParameter:
    """The correlation of two columns' effects."""
    return NaturalParameter("cor", first, second, lower=-1.0, upper=1.0, scale="atanh")


def deviations_and_correlations(factor: Array) -> tuple[Array, Array]:
    """Row lengths (..., k) of factors (..., k, k), and cosines (..., k, k) between rows: NaN for one of length 0."""
    sd = np.sqrt(np.einsum("...ij,...ij->...i", factor, factor))
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = factor / sd[..., None]
    return sd, np.clip(unit @ unit.swapaxes(-1, -2), -1.0, 1.0)
