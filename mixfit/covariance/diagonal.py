"""Independent columns: a diagonal covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.coordinates import TriangleCoordinates
from mixfit.covariance.directions import ColumnDirection, regular_columns
from mixfit.covariance.entrywise import Entrywise
from mixfit.covariance.parameter import deviation_of
from mixfit.covariance.structure import Invariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.covariance.parameter import NaturalParameter

    Array = NDArray[np.float64]

__all__ = ["Diagonal"]


class Diagonal(Entrywise):
    """``diag(x | g)``, or ``(x || g)``: theta is the diagonal of T."""

    name: ClassVar[str] = "diag"
    invariance: ClassVar[Invariance] = Invariance.COLUMN_SCALES
    is_separable: ClassVar[bool] = True
    is_exchangeable: ClassVar[bool] = True
    holds: ClassVar[frozenset[str]] = frozenset({"homdiag"})

    @property
    def absorbs_residual(self) -> bool:
        """Yes."""
        return True

    @property
    def entries(self) -> list[tuple[int, int]]:
        """The diagonal."""
        return [(i, i) for i in range(self.k)]

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """Standard deviations."""
        return tuple(deviation_of(a) for a in range(self.k))

    def restricted(self, k: int) -> Diagonal:
        """Of `k` of the columns."""
        return Diagonal(k)

    @property
    def free_blocks(self) -> tuple[slice, ...]:
        """Each column by itself."""
        return tuple(slice(a, a + 1) for a in range(self.k))

    def turned(self, point: Array) -> Array:
        """Itself: its columns are orthogonal."""
        return point

    def directions(self, term: int, point: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """The log standard deviations of the columns with variance."""
        return [ColumnDirection(term, point, j, j) for j in np.flatnonzero(regular_columns(point)).tolist()]

    def null_space(self, template: Array, seen: NDArray[np.bool_]) -> Array:
        """The columns without variance."""
        return np.eye(self.k)[:, seen & ~regular_columns(template)]

    def null_slopes(self, restricted: Array) -> tuple[Array, Array]:
        """Each column's own."""
        return restricted.diagonal(), np.eye(len(restricted))

    def triangle(self, *first: int) -> TriangleCoordinates:
        """The diagonal, whichever column is asked for."""
        every = np.arange(self.k)
        return TriangleCoordinates(every, False, every, every, is_diagonal=True)
