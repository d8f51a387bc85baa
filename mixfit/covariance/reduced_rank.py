"""The unstructured covariance of reduced rank: factor analysis of random effects.

Sigma = L L' with d columns of loadings. It is the unstructured covariance held at rank d: directions out of the range
of T turn its columns, and nothing adds one to d of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mixfit.covariance.coordinates import TriangleCoordinates
from mixfit.covariance.directions import ColumnDirection, TurningDirection, regular_columns
from mixfit.covariance.parameter import VarianceForm, correlation_of, deviation_of
from mixfit.covariance.structure import SINGULAR, Structure
from mixfit.covariance.unstructured import Unstructured
from mixfit.errors import FormulaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.columns import GivenColumns, Recoding
    from mixfit.covariance.directions import Direction, Edge
    from mixfit.covariance.parameter import NaturalParameter
    from mixfit.optimize.certificate import BoundaryParameter

    Array = NDArray[np.float64]

__all__ = ["ReducedRank", "trapezoid"]

# glmmTMB's default.
_RANK = 2
_OPTION = re.compile(r"(?:d\s*=\s*)?(\d+)")
# Relative to theta, of the differences in which theta moves with a template.
_DIFFERENCE = 1e-5


@dataclass(frozen=True)
class ReducedRank(Unstructured):
    """``rr(0 + f | g, d=2)``: theta are the entries of a lower trapezoid L (k, d), column by column.

    Attributes
    ----------
    d : int
        Rank of Sigma.
    """

    d: int

    name: ClassVar[str] = "rr"

    @classmethod
    def read(cls, given: GivenColumns) -> tuple[Structure, Recoding | None]:
        """Its columns, and the rank that an option gives."""
        k, options = len(given.names), given.options
        found = _OPTION.fullmatch(options[0]) if len(options) == 1 else None
        if options and found is None:
            raise FormulaError(
                f"{given.text}: rr(... | ...) takes the rank after the group, as in rr(0 + trait | id, d=2), and was "
                f"given {', '.join(options)!r}."
            )
        d = int(found.group(1)) if found else _RANK
        if not 0 < d < k:
            raise FormulaError(
                f"{given.text}: a covariance of {k} columns is of reduced rank for d from 1 to {k - 1}, not d={d}. "
                "Write us(... | ...) for one of full rank."
            )
        return cls(k, d), None

    @property
    def rank(self) -> int:
        """The largest rank of Sigma."""
        return self.d

    @property
    def entries(self) -> list[tuple[int, int]]:
        """The lower trapezoid, column by column."""
        return [(i, j) for j in range(self.d) for i in range(j, self.k)]

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """Standard deviations, then correlations, which are 1 or -1 for a rank of one."""
        every = range(self.k)
        pairs = [] if self.d == 1 else [(a, b) for a in every for b in range(a + 1, self.k)]
        return (*(deviation_of(a) for a in every), *(correlation_of(a, b) for a, b in pairs))

    def theta_of_natural(self, values: Array) -> Array:
        """None: deviations and correlations say more than loadings can follow."""
        return Structure.theta_of_natural(self, values)

    @property
    def tag(self) -> str:
        """The rank."""
        return f"(rr, d={self.d})"

    def restricted(self, k: int) -> Unstructured:
        """Of `k` combinations of the columns, of full rank where that is no higher."""
        return ReducedRank(k, self.d) if k > self.d else Unstructured(k)

    @property
    def free_blocks(self) -> tuple[slice, ...]:
        """None: not every matrix will do."""
        return ()

    def is_singular(self, template: Array, scale: Array, tolerance: float = SINGULAR) -> NDArray[np.bool_] | np.bool_:
        """Whether the rank is below d."""
        values = np.linalg.svd(template * scale[:, None], compute_uv=False)
        return np.asarray(values[..., self.d - 1] < tolerance)[()]

    def variance_form(self, theta: Array, sigma: float) -> VarianceForm:
        """The loadings in units of the response, in which Sigma is of degree 2: dSigma = E L' + L E'."""
        m = self.n_parameters
        loadings = sigma * self.template(theta)
        slopes = np.zeros((m, self.k, self.k))
        for a, (i, j) in enumerate(self.entries):
            slopes[a, i] += loadings[:, j]
            slopes[a, :, i] += loadings[:, j]
        values = sigma * theta
        return VarianceForm(values, slopes, 0.5 * values, np.eye(m, m + 1), np.zeros((m, m + 1, m + 1)))

    def variance_bends(self, theta: Array, sigma: float, n: Array) -> Array:
        """<N, E_ij E_lj' + E_lj E_ij'> = 2 N_il within a column."""
        rows, columns = (np.array(index) for index in zip(*self.entries, strict=True))
        return 2.0 * n[np.ix_(rows, rows)] * (columns[:, None] == columns)

    # Points

    def starts(self, variances: Array) -> list[Array]:
        """No variance: the rank grows by the best direction at a time, so that no start is at random."""
        return [np.zeros((self.k, self.k))]

    def theta_of(self, point: Array, basis: Array) -> Array:
        """The trapezoid of R^{-1} T."""
        return self.theta(self._template(np.linalg.solve(basis, point[:, regular_columns(point)])))

    def point_of(self, start: Array, basis: Array) -> Array:
        """R T, of the d largest directions of a template."""
        left, values, _ = np.linalg.svd(basis @ super().point_of(start, np.eye(self.k)))
        values[self.d :] = 0.0
        return np.asarray(left * values)

    def _template(self, factor: Any) -> Array:
        """The square template of a factor (k, r), r <= d."""
        out = np.zeros((self.k, self.k))
        r = factor.shape[1]
        out[:, :r] = trapezoid(factor)
        return out

    # Newton steps

    def edges(self, point: Array, slope: Array, seen: NDArray[np.bool_]) -> list[Edge]:
        """Directions of zero variance, until there are d with variance."""
        return super().edges(point, slope, seen) if self.is_on_bound(point) else []

    def is_on_bound(self, point: Array) -> bool:
        """Whether the rank is below d."""
        return int(np.count_nonzero(regular_columns(point))) < self.d

    def left(self, point: Array, away: BoundaryParameter, size: float) -> Array:
        """One more column, along the direction."""
        out = point.copy()
        out[:, np.flatnonzero(~regular_columns(point))[0]] = np.sqrt(size) * away.direction
        return out

    def theta_jacobian(self, point: Array, directions: Sequence[Direction], basis: Array) -> Array:
        """By central differences along each direction."""
        out = np.empty((self.n_parameters, len(directions)))
        for a, d in enumerate(directions):
            assert isinstance(d, ColumnDirection | TurningDirection)
            up, down = (self.theta_of(point + h * d.step, basis) for h in (_DIFFERENCE, -_DIFFERENCE))
            out[:, a] = (up - down) / (2.0 * _DIFFERENCE)
        return out

    def triangle(self, *first: int) -> TriangleCoordinates:
        """The trapezoid with rows in an order of the parameter's own."""
        order = np.array([*first, *(a for a in range(self.k) if a not in first)], dtype=np.intp)
        rows, columns = (np.array(index, dtype=np.intp) for index in np.tril_indices(self.k, m=self.d))
        return TrapezoidCoordinates(order, len(first) == 2, rows, columns)


@dataclass(frozen=True, eq=False)
class TrapezoidCoordinates(TriangleCoordinates):
    """Entries of a lower trapezoid, which a matrix of its rank has whatever rows come first."""

    def triangle_of(self, sigma: Array) -> Array:
        """By its eigenvectors: a Cholesky factor would break off at dependent rows."""
        d = int(self.columns.max()) + 1
        values, vectors = np.linalg.eigh(sigma)
        out = np.zeros(sigma.shape)
        out[:, :d] = trapezoid(vectors[:, -d:] * np.sqrt(np.maximum(values[-d:], 0.0)))
        return out


def trapezoid(factor: Array) -> Array:
    """The same F F' by a lower trapezoid (k, r), its first entries not negative.

    Examples
    --------
    >>> trapezoid(np.array([[0.0, -3.0], [2.0, 1.0]])).round(12).tolist()
    [[3.0, 0.0], [-1.0, 2.0]]
    """
    low = np.asarray(np.linalg.qr(factor.T, mode="r"), dtype=float).T
    return low * np.where(low.diagonal() < 0.0, -1.0, 1.0)
