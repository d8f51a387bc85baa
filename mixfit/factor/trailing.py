r"""What the elimination of the chain hands on, and what it asks of whoever factors the rest.

The chain leaves S = I + Lambda_T'P Lambda_T, where P = Z_T'V_c^{-1}Z_T = Z_T'Z_T - sum_i Y_i'Y_i: the
cross-products of the trailing columns less, for every chain factor i, the product of its row Y_i of the factor with
itself. A *block* knows the columns, the pattern of every Y_i and the values of Z_T'Z_T; its *factor* is S at one
theta; its *inverse* answers for Q_TT = Lambda_T S^{-1} Lambda_T', on the pattern of P and nowhere else; its
*derivatives* are those of log|I + Sigma_T P|. How S is stored, and whether any matrix is formed at all, is the
block's own affair: a new way to hold it is a file with these four protocols and its name in
:mod:`mixfit.factor.plan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from mixfit.machine import is_too_large

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.crossed import Crossed
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "Cost",
    "MakeTrailing",
    "TrailingBlock",
    "TrailingColumns",
    "TrailingDerivatives",
    "TrailingFactor",
    "TrailingInverse",
]


@dataclass(frozen=True)
class Cost:
    """What one factorization takes.

    Attributes
    ----------
    flops : float
        Multiplications and additions, those that form S included.
    memory : float
        Bytes held at a time while a criterion and its derivatives are evaluated.
    entries : float
        Numbers in the factor: what one solve passes over.
    """

    flops: float
    memory: float
    entries: float

    @property
    def is_too_large(self) -> bool:
        """Whether this machine cannot hold it."""
        return is_too_large(self.memory)


@dataclass(frozen=True, eq=False)
class TrailingColumns:
    """Where each column of each trailing level is: column b of all levels side by side, factor after factor.

    Attributes
    ----------
    factors : tuple of int
    k, width : tuple of int
        Columns and levels of *every* grouping factor.
    """

    factors: tuple[int, ...]
    k: tuple[int, ...]
    width: tuple[int, ...]

    @cached_property
    def offset(self) -> dict[int, int]:
        """First trailing column of each factor; column ``offset + b * q + level`` is column b of a level."""
        sizes = [self.k[j] * self.width[j] for j in self.factors]
        return {j: int(first) for j, first in zip(self.factors, np.cumsum([0, *sizes[:-1]]), strict=True)}

    @cached_property
    def m(self) -> int:
        """How many there are."""
        return sum(self.k[j] * self.width[j] for j in self.factors)

    @cached_property
    def is_scalar(self) -> bool:
        """Whether every factor has one column."""
        return all(self.k[j] == 1 for j in self.factors)

    def own(self, j: int) -> slice:
        """All columns of factor j."""
        return slice(self.offset[j], self.offset[j] + self.k[j] * self.width[j])

    def at(self, j: int, a: int) -> slice:
        """Column `a` of every level of factor j."""
        first = self.offset[j] + a * self.width[j]
        return slice(first, first + self.width[j])

    def stack(self, blocks: Sequence[Array]) -> Array:
        """Blocks (k_j, r, q_j) of all factors, the trailing ones as an (m, r) array."""
        r = blocks[0].shape[1] if blocks else 0
        if not self.factors:
            return np.empty((0, r))
        return np.concatenate([blocks[j].swapaxes(1, 2).reshape(-1, r) for j in self.factors])

    def unstack(self, stacked: Array, j: int) -> Array:
        """The block (k_j, r, q_j) of one factor from an (m, r) array."""
        rows = stacked[self.own(j)]
        return np.ascontiguousarray(rows.reshape(self.k[j], self.width[j], -1).swapaxes(1, 2))

    def multiply(self, templates: Sequence[Array], b: Array) -> Array:
        """Lambda_T B for b of shape (m, r) and one (k_j, k_j) template a factor."""
        if self.is_scalar:
            return b * self.scalars(templates)[:, None]
        out = np.empty_like(b)
        for j in self.factors:
            rows = self.own(j)
            out[rows] = (templates[j] @ b[rows].reshape(self.k[j], -1)).reshape(rows.stop - rows.start, -1)
        return out

    def scalars(self, templates: Sequence[Array]) -> Array:
        """The diagonal of Lambda_T where every factor has one column: (m,)."""
        return np.concatenate([np.full(self.width[j], templates[j][0, 0]) for j in self.factors])

    def level_traces(self, table: Array, j: int) -> Array:
        """Sum of the diagonal blocks of factor j in a table (m, m), from its lower triangle: (k_j, k_j)."""
        k = self.k[j]
        out = np.empty((k, k))
        for a in range(k):
            for b in range(a + 1):
                out[a, b] = out[b, a] = np.trace(table[self.at(j, a), self.at(j, b)])
        return out


class TrailingInverse(Protocol):
    """Entries of Q_TT = Lambda_T S^{-1} Lambda_T' and sums of them."""

    def inverse_sums(self, j: int) -> Array:
        """sum over levels of the blocks (S^{-1})_ll of factor j: (k_j, k_j)."""
        ...

    def projected_sums(self, j: int) -> Array:
        """sum over levels of the blocks (P - P Q P)_ll of factor j, its template singular or not: (k_j, k_j)."""
        ...

    def row_sums(self, i: int, rows: Array) -> Array:
        """sum over levels l of Y_l Q Y_l' for entries (r, nnz_i) on the pattern of chain factor i: (r, r)."""
        ...

    def rows(self, i: int, rows: Array) -> Array:
        """Y Q on the pattern of chain factor i alone: (r, nnz_i) again."""
        ...

    def blocks(self, j: int) -> Array:
        """Q_ll at every level of factor j: (k_j, k_j, q_j)."""
        ...

    def between(self, i: int, j: int) -> Array:
        """Q at the pairs of levels of trailing factors i < j that occur together: (k_i, k_j, pairs)."""
        ...


