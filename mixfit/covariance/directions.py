"""Directions in which a covariance may move, and ways off its bounds.

Coordinates are relative to the current template, T -> T R(delta): log standard deviations on the diagonal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import qr
from scipy.linalg.lapack import dgesdd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "ColumnDirection",
    "Direction",
    "Edge",
    "ParameterDirection",
    "TurningDirection",
    "null_vectors",
    "orthogonal_columns",
    "regular_columns",
]


@dataclass(frozen=True, eq=False)
class Direction(ABC):
    """A change Sigma' of one term's covariance Sigma = T T'.

    Attributes
    ----------
    term : int
    template : ndarray, shape (k, k)
        T.
    """

    term: int
    template: Array

    @property
    @abstractmethod
    def is_pivot(self) -> bool:
        """Whether it is a log standard deviation (or another logarithm), which may vanish."""

    @abstractmethod
    def slope(self, relative: Array, absolute: Array | None) -> float:
        """<N, Sigma'>, from T'N T, or from N itself where T is singular."""

    @abstractmethod
    def within(self, u: Array) -> Array | None:
        """w with Sigma' s = T w for every level, (k, ..., q), from u = T's; None where that leads out of T's range."""

    def loading(self, u: Array, scores: Array | None) -> Array:
        """Sigma' s for every level, (k, ..., q), from u = T's and, where T is singular, s."""
        w = self.within(u)
        assert w is not None
        return _times(self.template, w)

    @abstractmethod
    def form(self, u: Array, scores: Array | None) -> Array:
        """sum_j s_j' Sigma' s_j over the levels, (r, r), for s of r columns, from the same, (k, r, q)."""

    @property
    def unit(self) -> float:
        """What a step of 1 turns a column of T by, in radians; 1 of what is no turn."""
        return 1.0

    @abstractmethod
    def change(self) -> Array:
        """Sigma'."""

    def share(self, shares: Array) -> float:
        """Its part of what is known by column of T; see `mixfit.optimize.steps.Pivots`."""
        raise NotImplementedError

    @property
    def turning(self) -> Array | None:
        """T' of a direction out of the range of T; None of others."""
        return None


@dataclass(frozen=True, eq=False)
class ColumnDirection(Direction):
    """T -> T + d T E_ij: column j of T moves along column i, itself included."""

    row: int
    column: int

    @property
    def is_pivot(self) -> bool:
        """Whether the column moves along itself."""
        return self.row == self.column

    @property
    def step(self) -> Array:
        """T E_ij."""
        out = np.zeros(self.template.shape)
        out[:, self.column] = self.template[:, self.row]
        return out

    def slope(self, relative: Array, absolute: Array | None) -> float:
        """2 (T'N T)_ij."""
        return 2.0 * float(relative[self.row, self.column])

    def within(self, u: Array) -> Array:
        """(E + E') u."""
        both = np.zeros(u.shape)
        both[self.row] += u[self.column]
        both[self.column] += u[self.row]
        return both

    def form(self, u: Array, scores: Array | None) -> Array:
        """u'(E + E') u."""
        half = u[self.row] @ u[self.column].T
        return np.asarray(half + half.T)

    @property
    def unit(self) -> float:
        """|T_i| / |T_j|."""
        if self.is_pivot:
            return 1.0
        long, short = self.template[:, self.row], self.template[:, self.column]
        return float(np.sqrt(long @ long / (short @ short)))

    def change(self) -> Array:
        """T (E + E') T'."""
        half = np.outer(self.template[:, self.row], self.template[:, self.column])
        return half + half.T

    def share(self, shares: Array) -> float:
        """That of its column."""
        return float(shares[self.column])


@dataclass(frozen=True, eq=False)
class TurningDirection(Direction):
    """T -> T + d n t' e_j': column j of T turns along a null vector of T T' of its own length."""

    column: int
    step: Array

    @property
    def is_pivot(self) -> bool:
        """No."""
        return False

    def slope(self, relative: Array, absolute: Array | None) -> float:
        """2 <N T, T'>."""
        assert absolute is not None
        return 2.0 * float(np.vdot(absolute @ self.template, self.step))

    def within(self, u: Array) -> None:
        """None."""

    def loading(self, u: Array, scores: Array | None) -> Array:
        """T' u + T (T')'s."""
        assert scores is not None
        return _times(self.step, u) + _times(self.template @ self.step.T, scores)

    def form(self, u: Array, scores: Array | None) -> Array:
        """Column j of T moves along n t alone: (n t)'s in place of u_i."""
        assert scores is not None
        half = np.tensordot(self.step[:, self.column], scores, 1) @ u[self.column].T
        return np.asarray(half + half.T)

    def change(self) -> Array:
        """T'T' + T (T')'."""
        half = self.step @ self.template.T
        return np.asarray(half + half.T)

    @property
    def turning(self) -> Array:
        """T'."""
        return self.step


