"""How many levels reach a power, and how large an effect must be to be found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.arguments import check_count, check_probability
from mixfit.defaults import coverage
from mixfit.errors import DesignError, FitError
from mixfit.fitted.protocols import is_linear
from mixfit.planning.hypotheses import hypotheses
from mixfit.planning.power import entropy_of, power_curve, simulate_power
from mixfit.progress import progress_bar
from mixfit.wald import t_quantile, wilson

if TYPE_CHECKING:
    from mixfit.planning.power import Planned, PowerCurve

__all__ = ["DetectableEffect", "SampleSize", "bisect_levels", "detectable_effect"]

# Fewest levels that a search looks at: two have one difference between them.
_FEWEST = 2


@dataclass(frozen=True, eq=False)
class SampleSize:
    """The number of levels that a power takes.

    Attributes
    ----------
    n : int
        The smallest number that was found to reach the target.
    along : str
        The factor that it is of.
    target : float
    curve : PowerCurve
        The numbers that were looked at.
    """

    n: int
    along: str
    target: float
    curve: PowerCurve

    def __str__(self) -> str:
        row = self.curve.frame.set_index(self.along).loc[self.n]
        return (
            f"{self.n} levels of {self.along} have power {row['power']:.3f} ({row['lower']:.3f} to "
            f"{row['upper']:.3f}), the target being {self.target:g}"
        )

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class DetectableEffect:
    """The effect that is found with a given power.

    Attributes
    ----------
    effect : float
        In the units of what is tested, with the sign of what is stated.
    lower, upper : float
        Effects at the ends of the Wilson interval of the power: what the simulation leaves open.
    test : str
    target, level : float
    n_sim : int
    """

    effect: float
    lower: float
    upper: float
    test: str
    target: float
    level: float
    n_sim: int

    def __str__(self) -> str:
        return (
            f"Power {self.target:g} of {self.test!r} at an effect of {self.effect:.4g} ({self.lower:.4g} to "
            f"{self.upper:.4g}), {self.n_sim} simulated experiments"
        )

    __repr__ = __str__


def bisect_levels(
    plan: Planned,
    test: Any,
    along: str,
    *,
    target: float,
    start: int,
    largest: int,
    progress: bool,
    options: dict[str, Any],
) -> SampleSize:
    """Bisect for the smallest number of levels of a factor with a power; see `mixfit.results.power.sample_size`.

    From `start` the number is doubled until the target is reached, or halved until it is not; then the interval is.
    """
    check_probability("target", target)
    check_count("largest", largest)
    tests = hypotheses(plan.fit, test)
    if len(tests) == 1 and tests[0].holds(plan.fit):
        raise FitError(
            f"The stated effect of {tests[0].name!r} is zero, which no number of levels finds: state another, as in "
            "with_params(fixed={...})."
        )
    options = {**options, "seed": entropy_of(options["seed"])}
    seen: dict[int, PowerCurve | None] = {}

    def reaches(n: int) -> bool:
        if n not in seen:
            seen[n] = _at(plan, test, along, n, progress=progress, options=options)
        found = seen[n]
        return found is not None and float(found.frame["power"].iloc[0]) >= target

    n = min(max(start, _FEWEST), largest)
    if reaches(n):
        high, low = n, n // 2
        while low >= _FEWEST and reaches(low):
            high, low = low, low // 2
        low = max(low, _FEWEST - 1)
    else:
        low = n
        while True:
            if low >= largest:
                raise FitError(
                    f"{largest} levels of {along!r} do not reach a power of {target:g}. Other sources of variance may "
                    "bound it: look at the power along several factors, or give a larger largest=."
                )
            high = min(2 * low, largest)
            if reaches(high):
                break
            low = high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return SampleSize(high, along, target, _joined([curve for _, curve in sorted(seen.items()) if curve is not None]))


def _at(plan: Planned, test: Any, along: str, n: int, *, progress: bool, options: dict[str, Any]) -> PowerCurve | None:
    """The power at a number of levels; None where these are too few for the model."""
    try:
        found = power_curve(plan, test, along={along: [n]}, progress=progress, **options)
    except DesignError:
        return None
    if len(found.frame) > 1:
        raise FitError(f"A sample size is of one test, and {test!r} are {len(found.frame)}: {', '.join(found.tests)}.")
    return found


def _joined(curves: list[PowerCurve]) -> PowerCurve:
    failures: dict[str, int] = {}
    for curve in curves:
        for reason, count in curve.failures.items():
            failures[reason] = failures.get(reason, 0) + count
    return replace(
        curves[0],
        frame=pd.concat([c.frame for c in curves], ignore_index=True),
        replicates=pd.concat([c.replicates for c in curves], ignore_index=True),
        failures=failures,
    )


def detectable_effect(
    plan: Planned,
    test: Any,
    *,
    target: float,
    n_sim: int,
    ddf: str | None,
    level: float | None,
    seed: int | np.random.Generator | None,
    progress: bool,
) -> DetectableEffect:
    """The value of a contrast at which it has a power; see `mixfit.results.power.smallest_effect`.

    In a linear model standard errors and degrees of freedom do not depend on the fixed effects, and an estimate moves
    as far as the truth does: one set of refits has the power at every effect.
    """
    check_probability("target", target)
    share = coverage(level)
    check_count("n_sim", n_sim)
    if not is_linear(plan.fit):
        raise FitError(
            "The refits of a generalized model depend on its fixed effects: look at the power of plans with others, "
            "plan.with_params(fixed={...}).power(...)."
        )
    with progress_bar(n_sim, progress=progress) as bar:
        core, _, tests, found = simulate_power(plan, test, {}, n_sim, ddf, entropy_of(seed), 1, bar.update)
    if len(tests) != 1 or not tests[0].is_contrast:
        raise FitError("The smallest effect is of one fixed effect or one contrast: name one by test=.")
    truth = tests[0].truth(core)
    _, estimate, se, df = found.tests[:, 0].T
    noise = estimate - truth
    sign = -1.0 if truth < 0.0 else 1.0
    # A replicate finds, with its sign, an effect of more than this.
    least = np.sort(np.where(np.isnan(se), np.inf, t_quantile(0.5 + 0.5 * share, df) * se - sign * noise))
    lower, upper = (float(limit) for limit in wilson(np.array(target * n_sim), n_sim, share))
    places = [int(np.ceil(part * n_sim)) - 1 for part in (target, lower, upper)]
    effects = [sign * max(float(least[min(max(place, 0), n_sim - 1)]), 0.0) for place in places]
    if not np.isfinite(effects[0]):
        raise FitError(f"No effect reaches a power of {target:g}: too many refits failed.")
    return DetectableEffect(effects[0], effects[1], effects[2], tests[0].name, target, share, n_sim)
