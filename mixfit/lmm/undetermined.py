r"""Variances that REML says nothing of: those of random columns within the span of X.

The restricted likelihood is that of contrasts K'y with K'X = 0. Where the columns Z_j v of all levels j lie in the span
of X, K'Z_j v = 0, and the effects along v drop out: whatever their variance, the criterion is the same. So it is where
a factor is both fixed and grouping. Of all these optima the one without the variance is taken, at which the standard
errors of the fixed effects are those of the data at hand and the fit says that it is singular.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.structure import Invariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]

__all__ = ["determined_theta"]

# What X leaves of a column's sum of squares where it spans it is rounding, 1e-15 or so of the whole; one that it leaves
# a millionth of the length of is left alone.
_SPANNED = 1e-12


def determined_theta(gram: Gram, term: Term, basis: Array, theta: Array) -> Array | None:
    """Theta of a term without the variances that REML says nothing of; None where it says something of all.

    Parameters
    ----------
    gram : Gram
        With an orthonormal basis of X.
    term : Term
    basis : ndarray, shape (k, k)
        R, with Z = Z_basis R for the user's columns.
    theta : ndarray, shape (m,)
        Of the user's columns.
    """
    p = gram.corner.shape[0] - 1
    # the columns of different levels are orthogonal: X spans no more levels than it has columns
    if p < gram.n_levels[term.factor]:
        return None
    structure, own = term.structure, np.eye(term.structure.k)
    squares = gram.diagonal[term.factor][term.columns, term.columns]
    border = gram.border[term.factor][term.columns, :p]
    whole = np.einsum("aaq->a", squares)
    seen = whole - np.einsum("apq,apq->a", border, border) > _SPANNED * whole
    if not seen.any():
        return structure.theta_of(structure.scaled(structure.point_of(theta, own), 0.0), own)
    if structure.is_separable:
        # such columns are scaled one by one, so that those of the basis are the user's
        root = structure.template(theta) * seen[:, None]
        return None if seen.all() else structure.theta_of(structure.point_of(root, own), own)
    if structure.invariance is not Invariance.ANY_BASIS:
        return None
    rest = squares.sum(axis=2) - np.einsum("apq,bpq->ab", border, border)
    covariance = _projected(basis.T @ rest @ basis, basis.T @ squares.sum(axis=2) @ basis, structure.template(theta))
    return None if covariance is None else structure.theta_of(structure.point_of(_root(covariance), own), own)


def _projected(rest: Array, squares: Array, template: Array) -> Array | None:
    """T T' without what lies along combinations of columns that X spans: of `squares` it leaves `rest`."""
    lengths = np.sqrt(squares.diagonal())
    lengths[lengths == 0.0] = 1.0
    values, vectors = np.linalg.eigh(rest / np.outer(lengths, lengths))
    seen = vectors[:, values > _SPANNED]
    if seen.shape[1] == len(rest):
        return None
    kept = seen @ seen.T
    kept[np.abs(kept) < _SPANNED] = 0.0
    root = (kept @ (lengths[:, None] * template)) / lengths[:, None]
    return np.asarray(root @ root.T)


def _root(covariance: Array) -> Array:
    """The lower triangular root; a column of zeros where the ones before leave no variance."""
    root = np.zeros_like(covariance)
    for j in range(len(root)):
        rest = covariance[j:, j] - root[j:, :j] @ root[j, :j]
        if rest[0] > _SPANNED * covariance[j, j]:
            root[j:, j] = rest / np.sqrt(rest[0])
    return root
