"""Estimates without the rows of a group: for every group at once with theta held, or by refitting.

Leaving out the rows S is giving each of them a parameter of its own, so that with d = V^{-1}[X y] and
K_S = (V^{-1})_SS = I - Z_S Q Z_S' (all in the scaled rows of the working model),

    G(-S) = G - d_S' K_S^{-1} d_S

holds exactly (Christensen, Pearson & Johnson 1992, Technometrics 34, in the cross-products). The rows of S that
have all their levels in common (a *cell*) enter K_S through the cross-products of Z alone: with Z_S = O R,
O'O = I, R of at most sum_i k_i rows a cell,

    d_S' K_S^{-1} d_S = d_S'd_S - (O'd_S)'(O'd_S) + (O'd_S)' (I - R Q R')^{-1} (O'd_S),

so what is solved a group has the size of its cells, however many rows it has: k columns where the group is the
only grouping factor. Groups of about one size are solved together. Where a group has so many cells (there are
few such groups) that K_S is dearer than a new factor of A without its rows, that is what G(-S) comes from.
A nested chain costs what its cells cost; with a trailing block of width m each cell takes a triangular solve of m^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mixfit.errors import MixfitError
from mixfit.factor.factor import factorize
from mixfit.factor.plan import refill
from mixfit.fitted.protocols import is_generalized, is_nonlinear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.gram import levels as lv
from mixfit.gram.pattern import pair_pattern
from mixfit.gram.products import weighted_products

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.fitted.protocols import Fit
    from mixfit.gram.pattern import FactorRows
    from mixfit.lmm.working import WorkingModel

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "LARGE",
    "Deleted",
    "Pseudorows",
    "Rest",
    "batches",
    "between",
    "delete_groups",
    "factor_without",
    "fit_rows",
    "group_products",
    "pseudorows",
    "refits_without",
    "rest",
]

# 80 MB an array.
_CELLS_AT_ONCE = 10_000_000
# Groups batched with ones at most this much larger: padding costs less than another batch.
_PADDING = 1.25
# Of a group's Z'Z, the share of its largest eigenvalue that is rounding.
_RANK = 1e-12
# Rows of K_S beyond which a group alone is faster by the factor without it.
LARGE = 1000
# Of X'V^{-1}X without the group, relative to the whole, which is known to about 1e-13.
_NOTHING_LEFT = 1e-10


def refits_without(fit: Fit, codes: Index, q: int) -> tuple[Array, Array, Array, Array, NDArray[np.bool_]]:
    """dfbeta, errors, sigma, theta and convergence of the fits without each group; NaN where there is no fit."""
    p, m = len(fit.fixef), len(fit.estimate.theta)
    dfbeta, errors = np.full((q, p), np.nan), np.full((q, p), np.nan)
    sigma, theta, converged = np.full(q, np.nan), np.full((q, m), np.nan), np.zeros(q, dtype=bool)
    for g in range(q):
        try:
            other = fit_rows(fit, codes != g)
        except MixfitError:
            # Too little is left, as where one of two levels goes: no estimate, and `converged` says so.
            continue
        dfbeta[g] = (other.fixef - fit.fixef).reindex(fit.fixef.index)
        errors[g] = other.bse.reindex(fit.fixef.index)
        sigma[g], theta[g], converged[g] = other.sigma, other.estimate.theta, other.converged
    return dfbeta, errors, sigma, theta, converged


def fit_rows(fit: Fit, keep: NDArray[np.bool_]) -> Fit:
    """The same model of some rows, fitted as the fit was; a linear or nonlinear one from the estimates of all."""
    model = fit.model.of_rows(keep)
    if is_generalized(fit):
        return model.fit(n_agq=fit.estimate.n_agq, method="pql" if fit.estimate.method == "pql" else "ml")
    if is_nonlinear(fit):
        model.start = fit.estimate.beta[np.isin(fit.model.kept, model.kept)]
        return model.fit(n_agq=fit.estimate.n_agq, method=fit.estimate.method, reml=fit.reml)
    if is_structured(fit):
        return model.fit(reml=fit.reml)
    return model.fit(reml=fit.reml, start=fit.estimate.theta)


@dataclass(frozen=True, eq=False)
class Deleted:
    """Fits without each group, at the theta of all rows.

    Attributes
    ----------
    dfbeta : ndarray, shape (q, p)
        Fixed effects without the group, less those of all rows; NaN where the rest cannot tell them apart.
    errors : ndarray, shape (q, p)
        Their standard errors without the group.
    sigma : ndarray, shape (q,)
        Residual standard deviation without the group.
    """

    dfbeta: Array
    errors: Array
    sigma: Array


@dataclass(frozen=True, eq=False)
class Pseudorows:
    """R and O'd of every cell, row by row, sorted by group.

    Attributes
    ----------
    z : list of ndarray, shape (k_i, N)
        Columns of each grouping factor.
    codes : list of ndarray, shape (N,)
        Its levels.
    d : ndarray, shape (r, N)
    first : ndarray, shape (q + 1,)
        Where the rows of each group begin; those of a cell are side by side.
    cell : ndarray of intp, shape (n,)
        The cell of every row of the data.
    of_cell : ndarray of intp, shape (N,)
        The cell that each is of.
    basis : ndarray, shape (sum_i k_i, N)
        What leads from Z to O: a row z of the cell has z'basis in these.
    """

    z: list[Array]
    codes: list[Index]
    d: Array
    first: Index
    cell: Index
    of_cell: Index
    basis: Array


def delete_groups(working: WorkingModel, codes: Index, n_groups: int) -> Deleted:
    """Leave out the rows of each group in turn.

    Parameters
    ----------
    working : WorkingModel
    codes : ndarray of intp, shape (n,)
        Group of every row: any partition of the rows.
    n_groups : int

    Returns
    -------
    Deleted
    """
    d, p = working.whitened, working.p
    change = group_products(d, d, codes, n_groups)
    counts = np.bincount(codes, minlength=n_groups)
    nu = len(codes) - counts - (p if working.reml else 0)
    if not working.factors:
        return _estimates(working, change, nu)
    rows = pseudorows(working.factors, d, codes, n_groups)
    sizes = np.diff(rows.first)
    for g in np.flatnonzero(sizes > LARGE):
        change[g] = working.schur - _without(working, codes != g)
    for groups, at in batches(rows.first, sizes <= LARGE, len(d) + working.factor.plan.columns.m):
        inner = between(working.factor, rows, at)
        size = at.shape[1]
        part = np.where(at >= 0, rows.d[:, at], 0.0).transpose(1, 2, 0)
        solved = np.linalg.solve(np.eye(size) - inner, part)
        change[groups] += np.einsum("gsa,gsb->gab", part, solved - part)
    return _estimates(working, change, nu)


def _without(working: WorkingModel, keep: NDArray[np.bool_]) -> Array:
    """G of the rows that are kept."""
    factor = factor_without(working, keep)
    forward = factor.half(factor.gram.border)
    return factor.gram.corner - factor.inner(forward, forward)


def factor_without(working: WorkingModel, keep: NDArray[np.bool_]) -> Factor:
    """The factor of A of the rows that are kept."""
    old = working.factor
    gram = weighted_products(working.pattern, working.columns, keep.astype(float))
    return factorize(gram, refill(old.plan, gram), old.templates)


def group_products(left: Array, right: Array, codes: Index, n_groups: int) -> Array:
    """a_S'b_S of every group, (q, r, r), for rows of which it is symmetric."""
    r = len(left)
    out = np.empty((n_groups, r, r))
    for a in range(r):
        for b in range(a + 1):
            out[:, a, b] = out[:, b, a] = np.bincount(codes, left[a] * right[b], n_groups)
    return out


