"""Small dense algebra done for all levels of a factor at once.

Arrays hold the level as their *last* axis: a k x k matrix a level is an array of shape (k, k, q). Every
loop here runs over the k columns of a random term, never over levels, unless there are many columns: then each level
is work enough for a call of LAPACK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dtrtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "add_identity",
    "cholesky",
    "column_products",
    "congruence",
    "gather_matmul",
    "left_multiply",
    "level_sum",
    "lower_inverse",
    "matmul",
    "matmul_at",
    "segment_products",
    "segment_sum",
    "transpose",
    "triangular_logdet",
]


# A loop over this many columns costs more than bringing the level first, for LAPACK to do each by itself.
_MANY_COLUMNS = 8


def _levels_first(a: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(a, 2, 0))


def _levels_last(a: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(a, 0, 2))


def transpose(a: Array) -> Array:
    """Transpose of every level's matrix."""
    return a.swapaxes(0, 1)


def matmul(a: Array, b: Array) -> Array:
    """A_j B_j for every level j: (r, k, q) and (k, c, q) give (r, c, q)."""
    # One column needs no sum, and broadcasting is the outer product.
    if len(b) == 1:
        return a * b
    if len(b) > _MANY_COLUMNS:
        return _levels_last(np.matmul(_levels_first(a), _levels_first(b)))
    return np.einsum("rkq,kcq->rcq", a, b)


def matmul_at(a: Array, b: Array, at: Index) -> Array:
    """A_e B_at[e] for every e: (r, k, q) and (k, c, p) give (r, c, q)."""
    if b.shape[2] == 1:
        # One matrix for all: as many copies of a wide one would not fit.
        return np.ascontiguousarray(np.tensordot(a, b[:, :, 0], (1, 0)).swapaxes(1, 2))
    return matmul(a, b.take(at, axis=2))


def left_multiply(t: Array, b: Array) -> Array:
    """T B_j with one T for all levels: (r, k) and (k, ..., q) give (r, ..., q)."""
    if t.shape == (1, 1):
        return b * t[0, 0]
    return (t @ b.reshape(b.shape[0], -1)).reshape(t.shape[0], *b.shape[1:])


def congruence(t: Array, f: Array) -> Array:
    """T' F_j T for every level."""
    if t.shape == (1, 1):
        return f * t[0, 0] ** 2
    return np.matmul(t.T, left_multiply(t.T, f))


def add_identity(a: Array) -> Array:
    """A_j + I in place."""
    for s in range(a.shape[0]):
        a[s, s] += 1.0
    return a


def cholesky(m: Array) -> Array:
    """Lower Cholesky factor of every level's positive definite matrix."""
    k = len(m)
    if k == 1:
        return np.sqrt(m)
    if k > _MANY_COLUMNS:
        return _levels_last(np.asarray(np.linalg.cholesky(_levels_first(m)), dtype=float))
    low = np.zeros(m.shape)
    for j in range(k):
        low[j, j] = np.sqrt(m[j, j] - _dot(low[j, :j], low[j, :j]) if j else m[j, j])
        for i in range(j + 1, k):
            low[i, j] = (m[i, j] - _dot(low[i, :j], low[j, :j]) if j else m[i, j]) / low[j, j]
    return low


def lower_inverse(low: Array) -> Array:
    """Inverse of every level's lower-triangular matrix."""
    k = len(low)
    if k == 1:
        return 1.0 / low
    if k > _MANY_COLUMNS:
        inverse = np.empty((low.shape[2], k, k))
        for own, level in zip(inverse, _levels_first(low), strict=True):
            own[:] = dtrtri(level, lower=1)[0]
        return _levels_last(inverse)
    inverse = np.zeros(low.shape)
    for i in range(k):
        inverse[i, i] = 1.0 / low[i, i]
        for j in range(i):
            inverse[i, j] = -_dot(low[i, j:i], inverse[j:i, j]) * inverse[i, i]
    return inverse


def triangular_logdet(low: Array) -> float:
    """log|LL'| summed over the levels."""
    diagonal = low.reshape(-1, low.shape[2])[:: len(low) + 1]
    return 2.0 * float(np.log(diagonal).sum())


def _dot(a: Array, b: Array) -> Array:
    """sum of products over the first axis: (s, q) twice gives (q,)."""
    return a[0] * b[0] if len(a) == 1 else np.einsum("sq,sq->q", a, b)


def level_sum(a: Array, b: Array) -> Array:
    """sum_j A_j B_j' over the levels: (r, c, q) twice gives (r, r)."""
    r = a.shape[0]
    return a.reshape(r, -1) @ b.reshape(b.shape[0], -1).T


def column_products(a: Array, b: Array) -> Array:
    """sum over rows and levels of A'B, for blocks (k, r, q) and (k, c, q): (r, c)."""
    if len(a) == 1:
        return a[0] @ b[0].T
    return np.matmul(a, b.swapaxes(1, 2)).sum(axis=0)


def segment_sum(values: Array, segment: Index, size: int) -> Array:
    """Add up the last axis by segment: (..., q) gives (..., size)."""
    rows = values.reshape(-1, values.shape[-1])
    out = np.empty((len(rows), size))
    for row, target in zip(rows, out, strict=True):
        target[:] = np.bincount(segment, weights=row, minlength=size)
    return out.reshape(*values.shape[:-1], size)


def segment_products(a: Array, b: Array, segment: Index, size: int) -> Array:
    """Sums of A_j'B_j by segment: (r, k, q) and (r, c, q) give (k, c, size)."""
    if size == 1:
        # The k x c matrices of all levels at once would be far more than their sum.
        k, c = a.shape[1], b.shape[1]
        return (a.swapaxes(0, 1).reshape(k, -1) @ b.swapaxes(0, 1).reshape(c, -1).T)[:, :, None]
    return segment_sum(matmul(transpose(a), b), segment, size)


def gather_matmul(a: Array, at: Index, c: Array) -> Array:
    """A_{at[e]} c_e for every entry e: (r, k, q), (nnz,) and (k, nnz) give (r, nnz)."""
    r, k, _ = a.shape
    out = np.empty((r, c.shape[1]))
    for i in range(r):
        row = a[i, 0].take(at)
        row *= c[0]
        for s in range(1, k):
            row += a[i, s].take(at) * c[s]
        out[i] = row
    return out
