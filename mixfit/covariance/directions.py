"""Directions in which a template moves, and the templates reached along them.

Coordinates are relative to the current template, T -> T R(delta): log standard deviations on the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dgesdd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "Direction",
    "along_columns",
    "into_null_space",
    "null_vectors",
    "orthogonal_columns",
    "regular_columns",
]


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

    @property
    def is_pivot(self) -> bool:
        """Whether it is the log standard deviation of a column of T."""
        return self.row == self.column


def regular_columns(t: Array) -> NDArray[np.bool_]:
    """Which columns of a square factor T carry variance: the others are zero."""
    return np.asarray(t.any(axis=0))


def along_columns(term: int, t: Array, pairs: Sequence[tuple[int, int]]) -> Iterator[Direction]:
    """T E_ij for pairs (i, j): column j along column i."""
    for i, j in pairs:
        step = np.zeros(t.shape)
        step[:, j] = t[:, i]
        yield Direction(term, i, j, step, relative=True)


def into_null_space(term: int, t: Array, columns: Sequence[int], seen: NDArray[np.bool_]) -> Iterator[Direction]:
    """Columns with variance turn out of the range of T, along its null space."""
    for null in null_vectors(t, seen).T:
        for j in columns:
            step = np.zeros(t.shape)
            step[:, j] = null * np.linalg.norm(t[:, j])
            yield Direction(term, -1, j, step, relative=False)


def null_vectors(t: Array, seen: NDArray[np.bool_]) -> Array:
    """Orthonormal directions in which T T' has no variance, as columns, among the `seen` columns of the term."""
    vectors = np.zeros((len(t), int(np.count_nonzero(seen))))
    vectors[seen] = np.linalg.svd(t[seen])[0]
    return vectors[:, int(np.count_nonzero(regular_columns(t))) :]


def orthogonal_columns(t: Array) -> Array:
    """The same T T' with orthogonal columns, longest first: no entry is large beside its own variance."""
    rank = int(np.count_nonzero(regular_columns(t)))
    vectors, values, _, _ = dgesdd(t)
    values[rank:] = 0.0
    return np.asarray(vectors * values)
