"""Templates: the relative factors T of random terms, one level of which has relative covariance T T'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Array = NDArray[np.float64]

__all__ = [
    "change_basis",
    "expand",
    "regular_factor",
    "semidefinite_cholesky",
    "spectral_factor",
    "triangular",
]

# Entries of a row of T below this share of its length are what rotations leave of a zero.
_ROUNDING = 1e-14


def expand(templates: Sequence[Array], n_levels: Sequence[int]) -> csr_array:
    """Lambda of all levels of all terms, shape (q, q): a template on the diagonal for every level."""
    from scipy.sparse import block_diag, csr_array, kron

    if not templates:
        return csr_array((0, 0))
    blocks = [kron(np.eye(q), t) for t, q in zip(templates, n_levels, strict=True)]
    return csr_array(block_diag(blocks, format="csr"))


def change_basis(template: Array, basis: Array) -> Array:
    """The template of R^{-1} T T' R'^{-1}: that of the user's columns, Z = Z_basis R; or many, (..., k, k)."""
    if len(basis) == 1:
        return template / abs(basis[0, 0])
    moved = np.linalg.solve(basis, template)
    low = np.asarray(np.linalg.qr(moved.swapaxes(-1, -2), mode="r")).swapaxes(-1, -2)
    negative = np.diagonal(low, axis1=-2, axis2=-1) < 0
    low = low * np.where(negative, -1.0, 1.0)[..., None, :]
    row = np.sqrt(np.einsum("...ij,...ij->...i", low, low))
    low[np.abs(low) <= _ROUNDING * row[..., None]] = 0.0
    return low


def triangular(factor: Array) -> Array:
    """The lower-triangular root of T T' with a diagonal of positive numbers or zero, of any square root T."""
    low = np.asarray(np.linalg.qr(factor.T, mode="r")).T
    return np.asarray(low * np.where(low.diagonal() < 0.0, -1.0, 1.0))


def semidefinite_cholesky(sigma: Array, tolerance: float = 1e-12) -> Array:
    """Lower T with T T' = sigma, columns of pivots below tolerance * sigma_ii zero."""
    k = len(sigma)
    t = np.zeros((k, k))
    for j in range(k):
        pivot = sigma[j, j] - t[j, :j] @ t[j, :j]
        if pivot <= tolerance * sigma[j, j]:
            continue
        t[j, j] = np.sqrt(pivot)
        t[j + 1 :, j] = (sigma[j + 1 :, j] - t[j + 1 :, :j] @ t[j, :j]) / t[j, j]
    return t


def spectral_factor(sigma: Array, tolerance: float = 1e-12) -> Array:
    """T with T T' = sigma, its columns those of the eigenvectors of the correlations, longest first, or zero.

    Eigenvalues below tolerance times the largest are left out, and with them no more than that of sigma. Pivots of a
    triangle as small are not: what stands beside one in its column is of the order of its root.
    """
    sd = np.sqrt(sigma.diagonal())
    scale = np.where(sd > 0.0, sd, 1.0)
    values, vectors = np.linalg.eigh(sigma / np.outer(scale, scale))
    values = np.where(values > tolerance * values[-1], values, 0.0)
    return np.asarray((sd[:, None] * vectors * np.sqrt(values))[:, ::-1])


def regular_factor(factor: Array, least: float) -> tuple[Array, Array, bool]:
    """A square factor without variances below `least`, its pseudo-inverse, and whether it has full rank.

    Singular values below the root of `least` are left out: as a column of zeros where there is one to leave out, by
    turning the columns otherwise.
    """
    if len(factor) == 1:
        singular = factor[0, 0] ** 2 < least
        return (np.zeros((1, 1)), np.zeros((1, 1)), False) if singular else (factor, 1.0 / factor, True)
    u, s, vt = np.linalg.svd(factor)
    if s[-1] ** 2 >= least:
        return factor, (vt.T / s) @ u.T, True
    kept = s**2 >= least
    columns = np.einsum("ij,ij->j", factor, factor) >= least
    inverse = np.divide(1.0, s, out=np.zeros_like(s), where=kept)
    if columns.sum() == kept.sum():
        return factor * columns, (vt.T * inverse) @ u.T, False
    return u * (s * kept), np.diag(inverse) @ u.T, False