class TrailingDerivatives(Protocol):
    """First and second derivatives of log|I + Sigma_T P| while P and Sigma_T move."""

    def move(self, x: int, i: int, left: Array, right: Array) -> None:
        """P moves by -(L'R + R'L) / 2 along direction x; both (k_i, nnz_i) on the pattern of chain factor i."""
        ...

    def inner(self, i: int, left: Array, right: Array) -> float:
        """<Q, L'R> for entries (k_i, nnz_i) on the pattern of chain factor i."""
        ...

    def finish(self, directions: Mapping[int, Mapping[int, Array]], size: int) -> tuple[Array, Array]:
        """Gradient (size,) and Hessian (size, size), what second derivatives of P add to it left out.

        ``directions[j][x]`` is how Sigma_j moves along x, (k_j, k_j).
        """
        ...


class TrailingFactor(Protocol):
    """S at one theta.

    A *half* is what `forward` makes of a right-hand side d, an array with a column for every column of d and any
    number of rows, linear in d: L^{-1} d where there is a Cholesky factor, whatever serves as well where there is
    none. Halves may be added, multiplied and stacked side by side; what they stand for is in `dual` and `backward`.
    """

    @property
    def logdet(self) -> float:
        """log|S|."""
        ...

    def forward(self, rhs: Array) -> Array:
        """The halves of d (m, r)."""
        ...

    def dual(self, half: Array) -> Array:
        """H* with H_1'H_2* = H_1*'H_2 = d_1'S^{-1}d_2."""
        ...

    def backward(self, half: Array) -> Array:
        """S^{-1} d from the halves of d: (m, r)."""
        ...

    def inverse(self) -> TrailingInverse:
        """What the posterior and the gradient need."""
        ...

    def derivatives(self) -> TrailingDerivatives:
        """What the Hessian of log|A| needs."""
        ...


class TrailingBlock(Protocol):
    """The columns that fill in, for any theta."""

    @property
    def columns(self) -> TrailingColumns:
        """Their layout."""
        ...

    @property
    def kind(self) -> Literal["dense", "sparse", "iterative"]:
        """How S is held."""
        ...

    @property
    def order(self) -> Index:
        """The columns in order of elimination, (m,)."""
        ...

    @property
    def cost(self) -> Cost:
        """What a factorization takes."""
        ...

    def refill(self, gram: Gram) -> TrailingBlock:
        """The same block for other values on the same pattern."""
        ...

    def factorize(self, templates: Sequence[Array], rows: Mapping[int, Array]) -> TrailingFactor:
        """Factor S for the templates of all factors and the entries (k_i, nnz_i) of every Y_i."""
        ...


class MakeTrailing(Protocol):
    """How a block is made of cross-products."""

    def __call__(self, gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> TrailingBlock:
        """Lay out a block; DesignError where the machine cannot hold it."""
        ...
