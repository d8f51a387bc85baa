r"""The criterion and its derivatives in one contraction, for small problems with one grouping factor.

Levels j enter only through M_j = T A_j^{-1} T', A_j = T'F_j T + I, and through products of B_j = Z_j'[X y]. With their
sums S = sum_j B_j (x) B_j by the distinct F_j,

    G = [X y]'[X y] - sum_j B_j'M_j B_j = [X y]'[X y] - S vec M

is one product of a matrix and a vector. With W_j = A_j^{-1}T' and combinations C of [X y] (the residual y - X beta, and
X in the metric of G_XX), u_j u_j' = W_j (B_j C C'B_j') W_j' are products of S with C C' once more, and all that first
derivatives and the average information are made of:

    T'N T = sum_j [I - A_j^{-1} - u_Xj u_Xj'] - sum_j u_j u_j' / sigma^2,
    w_a'V^{-1}w_b = sum_j tr(D_a (I - A_j^{-1}) D_b u_j u_j'),      D_a = E_a + E_a' in T E_a.

These are the quantities of :mod:`mixfit.lmm.criterion` and :mod:`mixfit.lmm.derivatives`. What those do level by level
with their factors is here a fixed number of array operations on few numbers, of which small problems are all overhead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.factor.plan import SymbolicPlan
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["OneFactor", "OneFactorSlopes", "Swept", "one_factor"]

# Numbers in S. Beyond it the work is more than the overhead, and the factor level by level does less of it.
_MOST_SUMS = 20_000
# Trace of all T'F_j T. Above it log|A| has lost digits beside those of its own size, and the factor knows which.
_STRONG = 1e6
# What G leaves of a square before its digits are asked of the rows.
_CANCELLED = 1e-7
# Signs of the adjugate of a symmetric 2 x 2 matrix.
_ADJUGATE = np.array([[1.0, -1.0], [-1.0, 1.0]])


@dataclass(frozen=True, eq=False)
class OneFactor:
    """What all templates share.

    Attributes
    ----------
    gram : ndarray, shape (U, k, k)
        F of the levels; one for all where they are equal.
    count : ndarray, shape (U,)
        How many levels have each.
    n_levels : int
    sums : ndarray, shape (r * r, U * k * k)
        S.
    corner : ndarray, shape (r, r)
        [X y]'[X y].
    trace : ndarray, shape (U * k * k)
        Of the levels' matrices, the sum of the traces is that times them.
    identity : ndarray, shape (k, k)
    row, column : ndarray of intp, shape (m,)
        i and j of the directions T -> T + d T E_ij of a template whose columns all have variance.
    products : ndarray of intp, shape (4, m, m)
        Where the four terms of tr(D_a P D_b Q) stand in P (x) Q.
    """

    gram: Array
    count: Array
    n_levels: int
    sums: Array
    corner: Array
    trace: Array
    identity: Array
    row: Index
    column: Index
    products: Index

    def at(self, template: Array) -> Swept | None:
        """G and log|A| at one template (k, k); None where they need more care, or where a column has no variance."""
        if not all(map(any, template.T.tolist())):
            return None
        a = template.T @ (self.gram @ template)
        strength = float(self.trace @ a.ravel())
        if not strength < _STRONG:
            return None
        a += self.identity
        inverse, log_determinant = _inverse(a)
        w = inverse @ template.T
        schur = self.corner - (self.sums @ (template @ w).ravel()).reshape(self.corner.shape)
        if not all(left > _CANCELLED * whole for left, whole in zip(*map(_squares, (schur, self.corner)), strict=True)):
            return None
        return Swept(self, template, inverse, w, schur, float(self.count @ log_determinant), strength)


@dataclass(frozen=True, eq=False)
class Swept:
    """What one template makes of it.

    Attributes
    ----------
    problem : OneFactor
    template : ndarray, shape (k, k)
        T.
    inverse : ndarray, shape (U, k, k)
        A^{-1}.
    w : ndarray, shape (U, k, k)
        W.
    schur : ndarray, shape (r, r)
        G.
    logdet : float
        log|A|.
    strength : float
        Trace of all A - I.
    """

    problem: OneFactor
    template: Array
    inverse: Array
    w: Array
    schur: Array
    logdet: float
    strength: float

    def slopes(self, combinations: Array, residual: float, scale: float, *, reml: bool) -> OneFactorSlopes:
        """Derivatives for `combinations` (1 + p, r) of [X y]: y - X beta, and X in the metric of G_XX.

        `residual` is r^2 and `scale` sigma^2.
        """
        one = self.problem
        u, k, _ = one.gram.shape
        p, r = len(combinations) - 1, combinations.shape[1]
        outer = np.empty((p + 2, r, r))
        np.multiply(combinations[0][:, None], combinations[:, None], out=outer[:-1])
        np.matmul(combinations[1:].T, combinations[1:], out=outer[-1])
        each = self.w @ (outer.reshape(p + 2, -1) @ one.sums).reshape(p + 2, u, k, k) @ self.w.swapaxes(1, 2)
        total = each[:, 0] if u == 1 else np.add.reduce(each, 1)
        spread = one.identity - self.inverse
        known = (one.count @ spread.reshape(u, -1)).reshape(k, k)
        share = 1.0 - known.diagonal() / one.n_levels
        if reml and p:
            known = known - total[-1]
        quadratic = total[0] / scale
        pairs = spread.reshape(u, -1).T @ each[0].reshape(u, -1)
        half = total[:-1, one.row, one.column] + total[:-1, one.column, one.row]
        half[0] /= math.sqrt(residual)
        information = (np.add.reduce(pairs.ravel()[one.products]) - half.T @ half) / scale
        information = 0.5 * (information + information.T)
        return OneFactorSlopes(known - quadratic, share, quadratic.diagonal(), known.diagonal(), information)

    def effects(self, combination: Array, border: Array) -> Array:
        """b = T W_j B_j c of every level, (k, q), for a combination c (r,) of [X y], from B (k, r, q)."""
        columns = combination @ border
        u = self.w[0] @ columns if len(self.w) == 1 else np.einsum("qab,bq->aq", self.w, columns)
        return self.template @ u


@dataclass(frozen=True, eq=False)
class OneFactorSlopes:
    """First derivatives and the average information, by the columns of the factor.

    Attributes
    ----------
    relative : ndarray, shape (k, k)
        T'N T.
    inverse_share : ndarray, shape (k,)
        Mean diagonal of A^{-1}.
    quadratic, known : ndarray, shape (k,)
        Diagonals of the quadratic part of T'N T, less its sign, and of its other parts.
    information : ndarray, shape (m, m)
    """

    relative: Array
    inverse_share: Array
    quadratic: Array
    known: Array
    information: Array


def one_factor(gram: Gram, plan: SymbolicPlan, terms: Sequence[Term]) -> OneFactor | None:
    """What all templates share; None where it would be too much, or of another kind of problem."""
    if gram.n_factors != 1 or plan.chain != (0,) or any(t.structure.is_given for t in terms):
        return None
    blocks = [slice(t.first + b.start, t.first + b.stop) for t in terms for b in t.structure.free_blocks]
    k, r, q = gram.border[0].shape
    if k * k * r * r * q > _MOST_SUMS or sum(b.stop - b.start for b in blocks) != k:
        return None
    identity = np.eye(k)
    row, column, products = _directions(tuple((b.start, b.stop) for b in blocks), k)
    squares, cross = gram.diagonal[0], gram.border[0]
    if (squares == squares[:, :, :1]).all():
        flat = cross.reshape(k * r, q)
        sums = (flat @ flat.T).reshape(k, r, k, r).transpose(1, 3, 0, 2)
        first, count = squares[:, :, 0][None], np.array([float(q)])
    else:
        b = np.ascontiguousarray(cross.transpose(1, 2, 0))
        sums = b[:, None, :, :, None] * b[None, :, :, None]
        first, count = squares.transpose(2, 0, 1), np.ones(q)
    return OneFactor(
        gram=np.ascontiguousarray(first),
        count=count,
        n_levels=q,
        sums=sums.reshape(r * r, -1),
        corner=gram.corner,
        trace=np.multiply.outer(count, identity).ravel(),
        identity=identity,
        row=row,
        column=column,
        products=products,
    )


def _inverse(a: Array) -> tuple[Array, Array]:
    """Inverses (U, k, k) and logarithms of determinants (U,) of matrices whose eigenvalues are 1 or more."""
    k = a.shape[1]
    if k == 1:
        return 1.0 / a, np.log(a[:, 0, 0])
    if k == 2:
        determinant = a[:, 0, 0] * a[:, 1, 1] - a[:, 0, 1] * a[:, 1, 0]
        return a[:, ::-1, ::-1] * _ADJUGATE / determinant[:, None, None], np.log(determinant)
    return np.asarray(np.linalg.inv(a), dtype=float), np.asarray(np.linalg.slogdet(a)[1], dtype=float)


def _squares(matrix: Array) -> list[float]:
    diagonal: list[float] = matrix.diagonal().tolist()
    return diagonal


# Models have few patterns of blocks, and searches many problems.
@lru_cache(maxsize=64)
def _directions(blocks: tuple[tuple[int, int], ...], k: int) -> tuple[Index, Index, Index]:
    """`OneFactor.row`, `column` and `products` of blocks of columns, from one to before another."""
    pairs = [(i, j) for start, stop in blocks for j in range(start, stop) for i in range(j, stop)]
    row, column = np.array(pairs, dtype=np.intp).T
    both = ((row, column), (column, row))
    # tr(D_a P D_b Q) is the sum of P_cd Q_ef where D_a has (f, c) and D_b has (d, e).
    products = [(c[:, None] * k + d) * k**2 + e * k + f[:, None] for f, c in both for d, e in both]
    return row, column, np.array(products)
