r"""The covariance of residuals at its parameters, factored pattern by pattern.

A block of rows has R = D Sigma_v D relative to sigma^2: Sigma of a structure, restricted to the places v that the block
has rows at, and D = diag exp(z'gamma). With Sigma_v = C C', rows become C^{-1} D^{-1} of themselves, and along a
parameter

    L^{-1} R' L'^{-1} = C^{-1} Sigma'_v C'^{-1}   or   C^{-1} diag(z) C + C' diag(z) C'^{-1},      L = D C.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri

from mixfit.covariance.parametric import Parametric
from mixfit.errors import FitError
from mixfit.gram.blocks import compressed, gathered
from mixfit.lmm.residual.form import ResidualFactor, ResidualForm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.gram.blocks import BlockColumns, BlockLayout, Patterns
    from mixfit.lmm.residual.form import Held, ResidualPoint

    Array = NDArray[np.float64]

__all__ = ["PatternFactor", "PatternFactors", "PatternForm", "of_parts", "restricted"]

# A squared pivot below this share of its variance is none: the residuals of a block determine one another. The same
# as for the covariances of random effects, whose factors are made in the same way.
_SINGULAR = 1e-12
# Of log standard deviations: rows that are farther apart than exp(100) leave nothing of one another.
_FARTHEST = 100.0


@dataclass(frozen=True, eq=False)
class PatternForm(ResidualForm):
    """Residuals of blocks of rows, a matrix for each pattern of places that a block has rows at.

    Attributes
    ----------
    structures : tuple of Structure
        One for each part of the blocks.
    layout : BlockLayout
    """

    layout: BlockLayout

    @property
    def g(self) -> int:
        """Columns of the log standard deviations."""
        return self.layout.patterns[0].spread.shape[2]

    @property
    def order(self) -> NDArray[np.intp]:
        """Block by block."""
        return self.layout.order

    @cached_property
    def within(self) -> tuple[Parametric, ...] | None:
        """The structure at the places of the patterns of each size; None where its matrices are those of all places."""
        found = [self.structures[0].among(p.place) for p in self.layout.patterns]
        known = tuple(s for s in found if isinstance(s, Parametric))
        return known if len(known) == len(found) else None

    @property
    def has_own_points(self) -> bool:
        """Where matrices are those of each pattern's own distances."""
        return self.within is not None

    def hold(self, columns: Array, *, only_sums: bool) -> tuple[BlockColumns, ...]:
        """In blocks, as few as have the same sums of products."""
        blocks = (gathered(p, columns) for p in self.layout.patterns)
        return tuple(compressed(b) if only_sums else b for b in blocks)

    def sizes(self) -> Array:
        """Over all patterns."""
        return np.asarray(np.max([np.abs(p.spread).max(axis=(0, 1)) for p in self.layout.patterns], axis=0))

    def factor(self, at: ResidualPoint) -> PatternFactors:
        """Factor the covariance of every pattern."""
        return self._factored(_covariances(self, at), at.gamma)

    def factor_of(self, sigma: Array, gamma: Array) -> PatternFactors:
        """Likewise, of covariances of all places, (parts, K, K)."""
        return self._factored([restricted(sigma, p) for p in self.layout.patterns], gamma)

    def _factored(self, covariances: Sequence[Array], gamma: Array) -> PatternFactors:
        out = []
        for patterns, sigma in zip(self.layout.patterns, covariances, strict=True):
            log_deviations = patterns.spread @ gamma
            if np.abs(log_deviations).max(initial=0.0) > _FARTHEST:
                raise FitError("The residual standard deviations are too far apart for double precision.")
            root, inverse = _roots(sigma)
            out.append(PatternFactor(np.exp(log_deviations), root, inverse))
        return PatternFactors(self.layout, tuple(out))


@dataclass(frozen=True, eq=False)
class PatternFactor:
    """R = (D C)(D C)' of the patterns of one size.

    Attributes
    ----------
    deviations : ndarray, shape (P, m)
        The diagonal of D.
    root : ndarray, shape (P, m, m)
        C, lower triangular.
    inverse : ndarray, shape (P, m, m)
        C^{-1}.
    """

    deviations: Array
    root: Array
    inverse: Array

    def along(self, change: Array) -> Array:
        """C^{-1} S C'^{-1} of changes S of Sigma_v, (..., P, m, m)."""
        return np.asarray(self.inverse @ change @ self.inverse.swapaxes(-1, -2))

    def along_spread(self, z: Array) -> Array:
        """C^{-1} diag(z) C and its transpose, added up, for z (P, m)."""
        half = (self.inverse * z[:, None, :]) @ self.root
        return np.asarray(half + half.swapaxes(-1, -2))


