"""A sparse block of chain levels against trailing columns, and the products Y'Y that fill in.

Levels that touch many trailing columns are kept as dense rows for BLAS, the rest as a sparse matrix: with
the uneven activity of real raters and items either alone is several times slower than both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import blas
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Crossed"]

# A multiply-add costs about 0.02 ns in a dense symmetric update and 1.2 ns in a sparse product, so that
# a row pays as dense from an eighth of the columns on; below this many of them overheads decide.
_DENSE_SHARE = 0.125
# 32 MB of cells: the dense product takes tens of milliseconds.
_DENSE_ALWAYS = 4_000_000
# Rows of a product that are wanted only in places are made a few at a time, so that they stay in the cache.
_CELLS_AT_ONCE = 100_000


@dataclass(frozen=True, eq=False)
class Crossed:
    """Entries e at (level[e], column[e]); values are arrays of shape (k, nnz), sorted by level, column.

    Attributes
    ----------
    n_levels, m : int
    level, column : ndarray of intp, shape (nnz,)
    heavy : ndarray of intp
        Levels whose rows are kept dense.
    in_heavy, in_light : ndarray of intp
        The entries of each kind.
    heavy_cell : ndarray of intp
        Position of each heavy entry in the raveled dense (len(heavy), m) array.
    indptr, indices : ndarray
        The light entries as a CSR pattern of all levels.
    transposed : tuple of ndarray (order, indptr, indices)
        The same pattern by columns; `order` are its entries.
    """

    n_levels: int
    m: int
    level: Index
    column: Index
    heavy: Index
    in_heavy: Index
    in_light: Index
    heavy_cell: Index
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    transposed: tuple[Index, NDArray[np.int32], NDArray[np.int32]]

    @cached_property
    def products(self) -> float:
        """Multiplications in the lower triangle of Y_a'Y_a, for one column a of the factor."""
        counts = np.bincount(self.level, minlength=self.n_levels).astype(float)
        return float(counts @ (counts + 1.0)) / 2.0

    @classmethod
    def build(cls, n_levels: int, m: int, keys: Index, k: int) -> Crossed:
        """Lay out the sorted entries ``keys = level * m + column`` of a factor with `k` columns."""
        level, column = np.divmod(keys, m)
        counts = np.bincount(level, minlength=n_levels)
        everything = n_levels * k * m * m <= _DENSE_ALWAYS
        is_heavy = np.ones(n_levels, bool) if everything else counts > _DENSE_SHARE * m
        heavy = np.flatnonzero(is_heavy)
        row_of = np.cumsum(is_heavy) - 1
        entry_heavy = is_heavy[level]
        in_heavy, in_light = np.flatnonzero(entry_heavy), np.flatnonzero(~entry_heavy)
        light_level, light_column = level[in_light], column[in_light]
        order = np.argsort(light_column, kind="stable")
        return cls(
            n_levels,
            m,
            level,
            column,
            heavy,
            in_heavy,
            in_light,
            row_of[level[in_heavy]] * m + column[in_heavy],
            _pointer(light_level, n_levels),
            light_column.astype(np.int32),
            (in_light[order], _pointer(light_column, m), light_level[order].astype(np.int32)),
        )

    def dense_rows(self, values: Array) -> Array:
        """Heavy rows of one column of values (nnz,) as a dense array (len(heavy), m)."""
        out = np.zeros(len(self.heavy) * self.m)
        out[self.heavy_cell] = values[self.in_heavy]
        return out.reshape(len(self.heavy), self.m)

    def csr(self, values: Array) -> csr_matrix:
        """Light rows of one column of values (nnz,) as a sparse (n_levels, m) matrix."""
        return csr_matrix((values.take(self.in_light), self.indices, self.indptr), shape=(self.n_levels, self.m))

    def csr_transposed(self, values: Array) -> csr_matrix:
        """Transpose of `csr`, as CSR."""
        order, indptr, indices = self.transposed
        return csr_matrix((values.take(order), indices, indptr), shape=(self.m, self.n_levels))

    def matmul(self, values: Array, other: Array) -> Array:
        """Y B: values (k, nnz) and (m, r) give (k, r, n_levels)."""
        out = np.empty((len(values), other.shape[1], self.n_levels))
        for a, row in enumerate(values):
            product = self.csr(row) @ other if len(self.in_light) else np.zeros((self.n_levels, other.shape[1]))
            if len(self.heavy):
                product[self.heavy] += self.dense_rows(row) @ other
            out[a] = product.T
        return out

    def rmatmul(self, values: Array, other: Array) -> Array:
        """sum_a Y_a' B_a: values (k, nnz) and (k, r, n_levels) give (m, r)."""
        out = np.zeros((self.m, other.shape[1]))
        for row, block in zip(values, other, strict=True):
            if len(self.in_light):
                out += self.csr_transposed(row) @ block.T
            if len(self.heavy):
                out += self.dense_rows(row).T @ block[:, self.heavy].T
        return out

    def subtract_gram(self, values: Array, out: Array) -> Array:
        """Lower triangle of out - sum_a Y_a'Y_a, for values (k, nnz) and Fortran-ordered out (m, m)."""
        for row in values:
            if len(self.heavy):
                out = blas.dsyrk(-1.0, self.dense_rows(row).T, beta=1.0, c=out, lower=1, overwrite_c=1)
            if len(self.in_light):
                out -= (self.csr_transposed(row) @ self.csr(row)).toarray().T
        return out

    def product(self, left: Array, right: Array) -> Array:
        """sum_a Y_a'X_a for values (k, nnz) of two blocks on this pattern: (m, m)."""
        out = np.zeros((self.m, self.m))
        for y, x in zip(left, right, strict=True):
            if len(self.heavy):
                out += self.dense_rows(y).T @ self.dense_rows(x)
            if len(self.in_light):
                out += (self.csr_transposed(y) @ self.csr(x)).toarray()
        return out

    def inner(self, kernel: Array, left: Array, right: Array) -> float:
        """<Q, Y_a'Y_b> for one column each (nnz,), Q symmetric with only its lower triangle filled."""
        product = np.zeros((self.m, self.m))
        if len(self.heavy):
            product += self.dense_rows(right).T @ self.dense_rows(left)
        if len(self.in_light):
            product += (self.csr_transposed(right) @ self.csr(left)).toarray()
        total = np.vdot(kernel.T, product) + np.vdot(kernel.T, product.T)
        return float(total - kernel.diagonal() @ product.diagonal())

    def norm(self, kernel: Array, values: Array) -> float:
        """<Q, Y'Y> for one column (nnz,), Q symmetric with only its lower triangle filled."""
        if len(self.in_light):
            product = (self.csr_transposed(values) @ self.csr(values)).toarray().T
        else:
            product = np.zeros((self.m, self.m), order="F")
        if len(self.heavy):
            product = blas.dsyrk(1.0, self.dense_rows(values).T, beta=1.0, c=product, lower=1, overwrite_c=1)
        return float(2.0 * np.vdot(kernel.T, product.T) - kernel.diagonal() @ product.diagonal())

    def sampled_product(self, values: Array, other: Array) -> Array:
        """Y B on the pattern of Y alone: values (k, nnz) and (m, m) give (k, nnz)."""
        out = np.empty(values.shape)
        level, column = self.level[self.in_light], self.column[self.in_light]
        step = max(1, _CELLS_AT_ONCE // self.m)
        starts = range(0, self.n_levels, step) if len(self.in_light) else ()
        bounds = np.searchsorted(level, [*starts, self.n_levels])
        for own, row in zip(out, values, strict=True):
            if len(self.heavy):
                own[self.in_heavy] = (self.dense_rows(row) @ other).take(self.heavy_cell)
            light, y = np.empty(len(level)), self.csr(row)
            for start, first, last in zip(starts, bounds[:-1], bounds[1:], strict=True):
                part = y[start : start + step] @ other
                light[first:last] = part[level[first:last] - start, column[first:last]]
            own[self.in_light] = light
        return out


def _pointer(rows: Index, size: int) -> NDArray[np.int32]:
    pointer = np.zeros(size + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=size), out=pointer[1:])
    return pointer
