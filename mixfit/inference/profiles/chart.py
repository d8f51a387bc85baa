"""A surface in one vector of coordinates, the profiled parameter one of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.coordinates import TermCoordinates
    from mixfit.lmm.surface import Slope, Surface

    Array = NDArray[np.float64]

__all__ = ["Chart", "ChartPoint", "difference_hessian"]

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
    coordinates : sequence of TermCoordinates
    """

    def __init__(self, surface: Surface, coordinates: Sequence[TermCoordinates]) -> None:
        self.surface, self.coordinates = surface, tuple(coordinates)
        ends = np.cumsum([0, *(c.size for c in self.coordinates)]).tolist()
        self.slices = [slice(a, b) for a, b in pairwise(ends)]
        self.first_tail = ends[-1]
        # A correlation's standard deviations must not change sign: it would.
        floors = [c.floor() for c in self.coordinates]
        self.floor: Array = np.concatenate([*floors, np.full(len(surface.tail_errors), -np.inf)])
        parts = [c.coordinates(s) for c, s in zip(self.coordinates, surface.center, strict=True)]
        self.center: Array = np.concatenate([*parts, np.zeros(len(surface.tail_errors))])

    @classmethod
    def default(cls, surface: Surface) -> Chart:
        """Every term by the triangle in its own order."""
        return cls(surface, [s.coordinates() for s in surface.terms.structures])

    def with_first(self, term: int, *first: int) -> Chart:
        """The same with other columns of one term first; two ask for their correlation."""
        new = self.surface.terms.structures[term].coordinates(*first)
        return Chart(self.surface, [new if t == term else c for t, c in enumerate(self.coordinates)])

    def factors(self, x: Array) -> list[Array]:
        """S of every term."""
        return [c.template(x[own]) for c, own in zip(self.coordinates, self.slices, strict=True)]

    def evaluate(self, x: Array) -> ChartPoint:
        """Value and gradient at x."""
        slope = self.surface.evaluate(self.factors(x), x[self.first_tail :])
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
        out = []
        for c, own, terms in zip(self.coordinates, self.slices, range(len(self.slices)), strict=True):
            known = np.maximum(np.linalg.norm(c.template(x[own]), axis=1)[c.order], self.surface.terms.spacing[terms])
            size = known[c.rows]
            if c.correlation:
                size[1] = 1.0
            out.append(size / np.sqrt(2.0 * self.surface.terms.levels[terms]))
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
