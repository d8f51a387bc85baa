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
from mixfit.gram.blocks import block_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.gram.blocks import BlockColumns, BlockLayout, Patterns
    from mixfit.matrices.residual import ResidualDesign

    Array = NDArray[np.float64]

__all__ = [
    "PatternFactor",
    "ResidualForm",
    "ResidualPoint",
    "factor_patterns",
    "log_determinant",
    "of_parts",
    "residual_form",
    "restricted",
    "whitened_blocks",
]

# A squared pivot below this share of its variance is none: the residuals of a block determine one another. The same
# as for the covariances of random effects, whose factors are made in the same way.
_SINGULAR = 1e-12
# Of log standard deviations: rows that are farther apart than exp(100) leave nothing of one another.
_FARTHEST = 100.0


@dataclass(frozen=True, eq=False)
class ResidualForm:
    """Which covariances the residuals may have.

    Attributes
    ----------
    structures : tuple of Structure
        One for each part of the blocks: a single one, or one a level of what ``by=`` names.
    layout : BlockLayout
    g : int
        Parameters gamma of the rows' log standard deviations.
    """

    structures: tuple[Structure, ...]
    layout: BlockLayout
    g: int

    @cached_property
    def within(self) -> tuple[Parametric, ...] | None:
        """The structure at the places of the patterns of each size; None where its matrices are those of all places."""
        found = [self.structures[0].among(p.place) for p in self.layout.patterns]
        known = tuple(s for s in found if isinstance(s, Parametric))
        return known if len(known) == len(found) else None


def residual_form(design: ResidualDesign) -> ResidualForm:
    """The covariances that a design asks for."""
    layout = block_layout(design.block, design.place, design.part, design.spread)
    return ResidualForm(design.structures, layout, design.spread.shape[1])


@dataclass(frozen=True, eq=False)
class ResidualPoint:
    """Parameters: a point of every structure, see :mod:`mixfit.covariance.structure`, and gamma (g,)."""

    points: tuple[Array, ...]
    gamma: Array


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


def factor_patterns(form: ResidualForm, at: ResidualPoint) -> tuple[PatternFactor, ...]:
    """Factor the covariance of every pattern.

    Raises
    ------
    FitError
        Where one is singular.
    """
    out = []
    for patterns, sigma in zip(form.layout.patterns, _covariances(form, at), strict=True):
        log_deviations = patterns.spread @ at.gamma
        if np.abs(log_deviations).max(initial=0.0) > _FARTHEST:
            raise FitError("The residual standard deviations are too far apart for double precision.")
        root, inverse = _roots(sigma)
        out.append(PatternFactor(np.exp(log_deviations), root, inverse))
    return tuple(out)


def _covariances(form: ResidualForm, at: ResidualPoint) -> list[Array]:
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


def log_determinant(layout: BlockLayout, factors: Sequence[PatternFactor]) -> float:
    """log|R|."""
    total = 0.0
    for patterns, f in zip(layout.patterns, factors, strict=True):
        logs = np.log(np.diagonal(f.root, axis1=1, axis2=2)) + np.log(f.deviations)
        total += 2.0 * float(patterns.count @ logs.sum(axis=1))
    return total


def whitened_blocks(blocks: BlockColumns, f: PatternFactor) -> Array:
    """C^{-1} D^{-1} of columns in blocks: (B, m, c)."""
    inverse = f.inverse / f.deviations[:, None, :]
    if len(inverse) == 1:
        return np.asarray(inverse @ blocks.values)
    return np.asarray(inverse[blocks.pattern] @ blocks.values)
