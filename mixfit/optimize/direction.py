"""A direction in which a covariance template moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Direction"]


@dataclass(frozen=True, eq=False)
class Direction:
    """T -> T + d * `step` for the template of one term.

    Attributes
    ----------
    term : int
    row, column : int
        `column` is the column of T that moves; `row` the column of T that it moves along (itself: its log
        standard deviation), or -1 where it moves along the null space of T T'.
    step : ndarray, shape (k, k)
        T E_ij, or a null vector in column j, of the length of that column.
    relative : bool
        Whether `step` is T E_ij.
    """

    term: int
    row: int
    column: int
    step: NDArray[np.float64]
    relative: bool
