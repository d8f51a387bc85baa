"""Profiles of a likelihood: curves of zeta, or the ends of intervals alone, around the best maximum found."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from mixfit.arguments import check_count, check_level
from mixfit.errors import ConvergenceWarning, FitError, warn
from mixfit.inference.profiles.constrained import LowerDevianceError
from mixfit.inference.profiles.curves import ProfileCurve, ProfileCurves
from mixfit.inference.profiles.ends import find_end
from mixfit.inference.profiles.focal import LikelihoodAround
from mixfit.inference.profiles.parameters import select
from mixfit.wald import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.profiles.constrained import HeldMinimum
    from mixfit.inference.profiles.focal import Focal
    from mixfit.inference.profiles.parameters import Parameter

    Array = NDArray[np.float64]
    Answer = TypeVar("Answer")

__all__ = [
    "profile_curves",
    "profile_intervals",
    "trace",
]

# Of a deviance: zeta is its root, known to 3e-4 where it matters least.
_DECREASE = 1e-7
# A smooth profile takes some ten points a side; more do not end at all.
_MAX_POINTS = 100
# Of one stride to the next, where the slope says nothing yet.
_LONGEST_GROWTH = 3.0
# Times the wanted step of zeta: more is perhaps a higher branch.
_JUMP = 1.5
# Times the wanted step: a profile that rises by less in one stride will not reach the cutoff.
_FLAT = 1e-4
# Each starts at a better maximum than the last.
_MAX_RESTARTS = 5


def trace(focal: Focal, cutoff: float, step: float) -> tuple[ProfileCurve, list[HeldMinimum]]:
    """Follow the constrained minima both ways until |zeta| passes `cutoff`, about `step` of zeta at a time.

    Returns
    -------
    ProfileCurve
    list of HeldMinimum
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
    return ProfileCurve(values, zeta, _monotone(scaled, zeta, slopes), focal.exponential, ends), points


def _one_side(focal: Focal, cutoff: float, step: float, side: int) -> tuple[list[HeldMinimum], float]:
    """Points outward from the minimum, and the coordinate that stands for what is beyond them."""
    path, bound = focal.path, focal.scale.bound(side)
    held = path.start
    out: list[HeldMinimum] = []
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


def _slope(focal: Focal, held: HeldMinimum) -> float:
    """Derivative of zeta in the value, or its logarithm; NaN where it is not known: on a bound."""
    path = focal.path
    f = float(held.x[path.focal])
    if f in (focal.scale.lower, focal.scale.upper):
        return np.nan
    if held.deviance > 0.0 and held is not path.start:
        rate = abs(held.slope) / (2.0 * np.sqrt(held.deviance))
    else:
        rate = np.sqrt(max(path.schur(held.curvature), 0.0) / 2.0)
    return float(rate if focal.exponential else rate / focal.rate(f))


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


def profile_curves(
    fit: Fit, which: str | Sequence[str] | None = None, level: float = 0.99, points: int = 8
) -> ProfileCurves:
    """Profile the likelihood of a fit: the curves of `mixfit.results.profile.profile`."""
    check_level(level)
    check_count("points", points)
    return _around(fit, which, lambda around, chosen: _profile(around, chosen, level, points))


def _profile(around: LikelihoodAround, chosen: Sequence[Parameter], level: float, points: int) -> ProfileCurves:
    from scipy.special import chdtri

    cutoff = float(np.sqrt(chdtri(len(around.known), 1.0 - level)))
    estimates = around.values(around.chart, around.center.x, around.center.slope.beta)
    curves, frames = {}, []
    for p in chosen:
        focal = around.focal(p)
        if focal is None:
            frames.append(pd.DataFrame([{".zeta": 0.0, **estimates, ".par": p.name, ".focal": np.nan}]))
            continue
        curves[p.name], path = trace(focal, cutoff, cutoff / points)
        frames.append(_rows(around, focal, curves[p.name], path))
    return ProfileCurves(pd.concat(frames, ignore_index=True), curves, pd.Series(estimates), cutoff)


def _rows(around: LikelihoodAround, focal: Focal, curve: ProfileCurve, path: Sequence[HeldMinimum]) -> pd.DataFrame:
    chart = focal.path.chart
    rows = [around.values(chart, h.x, h.point.slope.beta) for h in path]
    frame = pd.DataFrame(rows)
    frame.insert(0, ".zeta", curve.zeta)
    frame[".par"] = focal.parameter.name
    frame[".focal"] = curve.values
    return frame


def profile_intervals(fit: Fit, which: str | Sequence[str] | None, alpha: float) -> pd.DataFrame:
    """Limits of the profile intervals alone: no curve is traced.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    which : str, sequence of str or None
        As `mixfit.inference.profiles.parameters.select` takes it.
    alpha : float

    Returns
    -------
    DataFrame
        Columns 0 and 1, a row a parameter.
    """
    target = normal_quantile(alpha)

    def ends(around: LikelihoodAround, chosen: Sequence[Parameter]) -> pd.DataFrame:
        rows = [_ends(around.focal(p), target) for p in chosen]
        return pd.DataFrame(rows, index=[p.name for p in chosen], columns=[0, 1], dtype=float)

    return _around(fit, which, ends)


def _ends(focal: Focal | None, target: float) -> tuple[float, float]:
    if focal is None:
        # Any correlation of effects without variance has the same likelihood.
        return -1.0, 1.0
    lower, upper = sorted(focal.natural(find_end(focal.path, focal.scale, target, side)) for side in (-1, 1))
    return lower, upper


def _around(
    fit: Fit,
    which: str | Sequence[str] | None,
    ask: Callable[[LikelihoodAround, Sequence[Parameter]], Answer],
) -> Answer:
    """Ask around the maximum; around a better one where a constrained maximum lies above the fit."""
    around = LikelihoodAround.of(fit)
    chosen = select(around.known, which)
    for _ in range(_MAX_RESTARTS):
        try:
            return ask(around, chosen)
        except LowerDevianceError as better:
            gain = around.center.value - better.point.value
            warn(
                f"Profiling found a deviance lower by {gain:.3g} than the maximum-likelihood fit has: the fit is at a "
                "local optimum. The profiles are made around the better one.",
                ConvergenceWarning,
            )
            around = around.restarted(better)
    raise FitError("Profiling keeps finding lower deviances: the likelihood has several optima close together.")
