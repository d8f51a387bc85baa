r"""Linear mixed models of many designs at once: the same columns, with rows, values and groups of their own.

What `mixfit.lmm.assemble` makes of one design is made of all by sums over the rows of each: bases, cross-products, and
moment estimates to start from. The search is that of `mixfit.lmm.batch.minimize`.

Designs for which care is needed are left out, and the single fitter looks at each: dependent columns, columns of zeros,
as many fixed effects as levels, responses that are explained exactly, criteria that may have several minima (see
`mixfit.lmm.second_look`), and searches that did not arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.structure import Invariance
from mixfit.gram import levels as lv
from mixfit.gram.basis import PERFECT_FIT, SAFE_CHOLESKY
from mixfit.lmm.batch.estimate import EXACT, BatchEstimates
from mixfit.lmm.batch.minimize import minimize
from mixfit.lmm.batch.moments import ResponseMoments
from mixfit.lmm.batch.own_levels import OwnLevels
from mixfit.lmm.second_look import is_parallel, like_levels, may_be_several, mean_cosine
from mixfit.lmm.start import kept_variances, variance_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]
    Flags = NDArray[np.bool_]

__all__ = ["DesignRows", "ManyDesigns", "can_stack", "fit_designs"]

# As `mixfit.fitted.singular` has it: of a unit diagonal, the smallest eigenvalue of columns that depend on one another.
_DEPENDENT = 1e-10
# Columns of a kind beyond which loops over them cost more than a design by itself.
_MOST_COLUMNS = 8


@dataclass(frozen=True, eq=False)
class DesignRows:
    """Rows of R designs, one design after another.

    Attributes
    ----------
    design : ndarray of intp, shape (n,)
        Ascending, every number below R.
    level : ndarray of intp, shape (n,)
        Of the grouping factor, from 0 on within each design.
    y : ndarray, shape (n,)
    X : ndarray, shape (n, p)
    Z : sequence of ndarray, shape (n, k_t)
        Of the terms, all of one grouping factor.
    structures : sequence of Structure
    """

    design: Index
    level: Index
    y: Array
    X: Array
    Z: Sequence[Array]
    structures: Sequence[Structure]

    def sums(self, values: Array) -> Array:
        """Sums over the rows of each design, (..., n): (..., R)."""
        first = np.flatnonzero(np.diff(self.design, prepend=-1))
        return np.add.reduceat(values, first, axis=-1)


@dataclass(frozen=True, eq=False)
class ManyDesigns:
    """What was found of many designs.

    Attributes
    ----------
    fitted : ndarray of intp, shape (F,)
        Those that were fitted; the others need care.
    estimates : BatchEstimates
        Of these.
    is_singular : ndarray of bool, shape (F,)
        As a fit's ``is_singular`` tells.
    """

    fitted: Index
    estimates: BatchEstimates
    is_singular: Flags


def can_stack(structures: Sequence[Structure], p: int) -> bool:
    """Whether designs with these terms and so many fixed effects can be fitted together."""
    free = all(s.free_blocks and not s.is_given and s.relationship is None for s in structures)
    usual = all(s.invariance in (Invariance.ANY_BASIS, Invariance.COLUMN_SCALES) for s in structures)
    return free and usual and max(p, sum(s.k for s in structures)) <= _MOST_COLUMNS


# Designs without a basis, which are left out, are computed of all the same.
@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def fit_designs(rows: DesignRows, *, reml: bool) -> ManyDesigns:
    """Fit every design."""
    n = rows.sums(np.ones(len(rows.y)))
    fixed, triangle, sound = _orthonormal(rows, rows.X.T)
    gamma, rest, scale, explained = _response(rows, fixed)
    columns, bases = [], []
    for z, structure in zip(rows.Z, rows.structures, strict=True):
        part, basis, full = _term_basis(rows, z.T, n, structure)
        columns.append(part)
        bases.append(basis)
        sound &= full
    log_x = 2.0 * np.log(np.einsum("aar->ar", triangle)).sum(axis=0)
    levels, border = _levels(rows, np.concatenate(columns), np.concatenate([fixed, rest[None]]), n, log_x)
    x, y = border[:, :-1], border[:, -1]
    moments = ResponseMoments(
        levels, np.einsum("aru,bxru->abxru", y, x), np.einsum("aru,bru->abru", y, y), np.log(scale)
    )
    start = _start(levels, x, y)
    fine = sound & ~explained & np.isfinite(start).all(axis=(0, 2))
    # X spans no more levels than it has columns: with more levels REML says something of every variance.
    fine &= levels.count.sum(axis=1) > levels.p
    fine[fine] = ~_may_be_several(levels.take(np.flatnonzero(fine)))
    at = np.flatnonzero(fine)
    optima = minimize(moments.take(at), start[:, at], reml=reml)
    fine[at] = optima.converged & (optima.profiles.residual >= EXACT)
    kept = at[fine[at]]
    bases = [np.moveaxis(basis[:, :, kept], 2, 0) for basis in bases]
    places = np.searchsorted(at, kept)
    found = optima.profiles
    templates = np.moveaxis(optima.frame.templates[:, :, places], 2, 0)
    thetas, first = [], 0
    for structure, basis in zip(rows.structures, bases, strict=True):
        own = slice(first, first + structure.k)
        thetas.append(structure.theta_of(templates[:, own, own], basis))
        first = own.stop
    sigma = np.sqrt(found.scale[places]) * scale[kept]
    back = np.moveaxis(triangle[:, :, kept], 2, 0)
    beta = gamma[:, kept] + scale[kept] * found.beta[:, places]
    # Cov(beta) = sigma^2 R^{-1} G_XX^{-1} R'^{-1}, and G_XX^{-1} = L'^{-1} L^{-1}.
    half = np.linalg.solve(back, found.fixed_root[:, :, places].transpose(2, 1, 0))
    return ManyDesigns(
        fitted=kept,
        estimates=BatchEstimates(
            criterion=found.value[places],
            thetas=tuple(thetas),
            templates=tuple(s.template(theta) for s, theta in zip(rows.structures, thetas, strict=True)),
            sigma=sigma,
            beta=np.asarray(np.linalg.solve(back, beta.T[:, :, None])[:, :, 0], dtype=float),
            cov_beta=sigma[:, None, None] ** 2 * (half @ half.swapaxes(1, 2)),
            failures=("",) * len(kept),
        ),
        is_singular=_singular(rows, kept, levels, n, thetas),
    )


def _orthonormal(rows: DesignRows, columns: Array) -> tuple[Array, Array, Flags]:
    """Columns (c, n) orthonormal within each design, R (c, c, R) that leads back, and whether that is safe, (R,).

    By Cholesky, twice, as `mixfit.gram.basis.fixed_basis`.
    """
    c, r = len(columns), int(rows.design[-1]) + 1
    norms = np.sqrt(rows.sums(columns**2))
    out = columns / norms[:, rows.design]
    triangle = np.repeat(np.eye(c)[:, :, None], r, axis=2)
    sound: Flags = np.asarray((norms > 0.0).all(axis=0))
    for _ in range(2):
        low = lv.cholesky(np.stack([rows.sums(a * out) for a in out])) if c else triangle
        sound &= np.asarray((np.einsum("aar->ar", low) >= SAFE_CHOLESKY).all(axis=0))
        out = np.einsum("abn,bn->an", lv.lower_inverse(low)[:, :, rows.design], out) if c else out
        triangle = lv.matmul(lv.transpose(low), triangle) if c else triangle
    return out, triangle * norms, sound


def _response(rows: DesignRows, fixed: Array) -> tuple[Array, Array, Array, Flags]:
    """Coefficients (p, R) of the orthonormal columns, unit residual (n,), its length and whether it is none, (R,)."""
    length = np.sqrt(rows.sums(rows.y**2))
    gamma = rows.sums(fixed * rows.y)
    rest = rows.y - (gamma[:, rows.design] * fixed).sum(axis=0)
    again = rows.sums(fixed * rest)
    rest = rest - (again[:, rows.design] * fixed).sum(axis=0)
    scale = np.sqrt(rows.sums(rest**2))
    return gamma + again, rest / scale[rows.design], scale, ~(scale > PERFECT_FIT * length)


def _term_basis(rows: DesignRows, columns: Array, n: Array, structure: Structure) -> tuple[Array, Array, Flags]:
    """A term's columns (k, n) in a basis of unit mean square, R (k, k, R), and whether that is safe, (R,)."""
    if structure.invariance is Invariance.ANY_BASIS and structure.k > 1:
        out, triangle, sound = _orthonormal(rows, columns)
        root = np.sqrt(n)
        return out * root[rows.design], triangle / root, sound
    scale = np.sqrt(rows.sums(columns**2) / n)
    return (
        columns / scale[:, rows.design],
        scale * np.eye(structure.k)[:, :, None],
        np.asarray((scale > 0.0).all(axis=0)),
    )


