r"""Minima of a criterion with one coordinate held, and the signed root deviance along them.

With x = (f, o), f held, D(f) = min_o d(f, o) - d^ and zeta = +-sqrt(D). Newton steps in o with a curvature matrix B
of all coordinates, kept by BFGS; the predicted decrease 1/2 g_o'B_oo^{-1} g_o of the next step corrects the value,
so that few steps are ever taken. By the envelope theorem dD/df = g_f, at the optimum over o.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.inference.profiles.chart import difference_hessian
from mixfit.optimize.quasi_newton import bfgs
from mixfit.optimize.steps import newton_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.inference.profiles.chart import Chart, ChartPoint

    Array = NDArray[np.float64]

__all__ = ["Constrained", "HeldMinimum", "LowerDevianceError"]

# Few are needed from the neighbouring point of the path; more do not end at all.
_MAX_STEPS = 100
# 2^-30 of a step is 1e-9 of it: a direction that is still not lower is none.
_MAX_HALVINGS = 30
# Sharper Hessians asked of one point, each a difference in every coordinate.
_MAX_CHECKS = 10
# Directions are compared over this many times the lower bound of their standard errors.
_UNITS = 10.0
# Differences know the scaled curvature to about a thousandth of its largest.
_NEGATIVE = 1e-4
# Of a deviance: a lower branch by less is the same branch.
_BETTER = 1e-3
# No tolerance is finer than this share of what differences of the criterion mean.
_FINEST = 1e-2


class LowerDevianceError(Exception):
    """A constrained optimum lies below the fit: the fit was a local minimum."""

    def __init__(self, point: ChartPoint, chart: Chart) -> None:
        super().__init__("a constrained optimum has a lower deviance than the fit")
        self.point, self.chart = point, chart


@dataclass(frozen=True, eq=False)
class HeldMinimum:
    """A minimum with one coordinate held.

    Attributes
    ----------
    x : ndarray
        The coordinates after the last Newton step, whose decrease is in `deviance`.
    deviance : float
        D.
    slope : float
        dD/df.
    decrease : float
        What the last step was predicted to gain: how far from the minimum the evaluated point was.
    point : ChartPoint
        The evaluated point.
    curvature : ndarray
        B.
    """

    x: Array
    deviance: float
    slope: float
    decrease: float
    point: ChartPoint
    curvature: Array


class Constrained:
    """Constrained minima along one coordinate of a chart.

    Parameters
    ----------
    chart : Chart
    focal : int
    center : ChartPoint
        The unconstrained minimum.
    curvature : ndarray
        Hessian there.
    """

    def __init__(self, chart: Chart, focal: int, center: ChartPoint, curvature: Array) -> None:
        self.chart, self.focal = chart, focal
        self.others = np.flatnonzero(np.arange(len(center.x)) != focal)
        self.minimum = center.value
        self.delicate = False
        self.start = HeldMinimum(center.x, 0.0, float(center.gradient[focal]), 0.0, center, curvature)

    def split(self, curvature: Array) -> tuple[Array, Array]:
        """B_oo and B_of."""
        rows = curvature[self.others]
        return rows[:, self.others], rows[:, self.focal]

    def schur(self, curvature: Array) -> float:
        """d^2 D / df^2 = B_ff - B_fo B_oo^{-1} B_of."""
        inner, cross = self.split(curvature)
        step, _ = newton_step(inner, cross)
        return float(curvature[self.focal, self.focal] + cross @ step)

    def advance(self, held: HeldMinimum, f: float, tolerance: float) -> HeldMinimum:
        """Hold the coordinate at f, starting from a neighbour: the tangent of the path leads there."""
        inner, cross = self.split(held.curvature)
        x = held.x.copy()
        step, _ = newton_step(inner, cross)
        x[self.others] += step * (f - held.x[self.focal])
        x[self.focal] = f
        x = self.chart.within(x)
        point = self.chart.evaluate(x)
        if not np.isfinite(point.value):
            # The tangent may lead out of what can be evaluated: the neighbour's own coordinates need not.
            x[self.others] = held.x[self.others]
            point = self.chart.evaluate(x)
        if not np.isfinite(point.value):
            return HeldMinimum(x, np.inf, np.nan, np.inf, point, held.curvature)
        return self.settle(point, self._update(held.curvature, held.point, point), tolerance)

    def elsewhere(self, held: HeldMinimum, tolerance: float) -> HeldMinimum | None:
        """A lower minimum at the same held value, if other starts lead to one.

        Beside a boundary several constrained minima are common. The others are sought from the fit itself and from
        factors whose vanishing columns are given some variance.
        """
        f = float(held.x[self.focal])
        spread = _UNITS * self.chart.spacing(held.x)
        spread[self.chart.first_tail :] = 0.0
        spread[self.focal] = 0.0
        starts = (self.start.x, np.where(np.abs(held.x) < spread, spread, held.x))
        best, better = None, max(_BETTER, self.chart.surface.resolution)
        for start in starts:
            x = start.copy()
            x[self.focal] = f
            point = self.chart.evaluate(x)
            if np.isfinite(point.value):
                found = self.settle(point, self.start.curvature, tolerance)
                if found.deviance < (held if best is None else best).deviance - better:
                    best = found
        return best

    def settle(self, point: ChartPoint, curvature: Array, tolerance: float) -> HeldMinimum:
        """Minimize over the other coordinates until a step promises less than `tolerance`.

        Beside a boundary, where the criterion is even in what vanishes, the updated curvature can hide a saddle or
        a flat valley: there the Hessian itself is formed before the minimum is believed.
        """
        tolerance = max(tolerance, _FINEST * self.chart.surface.resolution)
        step, decrease = self._step(point, curvature)
        checks, exact = 0, False
        for _ in range(_MAX_STEPS):
            ways = [step]
            if decrease <= tolerance:
                self.delicate = self.delicate or self.chart.is_delicate(point.x)
                if not self.delicate or checks == _MAX_CHECKS:
                    break
                checks += 1
                curvature, descent = self._sharpen(point, curvature)
                step, decrease = self._step(point, curvature)
                exact = True
                if decrease > tolerance:
                    continue
                if descent is None:
                    break
                # The gradient vanishes along it: either way may lead down, or out of the bounds.
                ways = [descent, -descent]
            trial = next((t for t in (self._descend(point, way) for way in ways) if t is not None), None)
            if trial is None and exact:
                break
            if trial is None:
                curvature, _ = self._sharpen(point, curvature)
                exact = True
            else:
                curvature = self._update(curvature, point, trial)
                point, exact = trial, False
            step, decrease = self._step(point, curvature)
        if decrease > tolerance:
            # No step that the curvature proposes goes down: rounding, or a corner. Take the point as it is.
            step, decrease = np.zeros(len(step)), 0.0
        return self._held(point, curvature, step, decrease)

    def _sharpen(self, point: ChartPoint, curvature: Array) -> tuple[Array, Array | None]:
        """The Hessian with its negative directions bent up, and a step along the most negative one."""
        rows = difference_hessian(self.chart, point, self.others.tolist())
        if not np.isfinite(rows).all():
            return curvature, None
        inner = 0.5 * (rows[:, self.others] + rows[:, self.others].T)
        unit = _UNITS * self.chart.spacing(point.x)[self.others]
        held = ((point.x <= self.chart.lower) | (point.x >= self.chart.upper))[self.others]
        scaled = inner * np.outer(unit, unit)
        scaled[held] = scaled[:, held] = 0.0
        values, vectors = np.linalg.eigh(scaled)
        descent = None
        if values[0] < -_NEGATIVE:
            descent = unit * vectors[:, 0]
            bent = (vectors * np.maximum(np.abs(values), _NEGATIVE)) @ vectors.T / np.outer(unit, unit)
            inner[np.ix_(~held, ~held)] = bent[np.ix_(~held, ~held)]
        out = curvature.copy()
        out[self.others] = rows
        out[:, self.others] = rows.T
        out[np.ix_(self.others, self.others)] = inner
        return out, descent

    def _held(self, point: ChartPoint, curvature: Array, step: Array, decrease: float) -> HeldMinimum:
        x = point.x.copy()
        x[self.others] += step
        x = self.chart.within(x)
        _, cross = self.split(curvature)
        deviance = point.value - decrease - self.minimum
        if deviance < -self.chart.surface.resolution:
            raise LowerDevianceError(point, self.chart)
        slope = float(point.gradient[self.focal] + cross @ step)
        return HeldMinimum(x, max(deviance, 0.0), slope, decrease, point, curvature)

    def _step(self, point: ChartPoint, curvature: Array) -> tuple[Array, float]:
        """Newton's step in the coordinates that no bound holds, and its predicted decrease."""
        inner, gradient = self.split(curvature)[0], point.gradient[self.others]
        held = self.chart.held(point)[self.others]
        if not held.any():
            return newton_step(inner, gradient)
        free, step = np.flatnonzero(~held), np.zeros(len(gradient))
        step[free], decrease = newton_step(inner[np.ix_(free, free)], gradient[free])
        return step, decrease

    def _descend(self, point: ChartPoint, step: Array) -> ChartPoint | None:
        """The first point along a step that is lower."""
        length = 1.0
        for _ in range(_MAX_HALVINGS):
            x = point.x.copy()
            x[self.others] += length * step
            trial = self.chart.evaluate(self.chart.within(x))
            if trial.value < point.value:
                return trial
            length *= 0.5
        return None

    @staticmethod
    def _update(curvature: Array, old: ChartPoint, new: ChartPoint) -> Array:
        return bfgs(curvature, new.x - old.x, new.gradient - old.gradient)
