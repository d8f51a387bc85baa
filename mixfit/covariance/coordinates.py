r"""Smooth coordinates of a random term's covariance, in which one natural parameter is one coordinate.

Free structures: Sigma = S S' with S lower triangular in an order of the columns that puts the parameter first: its
entry (1, 1) is then the first column's standard deviation. For a correlation rho the second row is
r (rho, sqrt(1 - rho^2)), r the second standard deviation. All entries are free and signed, so that a boundary of the
covariance cone (no variance, rho = +-1) is an interior point of the other coordinates: the likelihood is smooth
there, and stationary.

Structures with parameters of their own: these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.covariance.parameter import deviations_and_correlations
from mixfit.covariance.templates import semidefinite_cholesky

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.parameter import NaturalParameter

    Array = NDArray[np.float64]

__all__ = ["Coordinates", "OwnCoordinates", "TriangleCoordinates"]


class Coordinates(Protocol):
    """Coordinates x of one term's standardized covariance S S'."""

    @property
    def size(self) -> int:
        """Number of coordinates."""

    @property
    def is_default(self) -> bool:
        """Whether they are those that serve every parameter for which no others are asked."""

    def at(self, parameter: NaturalParameter) -> int:
        """The coordinate that is the parameter: these were made for it."""

    def bounds(self) -> tuple[Array, Array]:
        """Least and largest values of x."""

    def factor(self, x: Array) -> Array:
        """S, shape (k, k)."""

    def point(self, x: Array) -> Array:
        """What the structure's `unstandardized` takes."""

    def coordinates(self, standardized: Array) -> Array:
        """x of what the structure's `standardized` gives."""

    def gradient(self, x: Array, n: Array) -> Array:
        """Derivative of the criterion in x from N = dd/d(S S')."""

    def spacing(self, x: Array, smallest: float, levels: int) -> Array:
        """A rough lower bound of the standard errors: what they would be, were the random effects of `levels` seen.

        `smallest` is what S can be known to.
        """

    def natural_values(self, x: Array, units: Array) -> Array:
        """Values of the natural parameters, the effects of column a in units[a]."""

    def working_slope(self, x: Array, parameter: NaturalParameter) -> Array:
        """Derivative in x of the parameter on its scale (see `NaturalParameter.working`)."""