@dataclass(frozen=True, eq=False)
class PatternFactors(ResidualFactor):
    """The factors of all patterns.

    Attributes
    ----------
    layout : BlockLayout
    each : tuple of PatternFactor
        One for each size of blocks.
    """

    layout: BlockLayout
    each: tuple[PatternFactor, ...]

    @property
    def log_determinant(self) -> float:
        """log|R|."""
        total = 0.0
        for patterns, f in zip(self.layout.patterns, self.each, strict=True):
            logs = np.log(np.diagonal(f.root, axis1=1, axis2=2)) + np.log(f.deviations)
            total += 2.0 * float(patterns.count @ logs.sum(axis=1))
        return total

    def whiten_held(self, held: Held) -> Array:
        """Block after block."""
        assert isinstance(held, tuple)
        parts = [_whitened(blocks, f) for blocks, f in zip(held, self.each, strict=True)]
        width = parts[0].shape[2]
        return np.ascontiguousarray(np.concatenate([x.reshape(-1, width) for x in parts]).T)

    def whiten(self, rows: Array) -> Array:
        """L^{-1} of columns (c, n)."""
        return self._transformed(rows, _whitened)

    def colour(self, rows: Array) -> Array:
        """L of columns (c, n)."""
        return self._transformed(rows, _coloured)

    def deviations(self) -> Array:
        """Of the rows of the data."""
        out = np.empty(len(self.layout.order))
        for patterns, f in zip(self.layout.patterns, self.each, strict=True):
            own = f.deviations * np.sqrt(np.einsum("pab,pab->pa", f.root, f.root))
            out[patterns.rows] = own[np.repeat(np.arange(len(patterns.count)), patterns.count)]
        return out

    def _transformed(self, rows: Array, change: Callable[[BlockColumns, PatternFactor], Array]) -> Array:
        out = np.empty(rows.shape)
        for patterns, f in zip(self.layout.patterns, self.each, strict=True):
            out[:, patterns.rows] = np.moveaxis(change(gathered(patterns, rows), f), -1, 0)
        return out


def _covariances(form: PatternForm, at: ResidualPoint) -> list[Array]:
    """Sigma_v of the patterns of each size, (P, m, m)."""
    if form.within is not None:
        parts = [[within.covariance(point) for point in at.points] for within in form.within]
        return [of_parts(np.stack(own), p) for own, p in zip(parts, form.layout.patterns, strict=True)]
    templates = [s.relative_factor(point) for s, point in zip(form.structures, at.points, strict=True)]
    sigma = np.stack([t @ t.T for t in templates])
    return [restricted(sigma, p) for p in form.layout.patterns]


def of_parts(matrices: Array, patterns: Patterns) -> Array:
    """Those of each pattern's own part, of matrices (parts, ..., P, m, m): (..., P, m, m)."""
    if len(matrices) == 1:
        return np.asarray(matrices[0])
    every = np.arange(len(patterns.part))
    return np.moveaxis(matrices[patterns.part, ..., every, :, :], 0, -3)


def restricted(matrices: Array, patterns: Patterns) -> Array:
    """The rows and columns that patterns have of one matrix a part, (..., parts, K, K): (..., P, m, m)."""
    v = patterns.place
    return np.asarray(matrices[..., patterns.part[:, None, None], v[:, :, None], v[:, None, :]])


def _roots(sigma: Array) -> tuple[Array, Array]:
    """Cholesky factors and their inverses."""
    singular = FitError(
        "The residuals of a block determine one another at these parameters: their covariance is singular."
    )
    if len(sigma) == 1:
        # One large block, such as a field: LAPACK's triangular inverse.
        low, info = dpotrf(sigma[0], lower=1, clean=1)
        if info:
            raise singular
        root, inverse = low[None], dtrtri(low, lower=1)[0][None]
    else:
        try:
            root = np.linalg.cholesky(sigma)
        except np.linalg.LinAlgError as error:
            raise singular from error
        inverse = np.linalg.inv(root)
    pivots = np.diagonal(root, axis1=1, axis2=2) ** 2
    if not (pivots > _SINGULAR * np.diagonal(sigma, axis1=1, axis2=2)).all():
        raise singular
    return np.asarray(root), np.asarray(inverse)


def _whitened(blocks: BlockColumns, f: PatternFactor) -> Array:
    """C^{-1} D^{-1} of columns in blocks: (B, m, c)."""
    inverse = f.inverse / f.deviations[:, None, :]
    if len(inverse) == 1:
        return np.asarray(inverse @ blocks.values)
    return np.asarray(inverse[blocks.pattern] @ blocks.values)


def _coloured(blocks: BlockColumns, f: PatternFactor) -> Array:
    root = f.root * f.deviations[:, :, None]
    return np.asarray(root[blocks.pattern] @ blocks.values)
