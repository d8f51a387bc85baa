r"""The column space of X in columns that no coding shapes: an indicator of every cell of every term.

The overparametrized model of SAS (Goodnight 1980, SAS R-101) has, for every term, the indicators of all combinations
of its factors' levels times its covariates. They span the columns of X, whatever the contrasts of the factors and
whether or not the constant is written. From left to right, first levels last within a term, the independent ones are a
basis B of that space, in which R's treatment coding has its coefficients. With X = B F a hypothesis L beta = 0 is
K gamma = 0, L = K F; the reduced row echelon form of K is the same for every L that says the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array

from mixfit.gram.basis import fixed_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.matrices.types import FixedStructure, FixedTerm

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["CONSTANT", "CellSpace", "cell_space"]

#: Owner of the constant where the formula leaves it out, but a term's cells add up to it.
CONSTANT = "the constant"
# Coefficients of unit columns and rows below this are rounding.
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class CellSpace:
    """The column space of X by the cells of its terms.

    Attributes
    ----------
    owner : ndarray of str, shape (d,)
        The term of every column of the overparametrized model, in the order of the formula.
    chosen : ndarray of intp, shape (p,)
        Those that make the basis B.
    coefficients : ndarray, shape (d, p)
        Every column by the basis: B times each row. Their columns span the estimable functions.
    from_fitted : ndarray, shape (p, p)
        F, with X = B F for the columns of X that are not aliased.
    lengths : ndarray, shape (p,)
        Of the columns of B.
    """

    owner: NDArray[np.object_]
    chosen: Index
    coefficients: Array
    from_fitted: Array
    lengths: Array

    def columns_of(self, names: list[str]) -> NDArray[np.bool_]:
        """Which columns belong to some terms, shape (d,)."""
        return np.isin(self.owner, names)

    def hypothesis(self, K: Array) -> Array:
        """L (q, p) of K gamma = 0, its rows the same for all K of one row space."""
        return np.asarray(self._echelon(K) @ self.from_fitted)

    def canonical(self, L: Array) -> Array:
        """Rows (q, p) that say of the fixed effects what L beta = 0 says, the same for all L that say it."""
        return self.hypothesis(np.asarray(np.linalg.solve(self.from_fitted.T, L.T).T))

    def _echelon(self, K: Array) -> Array:
        """Reduced row echelon form."""
        rows = fixed_basis(K / self.lengths).rows
        pivots = fixed_basis(_without_rounding(rows).T).kept[: len(rows)]
        echelon = _without_rounding(np.asarray(np.linalg.solve(rows[:, pivots], rows)))
        return np.asarray(echelon * self.lengths / self.lengths[pivots, None])


def _without_rounding(values: Array) -> Array:
    return np.where(np.abs(values) < _ROUNDING, 0.0, values)


def cell_space(structure: FixedStructure, X: Array, kept: Index) -> CellSpace:
    """The column space of X (n, c), of which the columns `kept` are not aliased, by the cells of the terms.

    A term without a column that is kept has no cells, and covariates have those of their columns that are kept.
    """
    Q, R = np.linalg.qr(X[:, kept])
    blocks: list[Array] = []
    owners: list[str] = []
    if _leaves_out_the_constant(structure):
        blocks, owners = [Q.sum(axis=0, keepdims=True)], [CONSTANT]
    for term in structure.terms:
        own = np.intersect1d(term.columns, kept)
        if not len(own):
            continue
        if any(structure.factors[name].levels is not None for name in term.factors):
            block = _cells(structure, term, len(X)).T @ Q
        else:
            block = X[:, own].T @ Q
        blocks.append(np.asarray(block))
        owners += [term.name] * len(block)
    columns = np.concatenate(blocks) if blocks else np.empty((0, 0))
    lengths = np.linalg.norm(columns, axis=1)
    units = columns / np.where(lengths > 0.0, lengths, 1.0)[:, None]
    basis = fixed_basis(np.ascontiguousarray(units))
    own = lengths[basis.kept]
    coefficients = _without_rounding(solve_triangular(basis.triangle, basis.rows @ units.T).T)
    return CellSpace(
        owner=np.array(owners, dtype=object),
        chosen=basis.kept,
        coefficients=coefficients * lengths[:, None] / own,
        from_fitted=solve_triangular(basis.triangle, basis.rows @ R) / own[:, None],
        lengths=own,
    )


def _leaves_out_the_constant(structure: FixedStructure) -> bool:
    """Whether the formula has no constant, but a term of factors alone, whose cells add up to it."""
    if any(not term.factors for term in structure.terms):
        return False
    return any(all(structure.factors[name].levels is not None for name in term.factors) for term in structure.terms)


def _cells(structure: FixedStructure, term: FixedTerm, n: int) -> Any:
    """Indicators of the cells of a term that have rows, times its covariates: sparse, shape (n, m).

    As in treatment coding, those with first levels are what is left out: they stand last. Then the first factor varies
    fastest, and within a cell its covariates do.
    """
    factors = [structure.factors[name] for name in term.factors]
    cells, stride = np.zeros(n, dtype=np.int64), 1
    at_first = np.zeros(n, dtype=np.intp)
    covariates = np.ones((n, 1))
    for factor in factors:
        if factor.levels is None:
            covariates = (factor.values[:, :, None] * covariates[:, None]).reshape(n, -1)
            continue
        codes = factor.values.astype(np.int64)
        cells += stride * codes
        stride *= len(factor.levels)
        at_first += codes == 0
    seen, places = np.unique(at_first * stride + cells, return_inverse=True)
    k = covariates.shape[1]
    columns = places.reshape(-1, 1) * k + np.arange(k)
    return csr_array((covariates.ravel(), columns.ravel(), np.arange(0, n * k + 1, k)), shape=(n, k * len(seen)))