@dataclass(frozen=True, eq=False)
class TriangleCoordinates:
    """Coordinates of one term: entries of S.

    Attributes
    ----------
    order : ndarray of intp, shape (k,)
        Column of the term that each row of the triangle stands for.
    correlation : bool
        Whether the second row is written by its correlation with the first.
    rows, columns : ndarray of intp
        Entry of the triangle that each coordinate is; (1, 0) and (1, 1) are rho and r with `correlation`.
    is_diagonal : bool
        Whether only the diagonal varies: every standard deviation is then a coordinate, in the term's own order.
    """

    order: NDArray[np.intp]
    correlation: bool
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    is_diagonal: bool = False

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.rows)

    @property
    def is_default(self) -> bool:
        """Whether this is the plain triangle in the term's own order."""
        return not self.correlation and bool((np.diff(self.order) == 1).all())

    def at(self, parameter: NaturalParameter) -> int:
        """The first entry, or the second for a correlation; of a diagonal any."""
        if self.is_diagonal:
            return parameter.first
        return 0 if parameter.first == parameter.second else 1

    def bounds(self) -> tuple[Array, Array]:
        """None, but of the two standard deviations beside a correlation, 0: it would change sign with them."""
        lower = np.full(self.size, -np.inf)
        if self.correlation:
            lower[[0, 2]] = 0.0
        return lower, np.full(self.size, np.inf)

    def factor(self, x: Array) -> Array:
        """S with rows in the term's own order."""
        t = np.zeros((len(self.order),) * 2)
        t[self.rows, self.columns] = x
        if self.correlation:
            rho, r = x[1], x[2]
            t[1, :2] = r * rho, r * np.sqrt(max(1.0 - rho * rho, 0.0))
        out = np.empty_like(t)
        out[self.order] = t
        return out

    def point(self, x: Array) -> Array:
        """S."""
        return self.factor(x)

    def coordinates(self, standardized: Array) -> Array:
        """x of a covariance matrix of the term's columns."""
        moved = standardized[np.ix_(self.order, self.order)]
        if self.is_diagonal:
            return np.sqrt(moved.diagonal())
        t = self.triangle_of(moved)
        x = t[self.rows, self.columns]
        if self.correlation:
            r = float(np.hypot(t[1, 0], t[1, 1]))
            x[1:3] = (t[1, 0] / r if r > 0.0 else 0.0), r
        return x

    def triangle_of(self, sigma: Array) -> Array:
        """The triangle of a covariance, rows in their order here."""
        return semidefinite_cholesky(sigma)

    def gradient(self, x: Array, n: Array) -> Array:
        """2 N S, carried through rho and r."""
        t = self.factor(x)[self.order]
        n = n[np.ix_(self.order, self.order)]
        slope = 2.0 * n @ t
        out = slope[self.rows, self.columns]
        if self.correlation:
            rho, r = x[1], x[2]
            rest = np.sqrt(max(1.0 - rho * rho, 0.0))
            # d sqrt(1 - rho^2) / d rho is infinite at the boundary; the slope in that entry vanishes as fast.
            across = slope[1, 1] / rest if rest > 0.0 else 2.0 * n[1, 1] * r
            out[1] = r * (slope[1, 0] - rho * across)
            out[2] = rho * slope[1, 0] + rest * slope[1, 1]
        return out

    def spacing(self, x: Array, smallest: float, levels: int) -> Array:
        """Of each entry, its row's length over sqrt(2 q); of a correlation 1 / sqrt(2 q)."""
        size = np.maximum(np.linalg.norm(self.factor(x), axis=1)[self.order], smallest)[self.rows]
        if self.correlation:
            size[1] = 1.0
        return np.asarray(size / np.sqrt(2.0 * levels))

    def natural_values(self, x: Array, units: Array) -> Array:
        """Lengths of the rows and, unless they are independent, the cosines between them."""
        sd, cor = deviations_and_correlations(self.factor(x) * units[:, None])
        return sd if self.is_diagonal else np.concatenate([sd, cor[np.triu_indices(len(sd), 1)]])

    def working_slope(self, x: Array, parameter: NaturalParameter) -> Array:
        """Derivative of the log length of a row, or of atanh of the cosine between two."""
        s, out = self.factor(x), np.zeros((len(self.order),) * 2)
        a, b = parameter.first, parameter.second
        if a == b:
            out[a] = s[a] / (s[a] @ s[a])
        else:
            length = np.linalg.norm(s, axis=1)
            unit_a, unit_b = s[a] / length[a], s[b] / length[b]
            rho = float(unit_a @ unit_b)
            out[a] = (unit_b - rho * unit_a) / (length[a] * (1.0 - rho**2))
            out[b] = (unit_a - rho * unit_b) / (length[b] * (1.0 - rho**2))
        return out[self.rows, self.columns]


class Parameterized(Protocol):
    """What coordinates need of a structure with parameters psi of its own."""

    @property
    def k(self) -> int:
        """Columns of the term."""

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """What it is reported by."""

    @property
    def n_deviations(self) -> int:
        """How many of them are standard deviations: the first."""

    def box(self) -> tuple[Array, Array]:
        """Bounds of psi."""

    def relative_factor(self, point: Array, /) -> Array:
        """S of psi."""

    def slopes(self, psi: Array, /) -> Array:
        """d(S S') / dpsi, (m, k, k)."""

    def reported(self, psi: Array, /) -> Array:
        """Values of the natural parameters."""

    def reported_slopes(self, psi: Array, /) -> Array:
        """Their derivatives in psi, (m, m)."""

    def solved(self, natural: int, psi: Array, value: float, /) -> float:
        """The entry of psi with which a natural parameter has a value, the others as they are."""


