r"""A step of a quadratic model within a ball (Nocedal & Wright 2006, chapter 4).

min g's + s'Hs / 2 over |s| <= radius has the solution s = -(H + lambda I)^{-1} g for the lambda >= 0 that keeps the
step within the ball and H + lambda I positive semidefinite: with the eigenvalues of H at hand, one root of a
decreasing function of lambda.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.optimize.bounds import LONGEST_STEP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["QuadraticModel", "TrustRegion", "quadratic_model"]

# Steps of Newton's method for lambda; three reach the precision that a radius deserves.
_MAX_STEPS = 30
# Of the radius.
_PRECISION = 1e-3
# Share of the largest eigenvalue (or of 1) below which an eigenvalue is rounding.
_ROUNDING = 1e-14
# The decrease over the promised one above which a region grows, and below which it shrinks, and by how much
# (Nocedal & Wright 2006, algorithm 4.1).
_TRUSTED = 0.75
_DISTRUSTED = 0.25
_GROWTH = 2.0
_SHRINKAGE = 0.25
# Of the log scale: what is left of the criterion there is below its resolution.
_SMALLEST_RADIUS = 1e-3
# A quarter a trial: from the longest step to rounding.
_MAX_TRIALS = 25


@dataclass(frozen=True, eq=False)
class QuadraticModel:
    """g's + s'Hs / 2 in the eigenvectors of H.

    Attributes
    ----------
    values : ndarray, shape (m,)
        Eigenvalues of H, ascending.
    vectors : ndarray, shape (m, m)
    along : ndarray, shape (m,)
        g in the eigenvectors.
    """

    values: Array
    vectors: Array
    along: Array

    def step(self, radius: float) -> tuple[Array, float]:
        """The minimizer within the ball, and the decrease that it promises.

        Examples
        --------
        >>> model = quadratic_model(np.diag([2.0, -1.0]), np.array([2.0, 0.0]))
        >>> step, decrease = model.step(5.0)
        >>> bool(abs(np.linalg.norm(step) - 5.0) < 1e-2), decrease > 10.0
        (True, True)
        """
        values, along = self.values, self.along
        if not len(values):
            return along, 0.0
        least = _ROUNDING * max(1.0, float(np.abs(values).max()))
        shift = max(0.0, least - float(values[0]))
        coefficients = -along / (values + shift)
        length = float(np.linalg.norm(coefficients))
        if length > radius:
            coefficients = self._shortened(shift, length, radius)
        elif values[0] < -least:
            # Nothing of g along the lowest curvature: either way down will do.
            coefficients[0] += np.copysign(np.sqrt(radius**2 - length**2), coefficients[0] or 1.0)
        decrease = -float(along @ coefficients + 0.5 * values @ coefficients**2)
        return self.vectors @ coefficients, decrease

    def _shortened(self, shift: float, length: float, radius: float) -> Array:
        """-(H + lambda)^{-1} g of the length `radius`: Newton's method for 1 / |s| - 1 / radius, from below."""
        coefficients = -self.along / (self.values + shift)
        for _ in range(_MAX_STEPS):
            if length <= radius * (1.0 + _PRECISION):
                break
            slope = float((coefficients**2 / (self.values + shift)).sum()) / length**2
            shift += (length / radius - 1.0) / slope
            coefficients = -self.along / (self.values + shift)
            length = float(np.linalg.norm(coefficients))
        return coefficients


def quadratic_model(hessian: Array, gradient: Array) -> QuadraticModel:
    """The model of a gradient (m,) and a symmetric Hessian (m, m)."""
    values, vectors = np.linalg.eigh(hessian)
    return QuadraticModel(values, vectors, vectors.T @ gradient)


class TrustRegion:
    """How far the quadratic model has been right.

    Attributes
    ----------
    radius : float
    promised : float
        Decrease that the last step promised; 0 if it was none of the region's.
    """

    def __init__(self) -> None:
        self.radius = LONGEST_STEP
        self.promised = 0.0

    def steps(self, model: QuadraticModel) -> Iterator[Array]:
        """Steps to try, shorter and shorter."""
        for _ in range(_MAX_TRIALS):
            step, self.promised = model.step(self.radius)
            yield step
            self.radius = _SHRINKAGE * float(np.linalg.norm(step))

    def learn(self, decrease: float, resolution: float) -> None:
        """Compare the decrease with the promise of the step that was taken."""
        if self.promised <= resolution:
            # Rounding says nothing of the model.
            self.radius = LONGEST_STEP
            return
        gain = decrease / self.promised
        if gain > _TRUSTED:
            self.radius = min(_GROWTH * self.radius, LONGEST_STEP)
        elif gain < _DISTRUSTED:
            self.radius = max(_SHRINKAGE * self.radius, _SMALLEST_RADIUS)
