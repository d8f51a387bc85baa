r"""Structures with parameters of their own: Sigma = D C(rho) D.

D are standard deviations, one for all columns or one for each; rho are the `shape` parameters of a matrix C. Newton's
steps are made in the logarithms of the deviations and in the shape parameters themselves (in the logarithm of one that
has no upper bound). All bounds belong to the set: Sigma is of lower rank there, evaluated exactly, and the one-sided
derivative <N, Sigma'> says whether the bound holds.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf

from mixfit.covariance.coordinates import OwnCoordinates
from mixfit.covariance.directions import Edge, ParameterDirection, regular_columns
from mixfit.covariance.parameter import NaturalParameter, VarianceForm, deviation_of, reported
from mixfit.covariance.structure import Invariance, Structure
from mixfit.covariance.templates import semidefinite_cholesky
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.optimize.certificate import BoundaryParameter

    Array = NDArray[np.float64]

__all__ = ["CorrelationStructure"]

# A pivot of the Cholesky factor of C below this is zero: the matrix is singular.
_SINGULAR = 1e-12
# Share of the distance between two bounds that a step off one of them goes at most.
_REACH = 0.5
# Differences from which second derivatives are taken where a structure does not give them.
_DIFFERENCE = 1e-5


class CorrelationStructure(Structure):
    """Sigma = D C(rho) D; theta are the standard deviations relative to sigma, then the shape parameters.

    A subclass gives `shape`, `correlation` and `correlation_slopes`, and says whether it is homogeneous: whether one
    standard deviation serves all columns.
    """

    is_homogeneous: ClassVar[bool] = True
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
        out = np.empty((len(rho), *self.correlation_slopes(rho).shape))
        for a, p in enumerate(self.shape):
            up, down = rho.copy(), rho.copy()
            up[a], down[a] = min(rho[a] + _DIFFERENCE, p.upper), max(rho[a] - _DIFFERENCE, p.lower)
            out[a] = (self.correlation_slopes(up) - self.correlation_slopes(down)) / (up[a] - down[a])
        return 0.5 * (out + out.swapaxes(0, 1))

    def shape_starts(self) -> list[Array]:
        """Shape parameters to start from: a fifth and three fifths of the way from 0, or from one, up."""
        return [np.array([1.0 if np.isinf(p.upper) else share * p.upper for p in self.shape]) for share in (0.2, 0.6)]

    # Parameters

    @property
    def n_deviations(self) -> int:
        """Number of standard deviations."""
        return 1 if self.is_homogeneous else self.k

    @property
    def row_cells(self) -> list[list[int]]:
        """The shape parameters, beside the first."""
        first = list(range(self.n_deviations, self.n_parameters))
        return [first, *([] for _ in range(self.n_deviations - 1))]

    @property
    def tag(self) -> str:
        """The name of the structure."""
        return f"({self.name})"

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """Standard deviations, then the shape parameters."""
        every = [NaturalParameter("sd", of=self.name)] if self.is_homogeneous else map(deviation_of, range(self.k))
        return (*every, *self.shape)

    @property
    def n_parameters(self) -> int:
        """Standard deviations and shape parameters."""
        return self.n_deviations + len(self.shape)

    def natural_values(self, theta: Array, units: Array | float) -> Array:
        """Themselves, the standard deviations in their units."""
        out = np.array(theta)
        lengths = np.broadcast_to(units, (*theta.shape[:-1], self.k))
        out[..., : self.n_deviations] *= lengths[..., : self.n_deviations]
        return reported(self.natural, out)

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

    def bends(self, psi: Array) -> Array:
        """d^2 Sigma / dpsi^2, (m, m, k, k)."""
        d, rho, sd = self.n_deviations, psi[self.n_deviations :], self.deviations(psi)
        c, slopes = self.correlation(rho), self.correlation_slopes(rho)
        units = np.ones((1, self.k)) if self.is_homogeneous else np.eye(self.k)
        m = self.n_parameters
        out = np.empty((m, m, self.k, self.k))
        pairs = np.einsum("ai,bj->abij", units, units)
        out[:d, :d] = c * (pairs + pairs.swapaxes(2, 3))
        once = np.einsum("ai,j->aij", units, sd)
        out[:d, d:] = (once + once.swapaxes(1, 2))[:, None] * slopes
        out[d:, :d] = out[:d, d:].swapaxes(0, 1)
        out[d:, d:] = self.correlation_bends(rho) * np.outer(sd, sd)
        return out

    def variance_form(self, theta: Array, sigma: float) -> VarianceForm:
        """Psi with standard deviations in units of the response."""
        m, d = self.n_parameters, self.n_deviations
        psi = self.scaled(theta, sigma)
        shares = np.concatenate([0.5 * psi[:d], np.zeros(m - d)])
        identity = np.eye(m, m + 1)
        return VarianceForm(psi, self.slopes(psi), shares, self.bends(psi), identity, np.zeros((m, m + 1, m + 1)))

    def template(self, theta: Array) -> Array:
        """Lower-triangular templates (..., k, k) of theta (..., m)."""
        flat = np.stack([self.relative_factor(psi) for psi in theta.reshape(-1, theta.shape[-1])])
        return flat.reshape(*theta.shape[:-1], self.k, self.k)

    def restricted(self, k: int) -> Structure:
        """All of its columns, or none."""
        return self

    # Points: psi in the scale of the problem's columns

    def starts(self, variances: Array) -> list[Array]:
        """The moment estimates, or their mean, with each of the shapes to start from."""
        sd = np.sqrt(variances.mean(keepdims=True) if self.is_homogeneous else variances)
        return [np.concatenate([sd, rho]) for rho in self.shape_starts()]

    def relative_factor(self, point: Array) -> Array:
        """The Cholesky factor of Sigma, with zero columns where it is singular."""
        if point.ndim == 2:
            return point
        sigma = self.covariance(point)
        low, info = dpotrf(sigma, lower=1, clean=1)
        pivots = low.diagonal()
        if info or not (pivots**2 > _SINGULAR * sigma.diagonal()).all():
            return semidefinite_cholesky(sigma)
        return np.asarray(low)

    def theta_of(self, point: Array, basis: Array) -> Array:
        """Standard deviations of the user's columns."""
        return self._rescaled(point, 1.0 / basis.diagonal())

    def point_of(self, start: Array, basis: Array) -> Array:
        """Standard deviations of the problem's columns."""
        if start.shape != (self.n_parameters,):
            raise FitError(
                f"A start of {self.name} is an array of its {self.n_parameters} parameters "
                f"({', '.join(p.label([str(a) for a in range(self.k)], 'g') for p in self.natural)}), not one of shape "
                f"{start.shape}."
            )
        return self._rescaled(start, basis.diagonal())

    def scaled(self, point: Array, share: float) -> Array:
        """The standard deviations times `share`."""
        return self._rescaled(point, np.full(self.k, share))

    def _rescaled(self, psi: Array, scale: Array) -> Array:
        out = psi.copy()
        out[: self.n_deviations] *= scale[: self.n_deviations]
        return out

    # Newton steps

    def shown(self, point: Array, seen: NDArray[np.bool_]) -> Array:
        """Itself: what other columns tell serves all."""
        return point

    def turned(self, point: Array) -> Array:
        """Itself."""
        return point

    def _is_logarithmic(self, parameter: int) -> bool:
        return parameter < self.n_deviations or np.isinf(self.natural[parameter].upper)

    def _on_bound(self, psi: Array) -> NDArray[np.bool_]:
        lower, upper = self.box()
        return (psi <= lower) | (psi >= upper)

    def box(self) -> tuple[Array, Array]:
        """Bounds of psi."""
        return np.array([p.lower for p in self.natural]), np.array([p.upper for p in self.natural])

    def directions(self, term: int, point: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """Every parameter that is within its bounds and changes something."""
        t, slopes = self.relative_factor(point), self.slopes(point)
        logarithmic = np.array([self._is_logarithmic(m) for m in range(len(point))])
        slopes *= np.where(logarithmic, point, 1.0)[:, None, None]
        free = np.flatnonzero(~self._on_bound(point) & slopes.any(axis=(1, 2))).tolist()
        relative: list[Array | None] = [None] * len(point)
        if regular_columns(t).all():
            relative = list(_congruent(t, slopes))
        return [
            ParameterDirection(term, t, m, slopes[m], relative[m], bool(logarithmic[m]), m < self.n_deviations)
            for m in free
        ]

    def moved(self, point: Array, steps: Sequence[tuple[Direction, float]], vanishing: Sequence[Direction]) -> Array:
        """Logarithms by the step, other parameters up to their bounds; those that vanish are at their lower bound."""
        out, (lower, upper) = point.copy(), self.box()
        for d, step in steps:
            assert isinstance(d, ParameterDirection)
            m = d.parameter
            if d in vanishing:
                out[m] = lower[m]
            elif d.logarithmic:
                out[m] *= np.exp(step)
            else:
                out[m] = np.clip(out[m] + step, lower[m], upper[m])
        return out

    def bend_slopes(
        self, directions: Sequence[Direction], point: Array, relative: Array, absolute: Array | None
    ) -> Array:
        """<N, d^2 Sigma / dpsi^2>, carried to the logarithms."""
        own = [d for d in directions if isinstance(d, ParameterDirection)]
        bends = self.bends(point)
        if absolute is not None:
            whole = np.einsum("ij,abij->ab", absolute, bends)
        else:
            inverse = np.linalg.inv(self.relative_factor(point))
            whole = np.einsum("ij,abij->ab", inverse.T @ relative @ inverse, bends)
        place = [d.parameter for d in own]
        rates = np.array([point[d.parameter] if d.logarithmic else 1.0 for d in own])
        out = whole[np.ix_(place, place)] * np.outer(rates, rates)
        # exp(x) bends by itself as much as it rises.
        out += np.diag([d.slope(relative, absolute) if d.logarithmic else 0.0 for d in own])
        return np.asarray(out)

    def slopes_after(
        self, directions: Sequence[Direction], moved: Array, relative: Array, absolute: Array | None
    ) -> list[float]:
        """Its own slopes there: logarithms and parameters are the same coordinates everywhere."""
        own = [d for d in directions if isinstance(d, ParameterDirection)]
        there = {
            d.parameter: d
            for d in self.directions(0, moved, np.ones(self.k, dtype=bool))
            if isinstance(d, ParameterDirection)
        }
        return [there[d.parameter].slope(relative, absolute) if d.parameter in there else 0.0 for d in own]

    def is_on_bound(self, point: Array) -> bool:
        """Whether a parameter is at one of its bounds."""
        return bool(self._on_bound(point).any())

    def edges(self, point: Array, slope: Array, seen: NDArray[np.bool_]) -> list[Edge]:
        """One-sided derivatives of the parameters at their bounds.

        A standard deviation's is that in the variance where the covariance is even in it. Where all are zero, so that
        nothing is known of the shape, the best of several shapes is looked at.
        """
        out = []
        sd, (lower, upper) = self.deviations(point), self.box()
        slopes = self.slopes(point)
        for m in np.flatnonzero(self._on_bound(point)).tolist():
            if m >= self.n_deviations:
                inward = 1.0 if point[m] <= lower[m] else -1.0
                width = upper[m] - lower[m]
                off, change = point.copy(), inward * slopes[m]
                reach = _REACH * width if np.isfinite(width) else 1.0
                off[m] += inward * reach
                if change.any():
                    out.append(Edge(change, float(np.vdot(slope, change)), off, m, reach))
            elif sd.any():
                # Beside other columns with variance, to which this one is correlated.
                change, off = self._deviation_change(point, m), point.copy()
                off[m] = 1.0
                reach = float(sd.max()) if slopes[m].any() else np.inf
                out.append(Edge(change, float(np.vdot(slope, change)), off, m, reach))
            else:
                tried = [self._unit(m, rho) for rho in self._shapes(point[self.n_deviations :])]
                changes = [self.covariance(off) for off in tried]
                found = [float(np.vdot(slope, change)) for change in changes]
                best = int(np.argmin(found))
                out.append(Edge(changes[best], found[best], tried[best], m))
        return out

    def _deviation_change(self, psi: Array, m: int) -> Array:
        """What a standard deviation of zero changes: in itself, or in its square where that alone does."""
        slope = self.slopes(psi)[m]
        if slope.any():
            return slope
        change = np.zeros((self.k, self.k))
        change[m, m] = self.correlation(psi[self.n_deviations :])[m, m]
        return change

    def _unit(self, m: int, rho: Array) -> Array:
        sd = np.zeros(self.n_deviations)
        sd[m] = 1.0
        return np.concatenate([sd, rho])

    def _shapes(self, rho: Array) -> list[Array]:
        """Shapes that a term without variance may start with: its own, those to start from, and one bound each."""
        out = [rho, *self.shape_starts()]
        for m, p in enumerate(self.shape):
            for bound in (p.lower, p.upper):
                if np.isfinite(bound):
                    moved = rho.copy()
                    moved[m] = bound + 0.1 * (rho[m] - bound)
                    out.append(moved)
        return out

    def left(self, point: Array, away: BoundaryParameter, size: float) -> Array:
        """A variance of `size`, or a parameter that far from its bound."""
        m = away.parameter
        if m < self.n_deviations:
            out = point.copy() if self.deviations(point).any() else away.direction.copy()
            out[m] = size if np.isfinite(away.reach) else np.sqrt(size)
            return out
        out = point.copy()
        out[m] += size * np.sign(away.direction[m] - point[m])
        return out

    def null_space(self, template: Array, seen: NDArray[np.bool_]) -> Array:
        """All directions."""
        return np.eye(self.k)

    def theta_jacobian(self, point: Array, directions: Sequence[Direction], basis: Array) -> Array:
        """Theta is psi but for scales: the derivative of a logarithm's number is the number."""
        theta, out = self.theta_of(point, basis), np.zeros((self.n_parameters, len(directions)))
        for a, d in enumerate(directions):
            assert isinstance(d, ParameterDirection)
            out[d.parameter, a] = theta[d.parameter] if d.logarithmic else 1.0
        return out

    # Profiles

    def coordinates(self, natural: int | None = None) -> OwnCoordinates:
        """Psi itself."""
        return OwnCoordinates(self.natural, self.n_deviations, self.k, self.relative_factor, self.slopes)

    def standardized(self, point: Array, base: Array) -> Array:
        """Psi of the standardized columns."""
        return self.theta_of(point, base)

    def unstandardized(self, point: Array, base: Array, ratio: float, least: float) -> Array:
        """Psi of the problem's columns."""
        return self._rescaled(point, base.diagonal() / ratio)


def _congruent(t: Array, slopes: Array) -> Array:
    """T^{-1} Sigma' T'^{-1} of all slopes (m, k, k)."""
    inverse = solve_triangular(t, np.eye(len(t)), lower=True)
    return np.asarray(inverse @ slopes @ inverse.T)
