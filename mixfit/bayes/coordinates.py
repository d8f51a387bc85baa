r"""Coordinates of a random term's relative covariance that run over all numbers, for many draws at once.

Free structures: log relative standard deviations x and partial correlations y, T = diag(exp x) L(y). Structures with
parameters of their own: the logarithms of those that are positive, and of those between two bounds the inverse
hyperbolic tangent. With N the derivative of a function in Sigma = T T' and H = T'N T,

    df / dx_i = 2 (L'^{-1} H L')_ii,      df / dL = 2 L'^{-1} H,

in which the standard deviations cancel: nothing is lost however small they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.bayes.correlations import correlation_root, partial, root_slopes
from mixfit.covariance.parametric import Parametric
from mixfit.errors import PriorError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]

__all__ = ["FreeCoordinates", "TermCoordinates", "UnboundedCoordinates", "coordinates_of"]

# A standard deviation that the fit found to be zero starts at this share of the residual's over its column's length.
_START = 0.1
# Correlations of +-1 start this far inside.
_INSIDE = 0.95


class TermCoordinates(Protocol):
    """What a posterior asks of a term's coordinates; R draws are the first axis everywhere."""

    @property
    def structure(self) -> Structure:
        """The term's structure."""

    @property
    def n_deviations(self) -> int:
        """How many of the coordinates are log standard deviations: the first ones."""

    @property
    def size(self) -> int:
        """Number of coordinates."""

    def templates(self, x: Array) -> Array:
        """Lower-triangular relative factors (R, k, k) of coordinates (R, m)."""

    def slopes(self, x: Array, h: Array) -> Array:
        """Derivatives (R, m) of a function of Sigma with T'N T = h, (R, k, k)."""

    def template_slopes(self, x: Array, template: Array, slope: Array) -> Array:
        """Derivatives (R, m) of a function of T from its lower-triangular slope in T, (R, k, k)."""

    def natural(self, x: Array, unit: Array) -> Array:
        """Natural parameters (R, m), standard deviations in units of the response; `unit` (R,) is sigma."""

    def start(self, theta: Array, lengths: Array) -> Array:
        """Coordinates (m,) at or near the estimate theta, whose columns have root mean squares `lengths`."""

    def given(self, x: Array) -> Array:
        """What a fit starts from at one place (m,): a template (k, k), or the parameters of a structure of its own."""


@dataclass(frozen=True)
class FreeCoordinates:
    """Log standard deviations, and partial correlations unless the columns are independent."""

    structure: Structure
    is_correlated: bool

    @property
    def k(self) -> int:
        """Columns of the term."""
        return self.structure.k

    @property
    def n_deviations(self) -> int:
        """One a column."""
        return self.k

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.k + self.k * (self.k - 1) // 2 if self.is_correlated else self.k

    def root(self, x: Array) -> Array:
        """L (R, k, k)."""
        if not self.is_correlated or self.k == 1:
            return np.broadcast_to(np.eye(self.k), (len(x), self.k, self.k))
        return correlation_root(x[:, self.k :], self.k)

    def templates(self, x: Array) -> Array:
        """diag(exp x) L."""
        if self.k == 1:
            return np.exp(x[:, :, None])
        return np.exp(x[:, : self.k, None]) * self.root(x)

    def slopes(self, x: Array, h: Array) -> Array:
        """2 (L'^{-1} H L')_ii, and 2 L'^{-1} H carried to y."""
        if not self.is_correlated or self.k == 1:
            return 2.0 * np.einsum("rii->ri", h)
        root = self.root(x)
        half = np.asarray(2.0 * np.linalg.solve(root.swapaxes(1, 2), h), dtype=float)
        return np.concatenate([np.einsum("rij,rij->ri", half, root), root_slopes(x[:, self.k :], root, half)], axis=1)

    def template_slopes(self, x: Array, template: Array, slope: Array) -> Array:
        """Row sums of the slope times T, and what root_slopes makes of diag(exp x) times the slope."""
        along = np.einsum("rij,rij->ri", slope, template)
        if not self.is_correlated or self.k == 1:
            return along
        root, stretch = self.root(x), np.exp(x[:, : self.k, None])
        return np.concatenate([along, root_slopes(x[:, self.k :], root, stretch * slope)], axis=1)

    def natural(self, x: Array, unit: Array) -> Array:
        """Standard deviations, then correlations."""
        sd = np.exp(x[:, : self.k]) * unit[:, None]
        if not self.is_correlated or self.k == 1:
            return sd
        root = self.root(x)
        correlations = np.einsum("ria,rja->rij", root, root)[:, *np.triu_indices(self.k, 1)]
        return np.concatenate([sd, np.clip(correlations, -1.0, 1.0)], axis=1)

    def of_covariance(self, sigma: Array) -> Array:
        """Coordinates (R, m) of positive definite covariances (R, k, k)."""
        sd = np.sqrt(np.einsum("rii->ri", sigma))
        if not self.is_correlated or self.k == 1:
            return np.log(sd)
        root = np.linalg.cholesky(sigma / (sd[:, :, None] * sd[:, None]))
        return np.concatenate([np.log(sd), partial(root)], axis=1)

    def given(self, x: Array) -> Array:
        """The template."""
        return self.templates(x[None])[0]

    def start(self, theta: Array, lengths: Array) -> Array:
        """The estimate's, off the boundary."""
        t = self.structure.template(theta)
        sd = np.sqrt(np.einsum("ij,ij->i", t, t))
        x = np.log(np.maximum(sd, _START / lengths))
        if not self.is_correlated or self.k == 1:
            return x
        unit = t / np.maximum(sd, np.finfo(float).tiny)[:, None]
        correlation = _INSIDE * (unit @ unit.T)
        np.fill_diagonal(correlation, 1.0)
        return np.concatenate([x, partial(np.linalg.cholesky(correlation))])


