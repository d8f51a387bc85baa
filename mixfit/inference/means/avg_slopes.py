"""Average slopes: derivatives of predictions in a covariate, averaged over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.defaults import coverage
from mixfit.inference.means.averages import averages, grouped_rows, stacked
from mixfit.inference.means.avg_comparisons import asked_for, changes, compared, is_number
from mixfit.inference.means.design_slopes import places_around, repeated
from mixfit.inference.means.unit_means import fit_rows, new_rows, unit_means

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.averages import Averages, Grouped
    from mixfit.inference.means.unit_means import UnitMeans

    Array = NDArray[np.float64]

__all__ = ["avg_slopes"]


def avg_slopes(
    fit: Fit,
    variables: str | Sequence[str] | None = None,
    *,
    by: str | Sequence[str] | None = None,
    newdata: object = None,
    what: str = "response",
    re_form: Literal["population", "marginal"] = "population",
    ddf: str | None = None,
    level: float | None = None,
) -> Averages:
    """Average the derivatives of predictions in covariates over rows: average marginal effects.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    variables : str or sequence of str, optional
        Covariates; all variables by default. Factors, and variables of 0 and 1 alone, which have no slopes, are
        compared with their first level, as `avg_comparisons` does.
    by : str or sequence of str, optional
        Columns in each of whose combinations rows are averaged.
    newdata, what, re_form, ddf, level
        As of `avg_predictions`.

    Returns
    -------
    Averages

    Raises
    ------
    FitError
        For a name that is no variable of the fixed effects, and what `avg_predictions` refuses.

    See Also
    --------
    emtrends : Slopes of the linear predictor on the reference grid.

    Notes
    -----
    Predictions are differentiated by five-point differences, good to about 1e-11 of their range over that of the
    covariate; the derivatives in the parameters, of which standard errors are made, are exact, and the same differences
    of them.

    Examples
    --------
    >>> import mixfit
    >>> ticks = mixfit.datasets.load("grouseticks").assign(height=lambda d: (d["HEIGHT"] - 450) / 100)
    >>> fit = mixfit.mixed("TICKS ~ YEAR + height + (1 | BROOD)", ticks, family="poisson").fit()
    >>> fit.avg_slopes("height").to_frame()[["term", "contrast", "estimate", "SE"]].round(3)
         term contrast  estimate     SE
    0  height    dY/dX      -9.5  2.217
    """
    level = coverage(level)
    of = unit_means(fit, what, re_form, ddf)
    known = fit_rows(fit)
    rows = known if newdata is None else new_rows(newdata)
    grouped = grouped_rows(rows, by)
    parts = []
    for name in asked_for(fit, variables):
        if is_number(fit, name, known[name]):
            parts.append(_slopes(of, name, known, rows, grouped))
            continue
        parts += [compared(of, name, c, rows, grouped, "difference") for c in changes(fit, name, None, known, rows)]
    return averages(of, *stacked(parts), level)


def _slopes(
    of: UnitMeans, name: str, known: pd.DataFrame, rows: pd.DataFrame, grouped: Grouped
) -> tuple[pd.DataFrame, Array, Array]:
    """Average slopes in one covariate: names, estimates and derivatives."""
    at, weights = places_around(known[name].to_numpy(dtype=np.float64), rows[name].to_numpy(dtype=np.float64))
    value, gradient = of(repeated(rows, name, at))
    value, gradient = (v.reshape(at.shape[1], len(rows), *v.shape[1:]) for v in (value, gradient))
    slope = np.einsum("mk,km...->m...", weights, value[1:] - value[0])
    slopes = np.einsum("mk,km...->m...", weights, gradient[1:] - gradient[0])
    names = grouped.names.copy()
    names.insert(0, "contrast", "dY/dX")
    names.insert(0, "term", name)
    return names, grouped.mean(slope), grouped.mean(slopes)
