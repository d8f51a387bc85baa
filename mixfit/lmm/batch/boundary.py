r"""Directions without variance, for many replicates: whether they should have some.

As in :mod:`mixfit.covariance.boundary`: Sigma is optimal on the cone's boundary when N is nonnegative on the null
space of Sigma, and the eigenvector of the most promising negative value leads off it. The derivative is that in the
variance itself, theta^2 for a scalar term: the one in theta vanishes at 0 whatever the data say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.batch.frame import Directions, Frame
    from mixfit.lmm.batch.slopes import Slopes

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Boundary", "examine", "leave", "null_curvature"]

_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Boundary:
    """What lies off the boundary.

    Attributes
    ----------
    values, vectors : ndarray, shape (k, R) and (k, k, R)
        Eigenvalues and eigenvectors, as columns, of N on the null space; 0 elsewhere.
    decrease, variance : ndarray, shape (R,)
        Decrease of the criterion that the best Newton step off the boundary promises, and the variance that it
        gives; 0 where no direction asks for any.
    direction : ndarray, shape (k, R)
        The direction of that step, in the frame.
    """

    values: Array
    vectors: Array
    decrease: Array
    variance: Array
    direction: Array

    def take(self, at: Index) -> Boundary:
        """Of some replicates."""
        return Boundary(
            self.values[:, at], self.vectors[:, :, at], self.decrease[at], self.variance[at], self.direction[:, at]
        )


def examine(slopes: Slopes, frame: Frame, blocks: Sequence[slice]) -> Boundary:
    """Find the best step off the boundary of every replicate."""
    k, r = frame.lengths.shape
    null = frame.null
    values, vectors = np.zeros((k, r)), np.zeros((k, k, r))
    found = Boundary(values, vectors, np.zeros(r), np.zeros(r), np.zeros((k, r)))
    if not null.any():
        return found
    restricted = slopes.slope * (null[:, None] & null)
    for b in blocks:
        if b.stop - b.start == 1:
            values[b], vectors[b, b] = restricted[b.start, b], 1.0
        else:
            lam, v = np.linalg.eigh(np.moveaxis(restricted[b, b], 2, 0))
            values[b], vectors[b, b] = lam.T, np.moveaxis(v, 0, 2)
    for a in range(k):
        slope = values[a]
        second, quadratic = slopes.along(vectors[:, a])
        second = np.maximum(second, np.maximum(1e-12 * slope**2, _TINY))
        stretch = np.maximum(quadratic / np.maximum(quadratic + slope, _TINY), 1.0)
        decrease = np.where(slope < 0.0, 0.5 * slope**2 / second, 0.0)
        better = decrease > found.decrease
        found.decrease[better] = decrease[better]
        found.variance[better] = np.minimum(-slope * stretch / second, 1.0)[better]
        found.direction[:, better] = vectors[:, a, better]
    return found


def null_curvature(boundary: Boundary, toward: Directions, frame: Frame, weights: Array) -> Array:
    """2 <N, T'_a T'_b'>: what Sigma = T T' curves by where N does not vanish, off the range of T: (m, m, R)."""
    positive = np.einsum("acr,cr,bcr->abr", boundary.vectors, np.maximum(boundary.values, 0.0), boundary.vectors)
    turning = frame.null[toward.row] * weights
    same = (toward.column[:, None] == toward.column)[:, :, None]
    return same * (2.0 * positive[toward.row[:, None], toward.row] * turning[:, None] * turning)


def leave(frame: Frame, direction: Array, variance: Array) -> Array:
    """Templates with some variance along a direction of the null space, (k, k, R).

    The direction is orthogonal to the columns with variance; it takes the place of the null column that it has most
    of, which keeps it within its block.
    """
    out = frame.templates
    place, every = np.abs(direction).argmax(axis=0), np.arange(len(variance))
    out[:, place, every] = np.sqrt(variance) * np.einsum("abr,br->ar", frame.axes, direction)
    return out
