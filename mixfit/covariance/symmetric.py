"""Homogeneous diagonal covariance, and compound symmetry: one correlation of all columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.parameter import NaturalParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["CompoundSymmetry", "HomogeneousCompoundSymmetry", "HomogeneousDiagonal"]


class HomogeneousDiagonal(CorrelationStructure):
    """``homdiag(x | g)``: independent columns of one variance."""

    name: ClassVar[str] = "homdiag"
    is_exchangeable: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True

    @property
    def absorbs_residual(self) -> bool:
        """Yes."""
        return True

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """None."""
        return ()

    def correlation(self, rho: Array) -> Array:
        """I."""
        return np.eye(self.k)

    def correlation_slopes(self, rho: Array) -> Array:
        """None."""
        return np.empty((0, self.k, self.k))


class CompoundSymmetry(CorrelationStructure):
    """``cs(x | g)``: a variance for each column, and one correlation rho >= -1 / (k - 1) of any two."""

    name: ClassVar[str] = "cs"
    is_exchangeable: ClassVar[bool] = True
    holds: ClassVar[frozenset[str]] = frozenset({"homcs", "diag", "homdiag"})
    holds_common_effect: ClassVar[bool] = True
    is_homogeneous: ClassVar[bool] = False

    @property
    def absorbs_residual(self) -> bool:
        """Yes."""
        return True

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """The correlation."""
        return (NaturalParameter("cor", of=self.name, lower=-1.0 / (self.k - 1), upper=1.0, scale="atanh"),)

    def correlation(self, rho: Array) -> Array:
        """(1 - rho) I + rho 1 1'."""
        return np.eye(self.k) + rho[0] * self.correlation_slopes(rho)[0]

    def correlation_slopes(self, rho: Array) -> Array:
        """1 1' - I."""
        return np.ones((1, self.k, self.k)) - np.eye(self.k)

    def correlation_bends(self, rho: Array) -> Array:
        """Zero."""
        return np.zeros((1, 1, self.k, self.k))


class HomogeneousCompoundSymmetry(CompoundSymmetry):
    """``homcs(x | g)``: the same with one variance."""

    name: ClassVar[str] = "homcs"
    holds: ClassVar[frozenset[str]] = frozenset({"homdiag"})
    is_homogeneous: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True
