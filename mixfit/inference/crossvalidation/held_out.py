r"""Predictions of rows from the other rows, theta held: of every group at once, without a refit.

With P = V^{-1} - V^{-1}X G_XX^{-1} X'V^{-1} (rows scaled by the roots of their weights), the best linear unbiased
prediction of the rows S from all others, fixed effects estimated from these, errs by

    e_S = P_SS^{-1} (Py)_S,      Var(e_S) = sigma^2 P_SS^{-1}

(Dubrule 1983, Mathematical Geology 15, 687-699). With D = K_S^{-1} d_S, K_S = (V^{-1})_SS and d = V^{-1}[X y],

    e_S = D_y - D_X gamma(-S),      P_SS^{-1} = K_S^{-1} + D_X G_XX(-S)^{-1} D_X',
    log|P_SS| = log|K_S| + log|G_XX(-S)| - log|G_XX|,      (y'Py)(-S) = y'Py - e_S'(Py)_S,

and in the terms of :mod:`mixfit.inference.deletion`, K_S^{-1} = I + O [(I - R Q R')^{-1} - I] O' is found from the
cells of S. Where S has many cells, D_S = [X y]_S - Z_S Q(-S) Z(-S)'[X y](-S) and (K_S^{-1})_ii = 1 + z_i'Q(-S) z_i come
from a factor of A without its rows, and log|K_S| = log|A(-S)| - log|A|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.factor.posterior import full_posterior, row_leverages
from mixfit.gram import levels as lv
from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import random_predictor
from mixfit.inference.deletion import (
    LARGE,
    batches,
    between,
    factor_without,
    group_products,
    pseudorows,
    rest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.inference.deletion import Pseudorows
    from mixfit.lmm.working import WorkingModel

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["HeldOut", "held_out"]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of N left-out rows in q groups, in the units of the response times the roots of the weights.

    Attributes
    ----------
    error : ndarray, shape (N,)
        Response less prediction; NaN where the other rows do not determine the fixed effects.
    variance : ndarray, shape (N,)
        Of a new observation about its prediction.
    sigma : ndarray, shape (q,)
        Residual standard deviation, estimated without the group.
    joint : ndarray, shape (q,)
        Log density of the rows of the group together.
    """

    error: Array
    variance: Array
    sigma: Array
    joint: Array


@dataclass(frozen=True, eq=False)
class _Inverted:
    """What is computed of K_S.

    Attributes
    ----------
    columns : ndarray, shape (r, N)
        D = K_S^{-1} d_S.
    diagonal : ndarray, shape (N,)
        Of K_S^{-1}.
    logdet : ndarray, shape (q,)
        log|K_S|.
    """

    columns: Array
    diagonal: Array
    logdet: Array


