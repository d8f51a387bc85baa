"""Bases in which the cross-products are formed.

X is orthonormalized and y replaced by its least-squares residual, so that shifts and scales of y and of the
columns of X never reach the cross-products. The columns of a random term are orthogonalized over all rows where
the structure of its covariance is closed under changes of basis, and brought to unit mean square otherwise.
Estimates are carried back to the user's columns by the triangular factors kept here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri, dtrtrs

from mixfit.brief import brief
from mixfit.covariance.structure import Invariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["SAFE_CHOLESKY", "FixedBasis", "ResponseBasis", "fixed_basis", "response_basis", "term_basis"]

# lme4 drops a column when what earlier columns leave of it is below 1e-7 of its length.
RANK_TOLERANCE = 1e-7
# A Cholesky factor squares the condition of the unit columns: above this pivot a second pass restores orthogonality.
SAFE_CHOLESKY = 1e-3
# What two projections leave of a response within the span of X is its rounding: some 1e-14 of its length a column.
PERFECT_FIT = 1e-11


@dataclass(frozen=True, eq=False)
class FixedBasis:
    """X (its columns that are not aliased) = Q R in the weighted inner product.

    Attributes
    ----------
    rows : ndarray, shape (p, n)
        sqrt(w) Q as rows: orthonormal.
    triangle : ndarray, shape (p, p)
        R, upper triangular.
    kept : ndarray of intp, shape (p,)
        Columns of the full X that are kept; the others are aliased.
    """

    rows: Array
    triangle: Array
    kept: NDArray[np.intp]

    __repr__ = brief

    @property
    def log_determinant(self) -> float:
        """log|X'WX|."""
        return 2.0 * float(np.log(np.abs(self.triangle.diagonal())).sum())

    def coefficients(self, gamma: Array) -> Array:
        """R^{-1} gamma: coefficients of X from those of Q."""
        return dtrtrs(self.triangle, gamma)[0] if len(gamma) else gamma


@dataclass(frozen=True, eq=False)
class ResponseBasis:
    """y = Q gamma + scale * residual, the residual of unit length in the weighted inner product."""

    gamma: Array
    row: Array
    scale: float

    __repr__ = brief

    @property
    def length(self) -> float:
        """Of y, in units of that of its residual."""
        return float(np.hypot(1.0, np.linalg.norm(self.gamma) / self.scale))


def fixed_basis(columns: Array) -> FixedBasis:
    """Orthonormalize weighted columns, given as rows (p, n), from left to right."""
    p = len(columns)
    if not p:
        return FixedBasis(columns, np.empty((0, 0)), np.empty(0, dtype=np.intp))
    norms = np.sqrt(np.einsum("pn,pn->p", columns, columns))
    norms[norms == 0.0] = 1.0
    rows, triangle = _cholesky_qr(columns / norms[:, None])
    if rows is None:
        q, r = np.linalg.qr((columns / norms[:, None]).T)
        kept, triangle, rotation = _independent(r)
        rows = np.ascontiguousarray((q @ rotation).T)
    else:
        kept = np.arange(p)
    return FixedBasis(rows, triangle * norms[kept], kept)


def _cholesky_qr(rows: Array) -> tuple[Array | None, Array]:
    """QR of unit columns by Cholesky, twice; None where the columns are too close to dependent."""
    triangle = np.eye(len(rows))
    for _ in range(2):
        low, info = dpotrf(rows @ rows.T, lower=1, clean=1)
        if info or low.diagonal().min() < SAFE_CHOLESKY:
            return None, triangle
        rows = dtrtri(low, lower=1)[0] @ rows
        triangle = low.T @ triangle
    return rows, triangle


def _independent(r: Array) -> tuple[NDArray[np.intp], Array, Array]:
    """Columns of R that earlier ones leave at least RANK_TOLERANCE of, their triangle and rotation."""
    kept: list[int] = []
    directions = np.empty((len(r), 0))
    for j, column in enumerate(r.T):
        rest = column - directions @ (directions.T @ column)
        rest -= directions @ (directions.T @ rest)
        if np.linalg.norm(rest) > RANK_TOLERANCE * np.linalg.norm(column):
            directions = np.column_stack([directions, rest / np.linalg.norm(rest)])
            kept.append(j)
    index = np.array(kept, dtype=np.intp)
    return index, np.triu(directions.T @ r[:, index]), directions


def _full_rank(rows: Array, triangle: Array) -> tuple[Array, Array]:
    """Rows and an invertible R for dependent columns: what they do not span is a row of zeros."""
    left, values, right = np.linalg.svd(triangle)
    spanned = values > RANK_TOLERANCE * values[0]
    return (left.T @ rows) * spanned[:, None], np.where(spanned, values, 1.0)[:, None] * right


def response_basis(fixed: FixedBasis, y: Array) -> ResponseBasis | None:
    """Split the weighted response (n,) into its projection and a unit residual; None if X explains it."""
    length = float(np.linalg.norm(y))
    gamma = fixed.rows @ y
    rest = y - gamma @ fixed.rows
    again = fixed.rows @ rest
    rest -= again @ fixed.rows
    scale = float(np.linalg.norm(rest))
    if scale <= PERFECT_FIT * length:
        return None
    return ResponseBasis(gamma + again, rest / scale, scale)


def term_basis(columns: Array, invariance: Invariance) -> tuple[Array, Array]:
    """Rows (k, n) of a random term in a basis of its own, of unit mean square, and R with Z = Z_basis R.

    R is any that the structure of its covariance is closed under; where that is one scale for all columns, rows have
    a mean square length of 1.
    """
    k, n = columns.shape
    norms = np.sqrt(np.einsum("kn,kn->k", columns, columns))
    norms[norms == 0.0] = np.sqrt(n)
    if invariance is Invariance.ANY_BASIS and k > 1:
        rows, triangle = _cholesky_qr(columns / norms[:, None])
        if rows is None:
            q, triangle = np.linalg.qr((columns / norms[:, None]).T)
            rows = np.ascontiguousarray(q.T)
        if np.abs(triangle.diagonal()).min() <= RANK_TOLERANCE:
            rows, triangle = _full_rank(rows, triangle)
        return rows * np.sqrt(n), triangle * norms / np.sqrt(n)
    scale = norms / np.sqrt(n)
    if invariance is Invariance.COMMON_SCALE:
        scale = np.full(k, np.sqrt(np.sum(scale**2)))
    return columns / scale[:, None], np.diag(scale)
