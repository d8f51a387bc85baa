"""Wishart and inverse Wishart matrices by Bartlett's decomposition, many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["draw_inverse_wishart", "draw_wishart"]


def draw_wishart(df: float, scale: Array, size: int, rng: np.random.Generator) -> Array:
    """W(df, scale), (size, k, k), of one scale (k, k) or of one for each, (size, k, k)."""
    k = scale.shape[-1]
    low = np.zeros((size, k, k))
    low[:, *np.tril_indices(k, -1)] = rng.standard_normal((size, k * (k - 1) // 2))
    low[:, np.arange(k), np.arange(k)] = np.sqrt(rng.chisquare(df - np.arange(k), size=(size, k)))
    root = np.linalg.cholesky(scale) @ low
    return np.asarray(root @ root.swapaxes(1, 2))


def draw_inverse_wishart(df: float, scale: Array, size: int, rng: np.random.Generator) -> Array:
    """Inverses of W(df, scale^{-1}), (size, k, k)."""
    inner = np.asarray(np.linalg.inv(scale), dtype=float)
    return np.asarray(np.linalg.inv(draw_wishart(df, inner, size, rng)), dtype=float)
