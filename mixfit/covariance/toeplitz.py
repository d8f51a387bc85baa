r"""Toeplitz correlations: one for each lag.

Partial autocorrelations pi_1, ..., pi_m are the parameters: every point of [-1, 1]^m, and no other, is a positive
semidefinite Toeplitz matrix (Barndorff-Nielsen & Schou 1973, J. Multivar. Anal. 3). The correlations follow by the
Durbin-Levinson recursion; that of lag j is linear in pi_j.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.columns import ordered_levels, without_options
from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.parameter import NaturalParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.columns import GivenColumns, Recoding
    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]

__all__ = ["HomogeneousToeplitz", "Toeplitz", "autocorrelations"]

# The first partial autocorrelations to start from; the others start at 0.
_STARTS = (0.2, 0.6)


class Toeplitz(CorrelationStructure):
    """``toep(0 + time | g)``: a variance for each level, and a correlation for each lag."""

    name: ClassVar[str] = "toep"
    holds: ClassVar[frozenset[str]] = frozenset({"homtoep", "hetar1", "ar1", "cs", "homcs", "diag", "homdiag"})
    holds_common_effect: ClassVar[bool] = True
    is_homogeneous: ClassVar[bool] = False

    @property
    def absorbs_residual(self) -> bool:
        """Yes."""
        return True

    @classmethod
    def read(cls, given: GivenColumns) -> tuple[Structure, Recoding | None]:
        """Levels in their order, or the values of an equally spaced number."""
        without_options(given, cls.name)
        recoding = ordered_levels(given, cls.name)
        return cls(len(given.names) if recoding is None else len(recoding.names)), recoding

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """A correlation a lag."""
        return tuple(
            NaturalParameter("cor", of=f"lag {lag}", lower=-1.0, upper=1.0, scale="atanh") for lag in range(1, self.k)
        )

    def shape_starts(self) -> list[Array]:
        """Autoregressions of order one."""
        return [np.concatenate([[first], np.zeros(self.k - 2)]) for first in _STARTS]

    @property
    def _lag(self) -> NDArray[np.intp]:
        place = np.arange(self.k)
        return np.abs(place[:, None] - place)

    def correlation(self, rho: Array) -> Array:
        """The matrix of r_|i - j|."""
        r, _ = autocorrelations(rho)
        return np.concatenate([[1.0], r])[self._lag]

    def correlation_slopes(self, rho: Array) -> Array:
        """By the recursion's own derivatives."""
        _, slopes = autocorrelations(rho)
        return np.concatenate([np.zeros((len(rho), 1)), slopes.T], axis=1)[:, self._lag]

    def shape_bent(self, rho: Array, weights: Array) -> Array:
        """Zero: C is linear in the correlations, which are what is reported."""
        return np.zeros((self.k, self.k))

    # What is reported: the correlations

    def reported(self, psi: Array) -> Array:
        """Standard deviations and correlations, (..., m)."""
        d = self.n_deviations
        flat = psi.reshape(-1, psi.shape[-1])
        out = np.array([np.concatenate([one[:d], autocorrelations(one[d:])[0]]) for one in flat])
        return out.reshape(psi.shape)

    def reported_slopes(self, psi: Array) -> Array:
        """The identity, and the derivatives of the recursion."""
        out = np.eye(len(psi))
        out[self.n_deviations :, self.n_deviations :] = autocorrelations(psi[self.n_deviations :])[1]
        return out

    def is_own(self, natural: int) -> bool:
        """Deviations, and the correlation of lag 1."""
        return natural <= self.n_deviations

    def solved(self, natural: int, psi: Array, value: float) -> float:
        """r_j = a + b pi_j, a and b of the lags before."""
        place = natural - self.n_deviations
        partial = psi[self.n_deviations :][: place + 1].copy()
        partial[place] = 0.0
        r, slopes = autocorrelations(partial)
        rate = float(slopes[place, place])
        return (value - float(r[place])) / rate if rate > 0.0 else np.nan


class HomogeneousToeplitz(Toeplitz):
    """``homtoep(0 + time | g)``: the same with one variance."""

    name: ClassVar[str] = "homtoep"
    holds: ClassVar[frozenset[str]] = frozenset({"ar1", "homcs", "homdiag"})
    is_homogeneous: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True


def autocorrelations(partial: Array) -> tuple[Array, Array]:
    """Autocorrelations (m,) of partial ones (m,), and their derivatives (m, m): Durbin (1960), Levinson (1946).

    Examples
    --------
    >>> r, slopes = autocorrelations(np.array([0.5, 0.0, 0.0]))
    >>> r.tolist(), slopes[1].tolist()
    ([0.5, 0.25, 0.125], [1.0, 0.75, 0.0])
    """
    m = len(partial)
    r, slopes = np.zeros(m), np.zeros((m, m))
    phi, dphi = np.zeros(0), np.zeros((0, m))
    variance, dvariance = 1.0, np.zeros(m)
    for j, own in enumerate(partial):
        back, dback = r[:j][::-1], slopes[:j][::-1]
        r[j] = own * variance + phi @ back
        slopes[j] = own * dvariance + phi @ dback + dphi.T @ back
        slopes[j, j] += variance
        new = np.append(phi - own * phi[::-1], own)
        dnew = np.zeros((j + 1, m))
        dnew[:j] = dphi - own * dphi[::-1]
        dnew[:j, j] -= phi[::-1]
        dnew[j, j] = 1.0
        dvariance = dvariance * (1.0 - own**2)
        dvariance[j] -= 2.0 * own * variance
        variance *= 1.0 - own**2
        phi, dphi = new, dnew
    return r, slopes
