"""Linear models without random effects, as null hypotheses: simulated and refitted all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.basis import fixed_basis
from mixfit.results.simulate import add_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["LeastSquares"]


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """y = X beta + offset + e, e ~ N(0, sigma^2 / w), by maximum likelihood.

    Attributes
    ----------
    X : ndarray, shape (n, p)
    y : ndarray, shape (n,)
    weights, offset : ndarray, shape (n,), or None

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 4.0])
    >>> null = LeastSquares(np.ones((3, 1)), y, None, None)
    >>> null.criteria(y[:, None]).round(4).tolist(), null.simulate(5, np.random.default_rng(1)).shape
    ([9.8391], (3, 5))
    """

    X: Array
    y: Array
    weights: Array | None
    offset: Array | None

    @property
    def n_parameters(self) -> int:
        """Independent columns of X, and sigma."""
        return len(fixed_basis(self._rows(self.X)).rows) + 1

    def criteria(self, y: Array) -> Array:
        """Deviance n [1 + log(2 pi RSS / n)] - sum log w of responses (n, R): (R,)."""
        log_weights = 0.0 if self.weights is None else float(np.log(self.weights).sum())
        rest = self._residuals(y)
        n = len(y)
        value: Array = n * (1.0 + np.log(2.0 * np.pi * np.einsum("rn,rn->r", rest, rest) / n)) - log_weights
        return value

    def simulate(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n responses, (nobs, n), with the estimates of y."""
        rest = self._residuals(self.y[:, None])[0]
        root = np.ones(len(rest)) if self.weights is None else np.sqrt(self.weights)
        mean = np.repeat((self.y - rest / root)[:, None], n, axis=1)
        return add_noise(mean, float(np.linalg.norm(rest)) / np.sqrt(len(rest)), self.weights, rng)

    def _rows(self, columns: Array) -> Array:
        return np.ascontiguousarray(columns.T) if self.weights is None else columns.T * np.sqrt(self.weights)

    def _residuals(self, y: Array) -> Array:
        """Weighted residuals as rows, (R, n)."""
        basis = fixed_basis(self._rows(self.X)).rows
        rest = self._rows(y if self.offset is None else y - self.offset[:, None])
        for _ in range(2):
            rest = rest - (rest @ basis.T) @ basis
        return rest
