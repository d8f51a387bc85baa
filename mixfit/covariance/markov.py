"""Correlations along one number that are products of those of neighbours, and what a step between neighbours needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Markov", "Transitions"]


@dataclass(frozen=True, eq=False)
class Transitions:
    """Correlations phi of neighbours, in units of a variance of one.

    Attributes
    ----------
    phi : ndarray, shape (n,)
    innovation : ndarray, shape (n,)
        1 - phi^2, to its own digits.
    slope, bend : ndarray, shape (n,)
        First and second derivatives of phi in the structure's one parameter of it.
    nugget : float or None
        Share of the variance that no two places have; a parameter of the structure, its last, unless None.
    """

    phi: Array
    innovation: Array
    slope: Array
    bend: Array
    nugget: float | None = None


@runtime_checkable
class Markov(Protocol):
    """A structure of one standard deviation whose correlation over several steps is the product of theirs."""

    def times(self) -> Array | None:
        """The number that its places stand at, (k,); None where they are not of one number."""

    def transitions(self, rho: Array, gaps: Array) -> Transitions:
        """Those of neighbours some distance apart, at its shape parameters."""

    def starts_along(self, nearest: float, farthest: float) -> list[Array]:
        """Shape parameters to start from, by the usual distance of neighbours and the largest of all."""
