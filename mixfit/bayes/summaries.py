"""Tables of draws: means, quantiles, Monte Carlo errors, and whether chains agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.bayes import convergence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["quantile_frame", "summary_frame"]

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
