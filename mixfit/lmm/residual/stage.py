"""A covariance of residuals at its parameters, as the stage between the design and the cross-products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import split_theta
from mixfit.gram.blocks import BlockColumns, gathered
from mixfit.lmm.residual.covariance import (
    PatternFactor,
    ResidualPoint,
    factor_patterns,
    log_determinant,
    whitened_blocks,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.residual.covariance import ResidualForm

    Array = NDArray[np.float64]

__all__ = ["BlockResidual", "flat_parameters", "point_at"]


def flat_parameters(form: ResidualForm, point: ResidualPoint) -> Array:
    """Theta of every structure, then gamma."""
    # Of the places' own columns theta is the point itself, where it has parameters of its own.
    thetas = [
        own if own.ndim == 1 else s.theta_of(own, np.eye(s.k))
        for s, own in zip(form.structures, point.points, strict=True)
    ]
    return np.concatenate([*thetas, point.gamma])


def point_at(form: ResidualForm, psi: Array) -> ResidualPoint:
    """The point of flat parameters."""
    own = psi[: len(psi) - form.g]
    thetas = split_theta(form.structures, own)
    points = [
        theta if form.within is not None else s.point_of(theta, np.eye(s.k))
        for s, theta in zip(form.structures, thetas, strict=True)
    ]
    return ResidualPoint(tuple(points), psi[len(own) :])


@dataclass(frozen=True, eq=False)
class BlockResidual:
    """Residuals that are correlated within blocks, for `mixfit.gram.residual.ResidualStage`; psi are flat parameters.

    Attributes
    ----------
    form : ResidualForm
    """

    form: ResidualForm

    def whiten(self, rows: Array, psi: Array) -> Array:
        """L^{-1} of columns of the data, given as rows (c, n)."""
        return self._transformed(rows, self.factors(psi), colour=False)

    def coloured(self, rows: Array, psi: Array) -> Array:
        """L of independent rows (c, n): residuals over sigma."""
        return self._transformed(rows, self.factors(psi), colour=True)

    def log_determinant(self, psi: Array) -> float:
        """log|R|."""
        return log_determinant(self.form.layout, self.factors(psi))

    def deviations(self, psi: Array) -> Array:
        """Standard deviations of the residuals over sigma, (n,)."""
        out = np.empty(self._n)
        for patterns, f in zip(self.form.layout.patterns, self.factors(psi), strict=True):
            own = f.deviations * np.sqrt(np.einsum("pab,pab->pa", f.root, f.root))
            out[patterns.rows] = own[self._numbers(patterns.count)]
        return out

    def factors(self, psi: Array) -> tuple[PatternFactor, ...]:
        """The factors of every pattern."""
        return factor_patterns(self.form, point_at(self.form, psi))

    def _transformed(self, rows: Array, factors: tuple[PatternFactor, ...], *, colour: bool) -> Array:
        out = np.empty(rows.shape)
        for patterns, f in zip(self.form.layout.patterns, factors, strict=True):
            blocks = gathered(patterns, rows)
            values = _coloured(blocks, f) if colour else whitened_blocks(blocks, f)
            out[:, patterns.rows] = np.moveaxis(values, -1, 0)
        return out

    @cached_property
    def _n(self) -> int:
        return len(self.form.layout.order)

    @staticmethod
    def _numbers(count: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.repeat(np.arange(len(count), dtype=np.intp), count)


def _coloured(blocks: BlockColumns, f: PatternFactor) -> Array:
    root = f.root * f.deviations[:, :, None]
    return np.asarray(root[blocks.pattern] @ blocks.values)
