r"""Variances that the criterion says nothing of: in REML those of random columns within the span of X.

The restricted likelihood is that of contrasts K'y with K'X = 0. Where the columns Z_j v of all levels j lie in the span
of X, K'Z_j v = 0, and the effects along v drop out: whatever their variance, the criterion is the same. So it is where
a factor is both fixed and grouping. Of all these optima the one without the variance is taken, at which the standard
errors of the fixed effects are those of the data at hand and the fit says that it is singular.

A search along such directions would follow rounding. It is made among the other combinations of the columns,
Z_j b_j = Z_j M c_j with M orthogonal to every such v, for which the criterion is the same. Covariances that another one
of the same factor contains are left out in the same way (see `mixfit.lmm.contained`), of maximum likelihood too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import block_diag

from mixfit.covariance.structure import Invariance
from mixfit.factor.plan import refill
from mixfit.gram.products import transformed
from mixfit.lmm.contained import contained_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.gram.pattern import FactorRows
    from mixfit.gram.products import Gram, Rows
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["Determined", "determined_problem", "determined_theta"]

# What X leaves of a column's sum of squares where it spans it is rounding, 1e-15 or so of the whole; one that it leaves
# a millionth of the length of is left alone.
_SPANNED = 1e-12


@dataclass(frozen=True, eq=False)
class Determined:
    """A problem with zeros in the place of random columns that the criterion says nothing of.

    Attributes
    ----------
    problem : Problem
        With Z_t M_t in the place of Z_t.
    maps : tuple of ndarray, shape (k_t, k_t)
        M_t: orthonormal columns, and columns of zeros.
    """

    problem: Problem
    maps: tuple[Array, ...]

    def inside(self, points: Sequence[Array]) -> list[Array]:
        """Points of the smaller problem, at which the criterion is the same but for what another term contains."""
        return [self._moved(i, point, m.T) for i, (point, m) in enumerate(zip(points, self.maps, strict=True))]

    def back(self, points: Sequence[Array]) -> list[Array]:
        """The points of the whole problem."""
        return [self._moved(i, point, m) for i, (point, m) in enumerate(zip(points, self.maps, strict=True))]

    def _moved(self, index: int, point: Array, m: Array) -> Array:
        structure = self.problem.terms[index].structure
        if not m.any():
            return structure.scaled(point, 0.0)
        # others than free structures keep their columns
        return m @ point if structure.free_blocks else point


def determined_problem(problem: Problem, *, reml: bool) -> Determined | None:
    """The problem without the columns that the criterion says nothing of; None where it says something of all."""
    contained = contained_columns(problem.terms, lambda factor: problem.gram.diagonal[factor].sum(axis=2))
    maps = [_map(problem.gram, term) if reml else None for term in problem.terms]
    if contained is not None:
        maps = [_without(m, out) for m, out in zip(maps, contained, strict=True)]
    if all(m is None for m in maps):
        return None
    known = tuple(np.eye(term.k) if m is None else m for term, m in zip(problem.terms, maps, strict=True))
    by_factor: list[dict[int, Array]] = [{} for _ in problem.gram.k]
    for term, m in zip(problem.terms, known, strict=True):
        by_factor[term.factor][term.first] = m
    own = [block_diag(*(m for _, m in sorted(parts.items()))) for parts in by_factor]
    gram = replace(transformed(problem.gram, own, None), rows=_rows(problem.gram.rows, own))
    return Determined(replace(problem, gram=gram, plan=refill(problem.plan, gram)), known)


def _rows(rows: Rows | None, maps: Sequence[Array]) -> Rows | None:
    """The rows of Z_i C_i."""
    if rows is None:
        return None
    # a column of ones that is not left as it is is nothing
    factors = [
        f if c.all() and f.columns is None else replace(f, columns=c.T @ _columns(f, rows))
        for f, c in zip(rows.factors, maps, strict=True)
    ]
    return replace(rows, factors=tuple(factors))


def _columns(factor: FactorRows, rows: Rows) -> Array:
    return np.ones((1, rows.columns.shape[1])) if factor.columns is None else factor.columns


def _without(m: Array | None, out: NDArray[np.bool_]) -> Array | None:
    """M with zeros for columns of the term that are left out: all of a term, or some that have no covariance."""
    if not out.any():
        return m
    return np.diag((~out).astype(float)) if m is None else m * ~out


def _map(gram: Gram, term: Term) -> Array | None:
    """M of a term; None where REML says something of all columns."""
    if gram.corner.shape[0] - 1 < gram.n_levels[term.factor]:
        return None
    squares, rest = _left_of_columns(gram, term)
    whole = np.einsum("aaq->a", squares)
    seen = rest.diagonal() > _SPANNED * whole
    if not seen.any():
        return np.zeros((term.k, term.k)) if whole.any() else None
    if term.structure.is_separable:
        return None if (seen | (whole == 0.0)).all() else np.diag(seen.astype(float))
    if term.structure.invariance is not Invariance.ANY_BASIS:
        return None
    values, vectors = np.linalg.eigh(rest)
    kept = values > _SPANNED * whole.max()
    if np.count_nonzero(kept) == np.count_nonzero(whole):
        return None
    out = np.zeros(rest.shape)
    out[:, : np.count_nonzero(kept)] = vectors[:, kept]
    return out


def _left_of_columns(gram: Gram, term: Term) -> tuple[Array, Array]:
    """Z_j'Z_j of every level, (k, k, q), and what X leaves of their sum, (k, k)."""
    squares = gram.diagonal[term.factor][term.columns, term.columns]
    border = gram.border[term.factor][term.columns, :-1]
    return squares, squares.sum(axis=2) - np.einsum("apq,bpq->ab", border, border)


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
    squares, rest = _left_of_columns(gram, term)
    whole = np.einsum("aaq->a", squares)
    seen = rest.diagonal() > _SPANNED * whole
    if not seen.any():
        return structure.theta_of(structure.scaled(structure.point_of(theta, own), 0.0), own)
    if structure.is_separable:
        # such columns are scaled one by one, so that those of the basis are the user's
        root = structure.template(theta) * seen[:, None]
        return None if seen.all() else structure.theta_of(structure.point_of(root, own), own)
    if structure.invariance is not Invariance.ANY_BASIS:
        return None
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
