"""A covariance of residuals at its parameters, as the stage between the design and the cross-products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import split_theta
from mixfit.lmm.residual.form import ResidualPoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.residual.form import ResidualFactor, ResidualForm

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
        theta if form.has_own_points else s.point_of(theta, np.eye(s.k))
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
        return self.factor(psi).whiten(rows)

    def coloured(self, rows: Array, psi: Array) -> Array:
        """L of independent rows (c, n): residuals over sigma."""
        return self.factor(psi).colour(rows)

    def log_determinant(self, psi: Array) -> float:
        """log|R|."""
        return self.factor(psi).log_determinant

    def deviations(self, psi: Array) -> Array:
        """Standard deviations of the residuals over sigma, (n,)."""
        return self.factor(psi).deviations()

    def factor(self, psi: Array) -> ResidualFactor:
        """R = L L'."""
        return self.form.factor(point_at(self.form, psi))
