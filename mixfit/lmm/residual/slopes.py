r"""What is asked of the derivatives of the residuals' covariance, whatever has them.

With R = L L', A_i = L^{-1} R'_i L'^{-1} of the residuals' parameters, e the whitened residuals, E the whitened columns
of X in the metric of G_XX and K = I - L^{-1}Z Q Z'L'^{-1} - e e' / s^2 [- E E']; see
:mod:`mixfit.lmm.residual.derivatives`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Part = Literal["error", "fixed"]

__all__ = ["ResidualSlopes"]


class ResidualSlopes(ABC):
    """Derivatives in I parameters: those of the directions, then gamma."""

    size: int
    """I."""

    @abstractmethod
    def rows(self, which: Part) -> Array:
        """e, (1, n), or E, (p, n)."""

    @abstractmethod
    def gradient(self) -> Array:
        """<K, A_i>, (I,)."""

    @abstractmethod
    def traces(self) -> Array:
        """tr A_i, (I,)."""

    @abstractmethod
    def pair_traces(self) -> Array:
        """tr(A_i A_j), (I, I)."""

    @abstractmethod
    def quadratics(self) -> Array:
        """e'A_i e, (I,)."""

    @abstractmethod
    def squares(self, which: Part) -> Array:
        """e'A_i A_j e, or tr(E'A_i A_j E), (I, I)."""

    @abstractmethod
    def loaded(self, which: Part) -> Iterator[tuple[slice, Array]]:
        """A_i e (i, 1, n), or A_i E (i, p, n), for as many parameters at a time as memory allows."""

    @abstractmethod
    def bends(self) -> Array:
        """<K, L^{-1} R''_ij L'^{-1}> in the coordinates of the steps, without random effects: (I, I)."""
