"""Tables of draws: means, quantiles, Monte Carlo errors, and whether chains agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.bayes import convergence
from mixfit.fitted.ranef import effect_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["energy_moved", "mean_effects", "quantile_frame", "summary_frame"]

# As rstanarm prints them.
_LEVELS = (0.05, 0.5, 0.95)


def summary_frame(x: Array, names: Sequence[str]) -> pd.DataFrame:
    """Summarize draws (chains, draws, m) of m parameters.

    Returns
    -------
    DataFrame
        Columns ``mean``, ``sd``, ``median``, ``5%``, ``95%``, ``mcse_mean``, ``mcse_sd``, ``ess_bulk``, ``ess_tail``,
        ``r_hat``.
    """
    low, middle, high = np.quantile(x, _LEVELS, axis=(0, 1))
    columns = {
        "mean": x.mean(axis=(0, 1)),
        "sd": x.std(axis=(0, 1), ddof=1),
        "median": middle,
        "5%": low,
        "95%": high,
        "mcse_mean": convergence.mcse_mean(x),
        "mcse_sd": convergence.mcse_sd(x),
        "ess_bulk": convergence.ess_bulk(x),
        "ess_tail": convergence.ess_tail(x),
        "r_hat": convergence.r_hat(x),
    }
    return pd.DataFrame(columns, index=pd.Index(list(names), dtype=object))


def quantile_frame(x: Array, names: Sequence[str], levels: Sequence[float]) -> pd.DataFrame:
    """Quantiles of draws (chains, draws, m), a column a level."""
    values = np.quantile(x, np.asarray(levels, dtype=float), axis=(0, 1))
    return pd.DataFrame(values.T, index=pd.Index(list(names), dtype=object), columns=list(levels))


def mean_effects(random: Sequence[RandomDesign], effects: Sequence[Array], *, sd: bool) -> dict[str, pd.DataFrame]:
    """Means of effects (chains, draws, q_t, k_t) by grouping factor, and their standard deviations beside them."""
    means = effect_frames(random, [b.mean(axis=(0, 1)) for b in effects])
    if not sd:
        return means
    spread = effect_frames(random, [b.std(axis=(0, 1), ddof=1) for b in effects])
    return {name: pd.concat({"mean": frame, "sd": spread[name]}, axis="columns") for name, frame in means.items()}


def energy_moved(energy: Array) -> float:
    """The smallest ratio of energy's squared steps to its variance over the chains (Betancourt 2016)."""
    steps = (np.diff(energy, axis=1) ** 2).mean(axis=1)
    return float((steps / energy.var(axis=1)).min())
