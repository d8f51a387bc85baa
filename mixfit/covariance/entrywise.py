"""Structures whose parameters are entries of the template: what the free ones have in common."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import ColumnDirection, Edge, TurningDirection, regular_columns
from mixfit.covariance.parameter import VarianceForm, deviations_and_correlations
from mixfit.covariance.structure import Structure
from mixfit.covariance.templates import change_basis, regular_factor, semidefinite_cholesky
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.coordinates import TriangleCoordinates
    from mixfit.covariance.directions import Direction
    from mixfit.optimize.certificate import BoundaryParameter

    Array = NDArray[np.float64]

__all__ = ["Entrywise"]

# Relative to theta, of the differences in which theta moves with a template.
_DIFFERENCE = 1e-5
# What rounding leaves of an eigenvalue of zero of a correlation matrix, with some room.
_NEGATIVE = 1e-12


class Entrywise(Structure):
    """Theta are the free entries of the lower-triangular T, column by column, as lme4 lists them.

    A point is any square root of T T' whose columns without variance are zero.
    """

    @property
    @abstractmethod
    def entries(self) -> list[tuple[int, int]]:
        """Free entries (row, column) of T, which are those of Sigma that vary by themselves."""

    @property
    def n_parameters(self) -> int:
        """Number of free entries."""
        return len(self.entries)

    @property
    def n_deviations(self) -> int:
        """One a column."""
        return self.k

    @property
    def row_cells(self) -> list[list[int]]:
        """Correlations with the columns before."""
        cells: list[list[int]] = [[] for _ in range(self.k)]
        for place, p in enumerate(self.natural):
            if p.first != p.second:
                cells[p.second].append(place)
        return cells

    def theta(self, template: Array) -> Array:
        """Free entries (..., m) of lower-triangular templates (..., k, k)."""
        return template[..., *_cells(self)]

    def template(self, theta: Array) -> Array:
        """Lower-triangular templates (..., k, k) of theta (..., m)."""
        out = np.zeros((*theta.shape[:-1], self.k, self.k))
        out[..., *_cells(self)] = theta
        return out

    def natural_values(self, theta: Array, units: Array | float) -> Array:
        """Standard deviations and correlations."""
        lengths = np.broadcast_to(units, (*theta.shape[:-1], self.k))
        sd, cor = deviations_and_correlations(self.template(theta) * lengths[..., None])
        pairs = [(p.first, p.second) for p in self.natural[self.k :]]
        return np.concatenate([sd, *(cor[..., a, b, None] for a, b in pairs)], axis=-1)

    def theta_of_natural(self, values: Array) -> Array:
        """The triangle of the covariance with these deviations and correlations; NaN where it has a negative one."""
        correlation = np.eye(self.k)
        for p, value in zip(self.natural[self.k :], values[self.k :], strict=True):
            correlation[p.first, p.second] = correlation[p.second, p.first] = value
        if np.linalg.eigvalsh(correlation)[0] < -_NEGATIVE:
            return np.full(self.n_parameters, np.nan)
        sd = values[: self.k]
        return self.theta(sd[:, None] * semidefinite_cholesky(correlation))

    def variance_form(self, theta: Array, sigma: float) -> VarianceForm:
        """The entries of Sigma that are those of theta: sigma^2 (T T')_ij."""
        t, m = self.template(theta), self.n_parameters
        rows, columns = _cells(self)
        every = np.arange(m)
        units = np.zeros((m, self.k, self.k))
        units[every, rows, columns] = 1.0
        half = units @ t.T
        slopes = (half + half.swapaxes(1, 2))[:, rows, columns].T
        products = np.einsum("xac,ybc->xyab", units, units)
        bends = (products + products.swapaxes(2, 3))[:, :, rows, columns]
        square = (t @ t.T)[rows, columns]
        first, second = np.zeros((m, m + 1)), np.zeros((m, m + 1, m + 1))
        first[:, :-1], first[:, -1] = sigma**2 * slopes, 2.0 * sigma * square
        second[:, :-1, :-1] = sigma**2 * bends.transpose(2, 0, 1)
        second[:, :-1, -1] = second[:, -1, :-1] = 2.0 * sigma * slopes
        second[:, -1, -1] = 2.0 * square
        values = sigma**2 * square
        units[every, columns, rows] = 1.0
        return VarianceForm(values, units, values, first, second)

    def starts(self, variances: Array) -> list[Array]:
        """Independent columns."""
        return [np.diag(np.sqrt(variances))]

    def relative_factor(self, point: Array) -> Array:
        """Itself."""
        return point

    def theta_of(self, point: Array, basis: Array) -> Array:
        """Entries of the triangle of R^{-1} T."""
        return self.theta(change_basis(point, basis))

    def point_of(self, start: Array, basis: Array) -> Array:
        """R T."""
        template = self.template(start) if start.shape == (self.n_parameters,) and start.ndim == 1 else start
        if template.shape != (self.k, self.k):
            raise FitError(
                f"A start of {self.name} with {self.k} columns is a relative factor of shape {(self.k, self.k)} or "
                f"its {self.n_parameters} free entries, not an array of shape {start.shape}."
            )
        return change_basis(template, np.asarray(np.linalg.inv(basis), dtype=float))

    def scaled(self, point: Array, share: float) -> Array:
        """The template times `share`."""
        return share * point

    def shown(self, point: Array, seen: NDArray[np.bool_]) -> Array:
        """The template with rows of zeros for other columns."""
        return point * seen[:, None]

    def moved(self, point: Array, steps: Sequence[tuple[Direction, float]], vanishing: Sequence[Direction]) -> Array:
        """T R(step): columns exp(step_jj) T_j plus the off-diagonal moves; vanishing columns zero."""
        out = point.copy()
        growing = []
        for d, step in steps:
            if isinstance(d, ColumnDirection) and d.is_pivot:
                growing.append((d, step))
            elif isinstance(d, ColumnDirection):
                out[:, d.column] += step * point[:, d.row]
            elif isinstance(d, TurningDirection):
                out += step * d.step
        for d, step in growing:
            out[:, d.column] *= 0.0 if d in vanishing else np.exp(step)
        return out

    def bend_slopes(
        self, directions: Sequence[Direction], point: Array, relative: Array, absolute: Array | None
    ) -> Array:
        """Of steps S_a, S_b of one column of T, Sigma'' = S_a S_b' + S_b S_a'.

        Twice that where one of them is the column's own, which is exponential: exp(x) (T_j + y S_b).
        """
        out = np.zeros((len(directions),) * 2)
        for a, d in enumerate(directions):
            for b, f in enumerate(directions[: a + 1]):
                assert isinstance(d, ColumnDirection | TurningDirection)
                assert isinstance(f, ColumnDirection | TurningDirection)
                if d.column != f.column:
                    continue
                if absolute is not None:
                    value = float(d.step[:, d.column] @ absolute @ f.step[:, f.column])
                else:
                    assert isinstance(d, ColumnDirection)
                    assert isinstance(f, ColumnDirection)
                    value = float(relative[d.row, f.row])
                out[a, b] = out[b, a] = (4.0 if d.is_pivot or f.is_pivot else 2.0) * value
        return out

    def slopes_after(
        self, directions: Sequence[Direction], moved: Array, relative: Array, absolute: Array | None
    ) -> list[float]:
        """Of T R(delta) with R = I + delta_ij E_ij off the diagonal and exp on it.

        There d / d delta_ij has the step T E_ij R_jj, whose slope is 2 <N T_moved, step>.
        """
        if all(d.is_pivot for d in directions):
            # There half the slope is the diagonal of T'N T itself.
            columns = [d.column for d in directions if isinstance(d, ColumnDirection)]
            return [2.0 * float(relative[j, j]) for j in columns]
        half = absolute @ moved if absolute is not None else np.linalg.solve(moved.T, relative)
        growth = (np.linalg.pinv(directions[0].template) @ moved).diagonal()
        out = []
        for d in directions:
            if isinstance(d, ColumnDirection) and d.is_pivot:
                out.append(2.0 * float(relative[d.column, d.column]))
            else:
                assert isinstance(d, ColumnDirection | TurningDirection)
                out.append(2.0 * float(growth[d.column] * np.vdot(half, d.step)))
        return out

    def edges(self, point: Array, slope: Array, seen: NDArray[np.bool_]) -> list[Edge]:
        """Directions of zero variance, in which N is looked at one by one."""
        null = self.null_space(point, seen)
        slopes, vectors = self.null_slopes(null.T @ slope @ null)
        directions = [null @ v for v in vectors.T]
        return [Edge(np.outer(d, d), float(s), d) for s, d in zip(slopes, directions, strict=True)]

    @abstractmethod
    def null_slopes(self, restricted: Array) -> tuple[Array, Array]:
        """Derivatives in the variances off the boundary, and combinations of null directions that they belong to.

        `restricted` is O'N O of the null directions O.
        """

    def left(self, point: Array, away: BoundaryParameter, size: float) -> Array:
        """T T' with some variance along the direction."""
        return semidefinite_cholesky(point @ point.T + size * np.outer(away.direction, away.direction))

    def is_on_bound(self, point: Array) -> bool:
        """Whether a column has no variance."""
        return not regular_columns(point).all()

    def theta_jacobian(self, point: Array, directions: Sequence[Direction], basis: Array) -> Array:
        """By central differences along each direction."""
        out = np.empty((self.n_parameters, len(directions)))
        for a, d in enumerate(directions):
            assert isinstance(d, ColumnDirection)
            up, down = (self.theta_of(point + h * d.step, basis) for h in (_DIFFERENCE, -_DIFFERENCE))
            out[:, a] = (up - down) / (2.0 * _DIFFERENCE)
        return out

    def coordinates(self, natural: int | None = None) -> TriangleCoordinates:
        """Entries of a triangle with rows in an order of the parameter's own."""
        asked = None if natural is None else self.natural[natural]
        first = () if asked is None else tuple(dict.fromkeys((asked.first, asked.second)))
        return self.triangle(*first)

    @abstractmethod
    def triangle(self, *first: int) -> TriangleCoordinates:
        """The triangle with columns `first` first; two ask for their correlation."""

    def standardized(self, point: Array, base: Array) -> Array:
        """S S'."""
        s = np.linalg.solve(base, point)
        return np.asarray(s @ s.T)

    def unstandardized(self, point: Array, base: Array, ratio: float, least: float) -> Array:
        """The template base S / ratio."""
        return regular_factor(base @ point / ratio, least)[0]


# Structures are equal where they are of a kind and size, and fits have few of these.
@lru_cache(maxsize=64)
def _cells(structure: Entrywise) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the entries."""
    rows, columns = np.array(structure.entries, dtype=np.intp).T
    return rows, columns
