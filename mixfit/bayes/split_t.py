r"""A split t distribution around a mode (Geweke 1989, Econometrica 57, 1317-1339).

x = mode + sum_i a_i w_i along the principal axes a_i of the curvature; w = s(sign) z / sqrt(c / df) with z standard
normal and c chi-squared. Each axis has a scale a side, the least with which the density's fall along the axis is
nowhere slower than the t's. A side's probability is its share of the two scales, so that the density is continuous.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv, gammaln, ndtr, ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.mode import LogDensity, PosteriorMode

    Array = NDArray[np.float64]

__all__ = ["SplitT", "split_t"]

# Degrees of freedom. Every density of these coordinates falls exponentially at least, as that of a log standard
# deviation that may be zero: any t's weights are bounded. More degrees waste fewer draws far out, and raise the bound.
_DF = 5.0
# Distances along the axes, in units of the curvature, at which the density's fall is looked at.
_DISTANCES = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0])
# Knots of the table of c's quantiles: linear in between they are good to 1e-7.
_FARTHEST, _KNOTS = 8.0, 4001
# A side's scale is not below one half, nor above eight, of the curvature's.
_LEAST, _MOST = 0.5, 8.0


@dataclass(frozen=True, eq=False)
class SplitT:
    """The proposal.

    Attributes
    ----------
    place : ndarray, shape (d,)
    axes : ndarray, shape (d, d)
        Columns a_i.
    left, right : ndarray, shape (d,)
        Scales of the sides.
    """

    place: Array
    axes: Array
    left: Array
    right: Array

    @property
    def dimension(self) -> int:
        """Of the uniforms that a draw is made of: d, and one."""
        return len(self.place) + 1

    def around(self, distance: float) -> Array:
        """The mode and places that many scales from it along each axis, (2 d + 1, d)."""
        away = np.concatenate([-self.left * self.axes, self.right * self.axes], axis=1).T
        return self.place + distance * np.concatenate([np.zeros((1, len(self.place))), away])

    def draw(self, u: Array) -> tuple[Array, Array]:
        """Places (R, d) from uniforms (R, d + 1), and their log densities (R,)."""
        stretch = np.exp(np.interp(ndtri(u[:, -1]), *_log_stretch()))
        share = self.left / (self.left + self.right)
        below = u[:, :-1] < share
        # The uniform within its side, as that of half a normal variable.
        half = np.where(below, 0.5 * u[:, :-1] / share, 0.5 + 0.5 * (u[:, :-1] - share) / (1.0 - share))
        z = ndtri(half) * stretch[:, None]
        return self.place + (z * np.where(below, self.left, self.right)) @ self.axes.T, self._log_density(z)

    def log_density(self, x: Array) -> Array:
        """At places (R, d)."""
        w = np.linalg.solve(self.axes, (x - self.place).T).T
        return self._log_density(w / np.where(w < 0.0, self.left, self.right))

    def _log_density(self, z: Array) -> Array:
        d = z.shape[1]
        constant = gammaln(0.5 * (_DF + d)) - gammaln(0.5 * _DF) - 0.5 * d * np.log(_DF * np.pi)
        constant += d * np.log(2.0) - np.log(self.left + self.right).sum() - np.linalg.slogdet(self.axes)[1]
        return np.asarray(constant - 0.5 * (_DF + d) * np.log1p(np.einsum("ri,ri->r", z, z) / _DF))


@cache
def _log_stretch() -> tuple[Array, Array]:
    """log of 1 / sqrt(c / df) at the normal scores of c's distribution function: smooth, and cheaper to look up."""
    score = np.linspace(-_FARTHEST, _FARTHEST, _KNOTS)
    return score, -0.5 * np.log(2.0 * gammaincinv(0.5 * _DF, ndtr(score)) / _DF)


def split_t(density: LogDensity, mode: PosteriorMode) -> SplitT:
    """Fit the scales to the density's fall along the axes."""
    d = len(mode.place)
    values, vectors = np.linalg.eigh(mode.curvature)
    axes = vectors / np.sqrt(values)
    steps = axes.T[:, None, None] * _DISTANCES[:, None] * np.array([-1.0, 1.0])[:, None, None]
    places = (mode.place + steps).reshape(-1, d)
    fall = mode.value - density.evaluate(places).value.reshape(d, 2, len(_DISTANCES))
    # The t falls by (df + d) / 2 log(1 + w^2 / (df s^2)): the s with which that is the fall.
    with np.errstate(over="ignore"):
        slack = np.expm1(2.0 * np.maximum(fall, np.finfo(float).tiny) / (_DF + d))
        scale = _DISTANCES / np.sqrt(_DF * slack)
    scale = np.clip(scale.max(axis=2), _LEAST, _MOST)
    return SplitT(mode.place, axes, scale[:, 0], scale[:, 1])
