r"""Structures of the form Sigma = D C(rho) D: standard deviations D, and a matrix C of `shape` parameters rho."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.parameter import NaturalParameter, deviation_of
from mixfit.covariance.parametric import Parametric
from mixfit.covariance.structure import Invariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["CorrelationStructure"]

# Differences from which second derivatives are taken where a structure does not give them.
_DIFFERENCE = 1e-5
# Shares of the way from zero to their upper bounds at which shape parameters start.
_STARTS = (0.2, 0.6)
# Where the shape of a term without variance is looked at near a bound: this share of the way to it.
_NEAR_BOUND = 0.9


class CorrelationStructure(Parametric):
    """Sigma = D C(rho) D; theta are the standard deviations relative to sigma, then the shape parameters.

    A subclass gives `shape`, `correlation` and `correlation_slopes`, and says whether it is homogeneous: whether one
    standard deviation serves all columns.
    """

    is_homogeneous: ClassVar[bool] = True
    is_linear: ClassVar[bool] = False
    """Whether Sigma is linear in a variance and covariances that stand for all its parameters."""
    invariance: ClassVar[Invariance] = Invariance.COMMON_SCALE

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.invariance = Invariance.COMMON_SCALE if cls.is_homogeneous else Invariance.COLUMN_SCALES

    # What a subclass says

    @property
    @abstractmethod
    def shape(self) -> tuple[NaturalParameter, ...]:
        """The parameters of C."""

    @abstractmethod
    def correlation(self, rho: Array) -> Array:
        """C of the shape parameters, (k, k), positive semidefinite within the bounds and on them."""

    @abstractmethod
    def correlation_slopes(self, rho: Array) -> Array:
        """dC / drho, (m, k, k); on a bound the one-sided derivative."""

    def correlation_bends(self, rho: Array) -> Array:
        """d^2 C / drho^2, (m, m, k, k): by central differences of the slopes where a structure says nothing else."""
        out = np.empty((len(rho), len(rho), self.k, self.k))
        for a, p in enumerate(self.shape):
            up, down = rho.copy(), rho.copy()
            up[a], down[a] = min(rho[a] + _DIFFERENCE, p.upper), max(rho[a] - _DIFFERENCE, p.lower)
            out[a] = (self.correlation_slopes(up) - self.correlation_slopes(down)) / (up[a] - down[a])
        return 0.5 * (out + out.swapaxes(0, 1))

    def shape_starts(self) -> list[Array]:
        """Shape parameters to start from."""
        return [np.array([share * p.upper if np.isfinite(p.upper) else 1.0 for p in self.shape]) for share in _STARTS]

    # What it is reported by

    @property
    def n_deviations(self) -> int:
        """Number of standard deviations."""
        return 1 if self.is_homogeneous else self.k

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """Standard deviations, then the shape parameters."""
        every = [NaturalParameter("sd", of=self.name)] if self.is_homogeneous else map(deviation_of, range(self.k))
        return (*every, *self.shape)

    @property
    def row_cells(self) -> list[list[int]]:
        """The shape parameters, beside the first."""
        first = list(range(self.n_deviations, self.n_parameters))
        return [first, *([] for _ in range(self.n_deviations - 1))]

    @property
    def tag(self) -> str:
        """The name of the structure."""
        return f"({self.name})"

    # Sigma and its derivatives

    def deviations(self, psi: Array) -> Array:
        """Of every column, (k,)."""
        return np.broadcast_to(psi[: self.n_deviations], (self.k,))

    def covariance(self, psi: Array) -> Array:
        """Sigma, (k, k)."""
        sd = self.deviations(psi)
        return self.correlation(psi[self.n_deviations :]) * np.outer(sd, sd)

    def slopes(self, psi: Array) -> Array:
        """dSigma / dpsi, (m, k, k)."""
        sd, rho = self.deviations(psi), psi[self.n_deviations :]
        c = self.correlation(rho)
        if self.is_homogeneous:
            first = 2.0 * psi[0] * c[None]
        else:
            first = np.zeros((self.k, self.k, self.k))
            every = np.arange(self.k)
            first[every, every] += c * sd
            first[every, :, every] += c * sd
        return np.concatenate([first, self.correlation_slopes(rho) * np.outer(sd, sd)])

    def bend_forms(self, psi: Array, n: Array) -> Array:
        """<N, d^2 Sigma / dpsi^2>, (m, m)."""
        d, rho, sd = self.n_deviations, psi[self.n_deviations :], self.deviations(psi)
        out = np.empty((self.n_parameters,) * 2)
        twice = 2.0 * n * self.correlation(rho)
        along = 2.0 * (n * self.correlation_slopes(rho)) @ sd
        out[:d, :d] = twice.sum() if self.is_homogeneous else twice
        out[:d, d:] = along.sum(axis=1) if self.is_homogeneous else along.T
        out[d:, :d] = out[:d, d:].T
        out[d:, d:] = np.einsum("ij,abij->ab", n * np.outer(sd, sd), self.correlation_bends(rho))
        return out

    def bent(self, psi: Array, weights: Array) -> Array | None:
        """Of D C D in the squares of D: what C bends by, and 2 (D' C' D + D C' D') between both, D'' being none."""
        if self.is_linear:
            return None
        d, sd, rho = self.n_deviations, self.deviations(psi), psi[self.n_deviations :]
        both = np.outer(sd, sd)
        out = both * self.shape_bent(rho, weights[d:, d:])
        # D' along each shape parameter, (shapes, k).
        along = np.broadcast_to(weights[d:, :d], (len(rho), self.k))
        mixed = along[:, :, None] * sd + (along[:, :, None] * sd).swapaxes(1, 2)
        for slope, change in zip(self.correlation_slopes(rho), mixed, strict=True):
            out += 2.0 * slope * change
        if not self.is_homogeneous:
            # (s_i s_j)'' of i != j, and -W_ii d(s_i s_j) / ds_i / s_i of the squares, which on the diagonal cancel.
            own = weights[:d, :d]
            spread = np.divide(own.diagonal(), sd**2, out=np.zeros(self.k), where=sd > 0.0)
            out += self.correlation(rho) * (2.0 * own - both * (spread[:, None] + spread))
        return out

    def shape_bent(self, rho: Array, weights: Array) -> Array:
        """sum_ab W_ab d^2 C in the reported shape parameters: in 1 / x, C'' + 2 C' / x for C'' of x."""
        out: Array = np.tensordot(weights, self.correlation_bends(rho), 2)
        for a, (p, slope) in enumerate(zip(self.shape, self.correlation_slopes(rho), strict=True)):
            if p.is_reciprocal and rho[a] > 0.0:
                out = out + 2.0 * weights[a, a] / rho[a] * slope
        return out

    # Starts, and ways off zero

    def starts(self, variances: Array) -> list[Array]:
        """The moment estimates, or their mean, with each of the shapes to start from."""
        sd = np.sqrt(variances.mean(keepdims=True) if self.is_homogeneous else variances)
        return [np.concatenate([sd, rho]) for rho in self.shape_starts()]

    def off_zero(self, psi: Array, deviation: int) -> list[tuple[Array, Array, bool]]:
        """One way beside columns with variance; where none has any, and the shape is not known, several shapes."""
        if psi[: self.n_deviations].any():
            off, slope = psi.copy(), self.slopes(psi)[deviation]
            off[deviation] = 1.0
            if slope.any():
                return [(off, slope, False)]
            change = np.zeros((self.k, self.k))
            change[deviation, deviation] = self.correlation(psi[self.n_deviations :])[deviation, deviation]
            return [(off, change, True)]
        sd = np.zeros(self.n_deviations)
        sd[deviation] = 1.0
        tried = [np.concatenate([sd, rho]) for rho in self._shapes(psi[self.n_deviations :])]
        return [(off, self.covariance(off), True) for off in tried]

    def _shapes(self, rho: Array) -> list[Array]:
        """Shapes that a term without variance may start with: its own, those to start from, and near each bound."""
        out = [rho, *self.shape_starts()]
        for m, p in enumerate(self.shape):
            for bound in (p.lower, p.upper):
                if np.isfinite(bound):
                    moved = rho.copy()
                    moved[m] += _NEAR_BOUND * (bound - rho[m])
                    out.append(moved)
        return out