@dataclass(frozen=True, eq=False)
class OwnCoordinates:
    """A structure's parameters psi, the standard deviations first.

    One standard deviation for all columns is signed: the covariance is even in it. Others end at 0.

    Attributes
    ----------
    structure : Parameterized
    focal : int or None
        An entry of psi in place of which the natural parameter of that number is the coordinate.
    """

    structure: Parameterized
    focal: int | None = None

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.structure.natural)

    @property
    def is_default(self) -> bool:
        """Whether they are psi."""
        return self.focal is None

    def at(self, parameter: NaturalParameter) -> int:
        """Its place."""
        return self.structure.natural.index(parameter)

    def bounds(self) -> tuple[Array, Array]:
        """Those of psi."""
        lower, upper = self.structure.box()
        if self.structure.n_deviations == 1:
            lower[0] = -np.inf
        return lower, upper

    def psi(self, x: Array) -> Array:
        """Psi of coordinates."""
        if self.focal is None:
            return x
        out = x.copy()
        out[self.focal] = self.structure.solved(self.focal, x, float(x[self.focal]))
        lower, upper = self.structure.box()
        inside = lower[self.focal] <= out[self.focal] <= upper[self.focal]
        return out if inside else np.full(len(x), np.nan)

    def factor(self, x: Array) -> Array:
        """S; NaN where no psi has the natural parameter's value."""
        psi = self.psi(x)
        return (
            self.structure.relative_factor(psi) if np.isfinite(psi).all() else np.full((self.structure.k,) * 2, np.nan)
        )

    def point(self, x: Array) -> Array:
        """Psi, of positive standard deviations."""
        psi, d = self.psi(x), self.structure.n_deviations
        return np.concatenate([np.abs(psi[:d]), psi[d:]])

    def coordinates(self, standardized: Array) -> Array:
        """Coordinates of psi."""
        x = np.array(standardized)
        if self.focal is not None:
            x[self.focal] = self.structure.reported(x)[self.focal]
        return x

    def gradient(self, x: Array, n: Array) -> Array:
        """<N, d(S S') / dpsi>, carried to the coordinates."""
        slope = np.einsum("ij,aij->a", n, self.structure.slopes(self.psi(x)))
        return self._carried(slope, x)

    def _carried(self, slope: Array, x: Array) -> Array:
        """Derivatives in x from those in psi: psi_f moves with all coordinates so that x_f is what is reported."""
        if self.focal is None:
            return slope
        f = self.focal
        rates = self.structure.reported_slopes(self.psi(x))[f]
        out = slope - slope[f] / rates[f] * rates
        out[f] = slope[f] / rates[f]
        return np.asarray(out)

    def spacing(self, x: Array, smallest: float, levels: int) -> Array:
        """Of a positive number, its size over sqrt(2 n), n the effects that it is of; of others half their range."""
        out = np.empty(len(x))
        for a, p in enumerate(self.structure.natural):
            seen = levels * (1 if p.first >= 0 else self.structure.k)
            size = abs(x[a]) if p.scale == "log" else 0.5 * (p.upper - p.lower)
            out[a] = (max(size, smallest) if a < self.structure.n_deviations else size) / np.sqrt(2.0 * seen)
        return out

    def natural_values(self, x: Array, units: Array) -> Array:
        """What is reported, the standard deviations in their units."""
        d = self.structure.n_deviations
        scale = np.concatenate([units[:d], np.ones(len(x) - d)])
        return self.structure.reported(self.point(x) * scale)

    def working_slope(self, x: Array, parameter: NaturalParameter) -> Array:
        """Derivative of what is reported, on its scale."""
        a, psi = self.at(parameter), self.psi(x)
        rate = parameter.rate(float(self.structure.reported(psi)[a]))
        return self._carried(rate * self.structure.reported_slopes(psi)[a], x)
