"""Levels of many designs side by side, each with cross-products of its own: what designs that differ have of them.

Designs have the same columns and numbers of levels of their own; those with fewer than the most are padded with levels
of no rows, whose cross-products are zero: they add nothing to sums, and count for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["OwnLevels"]


@dataclass(frozen=True, eq=False)
class OwnLevels:
    """Levels of R designs; beside `mixfit.lmm.batch.moments.SharedMoments`, which are those of one.

    Attributes
    ----------
    blocks : tuple of slice
        Columns that vary together.
    n : ndarray, shape (R,)
        Rows.
    count : ndarray, shape (R, U)
        1 of a level, 0 of none.
    gram : ndarray, shape (k, k, R, U)
        F.
    xx : ndarray, shape (k, k, p, p, R, U)
        B_jax B_jby.
    log_x : ndarray, shape (R,)
        log|X'X|.
    """

    blocks: tuple[slice, ...]
    n: Array
    count: Array
    gram: Array
    xx: Array
    log_x: Array

    log_weights = 0.0

    @property
    def k(self) -> int:
        """Number of random columns."""
        return len(self.gram)

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return self.xx.shape[2]

    def degrees(self, *, reml: bool) -> Array:
        """n for maximum likelihood, n - p for REML."""
        return self.n - self.p if reml else self.n

    def take(self, at: Index) -> OwnLevels:
        """Those of some designs."""
        return OwnLevels(
            self.blocks, self.n[at], self.count[at], self.gram[:, :, at], self.xx[:, :, :, :, at], self.log_x[at]
        )

    def over(self, replicates: int) -> Array:
        """F of every design, (k, k, R * U)."""
        return self.gram.reshape(self.k, self.k, -1)

    def total(self, values: Array) -> Array:
        """Sum over the levels, (..., R, U): (..., R)."""
        return np.asarray((values * self.count).sum(axis=-1))

    def mean(self, values: Array) -> Array:
        """Mean over the levels."""
        return self.total(values) / self.count.sum(axis=1)

    def fixed_products(self, m: Array) -> Array:
        """sum_j B_jx'M_j B_jy of symmetric M, (k, k, R, U): (p, p, R)."""
        return np.asarray(np.einsum("abxyru,abru->xyr", self.xx, m))

    def through_fixed(self, inverse: Array) -> Array:
        """B_jX C B_jX' of symmetric C, (p, p, R): (k, k, R, U)."""
        return np.asarray(np.einsum("abxyru,xyr->abru", self.xx, inverse))

    def fitted(self, beta: Array) -> Array:
        """(B_jX beta) B_jX', for beta (p, R): (k, k, p, R, U)."""
        return np.asarray(np.einsum("abxyru,xr->abyru", self.xx, beta))