@dataclass(frozen=True)
class UnboundedCoordinates:
    """Logarithms of a structure's own parameters, or atanh of those between two bounds."""

    structure: Parametric

    @property
    def n_deviations(self) -> int:
        """As many as the structure has."""
        return self.structure.n_deviations

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.structure.n_parameters

    @cached_property
    def _bounds(self) -> tuple[Array, Array, NDArray[np.bool_]]:
        lower, upper = self.structure.box()
        bounded = np.isfinite(upper)
        return lower, np.where(bounded, upper, 0.0), bounded

    @property
    def is_reciprocal(self) -> list[bool]:
        """Which parameters are reported by their reciprocals."""
        return [p.is_reciprocal for p in self.structure.natural]

    def psi(self, x: Array) -> Array:
        """The structure's parameters."""
        lower, upper, bounded = self._bounds
        middle, half = 0.5 * (lower + upper), 0.5 * (upper - lower)
        return np.where(bounded, middle + half * np.tanh(x), np.exp(np.where(bounded, 0.0, x)))

    def rates(self, x: Array) -> Array:
        """dpsi / dx."""
        lower, upper, bounded = self._bounds
        return np.where(bounded, 0.5 * (upper - lower) / np.cosh(x) ** 2, np.exp(np.where(bounded, 0.0, x)))

    def log_rate_slopes(self, x: Array) -> Array:
        """Derivative of log(dpsi / dx): -2 tanh x between bounds, 1 of a logarithm."""
        return np.where(self._bounds[2], -2.0 * np.tanh(x), 1.0)

    def x_of(self, psi: Array) -> Array:
        """Coordinates (R, m) of parameters within their bounds."""
        lower, upper, bounded = self._bounds
        share = np.where(bounded, (2.0 * psi - lower - upper) / np.where(bounded, upper - lower, 1.0), 0.0)
        return np.where(bounded, np.arctanh(share), np.log(np.where(bounded, 1.0, psi)))

    def templates(self, x: Array) -> Array:
        """Of psi."""
        return self.structure.template(self.psi(x))

    def slopes(self, x: Array, h: Array) -> Array:
        """<N, dSigma / dpsi> dpsi / dx with N = T'^{-1} H T^{-1}."""
        inverse = np.linalg.inv(self.templates(x))
        n = inverse.swapaxes(1, 2) @ h @ inverse
        changes = np.stack([self.structure.slopes(psi) for psi in self.psi(x)])
        return np.asarray(np.einsum("rij,raij->ra", n, changes) * self.rates(x))

    def template_slopes(self, x: Array, template: Array, slope: Array) -> Array:
        """By the differential of a Cholesky factor, dT = T tril(T^{-1} dSigma T'^{-1}), its diagonal halved."""
        inverse = np.linalg.inv(template)[:, None]
        changes = np.stack([self.structure.slopes(psi) for psi in self.psi(x)])
        moved = np.tril(inverse @ changes @ inverse.swapaxes(2, 3))
        every = np.arange(template.shape[1])
        moved[..., every, every] *= 0.5
        return np.asarray(np.einsum("rij,raij->ra", template.swapaxes(1, 2) @ slope, moved) * self.rates(x))

    def natural(self, x: Array, unit: Array) -> Array:
        """What the structure reports."""
        return self.structure.natural_values(self.psi(x), np.repeat(unit[:, None], self.structure.k, axis=1))

    def given(self, x: Array) -> Array:
        """The parameters."""
        return self.psi(x)

    def start(self, theta: Array, lengths: Array) -> Array:
        """The estimate's, off the bounds."""
        lower, upper, bounded = self._bounds
        smallest = np.full(len(theta), _START)
        d = self.n_deviations
        smallest[:d] = _START / (lengths if d == len(lengths) else np.sqrt(np.mean(lengths**2)))
        middle, half = 0.5 * (lower + upper), 0.5 * (upper - lower)
        inside = np.clip(theta, middle - _INSIDE * half, middle + _INSIDE * half)
        return self.x_of(np.where(bounded, inside, np.maximum(theta, smallest)))


def coordinates_of(structure: Structure, text: str) -> TermCoordinates:
    """The coordinates of a term's structure; `text` is the term as it was written.

    Raises
    ------
    PriorError
        Where the structure has none.
    """
    if structure.free_blocks:
        return FreeCoordinates(structure, is_correlated=any(b.stop - b.start > 1 for b in structure.free_blocks))
    if isinstance(structure, Parametric):
        return UnboundedCoordinates(structure)
    raise PriorError(
        f"{text}: there is no posterior of a term with the structure {structure.name!r} yet. Write the term as us, "
        "diag, cs, ar1 or another structure with parameters of its own."
    )
