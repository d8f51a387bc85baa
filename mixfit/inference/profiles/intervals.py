"""Confidence intervals by name of method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from mixfit.errors import FitError
from mixfit.inference.profiles.parameters import parameters, select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from mixfit.results.base import MixedResults
    from mixfit.results.generalized import GeneralizedResults
    from mixfit.results.linear import LinearResults

__all__ = ["intervals"]


def intervals(
    fit: MixedResults, alpha: float, method: str, which: str | Sequence[str] | None, options: Mapping[str, Any]
) -> pd.DataFrame:
    """Limits of some parameters: see `mixfit.results.intervals.Intervals.conf_int`."""
    if options and method != "bootstrap":
        raise FitError(f"conf_int(method={method!r}) has no option {next(iter(options))!r}.")
    if method == "wald":
        from mixfit.inference.profiles.wald import wald_intervals

        return wald_intervals(fit, select(parameters(fit.model), which, default="fixed"), alpha)
    if method == "profile":
        from mixfit.inference.profiles.profile import profile_intervals

        return profile_intervals(fit, which, alpha)
    if method == "bootstrap":
        names = [p.name for p in select(parameters(fit.model), which)]
        bootstrapped = cast("LinearResults | GeneralizedResults", fit)
        limits: pd.DataFrame = bootstrapped.bootstrap(**options).conf_int(alpha).loc[names]
        return limits
    raise FitError(f"conf_int has the methods 'wald', 'profile' and 'bootstrap', not {method!r}.")
