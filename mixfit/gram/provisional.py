r"""Bases from cross-products alone, for rows that are not kept.

Rows are first expressed in a *provisional* basis, taken from a few of them: columns less what earlier ones predict, of
unit mean square there. Cross-products of all rows in that basis are far from cancelling, however far the columns are
from zero, and what is exact is one congruence away: with :math:`\tilde X = X P` and :math:`\tilde X'\tilde X = LL'`,
:math:`Q = \tilde X L'^{-1}` is orthonormal and :math:`X = Q\,(L'P^{-1})`: CholeskyQR (Yamamoto, Nakatsukasa, Yanagisawa
& Fukaya 2015, ETNA 44, 306-326), whose second step this is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf

from mixfit.covariance.structure import Invariance
from mixfit.gram.basis import PERFECT_FIT, RANK_TOLERANCE, FixedBasis, ResponseBasis, fixed_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["ExactColumns", "Provisional", "exact_columns", "exact_term", "provisional", "provisional_columns"]

# What other columns leave of a column of unit length in the provisional basis, below which squaring has cost more than
# half of the digits: the basis is then taken from all rows, and these are read once more.
_SAFE_REST = 1e-3


@dataclass(frozen=True, eq=False)
class Provisional:
    """X~ = X P, and y~ = (y - X~ gamma) / scale.

    Attributes
    ----------
    P : ndarray, shape (c, c)
        Upper triangular.
    gamma : ndarray, shape (c,)
    scale : float
    """

    P: Array
    gamma: Array
    scale: float

    def rows(self, X: Array, y: Array, root_weights: Array | None = None) -> Array:
        """[X~ y~] as rows (c + 1, m), times the square roots of weights."""
        out = np.empty((X.shape[1] + 1, len(y)))
        out[:-1] = (X @ self.P).T
        out[-1] = y
        # One by one: what is subtracted of a constant first leaves no rounding, which a sum of all would.
        for column, gamma in zip(out[:-1], self.gamma, strict=True):
            out[-1] -= gamma * column
        out[-1] /= self.scale
        return out if root_weights is None else out * root_weights


def provisional_columns(columns: Array) -> Array:
    """P (c, c), upper triangular, that makes columns (m, c) orthogonal from left to right, of unit mean square.

    What of a column earlier ones predict is subtracted from it, also where that is all of it.
    """
    m, c = columns.shape
    norms = np.linalg.norm(columns, axis=0)
    norms[norms == 0.0] = np.sqrt(m)
    basis = fixed_basis(np.ascontiguousarray((columns / norms).T))
    P = np.eye(c)
    P[np.ix_(basis.kept, basis.kept)] = np.linalg.inv(basis.triangle)
    for j in np.setdiff1d(np.arange(c), basis.kept):
        # By the columns before it; later ones have no share but rounding's.
        shares = basis.coefficients(basis.rows @ (columns[:, j] / norms[j]))
        before = basis.kept < j
        P[basis.kept[before], j] = -shares[before]
    return np.asarray(np.triu(P) / norms[:, None] * np.sqrt(m))


def provisional(X: Array, y: Array) -> Provisional:
    """A basis from some rows, X (m, c) and y (m,)."""
    P = provisional_columns(X)
    columns = X @ P
    # Of a column that earlier ones determine rounding is left, which the response must not be fitted by.
    some = np.linalg.norm(columns, axis=0) > RANK_TOLERANCE * np.sqrt(len(X))
    gamma = np.zeros(len(P))
    gamma[some] = np.linalg.lstsq(columns[:, some], y, rcond=None)[0]
    scale = float(np.sqrt(np.mean(Provisional(P, gamma, 1.0).rows(X, y)[-1] ** 2)))
    if not scale > PERFECT_FIT * float(np.sqrt(np.mean(y**2))):
        # These rows tell nothing of the residuals: their unit is then that of y.
        scale = float(np.sqrt(np.mean(y**2))) or 1.0
    return Provisional(P, gamma, scale)


@dataclass(frozen=True, eq=False)
class ExactColumns:
    """What cross-products in a provisional basis say of X and y.

    Attributes
    ----------
    fixed : FixedBasis
        Without rows.
    response : ResponseBasis or None
        Without a row; None where X explains y.
    border : ndarray, shape (c + 1, p + 1)
        M, with [Q e] = [X~ y~] M.
    all_columns : ndarray, shape (p, c)
        R of all columns, X = Q R, aliased ones too.
    is_safe : bool
        Whether the provisional basis was near enough to the exact one.
    """

    fixed: FixedBasis
    response: ResponseBasis | None
    border: Array
    all_columns: Array
    is_safe: bool

    def better(self, before: Provisional) -> Provisional:
        """The provisional basis that these columns are: of all rows."""
        kept, n = self.fixed.kept, len(before.P)
        change = np.eye(n)
        change[:, kept] = 0.0
        change[:n, kept] = self.border[:n, :-1]
        P, gamma, scale = np.triu(before.P @ change), before.gamma, before.scale
        if self.response is not None:
            # e = X~ m + y~ / d, and y = X~ gamma + scale y~.
            gamma = gamma - scale * self.border[:n, -1] / self.border[-1, -1]
            scale = self.response.scale
        return Provisional(P, np.asarray(np.linalg.solve(change, gamma), dtype=float), scale)


def exact_columns(corner: Array, basis: Provisional, square: float, squares: Array | float = 0.0) -> ExactColumns:
    """The exact bases of X and y, from [X~ y~]'[X~ y~] (c + 1, c + 1) and y'y.

    A column is aliased where earlier ones leave less than RANK_TOLERANCE of its length, as in memory. Of columns that
    are sums, `squares` (c,) are those that nothing has cancelled in: a column is zero where so little of them is left.
    """
    c = len(corner) - 1
    back = solve_triangular(basis.P, np.eye(c)) if c else np.empty((0, 0))
    lengths = np.sqrt(np.maximum(np.einsum("ij,ij->j", back, corner[:c, :c] @ back), 0.0))
    lengths[lengths <= RANK_TOLERANCE * np.sqrt(squares)] = 0.0
    # P is triangular: what earlier columns leave of a column is back_jj times what they leave of the provisional one.
    kept, low, is_safe = _sequential_cholesky(corner[:c, :c], lengths / np.abs(back.diagonal()))
    p = len(kept)
    # Q'[X~ y~]
    shares = solve_triangular(low, corner[kept], lower=True) if p else np.empty((0, c + 1))
    # Nothing of a column lies along those made of later ones: a rounding there would be times the mean of y.
    shares[np.arange(c + 1) < kept[:, None]] = 0.0
    border = np.zeros((c + 1, p + 1))
    border[kept, :p] = solve_triangular(low, np.eye(p), lower=True).T if p else np.empty((0, 0))
    every = shares[:, :c] @ back
    rest = float(corner[c, c] - shares[:, c] @ shares[:, c])
    scale = basis.scale * float(np.sqrt(max(rest, 0.0)))
    is_safe = is_safe and rest > _SAFE_REST**2 * corner[c, c]
    fixed = FixedBasis(np.empty((p, 0)), np.triu(every[:, kept]), kept)
    if scale <= PERFECT_FIT * np.sqrt(square):
        return ExactColumns(fixed, None, border, every, is_safe)
    border[kept, p] = -border[kept, :p] @ shares[:, c] / np.sqrt(rest)
    border[c, p] = 1.0 / np.sqrt(rest)
    gamma = shares[:, :c] @ basis.gamma + basis.scale * shares[:, c]
    return ExactColumns(fixed, ResponseBasis(gamma, np.empty(0), scale), border, every, is_safe)


def _sequential_cholesky(gram: Array, lengths: Array) -> tuple[NDArray[np.intp], Array, bool]:
    """Columns that earlier ones leave something of, their Cholesky factor, and whether it kept its digits.

    `lengths` (c,) are those of the columns before they were made almost orthogonal, in the unit of what that left.
    """
    kept: list[int] = []
    low = np.zeros(gram.shape)
    is_safe = True
    for j, length in enumerate(lengths):
        row = solve_triangular(low[: len(kept), : len(kept)], gram[kept, j], lower=True) if kept else np.empty(0)
        rest = float(gram[j, j] - row @ row)
        if rest <= (RANK_TOLERANCE * length) ** 2 or length == 0.0:
            continue
        is_safe = is_safe and rest > _SAFE_REST**2 * gram[j, j]
        low[len(kept), : len(kept)] = row
        low[len(kept), len(kept)] = np.sqrt(rest)
        kept.append(j)
    p = len(kept)
    return np.array(kept, dtype=np.intp), low[:p, :p], is_safe


def exact_term(squares: Array, P: Array, n: int, invariance: Invariance) -> tuple[Array, Array]:
    """C with Z_basis = Z~ C, and R with Z = Z_basis R, from Z~'Z~ (k, k) of all n rows and Z~ = Z P.

    The bases are those of :func:`mixfit.gram.basis.term_basis`.
    """
    back = solve_triangular(P, np.eye(len(P)))
    lengths = np.sqrt(np.maximum(np.einsum("ij,ij->j", back, squares @ back), 0.0))
    # Of a column that earlier ones determine nothing is left but rounding.
    some = np.abs(back.diagonal()) * np.sqrt(squares.diagonal()) > RANK_TOLERANCE * lengths
    squares = np.where(np.outer(some, some), squares, 0.0)
    norms = np.sqrt(squares.diagonal())
    norms[norms == 0.0] = np.sqrt(n)
    if invariance is Invariance.ANY_BASIS and len(P) > 1:
        units = squares / np.outer(norms, norms)
        low, info = dpotrf(units, lower=1, clean=1)
        if not info and low.diagonal().min() > _SAFE_REST:
            C = solve_triangular(low, np.diag(1.0 / norms), lower=True).T * np.sqrt(n)
            return C, low.T * norms / np.sqrt(n) @ back
        values, vectors = np.linalg.eigh(units)
        roots = np.sqrt(np.maximum(values, 0.0))
        spanned = roots > RANK_TOLERANCE * roots[-1]
        C = vectors / norms[:, None] * np.where(spanned, np.sqrt(n) / np.where(spanned, roots, 1.0), 0.0)
        R = (np.where(spanned, roots, 1.0)[:, None] * vectors.T) * norms / np.sqrt(n)
        return C, R @ back
    scale = norms / np.sqrt(n)
    if invariance is Invariance.COMMON_SCALE:
        scale = np.full(len(P), np.sqrt(np.sum(scale**2)))
    return np.diag(1.0 / scale), np.diag(scale) @ back
