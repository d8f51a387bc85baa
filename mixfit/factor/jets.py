"""Values with their first and second derivatives along several directions, and the product rule for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Multiply = Callable[[Array, Array], Array]

_Key = TypeVar("_Key")

__all__ = ["Jet", "accumulate", "pair"]


def pair(x: int, y: int) -> tuple[int, int]:
    """The key of a second derivative, which is symmetric."""
    return (x, y) if x <= y else (y, x)


@dataclass(eq=False)
class Jet:
    """A value and its derivatives; those that are not there are zero.

    Attributes
    ----------
    value : ndarray
    first : dict of x to ndarray
    second : dict of (x, y), x <= y, to ndarray
    """

    value: Array
    first: dict[int, Array] = field(default_factory=dict)
    second: dict[tuple[int, int], Array] = field(default_factory=dict)

    def map(self, linear: Callable[[Array], Array]) -> Jet:
        """The jet of a linear function."""
        return Jet(
            linear(self.value),
            {x: linear(d) for x, d in self.first.items()},
            {xy: linear(d) for xy, d in self.second.items()},
        )

    def times(self, other: Jet, multiply: Multiply) -> Jet:
        """The jet of a bilinear product: (AB)_xy = A_xy B + A_x B_y + A_y B_x + A B_xy."""
        out = Jet(multiply(self.value, other.value))
        for x, d in self.first.items():
            accumulate(out.first, x, multiply(d, other.value))
        for x, d in other.first.items():
            accumulate(out.first, x, multiply(self.value, d))
        for xy, d in self.second.items():
            accumulate(out.second, xy, multiply(d, other.value))
        for xy, d in other.second.items():
            accumulate(out.second, xy, multiply(self.value, d))
        for x, left in self.first.items():
            for y, right in other.first.items():
                product = multiply(left, right)
                accumulate(out.second, pair(x, y), 2.0 * product if x == y else product)
        return out

    def subtract_derivatives(self, other: Jet) -> None:
        """Take the derivatives of `other` away, in place; the value is known already."""
        for x, d in other.first.items():
            accumulate(self.first, x, -d)
        for xy, d in other.second.items():
            accumulate(self.second, xy, -d)


def accumulate(table: dict[_Key, Array], key: _Key, value: Array) -> None:
    """Add to an entry that may not be there yet."""
    table[key] = table[key] + value if key in table else value
