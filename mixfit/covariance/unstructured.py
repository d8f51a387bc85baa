"""The unstructured covariance: every positive semidefinite matrix."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.coordinates import TriangleCoordinates
from mixfit.covariance.directions import (
    ColumnDirection,
    TurningDirection,
    null_vectors,
    orthogonal_columns,
    regular_columns,
)
from mixfit.covariance.entrywise import Entrywise
from mixfit.covariance.parameter import correlation_of, deviation_of
from mixfit.covariance.structure import Containment, Invariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.covariance.parameter import NaturalParameter
    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]

__all__ = ["Unstructured"]


class Unstructured(Entrywise):
    """``us(x | g)``, or ``(x | g)``: theta is the lower triangle of T."""

    name: ClassVar[str] = "us"
    invariance: ClassVar[Invariance] = Invariance.ANY_BASIS
    is_exchangeable: ClassVar[bool] = True

    @property
    def entries(self) -> list[tuple[int, int]]:
        """The lower triangle, column by column."""
        return [(i, j) for j in range(self.k) for i in range(j, self.k)]

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """Standard deviations, then correlations."""
        every = range(self.k)
        return (*(deviation_of(a) for a in every), *(correlation_of(a, b) for a, b in combinations(every, 2)))

    def contains(self, inner: Structure) -> Containment | None:
        """Every structure."""
        return Containment.INSIDE if inner.k == self.k else None

    def restricted(self, k: int) -> Unstructured:
        """Of `k` combinations of the columns."""
        return Unstructured(k)

    @property
    def free_blocks(self) -> tuple[slice, ...]:
        """The whole."""
        return (slice(0, self.k),)

    def turned(self, point: Array) -> Array:
        """Orthogonal columns."""
        return orthogonal_columns(point) if self.k > 1 else point

    def directions(self, term: int, point: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """A basis of the tangent space of the matrices of T's rank.

        Between columns with variance the directions are T E_ij, i >= j. Where T is singular each such column may
        also turn out of the range of T, along the null space of T T'.
        """
        columns = np.flatnonzero(regular_columns(point)).tolist()
        out: list[Direction] = [
            ColumnDirection(term, point, i, j) for place, j in enumerate(columns) for i in columns[place:]
        ]
        if 0 < len(columns) < self.k:
            for null in null_vectors(point, seen).T:
                for j in columns:
                    step = np.zeros(point.shape)
                    step[:, j] = null * np.linalg.norm(point[:, j])
                    out.append(TurningDirection(term, point, j, step))
        return out

    def null_space(self, template: Array, seen: NDArray[np.bool_]) -> Array:
        """The null space of T T'."""
        return null_vectors(template, seen)

    def null_slopes(self, restricted: Array) -> tuple[Array, Array]:
        """Eigenvalues and eigenvectors: optimal where none is negative."""
        slopes, vectors = np.linalg.eigh(restricted)
        return slopes, vectors

    def triangle(self, *first: int) -> TriangleCoordinates:
        """The whole lower triangle."""
        order = np.array([*first, *(a for a in range(self.k) if a not in first)], dtype=np.intp)
        rows, columns = np.tril_indices(self.k)
        return TriangleCoordinates(order, len(first) == 2, rows, columns)
