"""Residuals of series whose correlations are products of those of neighbours: no matrix of a series is ever formed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.markov import Markov, Transitions
from mixfit.errors import FitError
from mixfit.lmm.residual.filter import filtered
from mixfit.lmm.residual.form import ResidualFactor, ResidualForm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.series import Series
    from mixfit.lmm.residual.filter import Filter
    from mixfit.lmm.residual.form import Held, ResidualPoint

    Array = NDArray[np.float64]

__all__ = ["SeriesFactor", "SeriesForm"]

# A squared pivot below this share of its variance is none: the same as where matrices are factored.
_SINGULAR = 1e-12


@dataclass(frozen=True, eq=False)
class SeriesFactor(ResidualFactor):
    """R = L L' of all series.

    Attributes
    ----------
    series : Series
    deviation : ndarray, shape (n,)
        Standard deviations, in the order of the series.
    filter : Filter
        Of the correlations.
    """

    series: Series
    deviation: Array
    filter: Filter

    @property
    def log_determinant(self) -> float:
        """log|R|."""
        return float(np.log(self.filter.variance).sum() + 2.0 * np.log(self.deviation).sum())

    def whiten_held(self, held: Held) -> Array:
        """In the order of the series."""
        assert isinstance(held, np.ndarray)
        return self.filter.whiten(held / self.deviation)

    def whiten(self, rows: Array) -> Array:
        """L^{-1} of columns (c, n)."""
        out = np.empty(rows.shape)
        out[:, self.series.order] = self.whiten_held(rows[:, self.series.order])
        return out

    def colour(self, rows: Array) -> Array:
        """L of columns (c, n)."""
        out = np.empty(rows.shape)
        out[:, self.series.order] = self.deviation * self.filter.colour(rows[:, self.series.order])
        return out

    def deviations(self) -> Array:
        """Of the rows of the data."""
        out = np.empty(len(self.deviation))
        out[self.series.order] = self.deviation
        return out


@dataclass(frozen=True, eq=False)
class SeriesForm(ResidualForm):
    """Residuals of one variance that follow a Markov process along each series, with a nugget or without.

    Attributes
    ----------
    structures : tuple of Structure
        One for each part of the series.
    series : Series
    """

    series: Series

    @property
    def g(self) -> int:
        """None: rows of a series have one variance."""
        return 0

    @property
    def order(self) -> NDArray[np.intp]:
        """The first rows of all series in front."""
        return self.series.order

    @property
    def has_own_points(self) -> bool:
        """Matrices are never formed."""
        return True

    def hold(self, columns: Array, *, only_sums: bool) -> Array:
        """In the order of the series."""
        return np.ascontiguousarray(columns[:, self.series.order])

    def sizes(self) -> Array:
        """Of no columns."""
        return np.empty(0)

    def factor(self, at: ResidualPoint) -> SeriesFactor:
        """By the filter."""
        part, found = self.series.part, self.transitions(at)
        nuggets = np.array([0.0 if t.nugget is None else t.nugget for t in found])
        phi, innovation, slope, bend = (
            _of_parts([getattr(t, name) for t in found], part) for name in ("phi", "innovation", "slope", "bend")
        )
        filter_ = filtered(self.series, phi, innovation, slope, bend, nuggets[part])
        if not (filter_.variance > _SINGULAR).all():
            raise FitError(
                "The residuals of a series determine one another at these parameters: their covariance is singular."
            )
        return SeriesFactor(self.series, np.array([point[0] for point in at.points])[part], filter_)

    def transitions(self, at: ResidualPoint) -> list[Transitions]:
        """Of every row, as of each of the parts."""
        pairs = zip(self.structures, at.points, strict=True)
        return [s.transitions(point[1:], self.series.gap) for s, point in pairs if isinstance(s, Markov)]

    def starts(self, variances: Array) -> list[list[Array]]:
        """Points at the variance of each part, with the shapes that suit the gaps of the series."""
        known = self.series.gap[~self.series.is_first]
        nearest, farthest = float(np.median(known)), float(self.series.span.max())
        out: list[list[Array]] = []
        for s, v in zip(self.structures, variances, strict=True):
            assert isinstance(s, Markov)
            out.append([np.append(np.sqrt(v), rho) for rho in s.starts_along(nearest, farthest)])
        return out


def _of_parts(values: list[Array], part: NDArray[np.intp]) -> Array:
    """Each row's own, of values (n,) as of every part."""
    return values[0] if len(values) == 1 else np.stack(values)[part, np.arange(len(part))]
