r"""One response at many thetas: log|A| and the Schur complement G of [X y], their slopes, and draws of the effects.

The levels j of the largest factor enter through M_j = T (T'F_j T + I)^{-1} T', the same for all levels with the same F.
With C_j = Z_j'[Z_T X y], Z_T the columns of the other factors,

    P = [Z_T X y]'[Z_T X y] - sum_j C_j' M_j C_j

is one product of the M with sums of C_j C_j' over equal levels, whatever the number of thetas. What is left is dense:

    S = I + Lambda'P_TT Lambda,    G = P_XX - P_XT Q P_TX,    Q = Lambda S^{-1} Lambda'

with X for [X y]. Slopes go back the same way: for f = log|A| + <B, G> and Sigma = T T' of a factor,

    df / dP = V B V' + Q on the block of T,   V = [-Q P_TX; I],
    T'N T = I - S^{-1} - w B w'  of the other factors, summed over levels,  w = S^{-1} Lambda'P_TX,
    T'N T = sum_j [I - A_j^{-1} - A_j^{-1} T'C_j (df / dP) C_j'T A_j^{-1}]  of the largest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.trailing import TrailingColumns
from mixfit.gram import levels as lv
from mixfit.lmm.batch.moments import equal_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.gram.pattern import FactorRows
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Sweep", "SweepRows", "SweptRows", "SweptThetas", "sweep"]

# Sums of products that are formed once, and dense columns of the other factors: beyond these one factorization at a
# time, which knows what is sparse, costs less.
_LARGEST_SUMS = 4_000_000
_MOST_COLUMNS = 150
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, eq=False)
class Sweep:
    """What all thetas share.

    Attributes
    ----------
    columns : TrailingColumns
        Those of the factors after the first.
    group : ndarray of intp, shape (q,)
        Which of the U distinct F every level of the first factor has.
    count : ndarray, shape (U,)
    gram : ndarray, shape (k, k, U)
        The distinct F.
    cross : ndarray, shape (k, m + r, q)
        C_j.
    sums : ndarray, shape (k * k * U, (m + r)^2)
        sum of C_ja C_jb' over the levels of each distinct F.
    corner : ndarray, shape (m + r, m + r)
        [Z_T X y]'[Z_T X y].
    """

    columns: TrailingColumns
    group: Index
    count: Array
    gram: Array
    cross: Array
    sums: Array
    corner: Array

    @property
    def m(self) -> int:
        """Columns of the other factors."""
        return self.columns.m

    @property
    def block(self) -> int:
        """How many thetas keep within a modest memory."""
        k, s, q = self.cross.shape
        return max(1, _CELLS_AT_ONCE // (3 * s * s + 4 * k * k * len(self.count) + k * q))

    def at(self, templates: Sequence[Array]) -> SweptThetas:
        """Factor A at R thetas: templates (R, k_i, k_i) of every factor."""
        k, u, r = len(self.gram), len(self.count), len(templates[0])
        t = np.repeat(np.moveaxis(templates[0], 0, 2), u, axis=2)
        swept = lv.matmul(lv.transpose(t), lv.matmul(np.tile(self.gram, r), t))
        low = lv.cholesky(lv.add_identity(swept))
        inverse = lv.lower_inverse(low)
        root = lv.matmul(inverse, lv.transpose(t))
        m = lv.matmul(lv.transpose(root), root)
        every, s = np.arange(k), len(self.corner)
        logdet = 2.0 * np.log(low[every, every].reshape(k, r, u)).sum(axis=0) @ self.count
        p = self.corner - (_by_theta(m, r) @ self.sums).reshape(r, s, s)
        c = self.m
        if not c:
            return SweptThetas(
                self, tuple(templates), inverse, root, p, logdet, p, np.empty((r, 0, 0)), np.empty((r, 0, s))
            )
        rhs = self.multiply(templates, p[:, :c], transposed=True)
        s_matrix = np.eye(c) + self.multiply(templates, rhs[:, :, :c].swapaxes(1, 2), transposed=True)
        own = np.asarray(np.linalg.cholesky(s_matrix), dtype=float)
        w = np.asarray(np.linalg.solve(s_matrix, rhs[:, :, c:]), dtype=float)
        logdet = logdet + 2.0 * np.log(np.einsum("rii->ri", own)).sum(axis=1)
        g = p[:, c:, c:] - rhs[:, :, c:].swapaxes(1, 2) @ w
        return SweptThetas(self, tuple(templates), inverse, root, p, logdet, g, own, w)

    def multiply(self, templates: Sequence[Array], b: Array, *, transposed: bool = False) -> Array:
        """Lambda b of the other factors, or Lambda'b, for b (R, m, c)."""
        c = self.columns
        out = np.empty(b.shape)
        for j in c.factors:
            rows = c.own(j)
            t = templates[j].swapaxes(1, 2) if transposed else templates[j]
            own = b[:, rows].reshape(len(b), c.k[j], -1)
            out[:, rows] = (t @ own).reshape(len(b), rows.stop - rows.start, b.shape[2])
        return out

    def rows(self, factors: Sequence[FactorRows], x: Array) -> SweepRows:
        """The rows of the data behind the products: those of every factor, and X as rows (p, n)."""
        first, n = factors[0], x.shape[1]
        z = np.ones((1, n)) if first.columns is None else first.columns
        rest = np.zeros((n, self.m + len(x)))
        rest[:, self.m :] = x.T
        for j in self.columns.factors:
            own = factors[j]
            for a in range(own.k):
                rest[np.arange(n), self.columns.at(j, a).start + own.codes] = (
                    1.0 if own.columns is None else own.columns[a]
                )
        return SweepRows(first.codes, z, rest)


