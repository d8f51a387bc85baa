"""Least squares within each group: all groups of about one size by one batched QR factorization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.basis import RANK_TOLERANCE, fixed_basis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["GroupFits", "fit_groups"]

# Groups batched with ones at most this much larger: padding costs less than another batch.
_PADDING = 1.5
# 80 MB an array.
_CELLS_AT_ONCE = 10_000_000


@dataclass(frozen=True, eq=False)
class GroupFits:
    """Fits of q groups.

    Attributes
    ----------
    coefficients : ndarray, shape (q, p)
        NaN where the rows of the group do not determine them: a column that earlier ones make up there.
    unscaled : ndarray, shape (q, p)
        Standard errors over the residual standard deviation.
    residual : ndarray, shape (n,)
        Response less fitted value.
    squares : ndarray, shape (q,)
        Weighted sums of squares of the residuals.
    df : ndarray of intp, shape (q,)
        Rows less coefficients.
    """

    coefficients: Array
    unscaled: Array
    residual: Array
    squares: Array
    df: Index


def fit_groups(X: Array, y: Array, weights: Array | None, codes: Index, n_groups: int) -> GroupFits:
    """Fit y on X (n, p) within each group."""
    root = np.ones(len(y)) if weights is None else np.sqrt(weights)
    rows, response, p = X * root[:, None], y * root, X.shape[1]
    coefficients, unscaled = np.full((n_groups, p), np.nan), np.full((n_groups, p), np.nan)
    rank = np.full(n_groups, p)
    for groups, at in _batches(codes, n_groups, p):
        present = at >= 0
        A = np.where(present[:, :, None], rows[at], 0.0)
        b = np.where(present, response[at], 0.0)
        norms = np.sqrt(np.einsum("gsp,gsp->gp", A, A))
        norms[norms == 0.0] = 1.0
        Q, R = np.linalg.qr(A / norms[:, None])
        full = (np.abs(np.einsum("gpp->gp", R)) > RANK_TOLERANCE).all(axis=1)
        inverse = np.linalg.inv(R[full])
        coefficients[groups[full]] = np.einsum("gpr,gsr,gs->gp", inverse, Q[full], b[full]) / norms[full]
        unscaled[groups[full]] = np.sqrt(np.einsum("gpr,gpr->gp", inverse, inverse)) / norms[full]
        # Few groups lack a level or have too few rows; each has other columns to leave out.
        for g, own, used in zip(groups[~full], at[~full], present[~full], strict=True):
            basis = fixed_basis(np.ascontiguousarray(rows[own[used]].T))
            rank[g] = len(basis.kept)
            coefficients[g, basis.kept] = basis.coefficients(basis.rows @ response[own[used]])
            half = basis.coefficients(np.eye(rank[g]))
            unscaled[g, basis.kept] = np.sqrt(np.einsum("pr,pr->p", half, half))
    fitted = np.einsum("np,np->n", X, np.nan_to_num(coefficients)[codes])
    squares: Array = np.asarray(np.bincount(codes, (root * (y - fitted)) ** 2, n_groups), dtype=float)
    return GroupFits(coefficients, unscaled, y - fitted, squares, np.bincount(codes, minlength=n_groups) - rank)


def _batches(codes: Index, n_groups: int, p: int) -> Iterator[tuple[Index, Index]]:
    """Groups of about one size: their numbers (g,), and their rows (g, s), -1 beyond their own and up to p."""
    sizes = np.bincount(codes, minlength=n_groups)
    by_group = np.argsort(codes, kind="stable")
    first = np.cumsum(sizes) - sizes
    order = np.argsort(sizes, kind="stable")
    start = 0
    while start < n_groups:
        size = int(sizes[order[start]] * _PADDING)
        most = max(1, _CELLS_AT_ONCE // (max(size, p) * max(p, 1)))
        stop = min(start + most, max(int(np.searchsorted(sizes[order], size, side="right")), start + 1))
        groups = order[start:stop]
        offset = np.arange(max(int(sizes[groups].max()), p))
        place = np.minimum(first[groups, None] + offset, len(codes) - 1)
        yield groups, np.where(offset < sizes[groups, None], by_group[place], -1)
        start = stop
