r"""What the sparse block cannot read off the entries of its inverse: slopes without variance, and second derivatives.

The slope of log|A| in the relative covariance Sigma_j of a factor is N = T'^{-1} [q I - sum_l (A^{-1})_ll] T^{-1}.
Where T is singular it is the limit of that from inside, N(h) = N + O(h) at Sigma_j + h D, whose first order two of them
take away (Richardson's extrapolation). Second derivatives would need all of A^{-1}: they are differences of the exact
slopes, central ones inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.covariance.templates import spectral_factor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Inside", "SparseDerivatives", "projected_sums"]

# Of the least that all levels together may be changed by: the square of it is what two steps off the boundary leave,
# and what a difference of traces over 1e5 levels loses is 1e-11 over it.
_OFF_BOUNDARY = 1e-4
# Relative change of a covariance: the error of central differences is its square, that of the slopes 1e-12 over it.
_CHANGE = 1e-4


class Inside(Protocol):
    """A factor of A with what is known of it inside, where every template is regular, and how to come to another."""

    @property
    def templates(self) -> tuple[Array, ...]:
        """T of every factor."""
        ...

    def inverse_sums(self, j: int) -> Array:
        """sum over levels of the blocks (A^{-1})_ll of factor j, (k_j, k_j)."""
        ...

    def total(self, j: int) -> Array:
        """Z_j'Z_j summed over levels, (k_j, k_j)."""
        ...

    def n_levels(self, j: int) -> int:
        """Levels of factor j."""
        ...

    def at(self, templates: Sequence[Array]) -> Inside:
        """The factor at other templates."""
        ...


@dataclass(frozen=True, eq=False)
class SparseDerivatives:
    """Derivatives of log|A|; nothing was eliminated before, so that Z'Z does not move."""

    factor: Inside

    def move(self, x: int, i: int, left: Array, right: Array) -> None:
        """No factor is eliminated before."""
        raise NotImplementedError

    def inner(self, i: int, left: Array, right: Array) -> float:
        """No factor is eliminated before."""
        raise NotImplementedError

    def finish(self, directions: Mapping[int, Mapping[int, Array]], size: int) -> tuple[Array, Array]:
        """<N_j, D_x>, and how they move with every other direction."""
        first = _along(self.factor, directions, size)
        second = np.zeros((size, size))
        for j, own in directions.items():
            for y, d in own.items():
                second[:, y] = self._slope(j, d, directions, first)
        return first, 0.5 * (second + second.T)

    def _slope(self, j: int, d: Array, directions: Mapping[int, Mapping[int, Array]], first: Array) -> Array:
        """The derivative of all slopes while Sigma_j moves along D, (size,)."""
        t, size = self.factor.templates[j], len(first)
        if t.any(axis=0).all():
            inverse = np.linalg.inv(t)
            step = _CHANGE / np.abs(np.linalg.eigvalsh(inverse @ d @ inverse.T)).max()
            up, down = (_along(_changed(self.factor, j, x * d), directions, size) for x in (step, -step))
            return (up - down) / (2.0 * step)
        # Into the cone of covariances: along the positive and the negative part of D, each from inside.
        unit = _units(self.factor, j)
        values, vectors = np.linalg.eigh(d / np.outer(unit, unit))
        out = np.zeros(size)
        for sign in (1.0, -1.0):
            part = np.maximum(sign * values, 0.0)
            if part.any():
                step = _OFF_BOUNDARY / part.max()
                change = unit[:, None] * ((vectors * part) @ vectors.T) * unit
                once, twice = (_along(_changed(self.factor, j, x * change), directions, size) for x in (step, 2 * step))
                out += sign * (4.0 * once - twice - 3.0 * first) / (2.0 * step)
        return out


def _along(factor: Inside, directions: Mapping[int, Mapping[int, Array]], size: int) -> Array:
    out = np.zeros(size)
    for j, own in directions.items():
        if own:
            slope = projected_sums(factor, j)
            for x, d in own.items():
                out[x] = float(np.vdot(slope, d))
    return out


def projected_sums(factor: Inside, j: int) -> Array:
    """N: sum over levels of the blocks (Z'V^{-1}Z)_ll of the independent effects of factor j, (k_j, k_j)."""
    t = factor.templates[j]
    if t.any(axis=0).all():
        return _inside(factor, j)
    d = np.diag(_OFF_BOUNDARY * _units(factor, j) ** 2)
    return 2.0 * _inside(_changed(factor, j, d), j) - _inside(_changed(factor, j, 2.0 * d), j)


def _inside(factor: Inside, j: int) -> Array:
    inverse = np.linalg.inv(factor.templates[j])
    known = factor.n_levels(j) * np.eye(len(inverse)) - factor.inverse_sums(j)
    return np.asarray(inverse.T @ known @ inverse)


def _units(factor: Inside, j: int) -> Array:
    """Deviations by which the columns of factor j add to A no more than I, all levels together, (k_j,)."""
    squares = factor.total(j).diagonal()
    return np.asarray(1.0 / np.sqrt(np.where(squares > 0.0, squares, 1.0)))


def _changed(factor: Inside, j: int, change: Array) -> Inside:
    """The factor at another relative covariance of factor j."""
    t = factor.templates[j]
    templates = list(factor.templates)
    templates[j] = spectral_factor(t @ t.T + change)
    return factor.at(templates)