@dataclass(frozen=True, eq=False)
class SweepRows:
    """Rows of the data, in the problem's bases and whitened.

    Attributes
    ----------
    codes : ndarray of intp, shape (n,)
        Level of the first factor.
    z : ndarray, shape (k, n)
        Its columns.
    rest : ndarray, shape (n, m + p)
        [Z_T X].
    """

    codes: Index
    z: Array
    rest: Array


def _by_theta(m: Array, r: int) -> Array:
    """(k, k, R * U) as (R, k * k * U)."""
    k = len(m)
    return np.ascontiguousarray(m.reshape(k * k, r, -1).swapaxes(0, 1)).reshape(r, -1)


@dataclass(frozen=True, eq=False)
class SweptRows:
    """Rows' x'beta + z'b given y at R thetas: Cov / sigma^2 of rows i and l is f_i'f_l, and g_i'g_l in one level.

    Attributes
    ----------
    codes : ndarray of intp, shape (n,)
        Level of the first factor.
    mean : ndarray, shape (R, n)
    own : ndarray, shape (R, n, k)
        g: of the first factor's effects given all others.
    rest : ndarray, shape (R, n, m + p)
        f.
    """

    codes: Index
    mean: Array
    own: Array
    rest: Array

    @property
    def leverage(self) -> Array:
        """Variances over sigma^2, (R, n)."""
        return np.asarray((self.own**2).sum(axis=2) + (self.rest**2).sum(axis=2))

    def covariance(self, rows: Index) -> Array:
        """Covariances over sigma^2 within sets of rows (g, c), (R, g, c, c)."""
        rest, own, codes = self.rest[:, rows], self.own[:, rows], self.codes[rows]
        same = codes[:, :, None] == codes[:, None]
        return np.asarray(rest @ rest.swapaxes(2, 3) + same * (own @ own.swapaxes(2, 3)))


