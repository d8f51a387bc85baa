"""Structures with parameters psi of their own, standard deviations first: Sigma(psi), its slopes, and bounds.

Newton's steps are made in the logarithms of the deviations and of the other parameters on a logarithmic scale, and in
the rest themselves, unless a structure says otherwise. All bounds belong to the set: Sigma is evaluated exactly there,
and the one-sided derivative <N, Sigma'> says whether the bound holds.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf

from mixfit.covariance.coordinates import OwnCoordinates
from mixfit.covariance.directions import Edge, ParameterDirection, regular_columns
from mixfit.covariance.parameter import VarianceForm
from mixfit.covariance.structure import Structure
from mixfit.covariance.templates import spectral_factor, triangular
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.optimize.certificate import BoundaryParameter

    Array = NDArray[np.float64]

__all__ = ["Parametric"]

# A squared pivot of the Cholesky factor below this share of its variance is zero: the matrix is singular.
_SINGULAR = 1e-12
# Rounding errors of a pivot count in log|A|, in r^2 and in log|G_XX|, each several times over.
_LOSSES = 10.0
# The bound of a shape parameter is tried where no entry of Sigma changes by more than this share of the largest.
_NEAR_END = 0.1
# Share of the distance between two bounds that a step off one of them goes at most.
_REACH = 0.5


@dataclass(frozen=True)
class Parametric(Structure):
    """Sigma(psi). Theta is psi of the user's columns, its standard deviations relative to sigma.

    Attributes
    ----------
    least : float
        Lower bound of the standard deviations: of residuals, which zero would make singular, a small one.
    """

    least: float = field(default=0.0, kw_only=True)

    rounding: ClassVar[float] = 1.0
    """The error of Sigma's entries, relative to their variances, in roundings."""

    # What a subclass says

    @abstractmethod
    def covariance(self, psi: Array) -> Array:
        """Sigma, (k, k), positive semidefinite within the bounds and on them."""

    @abstractmethod
    def slopes(self, psi: Array) -> Array:
        """dSigma / dpsi, (m, k, k); on a bound the one-sided derivative."""

    @abstractmethod
    def bend_forms(self, psi: Array, n: Array) -> Array:
        """<N, d^2 Sigma / dpsi^2> for a symmetric N, (m, m)."""

    @abstractmethod
    def off_zero(self, psi: Array, deviation: int) -> list[tuple[Array, Array, bool]]:
        """Ways to give a variance to a standard deviation of zero.

        Each the parameters with a deviation of 1, the change of Sigma, and whether that is in the variance or, since
        the columns are correlated with others that have variance, in the deviation itself.
        """

    # Coordinates x in which Newton's steps are made, and bounds: what a subclass may say

    def rates(self, psi: Array) -> Array:
        """dpsi / dx, (m, m), a coordinate a column: psi itself for a logarithm."""
        return np.diag(np.where(self._is_logarithmic(), psi, 1.0))

    def rate_bends(self, psi: Array) -> Array:
        """d^2 psi / dx^2, (m, m, m), the coordinates last: exp(x) bends by itself as much as it rises."""
        every, out = np.arange(len(psi)), np.zeros((len(psi),) * 3)
        out[every, every, every] = np.where(self._is_logarithmic(), psi, 0.0)
        return out

    def stepped(self, psi: Array, step: Array, vanishing: NDArray[np.bool_]) -> Array:
        """Psi a step in x away, up to its bounds; those that vanish are at their lower bound."""
        lower, upper = self.box()
        out = np.where(self._is_logarithmic(), psi * np.exp(step), psi + step)
        return np.where(vanishing, lower, np.clip(out, lower, upper))

    def is_near_end(self, psi: Array, parameter: int) -> bool:
        """Whether Sigma is nearly what it is where a shape parameter is at the bound that it may vanish to.

        From afar a step there says nothing of what lies between, and a correlation that is flat at its bound, as
        exp(-(kappa d)^2) is, shows no way back.
        """
        vanishing = np.arange(self.n_parameters) == parameter
        here, there = self.covariance(psi), self.covariance(self.stepped(psi, np.zeros(len(psi)), vanishing))
        return bool(np.abs(here - there).max() <= _NEAR_END * np.abs(here).max())

    def shape_edges(self, psi: Array, parameter: int) -> list[tuple[Array, Array, float]]:
        """Ways off the bound of a shape parameter: changes of Sigma, psi somewhere that way, and the largest size."""
        (lower, upper), off = self.box(), psi.copy()
        inward = 1.0 if psi[parameter] <= lower[parameter] else -1.0
        width = upper[parameter] - lower[parameter]
        reach = _REACH * width if np.isfinite(width) else 1.0
        off[parameter] += inward * reach
        return [(inward * self.slopes(psi)[parameter], off, reach)]

    def off_edge(self, psi: Array, parameter: int, off: Array, size: float) -> Array:
        """Psi with a shape parameter `size` along the way to `off`."""
        out = psi.copy()
        out[parameter] += size * np.sign(off[parameter] - psi[parameter])
        return out

    def box(self) -> tuple[Array, Array]:
        """Bounds of psi."""
        lower = np.array([p.lower for p in self.natural])
        lower[: self.n_deviations] = self.least
        return lower, np.array([p.upper for p in self.natural])

    # Parameters

    @property
    def n_parameters(self) -> int:
        """As many as natural ones."""
        return len(self.natural)

    def reported(self, psi: Array) -> Array:
        """Values of the natural parameters, (..., m): psi, or its reciprocals, unless a structure says otherwise."""
        flags = [p.is_reciprocal for p in self.natural]
        if not any(flags):
            return psi
        with np.errstate(divide="ignore"):
            return np.where(flags, 1.0 / psi, psi)

    def reported_slopes(self, psi: Array) -> Array:
        """Their derivatives in psi, (m, m)."""
        with np.errstate(divide="ignore"):
            return np.diag([-1.0 / x**2 if p.is_reciprocal else 1.0 for p, x in zip(self.natural, psi, strict=True)])

    def natural_values(self, theta: Array, units: Array | float) -> Array:
        """What is reported, the standard deviations in their units."""
        out = np.array(theta)
        lengths = np.broadcast_to(units, (*theta.shape[:-1], self.k))
        out[..., : self.n_deviations] *= lengths[..., : self.n_deviations]
        return self.reported(out)

    def theta_of_natural(self, values: Array) -> Array:
        """Psi that is reported so; NaN beyond its bounds."""
        with np.errstate(divide="ignore"):
            psi = np.where([p.is_reciprocal for p in self.natural], 1.0 / values, values)
        for a in range(len(psi)):
            if not self.is_own(a):
                psi[a] = self.solved(a, psi, float(values[a]))
        lower, upper = self.box()
        return psi if ((lower <= psi) & (psi <= upper)).all() else np.full(len(psi), np.nan)

    def template(self, theta: Array) -> Array:
        """Lower-triangular templates (..., k, k) of theta (..., m)."""
        flat = np.stack([triangular(self.relative_factor(psi)) for psi in theta.reshape(-1, theta.shape[-1])])
        return flat.reshape(*theta.shape[:-1], self.k, self.k)

    def restricted(self, k: int) -> Structure:
        """All of its columns, or none."""
        return self

    def variance_form(self, theta: Array, sigma: float) -> VarianceForm:
        """Psi with standard deviations in units of the response; Sigma is of degree 2 in these."""
        m, d = self.n_parameters, self.n_deviations
        psi = self.scaled(theta, sigma)
        shares = np.concatenate([0.5 * psi[:d], np.zeros(m - d)])
        return VarianceForm(psi, self.slopes(psi), shares, np.eye(m, m + 1), np.zeros((m, m + 1, m + 1)))

    def variance_bends(self, theta: Array, sigma: float, n: Array) -> Array:
        """<N, d^2 Sigma / dpsi^2>."""
        return self.bend_forms(self.scaled(theta, sigma), n)

    def bent(self, psi: Array, weights: Array) -> Array | None:
        """By <N, d^2 Sigma / dpsi^2>, N of one entry each, in the squares of the deviations and the shapes of psi."""
        out = np.zeros((self.k, self.k))
        for i in range(self.k):
            for j in range(i + 1):
                n = np.zeros((self.k, self.k))
                n[i, j] += 0.5
                n[j, i] += 0.5
                out[i, j] = out[j, i] = np.vdot(weights, self.bend_forms(psi, n))
        d = self.n_deviations
        sd = psi[:d]
        spread = np.divide(weights.diagonal()[:d], sd, out=np.zeros(d), where=sd > 0.0)
        return out - np.tensordot(spread, self.slopes(psi)[:d], 1)

    def psi_slopes(self, psi: Array, directions: Sequence[Direction]) -> Array:
        """dpsi along directions of Newton's steps, and last along log sigma, which moves all deviations: (m, c + 1)."""
        place = [d.parameter for d in directions if isinstance(d, ParameterDirection)]
        sigma = np.where(np.arange(len(psi)) < self.n_deviations, psi, 0.0)
        return np.column_stack([self.rates(psi)[:, place], sigma])

    # Points: psi in the scale of the problem's columns

    def relative_factor(self, point: Array) -> Array:
        """The Cholesky factor of Sigma; where it is singular, one of its eigenvectors, with zero columns."""
        if point.ndim == 2:
            return point
        sigma = self.covariance(point)
        low, info = dpotrf(sigma, lower=1, clean=1)
        if info or not (low.diagonal() ** 2 > _SINGULAR * sigma.diagonal()).all():
            return spectral_factor(sigma)
        return np.asarray(low)

    def theta_of(self, point: Array, basis: Array) -> Array:
        """Standard deviations of the user's columns."""
        return self.rescaled(point, 1.0 / basis.diagonal())

    def point_of(self, start: Array, basis: Array) -> Array:
        """Standard deviations of the problem's columns."""
        if start.shape != (self.n_parameters,):
            names = ", ".join(p.label([str(a) for a in range(self.k)], "g") for p in self.natural)
            raise FitError(
                f"A start of {self.name} is an array of its {self.n_parameters} parameters ({names}), not one of shape "
                f"{start.shape}."
            )
        return self.rescaled(start, basis.diagonal())

    def scaled(self, point: Array, share: float) -> Array:
        """The standard deviations times `share`."""
        return self.rescaled(point, np.full(self.k, share))

    def rescaled(self, psi: Array, scale: Array) -> Array:
        """The standard deviations times those of columns, (k,)."""
        out = psi.copy()
        out[: self.n_deviations] *= scale[: self.n_deviations]
        return out

    def cancellation(self, template: Array, squares: Array) -> float:
        """T is made from Sigma: a pivot p^2 is known to the rounding of its variance s^2, A to s^2 f / (1 + p^2 f).

        The residual sum of squares and the fixed effects' determinant lose as much, and all add up.
        """
        variances = np.einsum("ij,ij->i", template, template)
        # Of a factor that is no triangle the columns' lengths stand for the pivots.
        is_triangle = not np.triu(template, 1).any()
        pivots = template.diagonal() ** 2 if is_triangle else np.minimum(np.sum(template**2, axis=0), variances)
        return _LOSSES * self.rounding * float((variances * squares / (1.0 + pivots * squares)).sum())

    # Newton steps

    def shown(self, point: Array, seen: NDArray[np.bool_]) -> Array:
        """Itself: what other columns tell serves all."""
        return point

    def turned(self, point: Array) -> Array:
        """Itself."""
        return point

    def _is_logarithmic(self) -> NDArray[np.bool_]:
        return np.array([p.scale == "log" for p in self.natural])

    def _on_bound(self, psi: Array) -> NDArray[np.bool_]:
        lower, upper = self.box()
        return (psi <= lower) | (psi >= upper)

    def is_on_bound(self, point: Array) -> bool:
        """Whether a parameter is at one of its bounds."""
        return bool(self._on_bound(point).any())

    def directions(self, term: int, point: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """Every parameter that is within its bounds and changes something."""
        t, logarithmic = self.relative_factor(point), self._is_logarithmic()
        slopes = np.tensordot(self.rates(point).T, self.slopes(point), 1)
        free = np.flatnonzero(~self._on_bound(point) & slopes.any(axis=(1, 2))).tolist()
        relative: list[Array | None] = [None] * len(point)
        if regular_columns(t).all():
            inverse = solve_triangular(t, np.eye(self.k), lower=True)
            relative = list(inverse @ slopes @ inverse.T)
        return [
            ParameterDirection(
                term,
                t,
                m,
                slopes[m],
                relative[m],
                m < self.n_deviations,
                bool(logarithmic[m]) and (m < self.n_deviations or self.is_near_end(point, m)),
            )
            for m in free
        ]

    def moved(self, point: Array, steps: Sequence[tuple[Direction, float]], vanishing: Sequence[Direction]) -> Array:
        """The coordinates by the steps."""
        step, gone = np.zeros(len(point)), np.zeros(len(point), dtype=bool)
        for d, size in steps:
            assert isinstance(d, ParameterDirection)
            step[d.parameter], gone[d.parameter] = size, d in vanishing
        return self.stepped(point, step, gone)

    def bend_slopes(
        self, directions: Sequence[Direction], point: Array, relative: Array, absolute: Array | None
    ) -> Array:
        """<N, d^2 Sigma / dpsi^2> and <N, dSigma / dpsi>, carried to the coordinates."""
        if absolute is None:
            inverse = solve_triangular(self.relative_factor(point), np.eye(self.k), lower=True)
            n = inverse.T @ relative @ inverse
        else:
            n = absolute
        rates, slopes = self.rates(point), np.tensordot(self.slopes(point), n, 2)
        whole = rates.T @ self.bend_forms(point, n) @ rates + np.tensordot(slopes, self.rate_bends(point), 1)
        place = [d.parameter for d in directions if isinstance(d, ParameterDirection)]
        return np.asarray(whole[np.ix_(place, place)])

    def slopes_after(
        self, directions: Sequence[Direction], moved: Array, relative: Array, absolute: Array | None
    ) -> list[float]:
        """Its own slopes there: logarithms and parameters are the same coordinates everywhere."""
        every = self.directions(0, moved, np.ones(self.k, dtype=bool))
        there = {d.parameter: d.slope(relative, absolute) for d in every if isinstance(d, ParameterDirection)}
        return [there.get(d.parameter, 0.0) for d in directions if isinstance(d, ParameterDirection)]

    def edges(self, point: Array, slope: Array, seen: NDArray[np.bool_]) -> list[Edge]:
        """One-sided derivatives of the parameters at their bounds; of a standard deviation, the best way off zero."""
        out = []
        for m in np.flatnonzero(self._on_bound(point)).tolist():
            if m < self.n_deviations:
                largest = float(point[: self.n_deviations].max())
                ways = [(c, off, np.inf if is_v else largest) for off, c, is_v in self.off_zero(point, m)]
            else:
                ways = self.shape_edges(point, m)
            found = [float(np.vdot(slope, change)) for change, _, _ in ways]
            change, off, reach = ways[int(np.argmin(found))]
            if change.any():
                out.append(Edge(change, min(found), off, m, reach))
        return out

    def left(self, point: Array, away: BoundaryParameter, size: float) -> Array:
        """A variance of `size`, or a parameter that far from its bound."""
        m = away.parameter
        if m < self.n_deviations:
            out = away.direction.copy()
            out[m] = size if np.isfinite(away.reach) else np.sqrt(size)
            return out
        return self.off_edge(point, m, away.direction, size)

    def null_space(self, template: Array, seen: NDArray[np.bool_]) -> Array:
        """All directions."""
        return np.eye(self.k)

    def theta_jacobian(self, point: Array, directions: Sequence[Direction], basis: Array) -> Array:
        """Theta is psi but for scales, which logarithms do not know."""
        rates = self.rates(self.theta_of(point, basis))
        return rates[:, [d.parameter for d in directions if isinstance(d, ParameterDirection)]]

    # Profiles

    def coordinates(self, natural: int | None = None) -> OwnCoordinates:
        """Psi itself; in place of a parameter that is reported as a function of several, that function."""
        return OwnCoordinates(self, None if natural is None or self.is_own(natural) else natural)

    def is_own(self, natural: int) -> bool:
        """Whether a natural parameter is one of psi, or a function of one."""
        return True

    def solved(self, natural: int, psi: Array, value: float) -> float:
        """The entry `natural` of psi with which that natural parameter has a value, the others as they are."""
        raise NotImplementedError

    def standardized(self, point: Array, base: Array) -> Array:
        """Psi of the standardized columns."""
        return self.theta_of(point, base)

    def unstandardized(self, point: Array, base: Array, ratio: float, least: float) -> Array:
        """Psi of the problem's columns."""
        return self.rescaled(point, base.diagonal() / ratio)
