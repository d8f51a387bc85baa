"""Profiling a likelihood: curves of zeta, or the ends of intervals alone, around the best maximum found."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from mixfit.errors import ConvergenceWarning, FitError
from mixfit.inference.profiles.constrained import LowerDevianceError
from mixfit.inference.profiles.ends import find_end
from mixfit.inference.profiles.focal import LikelihoodAround
from mixfit.inference.profiles.parameters import select
from mixfit.inference.profiles.profile_result import LikelihoodProfile
from mixfit.inference.profiles.trace import trace
from mixfit.results.wald import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.inference.profiles.constrained import Held
    from mixfit.inference.profiles.focal import Focal
    from mixfit.inference.profiles.parameters import Parameter
    from mixfit.inference.profiles.trace import Curve
    from mixfit.results.base import MixedResults

    Array = NDArray[np.float64]
    Answer = TypeVar("Answer")

__all__ = ["profile", "profile_intervals"]

_MAX_RESTARTS = 5


def profile(
    fit: MixedResults,
    which: str | Sequence[str] | None = None,
    alpha_max: float = 0.01,
    points: int = 8,
) -> LikelihoodProfile:
    """Profile the likelihood of a fit: see `mixfit.results.intervals.Intervals.profile`."""
    if not 0.0 < alpha_max < 1.0:
        raise ValueError(f"alpha_max must lie between 0 and 1, not {alpha_max!r}")
    if points < 1:
        raise ValueError(f"points must be positive, not {points!r}")
    return _around(fit, which, lambda around, chosen: _profile(around, chosen, alpha_max, points))


def _profile(around: LikelihoodAround, chosen: Sequence[Parameter], alpha_max: float, points: int) -> LikelihoodProfile:
    from scipy.special import chdtri

    cutoff = float(np.sqrt(chdtri(len(around.known), alpha_max)))
    estimates = around.values(around.chart, around.center.x, around.center.slope.beta)
    curves, frames = {}, []
    for p in chosen:
        focal = around.focal(p)
        if focal is None:
            frames.append(pd.DataFrame([{".zeta": 0.0, **estimates, ".par": p.name, ".focal": np.nan}]))
            continue
        curves[p.name], path = trace(focal, cutoff, cutoff / points)
        frames.append(_rows(around, focal, curves[p.name], path))
    return LikelihoodProfile(pd.concat(frames, ignore_index=True), curves, pd.Series(estimates), cutoff)


def _rows(around: LikelihoodAround, focal: Focal, curve: Curve, path: Sequence[Held]) -> pd.DataFrame:
    chart = focal.path.chart
    rows = [around.values(chart, h.x, h.point.slope.beta) for h in path]
    frame = pd.DataFrame(rows)
    frame.insert(0, ".zeta", curve.zeta)
    frame[".par"] = focal.parameter.name
    frame[".focal"] = curve.values
    return frame


def profile_intervals(fit: MixedResults, which: str | Sequence[str] | None, alpha: float) -> pd.DataFrame:
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
    fit: MixedResults,
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
            warnings.warn(
                f"Profiling found a deviance lower by {gain:.3g} than the maximum-likelihood fit has: the fit is at a "
                "local optimum. The profiles are made around the better one.",
                ConvergenceWarning,
                stacklevel=4,
            )
            around = around.restarted(better)
    raise FitError("Profiling keeps finding lower deviances: the likelihood has several optima close together.")
