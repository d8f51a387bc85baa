"""A surface in one vector of coordinates, the profiled parameter one of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.surface import Slope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.coordinates import Coordinates
    from mixfit.lmm.surface import Surface

    Array = NDArray[np.float64]

__all__ = ["Chart", "ChartPoint", "difference_hessian"]

# Of a standard error: the difference's error is in the third digit of a curvature that only directs steps.
_DIFFERENCE = 1e-3
# A singular value of a factor below this share of its spacing is near zero.
_SMALL = 0.1


@dataclass(frozen=True, eq=False)
class ChartPoint:
    """A point of a chart with the criterion's value and gradient."""

    x: Array
    value: float
    gradient: Array
    slope: Slope


class Chart:
    """Coordinates of a surface: those of each random term, then its tail.

    Parameters
    ----------
    surface : Surface
    coordinates : sequence of Coordinates
    """

    def __init__(self, surface: Surface, coordinates: Sequence[Coordinates]) -> None:
        self.surface, self.coordinates = surface, tuple(coordinates)
        ends = np.cumsum([0, *(c.size for c in self.coordinates)]).tolist()
        self.slices = [slice(a, b) for a, b in pairwise(ends)]
        self.first_tail = ends[-1]
        free = np.full(len(surface.tail_errors), np.inf)
        bounds = [c.bounds() for c in self.coordinates]
        self.lower: Array = np.concatenate([*(lower for lower, _ in bounds), -free])
        self.upper: Array = np.concatenate([*(upper for _, upper in bounds), free])
        parts = [c.coordinates(s) for c, s in zip(self.coordinates, surface.center, strict=True)]
        self.center: Array = np.concatenate([*parts, np.zeros(len(surface.tail_errors))])

    @classmethod
    def default(cls, surface: Surface) -> Chart:
        """Every term by the triangle in its own order."""
        pairs = zip(surface.terms.structures, surface.center, strict=True)
        return cls(surface, [s.coordinates_at(center) for s, center in pairs])

    def made_for(self, term: int, natural: int) -> Chart:
        """The same with one coordinate of a term that is its natural parameter of that number."""
        new = self.surface.terms.structures[term].coordinates(natural)
        return Chart(self.surface, [new if t == term else c for t, c in enumerate(self.coordinates)])

    def factors(self, x: Array) -> list[Array]:
        """S of every term."""
        return [c.factor(x[own]) for c, own in zip(self.coordinates, self.slices, strict=True)]

    def points(self, x: Array) -> list[Array]:
        """What the surface starts anew from."""
        return [c.point(x[own]) for c, own in zip(self.coordinates, self.slices, strict=True)]

    def within(self, x: Array) -> Array:
        """The nearest x within the bounds."""
        return np.clip(x, self.lower, self.upper)

    def held(self, point: ChartPoint) -> NDArray[np.bool_]:
        """Which coordinates are on a bound that the gradient pushes against."""
        x, slope = point.x, point.gradient
        return ((x <= self.lower) & (slope > 0.0)) | ((x >= self.upper) & (slope < 0.0))

    def evaluate(self, x: Array) -> ChartPoint:
        """Value and gradient at x."""
        factors = self.factors(x)
        if not all(np.isfinite(s).all() for s in factors):
            return ChartPoint(x, np.inf, np.full(len(x), np.nan), Slope(np.inf, (), np.empty(0), self.surface.beta))
        slope = self.surface.evaluate(factors, x[self.first_tail :])
        if not np.isfinite(slope.value):
            return ChartPoint(x, np.inf, np.full(len(x), np.nan), slope)
        parts = [
            c.gradient(x[own], n) for c, own, n in zip(self.coordinates, self.slices, slope.covariances, strict=True)
        ]
        return ChartPoint(x, slope.value, np.concatenate([*parts, slope.tail]), slope)

    def is_delicate(self, x: Array) -> bool:
        """Whether a factor has nearly lost its rank: the criterion is then far from quadratic in what is left of it."""
        return any(
            float(np.linalg.svd(s, compute_uv=False)[-1]) < _SMALL * spacing
            for s, spacing in zip(self.factors(x), self.surface.terms.spacing, strict=True)
        )

    def spacing(self, x: Array) -> Array:
        """A rough lower bound of the standard errors: what they would be, were the random effects seen."""
        terms = self.surface.terms
        own = zip(self.coordinates, self.slices, terms.spacing, terms.levels, strict=True)
        out = [c.spacing(x[part], smallest, levels) for c, part, smallest, levels in own]
        return np.concatenate([*out, self.surface.tail_errors])


def difference_hessian(
    chart: Chart, at: ChartPoint, among: Sequence[int] | None = None, *, central: bool = False
) -> Array:
    """Rows `among` (all by default) of the Hessian: differences of the exact gradient over a small step.

    The step is a thousandth of a lower bound of the standard error; a correlation steps toward zero.
    """
    rows = range(len(at.x)) if among is None else among
    step = _DIFFERENCE * chart.spacing(at.x)
    out = []
    for a in rows:
        # Inward for a correlation; it does no harm to the others.
        h = -step[a] if at.x[a] > 0.0 else step[a]
        moved = at.x.copy()
        moved[a] += h
        ahead = chart.evaluate(moved).gradient
        if central:
            moved[a] -= 2.0 * h
            out.append((ahead - chart.evaluate(moved).gradient) / (2.0 * h))
        else:
            out.append((ahead - at.gradient) / h)
    return np.array(out)