@dataclass(frozen=True, eq=False)
class SweptThetas:
    """The factor at R thetas.

    Attributes
    ----------
    sweep : Sweep
    templates : tuple of ndarray, shape (R, k_i, k_i)
    inverse, root : ndarray, shape (k, k, R * U)
        L^{-1}, L L' = T'F T + I, and L^{-1} T'.
    products : ndarray, shape (R, m + r, m + r)
        P.
    logdet : ndarray, shape (R,)
        log|A|.
    schur : ndarray, shape (R, r, r)
        G.
    low : ndarray, shape (R, m, m)
        Cholesky factor of S.
    w : ndarray, shape (R, m, r)
        S^{-1} Lambda'P_TX.
    """

    sweep: Sweep
    templates: tuple[Array, ...]
    inverse: Array
    root: Array
    products: Array
    logdet: Array
    schur: Array
    low: Array
    w: Array

    def slopes(self, b: Array) -> list[Array]:
        """T'N T (R, k_i, k_i) of every factor for log|A| + <B, G>, B symmetric (R, r, r)."""
        sweep, r, c = self.sweep, len(self.templates[0]), self.sweep.m
        k, u, s = len(sweep.gram), len(sweep.count), len(sweep.corner)
        along, others = b, {}
        if c:
            s_inverse = np.asarray(np.linalg.inv(self.low @ self.low.swapaxes(1, 2)), dtype=float)
            inner = np.eye(c) - s_inverse - self.w @ b @ self.w.swapaxes(1, 2)
            for j in sweep.columns.factors:
                own, kj = sweep.columns.own(j), sweep.columns.k[j]
                others[j] = np.einsum("raqbq->rab", inner[:, own, own].reshape(r, kj, -1, kj, sweep.columns.width[j]))
            v = np.concatenate(
                [-sweep.multiply(self.templates, self.w), np.broadcast_to(np.eye(s - c), (r, s - c, s - c))], axis=1
            )
            along = v @ b @ v.swapaxes(1, 2)
            half = sweep.multiply(self.templates, s_inverse).swapaxes(1, 2)
            along[:, :c, :c] += sweep.multiply(self.templates, half)
        outer = (along.reshape(r, s * s) @ sweep.sums.T).reshape(r, k * k, u).swapaxes(0, 1).reshape(k, k, r * u)
        to_score = lv.matmul(lv.transpose(self.inverse), self.root)
        total = -lv.matmul(lv.matmul(to_score, outer), lv.transpose(to_score))
        rest = lv.add_identity(-lv.matmul(lv.transpose(self.inverse), self.inverse))
        own = total.reshape(k, k, r, u).sum(axis=3) + rest.reshape(k, k, r, u) @ sweep.count
        return [np.moveaxis(own, 2, 0), *(others[j] for j in sweep.columns.factors)]

    def rows(self, rows: SweepRows, combination: Array, inverse: Array) -> SweptRows:
        """What y says of x'beta + z'b of every row.

        Parameters
        ----------
        rows : SweepRows
        combination : ndarray, shape (R, r)
            [-beta_bar; 1].
        inverse : ndarray, shape (R, p, p)
            Cov(beta | y) / sigma^2.
        """
        sweep, r, c = self.sweep, len(combination), self.sweep.m
        k, s, _ = sweep.cross.shape
        root = self.root.reshape(k, k, r, -1)
        m = lv.matmul(lv.transpose(self.root), self.root).reshape(root.shape)
        at = sweep.group[rows.codes]
        mz = np.einsum("abrn,bn->arn", m[:, :, :, at], rows.z)
        cross = sweep.cross[:, :, rows.codes]
        # What the effects of the first factor leave of [Z_T X] in each row, and of y in their mean.
        left = rows.rest - np.einsum("arn,asn->rns", mz, cross[:, : s - 1], optimize=True)
        mean = np.einsum("arn,an->rn", mz, cross[:, s - 1])
        x, parts = left[:, :, c:], []
        if c:
            fitted = sweep.multiply(self.templates, self.w)
            t = left[:, :, :c]
            mean = mean + np.einsum("rnm,rm->rn", t, fitted[:, :, -1])
            x = x - t @ fitted[:, :, :-1]
            half = np.linalg.solve(self.low, sweep.multiply(self.templates, t.swapaxes(1, 2), transposed=True))
            parts.append(half.swapaxes(1, 2))
        mean = mean - np.einsum("rnp,rp->rn", x, combination[:, :-1])
        parts.append(x @ np.linalg.cholesky(inverse))
        own = np.einsum("abrn,bn->rna", root[:, :, :, at], rows.z)
        return SweptRows(rows.codes, mean, own, np.concatenate(parts, axis=2))

    def effects(self, combination: Array, scale: Array, rng: np.random.Generator) -> list[Array]:
        """b (R, k_i, q_i) of every factor, drawn given y - X beta = [X y] `combination`, (R, r), and sigma (R,)."""
        sweep, r, c = self.sweep, len(combination), self.sweep.m
        k, _, q = sweep.cross.shape
        out: dict[int, Array] = {}
        known = sweep.cross[:, c:]
        d = np.tensordot(combination, known, axes=([1], [1]))
        if c:
            noise = rng.standard_normal((r, c, 1)) * scale[:, None, None]
            u = self.w @ combination[:, :, None] + np.linalg.solve(self.low.swapaxes(1, 2), noise)
            b = sweep.multiply(self.templates, u)[:, :, 0]
            for j in sweep.columns.factors:
                out[j] = b[:, sweep.columns.own(j)].reshape(r, sweep.columns.k[j], -1)
            d = d - np.tensordot(b, sweep.cross[:, :c], axes=([1], [1]))
        d = np.moveaxis(d, 1, 0).reshape(k, 1, r * q)
        at = (np.arange(r)[:, None] * len(sweep.count) + sweep.group).reshape(-1)
        noise = rng.standard_normal((k, 1, r * q)) * np.repeat(scale, q)
        half = lv.matmul(self.root[:, :, at], d) + noise
        u = lv.matmul(lv.transpose(self.inverse)[:, :, at], half).reshape(k, r, q)
        out[0] = self.templates[0] @ np.moveaxis(u, 1, 0)
        return [out[i] for i in range(len(self.templates))]


