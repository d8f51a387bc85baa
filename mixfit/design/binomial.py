"""The four spellings of a binomial response: 0/1, boolean or two-level factor, counts, proportions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.design.columns import is_factor, normalise
from mixfit.design.missing import null_rows
from mixfit.design.vectors import numbers
from mixfit.errors import DataError

if TYPE_CHECKING:
    from mixfit.design.environment import Environment
    from mixfit.design.missing import MissingRows
    from mixfit.formula.types import Response

__all__ = ["read_binomial"]

Vector = np.ndarray[Any, np.dtype[np.float64]]


def read_binomial(response: Response, environment: Environment, missing: MissingRows) -> tuple[Vector, Vector | None]:
    """Proportions of success, and the trials where the response itself counts them (``cbind``)."""
    if response.arguments is not None:
        return _counts(response, environment, missing)
    value = environment.evaluate(response.factor)
    series = getattr(value, "__wrapped__", value)
    if not isinstance(series, pd.Series):
        series = pd.Series(np.asarray(series))
    series = normalise(series, f"Response {response.text!r}")
    y = _successes(series, response.text) if is_factor(series) or series.dtype.kind == "b" else None
    if y is None:
        y = numbers(value, f"Response {response.text!r}", environment)
    missing.note(response.text, null_rows(y, missing.n_rows, response.text))
    if np.isinf(y).any():
        raise DataError(f"Response {response.text!r} is infinite in {int(np.isinf(y).sum())} row(s).")
    return y, None


def _successes(series: pd.Series[Any], name: str) -> Vector:
    """1 for the second of two levels, as R has it; NaN where missing."""
    if series.dtype.kind == "b":
        return np.asarray(series.to_numpy(), dtype=np.float64)
    values = series if isinstance(series.dtype, pd.CategoricalDtype) else series.astype("category")
    values = values.cat.remove_unused_categories()
    levels = list(values.cat.categories)
    if len(levels) != 2:
        shown = ", ".join(map(str, levels[:5])) + (", ..." if len(levels) > 5 else "")
        raise DataError(
            f"Response {name!r} has {len(levels)} level(s) ({shown}); a binomial response has two, "
            "the second being the success."
        )
    codes = values.cat.codes.to_numpy()
    return np.where(codes < 0, np.nan, codes).astype(np.float64)


def _counts(response: Response, environment: Environment, missing: MissingRows) -> tuple[Vector, Vector]:
    parts = []
    for expression in response.arguments or ():
        part = numbers(environment.evaluate_text(expression), f"{expression!r} in {response.text}", environment)
        missing.note(expression, null_rows(part, missing.n_rows, expression))
        bad = (part < 0) | (part != np.round(part)) & ~np.isnan(part)
        if bad.any():
            first = environment.columns.index[int(np.argmax(bad))]
            raise DataError(
                f"{expression!r} in {response.text} must hold counts (0, 1, 2, ...); "
                f"{int(bad.sum())} row(s) do not, the first is {first!r}."
            )
        parts.append(part)
    trials = parts[0] + parts[1]
    with np.errstate(invalid="ignore"):
        return np.where(trials > 0, parts[0] / trials, 0.0), trials
