r"""Derivatives of the residuals' covariance along series, by recursions over time.

Of R = s^2 [(1 - nu) C + nu I] = L L', with u = L_1'^{-1}e, L_1 being L of s = 1,

    A_s e = 2 e / s,    A_kappa e = (1 - nu) L_1^{-1} C' u,    A_nu e = L_1^{-1}(u - C u),

and forms u'C'u are twice the sum of u_k (sum_{j<k} C'_kj u_j). What belongs to determinants is known beforehand,

    tr A_i = sum v_i / v,    tr(A_i A_j) = sum v_i v_j / v^2 + 2 E m_i m_j / v,
    tr(R^{-1}R''_ij) = sum (v_ij / v - v_i v_j / v^2) + tr(A_i A_j),

v being the variances of a row given those before it, and m its prediction by these (Harvey 1989, Forecasting,
Structural Time Series Models and the Kalman Filter, section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import ParameterDirection
from mixfit.covariance.parametric import Parametric
from mixfit.lmm.residual.random_rows import level_covariances, levels_of
from mixfit.lmm.residual.series import SeriesFactor, SeriesForm
from mixfit.lmm.residual.slopes import ResidualSlopes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.lmm.residual.criterion import JointEvaluation
    from mixfit.lmm.residual.slopes import Part

    Array = NDArray[np.float64]

__all__ = ["SeriesSlopes", "series_slopes"]

# Second derivatives of (phi's parameter, nu) as they stand in the filter's rows.
_PAIRS = ((0, 0, 0), (0, 1, 1), (1, 1, 2))


@dataclass(frozen=True, eq=False)
class Forms:
    """Terms of forms u'C'u of some columns, row by row.

    Attributes
    ----------
    first : ndarray, shape (2, n)
        L_1'^{-1}A_i L_1'^{-1} of phi's parameter, of nu.
    second : ndarray, shape (3, n)
        The same of the second derivatives, twice in phi's, in both, twice in nu.
    """

    first: Array
    second: Array


@dataclass(frozen=True, eq=False)
class SeriesSlopes(ResidualSlopes):
    """Derivatives of a `SeriesForm`.

    Attributes
    ----------
    at : JointEvaluation
    directions : tuple of Direction
    all_rows : ndarray, shape (1 + p, n)
        e and E, in the order of the series.
    """

    at: JointEvaluation
    directions: tuple[Direction, ...]
    all_rows: Array

    @property
    def form(self) -> SeriesForm:
        """The series."""
        assert isinstance(self.at.problem.form, SeriesForm)
        return self.at.problem.form

    @property
    def factor(self) -> SeriesFactor:
        """The filter."""
        assert isinstance(self.at.factor, SeriesFactor)
        return self.at.factor

    @property
    def size(self) -> int:  # type: ignore[override]
        """I."""
        return len(self.directions)

    def rows(self, which: Part) -> Array:
        """In the order of the series."""
        return self.all_rows[:1] if which == "error" else self.all_rows[1:]

    # Own parameters of the structures, one part after another: s, that of phi, nu where there is one

    @cached_property
    def _to_directions(self) -> Array:
        """Derivatives of the parameters in the coordinates, (parameters, I)."""
        m = self._each
        out = np.zeros((m * len(self.form.structures), self.size))
        for a, d in enumerate(self.directions):
            assert isinstance(d, ParameterDirection)
            own = slice(m * d.term, m * (d.term + 1))
            out[own, a] = self._structure(d.term).rates(self._points[d.term])[:, d.parameter]
        return out

    def _structure(self, part: int) -> Parametric:
        found = self.form.structures[part]
        assert isinstance(found, Parametric)
        return found

    @property
    def _points(self) -> tuple[Array, ...]:
        return self.at.place.residual.points

    @property
    def _each(self) -> int:
        return len(self._points[0])

    def _summed(self, values: Array) -> Array:
        """Sums (parts, c) of rows (c, n) over the rows of each part."""
        parts, part = len(self.form.structures), self.form.series.part
        if parts == 1:
            return np.asarray(values.sum(axis=1)[None])
        return np.stack([np.bincount(part, row, parts) for row in values], axis=1)

    def _own(self, of_scale: Array, of_shape: Array) -> Array:
        """Of all parameters, (parameters,), from 2 / s times (parts,) and shapes' (parts, 2)."""
        sd = np.array([point[0] for point in self._points])
        whole = np.column_stack([2.0 * of_scale / sd, of_shape])
        return np.asarray(whole[:, : self._each].ravel())

    # Forms in u

    def _forms(self, u: Array, weighted: Array | None = None) -> Forms:
        """Of columns u (c, n), or of weighted ones with these."""
        f = self.factor.filter
        plain, first, second = (
            2.0 * np.einsum("cn,cn->n", u if weighted is None else weighted, x) for x in f.sums_before(u)
        )
        smooth = 1.0 - f.nugget
        return Forms(np.stack([smooth * first, -plain]), np.stack([smooth * second, -first, np.zeros_like(plain)]))

    @cached_property
    def _backed(self) -> Array:
        """u of e and E."""
        return self.factor.filter.back(self.all_rows)

    @cached_property
    def _error(self) -> Forms:
        return self._forms(self._backed[:1])

    @cached_property
    def _fixed(self) -> Forms:
        return self._forms(self._backed[1:])

    @cached_property
    def _random(self) -> tuple[Array, Array]:
        """Squares (n,) and forms (2, n) of the rows of Z with Q."""
        problem, f = self.at.problem, self.factor.filter
        z = self.at.rows[problem.p + 1 :]
        u = f.back(z)
        n = z.shape[1]
        through, square = np.empty_like(u), np.empty(n)
        for some, q in level_covariances(levels_of(self.at), np.arange(n)):
            through[:, some] = np.einsum("cn,ncd->dn", u[:, some], q)
            square[some] = np.einsum("cn,ncd,dn->n", z[:, some], q, z[:, some])
        return square, self._forms(u, through).first

    # What is asked for

    def gradient(self) -> Array:
        """tr A_i less the forms."""
        at, v = self.at.at, self.factor.filter.variance
        shape = self.factor.filter.gains.first / v - self._error.first / at.scale
        scale = 1.0 - self.all_rows[0] ** 2 / at.scale
        if at.reml:
            shape = shape - self._fixed.first
            scale = scale - (self.all_rows[1:] ** 2).sum(axis=0)
        if self.at.problem.terms:
            square, forms = self._random
            shape, scale = shape - forms, scale - square
        return self._own(self._summed(scale[None])[:, 0], self._summed(shape)) @ self._to_directions

    def traces(self) -> Array:
        """By the filter."""
        return self._own_traces @ self._to_directions

    @cached_property
    def _own_traces(self) -> Array:
        f = self.factor.filter
        return self._own(self._counts, self._summed(f.gains.first / f.variance))

    @property
    def _counts(self) -> Array:
        return np.bincount(self.form.series.part, minlength=len(self._points)).astype(float)

    def quadratics(self) -> Array:
        """By forms in u."""
        squares = self._summed(self.all_rows[:1] ** 2)[:, 0]
        return self._own(squares, self._summed(self._error.first)) @ self._to_directions

    def pair_traces(self) -> Array:
        """By the filter."""
        return self._to_directions.T @ self._own_pairs @ self._to_directions

    @cached_property
    def _own_pairs(self) -> Array:
        f = self.factor.filter
        g, v = f.gains, f.variance
        rates = g.first / v
        shapes = self._summed(np.stack([rates[i] * rates[j] for i, j, _ in _PAIRS]) + 2.0 * g.products / v)
        return self._in_blocks(2.0 * self._counts, 2.0 * self._summed(rates), shapes)

    def _in_blocks(self, scales: Array, mixed: Array, shapes: Array) -> Array:
        """A block a part: 2 / s^2 times (parts,), 1 / s times (parts, 2), and (parts, 3) of the shapes."""
        m, parts = self._each, len(self._points)
        out = np.zeros((m * parts, m * parts))
        for part, point in enumerate(self._points):
            block = np.zeros((3, 3))
            block[0, 0] = 2.0 * scales[part] / point[0] ** 2
            block[0, 1:] = block[1:, 0] = mixed[part] / point[0]
            for i, j, a in _PAIRS:
                block[i + 1, j + 1] = block[j + 1, i + 1] = shapes[part, a]
            own = slice(m * part, m * (part + 1))
            out[own, own] = block[:m, :m]
        return out

    def loaded(self, which: Part) -> Iterator[tuple[slice, Array]]:
        """All at once."""
        f, parts, rows = self.factor.filter, len(self._points), self.rows(which)
        u = self._backed[:1] if which == "error" else self._backed[1:]
        before, before_first, _ = f.sums_before(u)
        after, after_first = f.sums_after(u)
        own = [2.0 * rows / self.factor.deviation, f.whiten((1.0 - f.nugget) * (before_first + after_first))]
        if self._each > len(own):
            own.append(f.whiten(-(before + after)))
        if parts > 1:
            own = [row * (self.form.series.part == part) for part in range(parts) for row in own]
        yield slice(0, self.size), np.tensordot(self._to_directions.T, np.stack(own), 1)

    def squares(self, which: Part) -> Array:
        """Of the loaded rows."""
        ((_, rows),) = self.loaded(which)
        flat = rows.reshape(self.size, -1)
        return np.asarray(flat @ flat.T)

    def bends(self) -> Array:
        """By the second derivatives of the variances, and forms in u."""
        at, f = self.at.at, self.factor.filter
        g, v = f.gains, f.variance
        whole = (g.second + 2.0 * g.products) / v - self._error.second / at.scale
        scale = 1.0 - self.all_rows[0] ** 2 / at.scale
        shape = g.first / v - self._error.first / at.scale
        if at.reml:
            whole, shape = whole - self._fixed.second, shape - self._fixed.first
            scale = scale - (self.all_rows[1:] ** 2).sum(axis=0)
        scales, shapes = self._summed(scale[None])[:, 0], self._summed(shape)
        second = self._in_blocks(scales, 2.0 * shapes, self._summed(whole))
        out = self._to_directions.T @ second @ self._to_directions
        slopes, m = self._own(scales, shapes), self._each
        for part, point in enumerate(self._points):
            bent = np.tensordot(slopes[m * part : m * (part + 1)], self._structure(part).rate_bends(point), 1)
            mine = [a for a, d in enumerate(self.directions) if d.term == part]
            own = [d.parameter for d in self.directions if isinstance(d, ParameterDirection) and d.term == part]
            out[np.ix_(mine, mine)] += bent[np.ix_(own, own)]
        return np.asarray(out)


def series_slopes(at: JointEvaluation, directions: tuple[Direction, ...], rows: Array) -> SeriesSlopes:
    """Differentiate at an evaluation, for the rows (1 + p, n) of e and E."""
    return SeriesSlopes(at, directions, rows)