def sweep(gram: Gram) -> Sweep | None:
    """What all thetas share, None where one factorization at a time costs less."""
    columns = TrailingColumns(tuple(range(1, gram.n_factors)), gram.k, gram.n_levels)
    k, q, r = gram.k[0], gram.n_levels[0], len(gram.corner)
    s = columns.m + r
    group = equal_levels(gram.diagonal[0])
    u = int(group.max()) + 1
    if columns.m > _MOST_COLUMNS or k * k * q * s * s > _LARGEST_SUMS:
        return None
    cross = np.empty((k, s, q))
    cross[:, columns.m :] = gram.border[0]
    corner = np.zeros((s, s))
    corner[columns.m :, columns.m :] = gram.corner
    for j in columns.factors:
        _lay_out(gram, columns, j, cross, corner)
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    c = cross[:, :, order]
    sums = np.add.reduceat(np.einsum("axq,byq->abxyq", c, c), first, axis=4)
    sums = np.ascontiguousarray(np.moveaxis(sums, 4, 2)).reshape(k * k * u, s * s)
    count = np.bincount(group).astype(float)
    return Sweep(columns, group, count, gram.diagonal[0][:, :, order[first]], cross, sums, corner)


def _lay_out(gram: Gram, columns: TrailingColumns, j: int, cross: Array, corner: Array) -> None:
    """The products of factor j's columns with the first factor's, with one another, with later ones' and with [X y]."""
    m, level = columns.m, np.arange(gram.n_levels[j])
    to_first = gram.pairs[0, j]
    for b in range(gram.k[j]):
        at = columns.at(j, b)
        cross[:, at] = 0.0
        for a in range(gram.k[0]):
            cross[a, at.start + to_first.col, to_first.row] = to_first.values[a, b]
        corner[at, m:] = gram.border[j][b].T
        corner[m:, at] = gram.border[j][b]
        for d in range(gram.k[j]):
            corner[at.start + level, columns.at(j, d).start + level] = gram.diagonal[j][b, d]
        for i in columns.factors:
            if i <= j:
                continue
            pairs = gram.pairs[j, i]
            for d in range(gram.k[i]):
                rows, cols = at.start + pairs.row, columns.at(i, d).start + pairs.col
                corner[rows, cols] = corner[cols, rows] = pairs.values[b, d]
