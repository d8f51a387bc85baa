r"""Smooth coordinates of a random term's covariance, in which one standard deviation or correlation is one coordinate.

Sigma = T T' with T lower triangular in an order of the columns that puts the parameter first: its entry (1, 1) is
then the first column's standard deviation. For a correlation rho the second row is r (rho, sqrt(1 - rho^2)), r
the second standard deviation. All entries are free and signed, so that a boundary of the covariance cone (no
variance, rho = +-1) is an interior point of the other coordinates: the likelihood is smooth there, and
stationary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.templates import semidefinite_cholesky

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["TermCoordinates"]


@dataclass(frozen=True, eq=False)
class TermCoordinates:
    """Coordinates of one term.

    Attributes
    ----------
    order : ndarray of intp, shape (k,)
        Column of the term that each row of the triangle stands for.
    correlation : bool
        Whether the second row is written by its correlation with the first.
    rows, columns : ndarray of intp
        Entry of the triangle that each coordinate is; (1, 0) and (1, 1) are rho and r with `correlation`.
    is_diagonal : bool
        Whether only the diagonal varies: every standard deviation is then a coordinate, in the term's own order.
    """

    order: NDArray[np.intp]
    correlation: bool
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    is_diagonal: bool = False

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.rows)

    @property
    def is_default(self) -> bool:
        """Whether this is the plain triangle in the term's own order."""
        return not self.correlation and bool((np.diff(self.order) == 1).all())

    def at(self, a: int) -> int:
        """Coordinate that is the standard deviation of column a, which is first (or a diagonal's)."""
        return a if self.is_diagonal else 0

    def floor(self) -> Array:
        """Lower bounds of x: of the two standard deviations beside a correlation, 0."""
        out = np.full(self.size, -np.inf)
        if self.correlation:
            out[[0, 2]] = 0.0
        return out

    def template(self, x: Array) -> Array:
        """T with rows in the term's own order: shape (k, k)."""
        t = np.zeros((len(self.order),) * 2)
        t[self.rows, self.columns] = x
        if self.correlation:
            rho, r = x[1], x[2]
            t[1, :2] = r * rho, r * np.sqrt(max(1.0 - rho * rho, 0.0))
        out = np.empty_like(t)
        out[self.order] = t
        return out

    def coordinates(self, covariance: Array) -> Array:
        """x of a covariance matrix of the term's columns."""
        moved = covariance[np.ix_(self.order, self.order)]
        if self.is_diagonal:
            return np.sqrt(moved.diagonal())
        t = semidefinite_cholesky(moved)
        x = t[self.rows, self.columns]
        if self.correlation:
            r = float(np.hypot(t[1, 0], t[1, 1]))
            x[1:3] = (t[1, 0] / r if r > 0.0 else 0.0), r
        return x

    def gradient(self, x: Array, n: Array) -> Array:
        """Derivative of the criterion in x from N = dd/dSigma: 2 N T, carried through rho and r."""
        t = self.template(x)[self.order]
        n = n[np.ix_(self.order, self.order)]
        slope = 2.0 * n @ t
        out = slope[self.rows, self.columns]
        if self.correlation:
            rho, r = x[1], x[2]
            rest = np.sqrt(max(1.0 - rho * rho, 0.0))
            # d sqrt(1 - rho^2) / d rho is infinite at the boundary; the slope in that entry vanishes as fast.
            across = slope[1, 1] / rest if rest > 0.0 else 2.0 * n[1, 1] * r
            out[1] = r * (slope[1, 0] - rho * across)
            out[2] = rho * slope[1, 0] + rest * slope[1, 1]
        return out
