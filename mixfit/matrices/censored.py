"""Responses ``censored(time, event)``: times until an event that some rows have not had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FitError
from mixfit.matrices.columns import normalise, null_rows
from mixfit.matrices.types import Design
from mixfit.matrices.vectors import numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.formula import Response
    from mixfit.matrices.columns import MissingRows
    from mixfit.matrices.environment import Environment

__all__ = ["n_censored", "read_censored", "refuse_censored"]

Vector = np.ndarray[Any, np.dtype[np.float64]]


def read_censored(response: Response, environment: Environment, missing: MissingRows) -> Vector:
    """Evaluate the times; those of rows without an event get a minus sign, as the families of such times have it.

    Raises
    ------
    DataError
        For times that are not positive and finite, and events other than 0 and 1, False and True.
    """
    time_text, event_text = response.arguments or ("", "")
    times = numbers(environment.evaluate_text(time_text), f"{time_text!r} in {response.text}", environment)
    events = _events(environment.evaluate_text(event_text), event_text, response, environment)
    for text, values in ((time_text, times), (event_text, events)):
        rows = null_rows(values, missing.n_rows, text)
        if rows is not None:
            missing.note(text, rows, environment.without(text))
    _refuse(
        ~np.isnan(times) & ~((times > 0.0) & (times < np.inf)),
        f"{time_text!r} in {response.text} must hold times, positive and finite",
        environment,
    )
    _refuse(
        ~np.isnan(events) & (events != 0.0) & (events != 1.0),
        f"{event_text!r} in {response.text} must be 1 (True) where the event is seen and 0 (False) where the row is "
        "censored",
        environment,
    )
    return np.where(events == 0.0, -times, np.where(np.isnan(events), np.nan, times))


def n_censored(design: object) -> int:
    """Count the rows that are censored."""
    return int(np.count_nonzero(design.y < 0.0)) if isinstance(design, Design) and design.censored else 0


def refuse_censored(design: object, what: str) -> None:
    """Refuse what takes every response for the time of an event, or draws others of which each is one.

    Raises
    ------
    FitError
        Where the response is ``censored(time, event)`` and some row is.
    """
    if isinstance(design, Design) and n_censored(design):
        raise FitError(
            f"{design.endog_name} has times at which rows are censored, and {what} would take them for times of "
            "events: use the likelihood, and quantile_residuals(), which tell them apart."
        )


def _events(value: Any, text: str, response: Response, environment: Environment) -> Vector:
    value = getattr(value, "__wrapped__", value)
    series = normalise(value if isinstance(value, pd.Series) else pd.Series(np.asarray(value)), f"Column {text!r}")
    if series.dtype.kind == "b":
        return np.asarray(series.to_numpy(), dtype=np.float64)
    return numbers(value, f"{text!r} in {response.text}", environment)


def _refuse(bad: NDArray[np.bool_], message: str, environment: Environment) -> None:
    if bad.any():
        first = environment.columns.index[int(np.argmax(bad))]
        raise DataError(f"{message}; {int(bad.sum())} row(s) are not, the first is {first!r}.")
