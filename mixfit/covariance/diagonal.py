"""Independent columns: a diagonal covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.coordinates import TermCoordinates
from mixfit.covariance.directions import Direction, along_columns, regular_columns
from mixfit.covariance.structure import Invariance, NaturalParameter, Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Diagonal"]


class Diagonal(Structure):
    """``diag(x | g)``, or ``(x || g)``: theta is the diagonal of T."""

    name: ClassVar[str] = "diag"
    invariance: ClassVar[Invariance] = Invariance.COLUMN_SCALES
    is_separable: ClassVar[bool] = True

    @property
    def entries(self) -> list[tuple[int, int]]:
        """The diagonal."""
        return [(i, i) for i in range(self.k)]

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """Standard deviations."""
        return tuple(NaturalParameter("sd", a, a) for a in range(self.k))

    def restricted(self, k: int) -> Diagonal:
        """Of `k` of the columns."""
        return Diagonal(k)

    @property
    def blocks(self) -> tuple[slice, ...]:
        """Each column by itself."""
        return tuple(slice(a, a + 1) for a in range(self.k))

    def directions(self, term: int, template: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """The log standard deviations of the columns with variance."""
        columns = np.flatnonzero(regular_columns(template)).tolist()
        return list(along_columns(term, template, [(j, j) for j in columns]))

    def turned(self, template: Array) -> Array:
        """Itself: its columns are orthogonal."""
        return template

    def null_space(self, template: Array, seen: NDArray[np.bool_]) -> Array:
        """The columns without variance."""
        return np.eye(self.k)[:, seen & ~regular_columns(template)]

    def null_slopes(self, restricted: Array) -> tuple[Array, Array]:
        """Each column's own."""
        return restricted.diagonal(), np.eye(len(restricted))

    def regular(self, moved: Array, least: float) -> tuple[Array, Array, bool]:
        """Entries below the root of `least` are zero."""
        entries = moved.diagonal()
        regular = entries**2 >= least
        inverse = np.divide(1.0, entries, out=np.zeros_like(entries), where=regular)
        return np.diag(np.where(regular, entries, 0.0)), np.diag(inverse), bool(regular.all())

    def coordinates(self, *first: int) -> TermCoordinates:
        """The diagonal, whichever column is asked for."""
        every = np.arange(self.k)
        return TermCoordinates(every, False, every, every, is_diagonal=True)