def _levels(rows: DesignRows, z: Array, columns: Array, n: Array, log_x: Array) -> tuple[OwnLevels, Array]:
    """Cross-products of every level: those of Z and X, and Z'[X y] (k, p + 1, R, U)."""
    r, u = len(n), int(rows.level.max()) + 1
    cell = rows.design * u + rows.level

    def by_level(values: Array) -> Array:
        return np.asarray(np.bincount(cell, values, r * u), dtype=float).reshape(r, u)

    k = len(z)
    gram = np.empty((k, k, r, u))
    for a in range(k):
        for b in range(a + 1):
            gram[a, b] = gram[b, a] = by_level(z[a] * z[b])
    border = np.stack([np.stack([by_level(own * column) for column in columns]) for own in z])
    count = (np.bincount(cell, minlength=r * u) > 0).astype(float).reshape(r, u)
    x = border[:, :-1]
    first = np.cumsum([0, *(s.k for s in rows.structures)]).tolist()
    blocks = tuple(
        slice(at + b.start, at + b.stop) for at, s in zip(first, rows.structures, strict=False) for b in s.free_blocks
    )
    return OwnLevels(blocks, n, count, gram, np.einsum("axru,byru->abxyru", x, x), log_x), border


def _start(levels: OwnLevels, x: Array, y: Array) -> Array:
    """Moment estimates of the relative standard deviations, (k, R, sets): `mixfit.lmm.start`, of one factor."""
    k, r = levels.k, len(levels.n)
    squares = np.einsum("aaru->aru", levels.gram)
    weights = np.divide(1.0, squares, out=np.zeros(squares.shape), where=squares > 0.0)
    among = np.einsum("axru,axru->aru", x, x)
    along = np.einsum("axru,bxru->abru", x, x)
    weighted = np.einsum("axru,aru,ayru->raxy", x, weights, x, optimize=True)
    outer = np.einsum("axru,ayru->raxy", x, x)
    expected = np.empty((r, k + 1, k + 1))
    expected[:, :k, k] = (np.count_nonzero(squares, axis=2) - (among * weights).sum(axis=2)).T
    expected[:, k, :k] = (squares.sum(axis=2) - among.sum(axis=2)).T
    expected[:, :k, :k] = np.einsum("abru,aru->rab", levels.gram * (levels.gram - 2.0 * along), weights)
    expected[:, :k, :k] += np.einsum("raxy,rbxy->rab", weighted, outer)
    expected[:, k, k] = levels.n - levels.p
    observed = np.ones((r, k + 1))
    observed[:, :k] = (y**2 * weights).sum(axis=2).T
    scale = np.abs(expected).max(axis=2)
    usable = np.isfinite(expected).all(axis=(1, 2)) & np.isfinite(observed).all(axis=1) & (scale > 0.0).all(axis=1)
    expected = np.where(usable[:, None, None], expected, np.eye(k + 1))
    scale = np.where(usable[:, None], scale, 1.0)
    solution = np.linalg.pinv(expected / scale[:, :, None]) @ (observed / scale)[:, :, None]
    bounds = variance_bounds(expected[:, k, :k].T / levels.count.sum(axis=1))
    kept = kept_variances(solution[:, :, 0].T, 1.0 / expected[:, k, k], bounds)
    out = np.sqrt(np.stack(kept, axis=-1))
    out[:, ~usable] = np.nan
    return out


