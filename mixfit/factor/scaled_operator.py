r"""S = I + Lambda_T'P Lambda_T as an operator, each level's own part taken out of it.

With the cross-products G_l of each trailing level alone and I + T'G_lT = L_lL_l',

    S = L R L',      R = I - E,      E = U'(sum_i Y_i'Y_i - C_T)U,      U = T L'^{-1},

C_T what trailing factors share in rows. Of one trailing factor E is positive semidefinite and below I; where levels
meet many others at random nearly all of its eigenvalues are small, and conjugate gradients on R take few steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.crossed import Crossed
    from mixfit.factor.trailing import TrailingColumns
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Meeting", "ScaledOperator", "by_level", "scaled_operator"]


@dataclass(frozen=True, eq=False)
class Meeting:
    """Entries of one chain factor's row Y against the trailing columns, as a sparse matrix and its transpose.

    Attributes
    ----------
    pattern : Crossed
    k : int
        Columns of the chain factor.
    aligned : dict of j to ndarray of intp, shape (k_j, pairs)
        The entries in each column of trailing factor j, aligned over its columns.
    level : dict of j to ndarray of intp, shape (pairs,)
        The levels of factor j of these.
    """

    pattern: Crossed
    k: int
    aligned: Mapping[int, Index]
    level: Mapping[int, Index]

    @classmethod
    def build(cls, pattern: Crossed, k: int, c: TrailingColumns) -> Meeting:
        """Lay out a pattern."""
        aligned, level = {}, {}
        for j in c.factors:
            column, at = np.divmod(pattern.column - c.offset[j], c.width[j])
            inside = (pattern.column >= c.offset[j]) & (column < c.k[j])
            aligned[j] = np.stack([np.flatnonzero(inside & (column == b)) for b in range(c.k[j])])
            level[j] = at[aligned[j][0]]
        return cls(pattern, k, aligned, level)

    @cached_property
    def _indptr(self) -> Index:
        counts = np.bincount(self.pattern.level, minlength=self.pattern.n_levels)
        return np.concatenate([[0], np.cumsum(np.tile(counts, self.k))])

    @cached_property
    def _transposed(self) -> tuple[Index, Index, Index]:
        """Order of the entries by column, their rows, and where columns begin."""
        nnz = len(self.pattern.level)
        order = np.argsort(np.tile(self.pattern.column, self.k), kind="stable")
        row = (np.arange(self.k)[:, None] * self.pattern.n_levels + self.pattern.level).ravel()
        counts = np.bincount(self.pattern.column, minlength=self.pattern.m) * self.k
        assert len(order) == self.k * nnz
        return order, row[order], np.concatenate([[0], np.cumsum(counts)])

    def matrix(self, values: Array) -> csr_array:
        """Y of entries (k, nnz), one column of the chain factor above the other: (k q, m)."""
        shape = self.k * self.pattern.n_levels, self.pattern.m
        return csr_array((values.ravel(), np.tile(self.pattern.column, self.k), self._indptr), shape=shape)

    def transposed(self, values: Array) -> csr_array:
        """Y': (m, k q)."""
        order, rows, indptr = self._transposed
        shape = self.pattern.m, self.k * self.pattern.n_levels
        return csr_array((values.ravel()[order], rows, indptr), shape=shape)

    def times(self, values: Array, blocks: Mapping[int, Array]) -> Array:
        """Y B for block-diagonal B, of entries (k, nnz) on the same pattern; blocks (k_j, k_j, q_j)."""
        out = np.zeros_like(values)
        for j, entries in self.aligned.items():
            block = blocks[j][:, :, self.level[j]]
            for b in range(len(entries)):
                for a in range(len(entries)):
                    out[:, entries[b]] += values[:, entries[a]] * block[a, b]
        return out

    def level_products(self, values: Array, j: int, size: int) -> Array:
        """The blocks (Y'Y)_ll of trailing factor j: (k_j, k_j, q_j)."""
        entries = self.aligned[j]
        return np.array(
            [[lv.segment_sum((values[:, a] * values[:, b]).sum(axis=0), self.level[j], size) for b in entries]
             for a in entries]
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class ScaledOperator:
    """R at one theta.

    Attributes
    ----------
    columns : TrailingColumns
    inverse : dict of j to ndarray, shape (k_j, k_j, q_j)
        L_l^{-1}.
    root : dict of j to ndarray, shape (k_j, k_j, q_j)
        U_l.
    rows, rows_transposed : list of csr_array
        Y_i and Y_i'.
    shared : csr_array, shape (m, m)
        C_T.
    own : dict of j to ndarray, shape (k_j, k_j, q_j)
        E_ll.
    logdet : float
        log|LL'|.
    """

    columns: TrailingColumns
    inverse: Mapping[int, Array]
    root: Mapping[int, Array]
    rows: Sequence[csr_array]
    rows_transposed: Sequence[csr_array]
    shared: csr_array
    own: Mapping[int, Array]
    logdet: float

    def swept(self, v: Array) -> Array:
        """(sum_i Y_i'Y_i - C_T) v for (m, c)."""
        out = -(self.shared @ v)
        for y, transposed in zip(self.rows, self.rows_transposed, strict=True):
            out += transposed @ (y @ v)
        return np.asarray(out)

    def apply(self, v: Array) -> Array:
        """R v."""
        turned = by_level(self.columns, self.root, v)
        return v - by_level(self.columns, self.root, self.swept(turned), transposed=True)

    def to_root(self, d: Array) -> Array:
        """L^{-1} d."""
        return by_level(self.columns, self.inverse, d)

    def from_root(self, v: Array) -> Array:
        """L'^{-1} v."""
        return by_level(self.columns, self.inverse, v, transposed=True)

    def effects(self, v: Array) -> Array:
        """U v."""
        return by_level(self.columns, self.root, v)


def by_level(c: TrailingColumns, blocks: Mapping[int, Array], v: Array, *, transposed: bool = False) -> Array:
    """B v, or B'v, for v (m, r) and one block (k_j, k_j, q_j) a level."""
    out = np.empty_like(v)
    for j in c.factors:
        rows, block = c.own(j), blocks[j]
        if c.k[j] == 1:
            out[rows] = block[0, 0][:, None] * v[rows]
            continue
        parts = v[rows].reshape(c.k[j], c.width[j], -1)
        sign = "baq,bqr->aqr" if transposed else "abq,bqr->aqr"
        out[rows] = np.einsum(sign, block, parts).reshape(rows.stop - rows.start, -1)
    return out


def scaled_operator(
    gram: Gram,
    c: TrailingColumns,
    meetings: Mapping[int, Meeting],
    shared: csr_array,
    templates: Sequence[Array],
    rows: Mapping[int, Array],
) -> ScaledOperator:
    """R for the templates of all factors and the entries of every Y_i."""
    inverse, root, own = {}, {}, {}
    logdet = 0.0
    for j in c.factors:
        low = lv.cholesky(lv.add_identity(lv.congruence(templates[j], gram.diagonal[j])))
        logdet += lv.triangular_logdet(low)
        inverse[j] = lv.lower_inverse(low)
        root[j] = lv.left_multiply(templates[j], lv.transpose(inverse[j]))
        products = [meetings[i].level_products(y, j, c.width[j]) for i, y in rows.items()]
        total = sum(products[1:], start=products[0]) if products else np.zeros_like(gram.diagonal[j])
        own[j] = lv.matmul(lv.transpose(root[j]), lv.matmul(total, root[j]))
    matrices = [meetings[i].matrix(y) for i, y in rows.items()]
    transposed = [meetings[i].transposed(y) for i, y in rows.items()]
    return ScaledOperator(c, inverse, root, matrices, transposed, shared, own, logdet)