def pseudorows(factors: Sequence[FactorRows], d: Array, codes: Index, n_groups: int) -> Pseudorows:
    """R and O'd of the cells of some rows, whose groups are `codes`."""
    cell, representative = _cells([codes, *(f.codes for f in factors)], [n_groups, *(f.n_levels for f in factors)])
    n_cells = len(representative)
    z = np.concatenate([np.ones((1, len(codes))) if f.columns is None else f.columns for f in factors])
    size = len(z)
    gram = np.empty((n_cells, size, size))
    for a in range(size):
        for b in range(a + 1):
            gram[:, a, b] = gram[:, b, a] = np.bincount(cell, z[a] * z[b], n_cells)
    pulled = np.stack([lv.segment_sum(row * d, cell, n_cells) for row in z])
    values, vectors = np.linalg.eigh(gram)
    at_cell, at_value = np.nonzero(values > _RANK * values[:, -1:])
    order = np.argsort(codes[representative[at_cell]], kind="stable")
    at_cell, at_value = at_cell[order], at_value[order]
    root = np.sqrt(values[at_cell, at_value])
    direction = vectors[at_cell, :, at_value].T
    rows = representative[at_cell]
    first = np.searchsorted(codes[rows], np.arange(n_groups + 1))
    bounds = np.cumsum([0, *(f.k for f in factors)])
    return Pseudorows(
        z=[direction[a:b] * root for a, b in pairwise(bounds)],
        codes=[f.codes[rows] for f in factors],
        d=np.einsum("kN,krN->rN", direction, pulled[:, :, at_cell]) / root,
        first=first,
        cell=cell,
        of_cell=at_cell,
        basis=direction / root,
    )


