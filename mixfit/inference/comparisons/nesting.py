"""Whether one design contains another: column spaces of X, covariance spaces of the random terms.

A term has the covariances {blocks Z_j S Z_j', one for each level j : S in a set}, where the set is all symmetric
matrices (unstructured) or the diagonal ones. A smaller model is nested where the covariances of each of its terms
are among those of a term of the larger one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.unstructured import Unstructured
from mixfit.gram.basis import RANK_TOLERANCE, fixed_basis

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import RandomDesign

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["contains_term", "outside", "outside_columns", "same_levels", "single_terms"]


@dataclass(frozen=True, eq=False)
class _Covariances:
    codes: Index
    n_levels: int
    Z: Array
    diagonal: bool


def outside_columns(X: Array, columns: Array) -> NDArray[np.bool_]:
    """Which columns, shape (n, c), are not combinations of those of X, shape (n, p)."""
    norms = np.sqrt(np.einsum("nc,nc->c", columns, columns))
    if not X.shape[1]:
        return np.asarray(norms > 0.0)
    rows = fixed_basis(np.ascontiguousarray(X.T)).rows
    rest = columns - rows.T @ (rows @ columns)
    return np.asarray(np.sqrt(np.einsum("nc,nc->c", rest, rest)) > RANK_TOLERANCE * norms)


def single_terms(random: Iterable[RandomDesign]) -> list[RandomDesign]:
    """The same terms with those of independent columns taken apart, as lme4 takes ``||`` apart."""
    out: list[RandomDesign] = []
    for term in random:
        if not term.structure.is_separable:
            out.append(term)
            continue
        for j, name in enumerate(term.columns):
            left = "1" if name == "Intercept" else f"0 + {name}"
            text = f"({left} | {term.grouping.name})"
            out.append(replace(term, columns=(name,), Z=term.Z[:, [j]], structure=Unstructured(1), text=text))
    return out


def same_levels(a: RandomDesign, b: RandomDesign) -> bool:
    """Whether the grouping factors of two terms divide the rows alike."""
    return _same_partition(_covariances(a), _covariances(b))


def outside(larger: Sequence[RandomDesign], smaller: Sequence[RandomDesign]) -> list[RandomDesign]:
    """Terms of the smaller model whose covariances no term of the larger one has."""
    return [inner for inner in smaller if not any(contains_term(outer, inner) for outer in larger)]


def contains_term(outer: RandomDesign, inner: RandomDesign) -> bool:
    """Whether every covariance of the inner term is one of the outer term."""
    # Independent columns are terms of their own; the outer term may have them all where each is contained.
    return all(_contains(_covariances(outer), _covariances(part)) for part in single_terms([inner]))


def _covariances(term: RandomDesign) -> _Covariances:
    return _Covariances(term.grouping.codes, term.grouping.n_levels, term.Z, term.structure.is_separable)


def _contains(outer: _Covariances, inner: _Covariances) -> bool:
    if _same_partition(outer, inner):
        return _contains_columns(outer, inner.Z)
    return _contains_finer(outer, inner)


def _contains_columns(outer: _Covariances, columns: Array) -> bool:
    if not outer.diagonal:
        return not outside_columns(outer.Z, columns).any()
    # A single column has a diagonal covariance only along one of the outer columns.
    return columns.shape[1] == 1 and any(
        not outside_columns(outer.Z[:, [j]], columns).any() for j in range(outer.Z.shape[1])
    )


def _same_partition(a: _Covariances, b: _Covariances) -> bool:
    return a.n_levels == b.n_levels and _parents(a, b) is not None


def _parents(fine: _Covariances, coarse: _Covariances) -> Index | None:
    """The coarse level of each fine one; None where a fine level lies in several."""
    parent = np.zeros(fine.n_levels, dtype=np.intp)
    parent[fine.codes] = coarse.codes
    return parent if np.array_equal(parent[fine.codes], coarse.codes) else None


def _contains_finer(outer: _Covariances, inner: _Covariances) -> bool:
    """Whether ``(z | g:f)`` is within ``(f:z | g)``: its levels within g are told apart by the outer columns.

    The rows of equal outer columns are the classes of f, and the inner term gives the products of its columns with
    the indicators of the classes one covariance, and none to pairs of classes.
    """
    k = outer.Z.shape[1]
    if k == 1 or _parents(inner, outer) is None:
        return False
    values, classes = np.unique(outer.Z, axis=0, return_inverse=True)
    if len(values) > k:
        return False
    classes = classes.reshape(-1)
    cells, crossed = np.unique(outer.codes * len(values) + classes, return_inverse=True)
    if not _same_partition(replace(outer, codes=crossed.reshape(-1), n_levels=len(cells)), inner):
        return False
    indicators = classes[:, None] == np.arange(len(values))
    products = (inner.Z[:, :, None] * indicators[:, None, :]).reshape(len(classes), -1)
    if outer.diagonal:
        each = range(products.shape[1])
        return inner.Z.shape[1] == 1 and all(_contains_columns(outer, products[:, [c]]) for c in each)
    return _contains_columns(outer, products)
