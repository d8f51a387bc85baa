r"""Ends of profile intervals: where zeta reaches a target.

zeta is nearly linear in log sigma, log phi, beta, the logarithm of a standard deviation and atanh of a correlation, and
its slope is known exactly, so that cubic inverse interpolation between two of its points finds the target in
two or three constrained minima.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from mixfit.inference.profiles.constrained import Constrained, HeldMinimum

__all__ = ["ParameterScale", "find_end"]

# The predicted decrease corrects the value, and cubic interpolation what is missing of the target: what is left
# of either is below 1e-5 of a standard error.
_DECREASE = 1e-4
# The same beside a boundary, where the prediction is not to be trusted as far.
_DELICATE = 1e-6
# Of zeta: an interval's end is known to this share of a standard error.
_CLOSE = 5e-3
# Secants and interpolation take a few minima for an end; more do not end at all.
_MAX_MINIMA = 60
# Share of the way from the estimate: nearer to a bound than this, the bound decides.
_NEAR_BOUND = 0.2
# Standard errors of a logarithm beyond which it is not one to step in.
_LONGEST_LOG = 1.5
# A first step of e^2 in a standard deviation.
_LONGEST_FIRST = 2.0
# Of the distance walked: two ends as near as this with different zeta are a jump between branches.
_COLLAPSED = 1e-3
# Beyond this many times the first guess's distance an interval has no end.
_FAR = 200.0


@dataclass(frozen=True)
class ParameterScale:
    """A coordinate f and the scale w on which zeta is nearly linear in it.

    Attributes
    ----------
    kind : {"identity", "log", "atanh"}
    lower, upper : float
        Bounds of f.
    """

    kind: Literal["identity", "log", "atanh"]
    lower: float = -np.inf
    upper: float = np.inf

    def forward(self, f: float) -> float:
        """Return w of f."""
        if self.kind == "log":
            return float(np.log(f))
        return float(np.arctanh((f - self._middle) / self._half)) if self.kind == "atanh" else f

    def backward(self, w: float) -> float:
        """Return f of w."""
        if self.kind == "log":
            return float(np.exp(w))
        return self._middle + self._half * float(np.tanh(w)) if self.kind == "atanh" else w

    def rate(self, f: float) -> float:
        """Return df / dw."""
        if self.kind == "log":
            return f
        return self._half * (1.0 - ((f - self._middle) / self._half) ** 2) if self.kind == "atanh" else 1.0

    @property
    def _middle(self) -> float:
        return 0.5 * (self.lower + self.upper)

    @property
    def _half(self) -> float:
        return 0.5 * (self.upper - self.lower)

    def bound(self, side: int) -> float:
        """Return the bound on one side."""
        return self.upper if side > 0 else self.lower

    def around(self, center: float, reach: float) -> ParameterScale:
        """Return the scale for a minimum at `center` and a Wald interval of half-width `reach`.

        No transformation where the center is a bound, nor of a standard deviation that may well be zero: such a
        one's logarithm has no standard error to speak of.
        """
        bounded = center in (self.lower, self.upper)
        if bounded or (self.kind == "log" and not reach < _LONGEST_LOG * center):
            return ParameterScale("identity", self.lower, self.upper)
        return self

    def nears_bound(self, f: float, center: float, side: int) -> bool:
        """Whether f has come so near to a finite bound that the bound itself should be looked at."""
        bound = self.bound(side)
        return bool(np.isfinite(bound) and side * (bound - f) < _NEAR_BOUND * side * (bound - center))


@dataclass(frozen=True, eq=False)
class _Knot:
    """|zeta| at f, and df / d|zeta| there: NaN where it is not known."""

    f: float
    zeta: float
    rate: float
    held: HeldMinimum


def find_end(path: Constrained, scale: ParameterScale, target: float, side: int) -> float:
    """Coordinate at which |zeta| is `target` on one side of the minimum.

    Parameters
    ----------
    path : Constrained
    scale : ParameterScale
    target : float
    side : {-1, 1}

    Returns
    -------
    float
        The bound where zeta does not reach the target before it; infinite (for a logarithmic scale downward 0)
        where it never does; NaN where the criterion cannot be evaluated far enough.
    """
    center = float(path.start.x[path.focal])
    schur = path.schur(path.start.curvature)
    scale = scale.around(center, target * np.sqrt(2.0 / schur) if schur > 0.0 else np.inf)
    if center == scale.bound(side):
        return center
    near = first = _center_knot(path, scale, side)
    last, far = first, None
    guess = _first_guess(path, scale, first, target, side)
    step = abs(scale.forward(guess) - scale.forward(center))
    reach, looked, barrier = _FAR * step, False, np.inf * side
    for _ in range(_MAX_MINIMA):
        tolerance = _DELICATE if path.delicate else _DECREASE
        look = far is None and not looked and scale.nears_bound(guess, center, side)
        held = path.advance(near.held, scale.bound(side) if look else guess, tolerance)
        if not np.isfinite(held.deviance):
            barrier = held.x[path.focal]
            guess = 0.5 * (near.f + barrier)
            continue
        knot = _knot(held, path.focal, side)
        if look:
            looked = True
            if knot.zeta <= target:
                return scale.bound(side)
            far = _Knot(knot.f, knot.zeta, np.nan, held)
            continue
        if abs(knot.zeta - target) <= _CLOSE:
            lower = path.elsewhere(held, _DELICATE) if path.delicate else None
            if lower is None:
                return scale.backward(_interpolate(scale, near, knot, target))
            knot, far, looked = _knot(lower, path.focal, side), None, False
        if knot.zeta < target:
            last, near = near, knot
        else:
            far = knot
        if far is not None and abs(far.f - near.f) < _COLLAPSED * abs(far.f - first.f):
            # zeta jumps between them: the far one is on another, higher branch of minima.
            far, looked = None, False
        guess = _next_guess(scale, near, far or last, target, side, step)
        if side * (guess - barrier) >= 0.0:
            guess = 0.5 * (near.f + barrier)
        if far is None and abs(scale.forward(guess) - scale.forward(center)) > reach:
            return scale.backward(side * np.inf)
    return np.nan


def _center_knot(path: Constrained, scale: ParameterScale, side: int) -> _Knot:
    """The minimum: dD/df = 0 and zeta = sqrt(S / 2) f inside, D = |g| f on a bound with a slope."""
    schur = path.schur(path.start.curvature)
    slope, center = side * path.start.slope, float(path.start.x[path.focal])
    if center in (scale.lower, scale.upper) and slope > 0.0 and slope**2 > schur * _DECREASE:
        return _Knot(center, 0.0, 0.0, path.start)
    return _Knot(center, 0.0, side * np.sqrt(2.0 / schur) if schur > 0.0 else np.nan, path.start)


def _first_guess(path: Constrained, scale: ParameterScale, first: _Knot, target: float, side: int) -> float:
    if first.rate * side > 0.0:
        shift = first.rate / scale.rate(first.f) * target
        if scale.kind != "identity":
            shift = float(np.clip(shift, -_LONGEST_FIRST, _LONGEST_FIRST))
        return scale.backward(scale.forward(first.f) + shift)
    spacing = float(path.chart.spacing(path.start.x)[path.focal])
    slope = side * path.start.slope
    distance = target**2 / slope if first.rate == 0.0 else spacing * target
    bound = scale.bound(side)
    if np.isfinite(bound):
        distance = min(distance, 0.5 * abs(bound - first.f))
    return first.f + side * distance


def _knot(held: HeldMinimum, focal: int, side: int) -> _Knot:
    zeta, slope = float(np.sqrt(held.deviance)), side * held.slope
    rate = side * 2.0 * zeta / slope if slope > 0.0 else np.nan
    return _Knot(float(held.x[focal]), zeta, rate, held)


def _interpolate(scale: ParameterScale, a: _Knot, b: _Knot, target: float) -> float:
    """Cubic Hermite interpolation of w at |zeta| = target; a straight line where a slope is not known."""
    h = b.zeta - a.zeta
    wa, wb = scale.forward(a.f), scale.forward(b.f)
    da, db = a.rate / scale.rate(a.f), b.rate / scale.rate(b.f)
    t = (target - a.zeta) / h
    if not np.isfinite(da):
        # The quadratic with b's value and slope through a.
        da = 2.0 * (wb - wa) / h - db
    cubic = (
        (1.0 + 2.0 * t) * (1.0 - t) ** 2 * wa
        + t * (1.0 - t) ** 2 * h * da
        + t**2 * (3.0 - 2.0 * t) * wb
        + t**2 * (t - 1.0) * h * db
    )
    return float(cubic)


def _next_guess(scale: ParameterScale, near: _Knot, other: _Knot, target: float, side: int, step: float) -> float:
    """Between `near` (below the target) and `other` where that is beyond it, or further out."""
    bracketed = other.zeta > target
    w_near = scale.forward(near.f)
    longest = 2.0 * max(abs(w_near - scale.forward(other.f)), step) if not bracketed else np.inf
    guesses = []
    if other is not near and np.isfinite(other.rate) and other.zeta != near.zeta:
        guesses.append(_interpolate(scale, near, other, target))
    guesses.append(w_near + near.rate / scale.rate(near.f) * (target - near.zeta))
    for w in guesses:
        if np.isfinite(w) and side * (w - w_near) > 0.0:
            f = scale.backward(w_near + side * min(side * (w - w_near), longest))
            if not bracketed or side * (other.f - f) > 0.0:
                return f
    return 0.5 * (near.f + other.f) if bracketed else scale.backward(w_near + side * longest)
