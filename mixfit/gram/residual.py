r"""The residual stage: what is done to the rows of [Z X y] between the design and the cross-products.

Residuals have covariance sigma^2 W^{-1/2} R(psi) W^{-1/2}, W the prior weights and R = L L' of what a `Residual` says.
Rows become L^{-1} W^{1/2} of themselves; log|R| - log|W| is what the criterion adds for it. Independent residuals of
one variance are no `Residual`: nothing is done, and nothing copied.

Whitened rows of Z must still belong to one level of each grouping factor: R may tie rows only within levels of all of
them. Where R^{-1} = sum_j c_j(psi) M_j with fixed M_j, the cross-products are sum_j c_j(psi) G_j of G_j formed once; a
`Residual` of that kind is what forms and weights them, and `whiten` says the same for a single psi.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.brief import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Residual", "ResidualStage"]


class Residual(Protocol):
    """A covariance R(psi) of residuals relative to sigma^2."""

    def whiten(self, rows: Array, psi: Array) -> Array:
        """L^{-1} of columns of the data, given as rows (c, n), with R = L L'."""

    def log_determinant(self, psi: Array) -> float:
        """log|R|."""


@dataclass(frozen=True, eq=False)
class ResidualStage:
    """Prior weights, and a residual structure at its parameters.

    Attributes
    ----------
    root_weights : ndarray, shape (n,), or None
        Square roots of the prior weights.
    residual : Residual or None
    psi : ndarray, shape (m,)
    """

    root_weights: Array | None = None
    residual: Residual | None = None
    psi: Array = field(default_factory=lambda: np.empty(0))

    __repr__ = brief

    @property
    def is_identity(self) -> bool:
        """Whether rows stay as they are."""
        return self.root_weights is None and self.residual is None

    def whiten(self, rows: Array) -> Array:
        """Columns of the data, given as rows (c, n) or as one (n,), as the cross-products take them."""
        weighted = rows if self.root_weights is None else rows * self.root_weights
        if self.residual is None:
            return weighted
        return self.residual.whiten(weighted.reshape(-1, rows.shape[-1]), self.psi).reshape(rows.shape)

    @property
    def log_precision(self) -> float:
        """log|W| - log|R|."""
        weights = 0.0 if self.root_weights is None else 2.0 * float(np.log(self.root_weights).sum())
        return weights if self.residual is None else weights - self.residual.log_determinant(self.psi)
