"""The unstructured covariance: every positive semidefinite matrix."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.coordinates import TermCoordinates
from mixfit.covariance.directions import (
    Direction,
    along_columns,
    into_null_space,
    null_vectors,
    orthogonal_columns,
    regular_columns,
)
from mixfit.covariance.structure import Invariance, NaturalParameter, Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Unstructured"]


class Unstructured(Structure):
    """``us(x | g)``, or ``(x | g)``: theta is the lower triangle of T, column by column, as lme4 lists it."""

    name: ClassVar[str] = "us"
    invariance: ClassVar[Invariance] = Invariance.ANY_BASIS

    @property
    def entries(self) -> list[tuple[int, int]]:
        """The lower triangle, column by column."""
        return [(i, j) for j in range(self.k) for i in range(j, self.k)]

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """Standard deviations, then correlations."""
        pairs = combinations(range(self.k), 2)
        return (
            *(NaturalParameter("sd", a, a) for a in range(self.k)),
            *(NaturalParameter("cor", a, b) for a, b in pairs),
        )

    def restricted(self, k: int) -> Unstructured:
        """Of `k` combinations of the columns."""
        return Unstructured(k)

    @property
    def blocks(self) -> tuple[slice, ...]:
        """The whole."""
        return (slice(0, self.k),)

    def directions(self, term: int, template: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """A basis of the tangent space of the matrices of T's rank.

        Between columns with variance the directions are T E_ij, i >= j. Where T is singular each such column may
        also turn out of the range of T, along the null space of T T'.
        """
        columns = np.flatnonzero(regular_columns(template)).tolist()
        pairs = [(i, j) for place, j in enumerate(columns) for i in columns[place:]]
        out = list(along_columns(term, template, pairs))
        if 0 < len(columns) < self.k:
            out += into_null_space(term, template, columns, seen)
        return out

    def turned(self, template: Array) -> Array:
        """Orthogonal columns."""
        return orthogonal_columns(template) if self.k > 1 else template

    def null_space(self, template: Array, seen: NDArray[np.bool_]) -> Array:
        """The null space of T T'."""
        return null_vectors(template, seen)

    def null_slopes(self, restricted: Array) -> tuple[Array, Array]:
        """Eigenvalues and eigenvectors: optimal where none is negative."""
        slopes, vectors = np.linalg.eigh(restricted)
        return slopes, vectors

    def regular(self, moved: Array, least: float) -> tuple[Array, Array, bool]:
        """Singular values below the root of `least` are left out.

        As a column of zeros where there is one to leave out, by turning the columns otherwise.
        """
        if self.k == 1:
            singular = moved[0, 0] ** 2 < least
            return (np.zeros((1, 1)), np.zeros((1, 1)), False) if singular else (moved, 1.0 / moved, True)
        u, s, vt = np.linalg.svd(moved)
        if s[-1] ** 2 >= least:
            return moved, (vt.T / s) @ u.T, True
        kept = s**2 >= least
        columns = np.einsum("ij,ij->j", moved, moved) >= least
        inverse = np.divide(1.0, s, out=np.zeros_like(s), where=kept)
        if columns.sum() == kept.sum():
            return moved * columns, (vt.T * inverse) @ u.T, False
        return u * (s * kept), np.diag(inverse) @ u.T, False

    def coordinates(self, *first: int) -> TermCoordinates:
        """The triangle in an order that puts `first` first; two ask for their correlation."""
        order = np.array([*first, *(a for a in range(self.k) if a not in first)], dtype=np.intp)
        rows, columns = np.tril_indices(self.k)
        return TermCoordinates(order, len(first) == 2, rows, columns)
