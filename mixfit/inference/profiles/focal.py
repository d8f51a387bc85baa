"""A fit's likelihood around its maximum, ready to be profiled in any parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from mixfit.errors import FitError
from mixfit.inference.profiles.chart import Chart, difference_hessian
from mixfit.inference.profiles.constrained import Constrained
from mixfit.inference.profiles.ends import ParameterScale
from mixfit.inference.profiles.parameters import every_parameter
from mixfit.lmm.surface import FARTHEST_LOG, NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.families.declared import Shape
    from mixfit.fitted.protocols import Fit
    from mixfit.inference.profiles.chart import ChartPoint
    from mixfit.inference.profiles.constrained import LowerDevianceError
    from mixfit.inference.profiles.parameters import Parameter
    from mixfit.lmm.surface import ShapedSurface, SpreadSurface, Surface

    Array = NDArray[np.float64]

__all__ = ["Focal", "LikelihoodAround", "scale_place", "shape_place"]

# A standard error of log phi beyond which the likelihood does not know phi's order of magnitude.
_FLAT = 50.0
# Of a coordinate, for the slope of a known function of it: a cube root of the rounding unit.
_STEP = float(np.cbrt(np.finfo(float).eps))
_AT_LIMIT = (
    "The likelihood cannot be evaluated or is flat next to the estimates, so there is nothing to profile. Look "
    "whether an estimate has run to a limit: a dispersion, say, that another family would do without."
)


@dataclass(frozen=True, eq=False)
class Focal:
    """One parameter to be profiled, and the coordinate f that it is.

    Attributes
    ----------
    parameter : Parameter
    path : Constrained
    scale : ParameterScale
    origin, unit : float
        The parameter is ``origin + unit * f``, ``unit * exp(f)`` where `exponential`, or ``1 / f``.
    exponential, is_reciprocal : bool
    shape : Shape, or None
        Whose value at the coordinate ``origin + unit * f`` the parameter is.
    """

    parameter: Parameter
    path: Constrained
    scale: ParameterScale
    origin: float
    unit: float
    exponential: bool = False
    is_reciprocal: bool = False
    shape: Shape | None = None

    def natural(self, f: float) -> float:
        """The parameter at coordinate f; its limit on a bound that stands for infinity."""
        if self.is_reciprocal:
            return 1.0 / f if f > 0.0 else np.inf
        if (self.exponential or self.shape is not None) and f in (self.scale.lower, self.scale.upper):
            f = np.inf * f
        if self.exponential:
            return float(self.unit * np.exp(f))
        coordinate = self.origin + self.unit * f
        return coordinate if self.shape is None else float(self.shape.value(coordinate))

    def rate(self, f: float) -> float:
        """Its derivative in f, where it is no exponential."""
        if self.shape is None:
            return self.unit
        return (self.natural(f + _STEP) - self.natural(f - _STEP)) / (2.0 * _STEP)


def check_profiled(fit: Fit) -> None:
    """Refuse fits without a likelihood maximum of their own to go around."""
    estimate = fit.estimate
    method = getattr(estimate, "method", "")
    if method in ("joint", "pql"):
        raise FitError(
            "Profiles and their intervals need a maximum of the likelihood: fit with n_agq=1 or more, and method='ml'."
        )
    if getattr(estimate, "log_phi_error", 0.0) > _FLAT:
        raise FitError(_AT_LIMIT)


class LikelihoodAround:
    """The likelihood of a model around its maximum.

    Parameters
    ----------
    known : tuple of Parameter
        All parameters of the model.
    surface : Surface
    """

    def __init__(self, known: tuple[Parameter, ...], surface: Surface) -> None:
        self.known, self.surface = known, surface
        self.chart = Chart.default(surface)
        self.center: ChartPoint = self.chart.evaluate(self.chart.center)
        self.hessian = _symmetric(difference_hessian(self.chart, self.center))
        if not np.isfinite(self.hessian).all():
            raise FitError(_AT_LIMIT)

    @classmethod
    def of(cls, fit: Fit) -> LikelihoodAround:
        """By maximum likelihood, whatever the fit maximized."""
        check_profiled(fit)
        return cls(every_parameter(fit.model), fit.model.likelihood_surface(fit.estimate, reml=False))

    def restarted(self, better: LowerDevianceError) -> LikelihoodAround:
        """Around the minimum that is reached from a lower point."""
        chart, x = better.chart, better.point.x
        return LikelihoodAround(self.known, self.surface.restarted(chart.points(x), x[chart.first_tail :]))

    def values(self, chart: Chart, x: Array, beta: Array) -> dict[str, float]:
        """All parameters, by name, at a point of a chart."""
        out: dict[str, float] = {}
        natural = [
            c.natural_values(x[own], d)
            for c, own, d in zip(chart.coordinates, chart.slices, self.surface.terms.deviations, strict=True)
        ]
        for p in self.known:
            if p.kind == "fixed":
                out[p.name] = float(beta[p.first])
            elif p.kind == "log sd":
                place, value, error = cast("SpreadSurface", self.surface).log_deviation(p.number)
                out[p.name] = value + error * float(x[chart.first_tail + place])
            elif p.kind in ("sigma", "phi"):
                out[p.name] = self.surface.tail_unit * float(np.exp(x[scale_place(self.chart, self.known)]))
            elif p.shape is not None:
                coordinate = cast("ShapedSurface", self.surface).shape[p.number]
                out[p.name] = float(p.shape.value(coordinate + x[shape_place(self.chart, self.known, p)]))
            else:
                out[p.name] = float(natural[p.term][p.number])
        return out

    def focal(self, p: Parameter) -> Focal | None:
        """The parameter as one coordinate; None for a correlation of columns without variance."""
        if p.kind == "fixed":
            return self._effect(p)
        if p.kind in ("sigma", "phi"):
            path = Constrained(self.chart, scale_place(self.chart, self.known), self.center, self.hessian)
            scale = ParameterScale("identity", -FARTHEST_LOG, FARTHEST_LOG)
            return Focal(p, path, scale, 0.0, self.surface.tail_unit, exponential=True)
        if p.kind == "log sd":
            place, value, error = cast("SpreadSurface", self.surface).log_deviation(p.number)
            path = Constrained(self.chart, self.chart.first_tail + place, self.center, self.hessian)
            return Focal(p, path, ParameterScale("identity"), value, error)
        if p.shape is not None:
            surface = cast("ShapedSurface", self.surface)
            path = Constrained(self.chart, shape_place(self.chart, self.known, p), self.center, self.hessian)
            reach = surface.shape_reach(p.number)
            return Focal(
                p, path, ParameterScale("identity", -reach, reach), surface.shape[p.number], 1.0, shape=p.shape
            )
        terms = self.surface.terms
        natural = terms.structures[p.term].natural[p.number]
        if natural.kind != "sd" and not self._is_known(p):
            return None
        chart = self.chart.made_for(p.term, p.number)
        index = chart.slices[p.term].start + chart.coordinates[p.term].at(natural)
        unit = float(terms.deviations[p.term][max(p.first, 0)]) if natural.kind == "sd" else 1.0
        scale = ParameterScale(natural.scale, natural.lower, natural.upper)
        return Focal(p, self._path(chart, index, p.term), scale, 0.0, unit, is_reciprocal=natural.is_reciprocal)

    def _is_known(self, p: Parameter) -> bool:
        """Whether the columns that a parameter is of have variance: else the likelihood knows nothing of it."""
        chart, smallest = self.chart, self.surface.terms.spacing[p.term]
        factor = chart.factors(chart.center)[p.term]
        variances = np.einsum("ij,ij->i", factor, factor) / smallest**2
        return bool((variances[[p.first, p.second]] if p.first >= 0 else variances[:1]).min() >= NOTHING)

    def _effect(self, p: Parameter) -> Focal:
        surface, position = self.surface.holding(p.first)
        index, hessian = self.chart.first_tail + position, self.hessian
        chart, center = self.chart, self.center
        if surface is not self.surface:
            chart = Chart.default(surface)
            center = chart.evaluate(chart.center)
            # The effect enters r^2 / sigma^2 as its squared distance in standard errors.
            hessian = np.pad(hessian, (0, 1))
            hessian[-1, -1] = 2.0
        path = Constrained(chart, index, center, hessian)
        return Focal(
            p, path, ParameterScale("identity"), float(self.surface.beta[p.first]), float(surface.errors[p.first])
        )

    def _path(self, chart: Chart, index: int, term: int) -> Constrained:
        """The path along a coordinate; the Hessian's rows of a term with coordinates of its own are formed anew."""
        if chart.coordinates[term].is_default:
            return Constrained(self.chart, index, self.center, self.hessian)
        center = chart.evaluate(chart.center)
        own = np.arange(chart.slices[term].start, chart.slices[term].stop)
        rows = difference_hessian(chart, center, own.tolist())
        hessian = self.hessian.copy()
        hessian[own] = rows
        hessian[:, own] = rows.T
        hessian[np.ix_(own, own)] = _symmetric(rows[:, own])
        return Constrained(chart, index, center, hessian)


def shape_place(chart: Chart, known: Sequence[Parameter], p: Parameter) -> int:
    """Coordinate of a shape of the distribution: these are the last."""
    return len(chart.center) - sum(q.shape is not None for q in known) + p.number


def scale_place(chart: Chart, known: Sequence[Parameter]) -> int:
    """Coordinate of log sigma (before a held effect) or log phi (after all effects, before the shapes)."""
    if any(p.kind == "sigma" for p in known):
        return chart.first_tail
    return len(chart.center) - 1 - sum(p.shape is not None for p in known)


def _symmetric(a: Array) -> Array:
    out: Array = 0.5 * (a + a.T)
    return out