def held_out(working: WorkingModel, rows: Index, codes: Index, n_groups: int) -> HeldOut:
    """Predict the rows of each group from all rows that are not in it.

    Parameters
    ----------
    working : WorkingModel
        Of a linear model.
    rows : ndarray of intp, shape (N,)
        Rows that are left out; one may be in several groups.
    codes : ndarray of intp, shape (N,)
        The group that each is left out with.
    n_groups : int

    Returns
    -------
    HeldOut
    """
    p, d = working.p, _taken(working.whitened, rows)
    K = _inverted(working, rows, codes, n_groups, d)
    change = group_products(d, K.columns, codes, n_groups)
    found = rest(working, change)
    gamma = found.gamma + found.move @ found.half
    error = K.columns[p].copy()
    for column, own in zip(K.columns[:p], gamma.T, strict=True):
        error -= column * own.take(codes)
    half = found.half @ K.columns[:p]
    relative = K.diagonal + _forms(half, found.inverse, codes)
    # (y'Py)_S by its own rows: what a small group has is not the difference of two sums of all.
    quadratic = np.bincount(codes, error * (d[p] - found.gamma @ d[:p]), n_groups)
    contrast = np.append(-found.gamma, 1.0)
    residual = contrast @ working.schur @ contrast - quadratic
    size = np.bincount(codes, minlength=n_groups)
    nu = working.columns.shape[1] - size - (p if working.reml else 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(nu > 0, np.maximum(residual, 0.0) / nu, np.nan)
        logdet = K.logdet + np.log(found.values).sum(axis=1)
        joint = -0.5 * (size * np.log(2.0 * np.pi * working.unit**2 * variance) - logdet + quadratic / variance)
    return HeldOut(
        error=working.unit * error,
        variance=working.unit**2 * variance[codes] * relative,
        sigma=working.unit * np.sqrt(variance),
        joint=joint,
    )


def _forms(half: Array, inverse: Array, codes: Index) -> Array:
    """h'Ch of every row, with the C of its group."""
    out = np.zeros(half.shape[1])
    for a, left in enumerate(half):
        part = left * np.ascontiguousarray(inverse[:, a, a]).take(codes)
        for b, right in enumerate(half[:a]):
            part += right * np.ascontiguousarray(2.0 * inverse[:, a, b]).take(codes)
        out += left * part
    return out


def _taken(columns: NDArray[Any], rows: Index) -> NDArray[Any]:
    """Some rows of columns (r, n); all of them as they are."""
    whole = len(rows) == columns.shape[1] and np.array_equal(rows, np.arange(len(rows)))
    return columns if whole else columns[:, rows]


def _inverted(working: WorkingModel, rows: Index, codes: Index, n_groups: int, d: Array) -> _Inverted:
    factors = [_some_rows(f, rows) for f in working.factors]
    pseudo = pseudorows(factors, d, codes, n_groups)
    sizes = np.diff(pseudo.first)
    k, width = pseudo.basis.shape
    # (I - RQR')^{-1} - I times O'd; and between pseudorows of one cell, which stand at most k - 1 apart.
    change, near = np.zeros((len(d), width)), np.zeros((k, width))
    logdet = np.zeros(n_groups)
    for groups, at in batches(pseudo.first, sizes <= LARGE, len(d) + working.factor.plan.columns.m):
        size = at.shape[1]
        kernel = np.eye(size) - between(working.factor, pseudo, at)
        logdet[groups] = np.linalg.slogdet(kernel)[1]
        inverse = np.linalg.inv(kernel) - np.eye(size)
        present = at >= 0
        part = np.where(present, pseudo.d[:, at], 0.0)
        change[:, at[present]] = np.einsum("gst,rgt->rgs", inverse, part)[:, present]
        for apart in range(min(k, size)):
            first = at[:, : size - apart]
            near[apart, first[first >= 0]] = np.einsum("gss->gs", inverse[:, : size - apart, apart:])[first >= 0]
    lift, forms = _by_cell(pseudo, change, near)
    columns, diagonal = _row_values(factors, pseudo.cell, d, lift, forms)
    for g in np.flatnonzero(sizes > LARGE):
        own = np.flatnonzero(codes == g)
        columns[:, own], diagonal[own], logdet[g] = _anew(working, rows[own])
    return _Inverted(columns, diagonal, logdet)


def _some_rows(f: FactorRows, rows: Index) -> FactorRows:
    columns = None if f.columns is None else _taken(f.columns, rows)
    return FactorRows(_taken(f.codes[None], rows)[0], f.n_levels, columns)


def _by_cell(pseudo: Pseudorows, change: Array, near: Array) -> tuple[Array, Array]:
    """C (k, r, cells) and M (k, k, cells): K_S^{-1}d = d + z'C and (K_S^{-1})_ii = 1 + z'Mz of a row of the cell."""
    k, n_cells = len(pseudo.basis), int(pseudo.cell.max()) + 1
    lift = lv.segment_sum(pseudo.basis[:, None] * change, pseudo.of_cell, n_cells)
    forms = np.zeros((k, k, n_cells))
    for apart in range(k):
        # No pairs are left where every cell has one pseudorow.
        left = np.flatnonzero(pseudo.of_cell[: len(pseudo.of_cell) - apart] == pseudo.of_cell[apart:])
        if not len(left):
            break
        product = pseudo.basis[:, None, left] * pseudo.basis[:, left + apart] * near[apart, left]
        part = lv.segment_sum(product, pseudo.of_cell[left], n_cells)
        forms += part if apart == 0 else part + lv.transpose(part)
    return lift, forms


def _row_values(factors: Sequence[FactorRows], cell: Index, d: Array, lift: Array, forms: Array) -> tuple[Array, Array]:
    """D and the diagonal of K_S^{-1}, row by row."""
    columns, diagonal = d.copy(), np.ones(len(cell))
    z = [row for f in factors for row in ([None] if f.columns is None else f.columns)]
    for a, left in enumerate(z):
        for r in range(len(d)):
            part = lift[a, r].take(cell)
            columns[r] += part if left is None else left * part
        for b, right in enumerate(z):
            part = forms[a, b].take(cell)
            for column in (left, right):
                if column is not None:
                    part *= column
            diagonal += part
    return columns, diagonal


def _anew(working: WorkingModel, rows: Index) -> tuple[Array, Array, float]:
    """D, the diagonal of K_S^{-1} and log|K_S| of one group, from the factor without its rows."""
    keep = np.ones(working.columns.shape[1], dtype=bool)
    keep[rows] = False
    factor = factor_without(working, keep)
    modes = factor.backward(*factor.half(factor.gram.border))[1]
    some = [_some_rows(f, rows) for f in working.factors]
    columns = working.columns[:, rows] - random_predictor(some, modes)
    diagonal = 1.0 + row_leverages(factor, full_posterior(factor), working.pattern)[rows]
    return columns, diagonal, factor.logdet - working.factor.logdet
