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
        The entry of the triangle that names it.
    step : ndarray, shape (k, k)
        T E_ij for a regular row: a diagonal entry is then a log standard deviation. E_ij T_jj where
        row i's own pivot is zero and E_ij relative to it would not move anything.
    relative : bool
        Whether `step` is T E_ij.
    """

    term: int
    row: int
    column: int
    step: NDArray[np.float64]
    relative: bool