def _may_be_several(levels: OwnLevels) -> Flags:
    """Which criteria may have several minima, (R,): as `mixfit.lmm.second_look` tells of one."""
    r, gram = len(levels.n), levels.gram
    if levels.k == 1:
        return np.zeros(r, dtype=bool)
    parallel = np.zeros(r)
    for i, one in enumerate(levels.blocks):
        for other in levels.blocks[:i]:
            for a in range(one.start, one.stop):
                for b in range(other.start, other.stop):
                    parallel = np.maximum(parallel, mean_cosine(gram[a, a], gram[b, b], gram[a, b]))
    by_level = gram.transpose(2, 3, 0, 1)
    telling = np.min([like_levels(by_level[:, :, block, block]) for block in levels.blocks], axis=0)
    return may_be_several(np.where(is_parallel(parallel), like_levels(by_level), telling), parallel)


def _singular(rows: DesignRows, kept: Index, levels: OwnLevels, n: Array, thetas: Sequence[Array]) -> Flags:
    """Which of the estimates are on the boundary, or are of columns that no level tells apart."""
    out, first = np.zeros(len(kept), dtype=bool), 0
    for z, structure, theta in zip(rows.Z, rows.structures, thetas, strict=True):
        scale = np.sqrt(rows.sums(z.T**2) / n).T[kept]
        out |= structure.is_singular(structure.template(theta), scale)
        own = slice(first, first + structure.k)
        first = own.stop
        if structure.invariance is Invariance.ANY_BASIS and structure.k > 1:
            out |= ~_told_apart(levels.gram[own, own].transpose(2, 3, 0, 1)[kept])
    return out


def _told_apart(gram: Array) -> Flags:
    """Whether any level tells columns apart, (R,), from Z_j'Z_j (R, U, k, k)."""
    scale = np.sqrt(np.maximum(np.einsum("ruaa->rua", gram), np.finfo(float).tiny))
    unit = gram / (scale[..., :, None] * scale[..., None, :])
    return np.asarray((np.linalg.eigvalsh(unit)[..., 0] >= _DEPENDENT).any(axis=1))
