"""A likelihood profile of one parameter as a curve: points along the path of constrained minima."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.inference.profiles.constrained import Held
    from mixfit.inference.profiles.focal import Focal

    Array = NDArray[np.float64]

__all__ = ["Curve", "trace"]

_DECREASE = 1e-7
_MAX_POINTS = 100
_LONGEST_GROWTH = 3.0
_JUMP = 1.5
_FLAT = 1e-4
_BISECTIONS = 60


@dataclass(frozen=True, eq=False)
class Curve:
    """zeta of one parameter.

    Between its points it is the cubic with their exact slopes, these limited so that the curve is monotone
    (Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17); the inverse is that of the same cubics.

    Attributes
    ----------
    values : ndarray, shape (m,)
        Of the parameter, increasing.
    zeta : ndarray, shape (m,)
        Signed square root of the deviance less its minimum.
    slopes : ndarray, shape (m,)
        Derivative of zeta in the value, or in its logarithm where `logarithmic`.
    logarithmic : bool
        Whether the cubics are in the logarithm of the value: of sigma and phi.
    ends : tuple of float
        What an interval ends at where zeta does not reach its target: a bound, infinity, or NaN.
    """

    values: Array
    zeta: Array
    slopes: Array
    logarithmic: bool
    ends: tuple[float, float]

    def zeta_at(self, values: ArrayLike) -> Array:
        """zeta at values of the parameter; NaN outside the curve."""
        x = np.asarray(values, dtype=float)
        if len(self.values) < 2:
            return np.where(x == self.values, 0.0, np.nan)
        cell = np.clip(np.searchsorted(self.values, x, side="right") - 1, 0, len(self.values) - 2)
        inside = (x >= self.values[0]) & (x <= self.values[-1])
        return np.where(inside, self._cubic(cell, self._scaled(x)), np.nan)

    def value_at(self, zeta: ArrayLike) -> Array:
        """The parameter where zeta has given values; an end where the curve does not reach them."""
        z = np.asarray(zeta, dtype=float)
        out = np.where(z < 0.0, self.ends[0], self.ends[1])
        inside = (z >= self.zeta[0]) & (z <= self.zeta[-1])
        if len(self.values) < 2:
            return np.where(inside, self.values, out)
        cell = np.clip(np.searchsorted(self.zeta, z, side="right") - 1, 0, len(self.values) - 2)
        knots = self._scaled(self.values)
        low, high = knots[cell], knots[cell + 1]
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            below = self._cubic(cell, middle) < z
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        middle = 0.5 * (low + high)
        return np.where(inside, np.exp(middle) if self.logarithmic else middle, out)

    def _scaled(self, values: Array) -> Array:
        return np.log(values) if self.logarithmic else values

    def _cubic(self, cell: NDArray[np.intp], x: Array) -> Array:
        knots = self._scaled(self.values)
        h = knots[cell + 1] - knots[cell]
        t = (x - knots[cell]) / h
        out: Array = (
            (1.0 + 2.0 * t) * (1.0 - t) ** 2 * self.zeta[cell]
            + t * (1.0 - t) ** 2 * h * self.slopes[cell]
            + t**2 * (3.0 - 2.0 * t) * self.zeta[cell + 1]
            + t**2 * (t - 1.0) * h * self.slopes[cell + 1]
        )
        return out


def trace(focal: Focal, cutoff: float, step: float) -> tuple[Curve, list[Held]]:
    """Follow the constrained minima both ways until |zeta| passes `cutoff`, about `step` of zeta at a time.

    Returns
    -------
    Curve
    list of Held
        Its points.
    """
    start = focal.path.start
    down, lower = _one_side(focal, cutoff, step, -1)
    up, upper = _one_side(focal, cutoff, step, 1)
    points = [*reversed(down), start, *up]
    f = np.array([float(h.x[focal.path.focal]) for h in points])
    zeta = np.sqrt([h.deviance for h in points]) * np.sign(f - f[len(down)])
    values = np.array([focal.natural(a) for a in f])
    slopes = np.array([_slope(focal, h) for h in points])
    ends = focal.natural(lower), focal.natural(upper)
    scaled = np.log(values) if focal.exponential else values
    return Curve(values, zeta, _monotone(scaled, zeta, slopes), focal.exponential, ends), points


def _one_side(focal: Focal, cutoff: float, step: float, side: int) -> tuple[list[Held], float]:
    """Points outward from the minimum, and the coordinate that stands for what is beyond them."""
    path, bound = focal.path, focal.scale.bound(side)
    held = path.start
    out: list[Held] = []
    f = float(held.x[path.focal])
    stride = _first_stride(focal, step)
    for _ in range(_MAX_POINTS):
        if f == bound:
            return out, bound
        last = f
        f = min(f + stride, bound) if side > 0 else max(f - stride, bound)
        new = path.advance(held, f, _DECREASE)
        if not np.isfinite(new.deviance):
            return out, np.nan
        gained = np.sqrt(new.deviance) - np.sqrt(held.deviance)
        if path.delicate and gained > _JUMP * step:
            # Perhaps on a higher branch of minima: others may be lower.
            new = path.elsewhere(new, _DECREASE) or new
            gained = np.sqrt(new.deviance) - np.sqrt(held.deviance)
        if abs(gained) < _FLAT * step and f != bound:
            # The profile rises no more: the likelihood excludes nothing further out.
            return out, bound
        while out and out[-1].deviance >= new.deviance:
            # A lower branch of minima begins here, and was there before.
            out.pop()
        if f == bound and focal.exponential:
            return out, bound
        held = new
        out.append(held)
        if np.sqrt(held.deviance) >= cutoff:
            return out, np.nan
        rate = side * held.slope / (2.0 * np.sqrt(held.deviance)) if held.deviance > 0.0 else 0.0
        longest = _LONGEST_GROWTH * abs(f - last)
        stride = min(step / rate, longest) if rate > 0.0 else longest
    return out, bound


def _first_stride(focal: Focal, step: float) -> float:
    path = focal.path
    schur = path.schur(path.start.curvature)
    spacing = float(path.chart.spacing(path.start.x)[path.focal])
    return step * float(np.sqrt(2.0 / schur)) if schur > 0.0 else step * spacing


def _slope(focal: Focal, held: Held) -> float:
    """Derivative of zeta in the value, or its logarithm; NaN where it is not known: on a bound."""
    path = focal.path
    f = float(held.x[path.focal])
    if f in (focal.scale.lower, focal.scale.upper):
        return np.nan
    if held.deviance > 0.0 and held is not path.start:
        rate = abs(held.slope) / (2.0 * np.sqrt(held.deviance))
    else:
        rate = np.sqrt(max(path.schur(held.curvature), 0.0) / 2.0)
    return float(rate if focal.exponential else rate / focal.unit)


def _monotone(values: Array, zeta: Array, slopes: Array) -> Array:
    """Slopes with those not known filled in (an end by the quadratic through it), limited for monotony."""
    if len(values) < 2:
        return np.zeros_like(slopes)
    secant = np.diff(zeta) / np.diff(values)
    out = slopes.copy()
    for end, next_, cell in ((0, 1, 0), (-1, -2, -1)):
        if np.isnan(out[end]):
            out[end] = 2.0 * secant[cell] - out[next_]
    before, after = np.append(secant[:1], secant), np.append(secant, secant[-1:])
    return np.clip(out, 0.0, 3.0 * np.minimum(before, after))
