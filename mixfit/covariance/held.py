"""The standard deviation of a term with one column, known: what ``fixed={"sd((Intercept)|g)": 2}`` holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from mixfit.covariance.given import Given
from mixfit.covariance.relationship import KnownMatrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["HeldDeviation"]


@dataclass(frozen=True)
class HeldDeviation(Given):
    """Sigma = sd^2 of one column, reported as that standard deviation."""

    name: ClassVar[str] = "held"

    @classmethod
    def of(cls, column: str, sd: float) -> Self:
        """The known standard deviation of a column's effects."""
        return cls(1, KnownMatrix((column,), np.array([[sd**2]])), is_across=False)

    @property
    def sd(self) -> float:
        """The standard deviation, in units of the response."""
        return float(self.known.root[0, 0])

    def natural_values(self, theta: Array, units: Array | float) -> Array:
        """What is known, of the number by which it is relative to sigma."""
        return self.sd * super().natural_values(theta, units)