def _cells(codes: list[Index], n_levels: Sequence[int]) -> tuple[Index, Index]:
    """Number of every row's combination of codes, and one row of each combination."""
    cell, n_cells = codes[0], n_levels[0]
    for code, size in zip(codes[1:], n_levels[1:], strict=True):
        row, _, cell = pair_pattern(cell, n_cells, code, size)
        n_cells = len(row)
    representative = np.full(n_cells, -1, dtype=np.intp)
    representative[cell] = np.arange(len(cell))
    return cell, representative


def batches(first: Index, wanted: NDArray[np.bool_], width: int) -> Iterator[tuple[Index, Index]]:
    """Groups of about one size: their numbers (g,) and the rows of each, (g, s), -1 beyond its own."""
    sizes = np.diff(first)
    order = np.flatnonzero(wanted & (sizes > 0))
    order = order[np.argsort(sizes[order], kind="stable")]
    start = 0
    while start < len(order):
        least = sizes[order[start]]
        size = int(least * _PADDING)
        most = max(1, _CELLS_AT_ONCE // (size * (size + width)))
        stop = min(start + most, int(np.searchsorted(sizes[order], size, side="right")))
        groups = order[start:stop]
        size = int(sizes[groups].max())
        offset = np.arange(size)
        yield groups, np.where(offset < sizes[groups, None], first[groups, None] + offset, -1)
        start = stop


def between(factor: Factor, rows: Pseudorows, at: Index) -> Array:
    """R Q R' of every group, (g, s, s): |L^{-1} Lambda'z|^2 between the rows of the group."""
    own, trailing = _row_forward(factor, rows, at.ravel())
    shape = at.shape
    absent = at < 0
    out = np.zeros((*shape, shape[1]))
    for i, y in own.items():
        y = np.where(absent, 0.0, y.reshape(-1, *shape)).transpose(1, 2, 0)
        level = rows.codes[i][at]
        out += np.where(level[:, :, None] == level[:, None, :], y @ y.transpose(0, 2, 1), 0.0)
    if factor.trailing is not None:
        y, dual = (
            np.where(absent, 0.0, half.reshape(-1, *shape)).transpose(1, 2, 0)
            for half in (trailing, factor.trailing.dual(trailing))
        )
        out += y @ dual.transpose(0, 2, 1)
    return out


def _row_forward(factor: Factor, rows: Pseudorows, at: Index) -> tuple[dict[int, Array], Array]:
    """L^{-1} Lambda'z of rows: each chain factor at the row's own level (k_i, N), the trailing block (m, N)."""
    plan = factor.plan
    z, codes = [block[:, at] for block in rows.z], [code[at] for code in rows.codes]
    rest = {i: z[i] for i in plan.chain}
    own: dict[int, Array] = {}
    carry = np.zeros((len(at), plan.columns.m))
    for position, i in enumerate(plan.chain):
        block = factor.chain[i]
        scaled = lv.left_multiply(factor.templates[i].T, rest[i])
        own[i] = np.einsum("abN,bN->aN", block.inverse.take(codes[i], axis=2), scaled)
        for j in plan.chain[position + 1 :]:
            rest[j] = rest[j] - np.einsum("abN,aN->bN", block.nested[j].take(codes[i], axis=2), own[i])
        if block.crossed is not None:
            pattern = plan.crossed[i]
            indptr = np.searchsorted(pattern.level, np.arange(pattern.n_levels + 1))
            for values, y in zip(block.crossed, own[i], strict=True):
                table = csr_array((values, pattern.column, indptr), shape=(pattern.n_levels, plan.columns.m))
                carry += (table[codes[i]] * y[:, None]).toarray()
    if factor.trailing is None:
        return own, carry.T
    trailing = -carry.T
    for j in plan.trailing:
        where = plan.columns.offset[j] + np.arange(plan.k[j])[:, None] * plan.width[j] + codes[j]
        trailing[where, np.arange(len(at))] += z[j]
    return own, factor.trailing.forward(plan.columns.multiply([t.T for t in factor.templates], trailing))


@dataclass(frozen=True, eq=False)
class Rest:
    """What the rows without each group say of the fixed effects, in the basis of the working model.

    Attributes
    ----------
    half : ndarray, shape (p, p)
        H with H'H = G_XX^{-1} of all rows: in this metric what is left of a group's deletion has eigenvalues
        between 0 and 1.
    values : ndarray, shape (q, p)
        Those eigenvalues, in increasing order.
    inverse : ndarray, shape (q, p, p)
        H^{-1}' G_XX(-S)^{-1} H^{-1}; NaN where the rest cannot tell the fixed effects apart.
    move : ndarray, shape (q, p)
        gamma(-S) = gamma + H' move.
    gamma : ndarray, shape (p,)
        Fixed effects of all rows.
    residual : ndarray, shape (q,)
        (y'Py)(-S), the residual sum of squares.
    """

    half: Array
    values: Array
    inverse: Array
    move: Array
    gamma: Array
    residual: Array


def rest(working: WorkingModel, change: Array) -> Rest:
    """Fixed effects from G - change."""
    p, schur = working.p, working.schur
    half = np.linalg.inv(np.linalg.cholesky(schur[:p, :p]))
    left = np.eye(p) - half @ change[:, :p, :p] @ half.T
    gamma: Array = np.asarray(np.linalg.solve(schur[:p, :p], schur[:p, p]))
    # r = d_y - d_X gamma: what the group adds to X'V^{-1}(y - X beta) = 0
    added = half @ (change[:, :p, p] - change[:, :p, :p] @ gamma)[:, :, None]
    values, vectors = np.linalg.eigh(left)
    known = values[:, :1] > _NOTHING_LEFT if p else np.ones((len(change), 1), dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(known[:, :, None], vectors / values[:, None, :], np.nan) @ vectors.transpose(0, 2, 1)
    move = -inverse @ added
    contrast = np.append(-gamma, 1.0)
    total = contrast @ schur @ contrast - np.einsum("a,gab,b->g", contrast, change, contrast)
    residual = total - np.einsum("gp,gpq,gq->g", added[:, :, 0], inverse, added[:, :, 0])
    return Rest(half, values, inverse, move[:, :, 0], gamma, residual)


def _estimates(working: WorkingModel, change: Array, nu: Index) -> Deleted:
    """Fixed effects, standard errors and sigma from G - change, in the user's columns."""
    found = rest(working, change)
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = working.unit * np.sqrt(np.maximum(found.residual, 0.0) / nu)
    sigma[nu <= 0] = np.nan
    back = working.fixed.coefficients(found.half.T) if working.p else np.empty((0, 0))
    spread = np.einsum("ap,gpq,aq->ga", back, found.inverse, back)
    scale = np.ones(len(sigma)) if working.sigma is None else sigma
    return Deleted(
        dfbeta=working.unit * (found.move @ back.T),
        errors=scale[:, None] * np.sqrt(np.maximum(spread, 0.0)),
        sigma=scale,
    )