@dataclass(frozen=True, eq=False)
class ParameterDirection(Direction):
    """A coordinate of the structure's parameters that moves.

    Attributes
    ----------
    parameter : int
    matrix : ndarray, shape (k, k)
        Sigma'.
    relative : ndarray, shape (k, k), or None
        T^{-1} Sigma' T'^{-1}, where T is regular.
    is_deviation : bool
        Whether it is a standard deviation.
    may_vanish : bool
        Whether it is a logarithm, and the bound that it falls to worth trying.
    """

    parameter: int
    matrix: Array
    relative: Array | None
    is_deviation: bool
    may_vanish: bool

    @property
    def is_pivot(self) -> bool:
        """Whether it is a logarithm that may go to zero."""
        return self.may_vanish

    def slope(self, relative: Array, absolute: Array | None) -> float:
        """<T'N T, T^{-1} Sigma' T'^{-1}>, or <N, Sigma'>."""
        if self.relative is not None:
            return float(np.vdot(relative, self.relative))
        assert absolute is not None
        return float(np.vdot(absolute, self.matrix))

    def within(self, u: Array) -> Array | None:
        """T^{-1} Sigma' T'^{-1} u."""
        return None if self.relative is None else _times(self.relative, u)

    def loading(self, u: Array, scores: Array | None) -> Array:
        """T (T^{-1} Sigma' T'^{-1}) u, or Sigma' s."""
        if self.relative is not None:
            return super().loading(u, scores)
        assert scores is not None
        return _times(self.matrix, scores)

    def form(self, u: Array, scores: Array | None) -> Array:
        """u'T^{-1} Sigma' T'^{-1} u, or s'Sigma's."""
        if self.relative is not None:
            left, middle = u, self.relative
        else:
            assert scores is not None
            left, middle = scores, self.matrix
        return np.tensordot(left, np.tensordot(middle, left, 1), ([0, 2], [0, 2]))

    def change(self) -> Array:
        """Sigma'."""
        return self.matrix

    def share(self, shares: Array) -> float:
        """Of a standard deviation a mean over the columns of T that it changes; NaN of others."""
        if not self.is_deviation or self.relative is None:
            return np.nan
        weights = np.maximum(self.relative.diagonal(), 0.0)
        return float(shares[weights > 0.0] @ weights[weights > 0.0] / weights.sum())


@dataclass(frozen=True, eq=False)
class Edge:
    """A way off a bound: Sigma -> Sigma + size * `change`, to first order.

    Attributes
    ----------
    change : ndarray, shape (k, k)
    slope : float
        <N, change>.
    direction : ndarray
        The unit combination (k,) of the columns that has no variance; of a parameter, the parameters a unit off its
        bound.
    parameter : int
        The structure's parameter that is on its bound, -1 where a combination of columns is.
    reach : float
        The largest size; infinite for variances.
    """

    change: Array
    slope: float
    direction: Array
    parameter: int = -1
    reach: float = np.inf


def _times(matrix: Array, columns: Array) -> Array:
    """One matrix (r, k) times the columns of all levels, (k, ..., q)."""
    return (matrix @ columns.reshape(len(columns), -1)).reshape(len(matrix), *columns.shape[1:])


def regular_columns(t: Array) -> NDArray[np.bool_]:
    """Which columns of a square factor T carry variance: the others are zero."""
    return np.logical_or.reduce(t, axis=0)


def null_vectors(t: Array, seen: NDArray[np.bool_]) -> Array:
    """Orthonormal directions in which T T' has no variance, as columns, among the `seen` columns of the term.

    Of all such bases the one that is nearest to unit vectors (to those that are least in the range of T): it moves
    smoothly with T, as coordinates have to from place to place.
    """
    vectors = np.zeros((len(t), int(np.count_nonzero(seen))))
    vectors[seen] = np.linalg.svd(t[seen])[0]
    null = vectors[:, int(np.count_nonzero(regular_columns(t))) :]
    if not null.size:
        return null
    nearest = np.sort(qr(null.T, mode="r", pivoting=True)[1][: null.shape[1]])
    left, _, right = np.linalg.svd(null[nearest])
    return np.asarray(null @ (left @ right).T)


def orthogonal_columns(t: Array) -> Array:
    """The same T T' with orthogonal columns, longest first: no entry is large beside its own variance."""
    vectors, values, _, _ = dgesdd(t)
    regular = regular_columns(t)
    if not regular.all():
        values[np.count_nonzero(regular) :] = 0.0
    out: Array = vectors * values
    return out
