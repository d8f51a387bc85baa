"""Autoregression of order one over levels in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.columns import SAME_STEP, ordered_levels, without_options
from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.markov import Transitions
from mixfit.covariance.parameter import NaturalParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.columns import GivenColumns, Recoding
    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]

__all__ = ["Autoregressive", "HeterogeneousAutoregressive"]


class Autoregressive(CorrelationStructure):
    """``ar1(0 + time | g)``: correlations rho^|i - j|, -1 <= rho <= 1, and one variance."""

    name: ClassVar[str] = "ar1"
    holds: ClassVar[frozenset[str]] = frozenset({"homdiag"})
    holds_common_effect: ClassVar[bool] = True
    needs_levels: ClassVar[bool] = False

    @classmethod
    def read(cls, given: GivenColumns) -> tuple[Structure, Recoding | None]:
        """Levels in their order, or the values of an equally spaced number."""
        without_options(given, cls.name)
        recoding = ordered_levels(given, cls.name)
        return cls(len(given.names) if recoding is None else len(recoding.names)), recoding

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """The correlation of neighbours."""
        return (NaturalParameter("cor", of=self.name, lower=-1.0, upper=1.0, scale="atanh"),)

    @property
    def _lag(self) -> Array:
        place = np.arange(self.k, dtype=float)
        return np.abs(place[:, None] - place)

    def correlation(self, rho: Array) -> Array:
        """rho^|i - j|."""
        return np.asarray(rho[0] ** self._lag)

    def correlation_slopes(self, rho: Array) -> Array:
        """Lag times rho^(lag - 1)."""
        lag = self._lag
        return np.asarray(lag * rho[0] ** np.maximum(lag - 1.0, 0.0))[None]

    def correlation_bends(self, rho: Array) -> Array:
        """Lag (lag - 1) rho^(lag - 2)."""
        lag = self._lag
        return np.asarray(lag * np.maximum(lag - 1.0, 0.0) * rho[0] ** np.maximum(lag - 2.0, 0.0))[None, None]

    def times(self) -> Array | None:
        """The numbers of its levels, where one variance serves all."""
        return np.arange(self.k, dtype=float) if self.is_homogeneous else None

    def transitions(self, rho: Array, gaps: Array) -> Transitions:
        """phi = rho^lag."""
        phi = rho[0] ** gaps
        slope = gaps * rho[0] ** np.maximum(gaps - 1.0, 0.0)
        bend = gaps * np.maximum(gaps - 1.0, 0.0) * rho[0] ** np.maximum(gaps - 2.0, 0.0)
        return Transitions(phi, 1.0 - phi**2, slope, bend)

    def starts_along(self, nearest: float, farthest: float) -> list[Array]:
        """The same whatever the steps."""
        return self.shape_starts()

    def elsewhere(self, theta: Array, places: Array, known: Array) -> tuple[Array, Array] | None:
        """By the steps to the times of the fit, where they are whole; of one variance only."""
        if not self.is_homogeneous:
            return None
        lag = np.abs(places - known.T) / (known[1, 0] - known[0, 0])
        whole = np.abs(lag - np.round(lag)) <= SAME_STEP * np.maximum(lag, 1.0)
        c = np.where(whole, theta[1] ** np.round(lag), np.nan)
        return theta[0] ** 2 * c, np.full(len(places), theta[0] ** 2)


class HeterogeneousAutoregressive(Autoregressive):
    """``hetar1(0 + time | g)``: the same with a variance for each level."""

    name: ClassVar[str] = "hetar1"
    holds: ClassVar[frozenset[str]] = frozenset({"ar1", "diag", "homdiag"})
    is_homogeneous: ClassVar[bool] = False
    needs_levels: ClassVar[bool] = True
