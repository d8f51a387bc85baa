"""The vectors of a model: response (numbers, or the four spellings of a binomial one), prior weights, offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError
from mixfit.formula import CENSORED
from mixfit.matrices.columns import is_factor, normalise, null_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.formula.terms import Response
    from mixfit.matrices.columns import MissingRows
    from mixfit.matrices.environment import Environment


__all__ = [
    "argument_vector",
    "check_weights",
    "counted",
    "numbers",
    "read_binomial",
    "read_offsets",
    "read_response",
    "read_trials",
    "sum_offsets",
]

Vector = np.ndarray[Any, np.dtype[np.float64]]


def read_response(response: Response, environment: Environment, missing: MissingRows) -> Vector:
    """Evaluate the response; it must be one numeric column, finite wherever it is not missing."""
    if response.arguments is not None:
        raise DataError(f"{response.text} is a response for {response.purpose}; this model needs one number a row.")
    y = numbers(environment.evaluate(response.factor), f"Response {response.text!r}", environment)
    if np.isfinite(y).all():
        return y
    _note(response.text, y, environment, missing)
    infinite = np.isinf(y)
    if infinite.any():
        first = environment.columns.index[int(np.argmax(infinite))]
        raise DataError(
            f"Response {response.text!r} is infinite in {int(infinite.sum())} row(s), the first at {first!r}."
        )
    return y


def read_trials(response: Response, environment: Environment, missing: MissingRows) -> Vector:
    """The response of single trials, a part of the rows at a time: true or false, or 1 and 0.

    Which of two labels is a success all rows tell; a part of them does not.
    """
    what, value = f"Response {response.text!r}", environment.evaluate(response.factor)
    series = getattr(value, "__wrapped__", value)
    series = normalise(series if isinstance(series, pd.Series) else pd.Series(np.asarray(series)), what)
    truth = series.dtype.kind == "b"
    if is_factor(series) and not truth:
        raise DataError(f"{what} has labels, and rows come in batches: make a column of 1 and 0, or of truth values.")
    y = np.asarray(series, dtype=np.float64) if truth else numbers(value, what, environment)
    _note(response.text, y, environment, missing)
    if not np.isin(y[~np.isnan(y)], (0.0, 1.0)).all():
        raise DataError(
            f"{what} has other values than 0 and 1, and rows of a source are trials: read the data into a frame, and "
            "give the numbers of trials by weights=."
        )
    return y


def argument_vector(value: object, name: str, environment: Environment, missing: MissingRows) -> Vector:
    """Read `weights=` or `offset=`: a column, an expression, or an array with one value for each row."""
    what = f"The {name}"
    expression = value if isinstance(value, str) else None
    if isinstance(value, str):
        what, label = f"The {name} {value!r}", value
        value = environment.evaluate_text(value)
    else:
        label = name
        if isinstance(value, pd.Series) and not value.index.equals(environment.columns.index):
            raise DataError(
                f"The index of the {name} is not that of the data: bring them into the data's order by .reindex(), "
                "or pass .to_numpy() to go by position."
            )
    vector = numbers(value, what, environment)
    if expression is None:
        missing.note(label, null_rows(vector, missing.n_rows, label))
    else:
        _note(label, vector, environment, missing)
    if np.isinf(vector).any():
        raise DataError(f"{what} must be finite; {int(np.isinf(vector).sum())} row(s) are not.")
    return vector


def check_weights(weights: Vector) -> NDArray[np.bool_] | None:
    """Refuse negative weights and weights that sum to zero; return the rows of weight zero, if any."""
    if (weights < 0).any():
        raise DataError(f"Weights must not be negative; {int((weights < 0).sum())} row(s) are.")
    zero = weights == 0
    if not zero.any():
        return None
    if not (weights > 0).any():
        raise DataError("Weights sum to zero: no row would count.")
    return np.asarray(zero)


def sum_offsets(
    expressions: Sequence[str], array: object, environment: Environment, missing: MissingRows
) -> Vector | None:
    """Add up the offset expressions and an array given as ``offset=``; None if there is neither."""
    vectors = [argument_vector(expression, "offset", environment, missing) for expression in expressions]
    if array is not None:
        vectors.append(argument_vector(array, "offset", environment, missing))
    return np.asarray(sum(vectors[1:], vectors[0])) if vectors else None


def _note(expression: str, values: Vector, environment: Environment, missing: MissingRows) -> None:
    """Take down the rows in which an expression is missing, and those in which its columns are not."""
    rows = null_rows(values, missing.n_rows, expression)
    if rows is not None:
        missing.note(expression, rows, environment.without(expression))


def read_offsets(expressions: Sequence[str], environment: Environment) -> Vector:
    """Add up the offsets of new data, NaN where one is missing; zero if there are none."""
    total = np.zeros(environment.columns.n_rows)
    for expression in expressions:
        total += numbers(environment.evaluate_text(expression), f"The offset {expression!r}", environment)
    return total


def numbers(value: Any, what: str, environment: Environment) -> Vector:
    """One column of numbers, one for each row of the data."""
    n_rows = environment.columns.n_rows
    value = getattr(value, "__wrapped__", value)
    plain = isinstance(value, pd.Series) or type(value) is np.ndarray
    if plain and isinstance(value.dtype, np.dtype) and value.dtype.kind in "iuf" and value.shape == (n_rows,):
        values = value.to_numpy() if isinstance(value, pd.Series) else value
        return np.asarray(values, dtype=np.float64)
    if not isinstance(value, pd.Series):
        try:
            shape = np.shape(value)
        except ValueError as error:
            raise DataError(f"{what} must be one column of {n_rows} numbers, not lists of several lengths.") from error
        if len(shape) != 1:
            raise DataError(f"{what} must be one column of {n_rows} numbers, not of shape {shape}.")
        # A list goes as it is: numpy would make strings of its numbers beside a string.
        value = pd.Series(value if isinstance(value, (list, tuple)) else np.asarray(value))
    value = normalise(value, what)
    if len(value) != n_rows:
        raise DataError(f"{what} has {len(value)} values for {n_rows} rows.")
    if is_factor(value) or value.dtype.kind not in "iuf":
        kind = "categorical" if isinstance(value.dtype, pd.CategoricalDtype) else str(value.dtype)
        raise DataError(f"{what} must be numeric, not {kind}.")
    return np.asarray(value.to_numpy(), dtype=np.float64)


def read_binomial(response: Response, environment: Environment, missing: MissingRows) -> tuple[Vector, Vector | None]:
    """Proportions of success, and the trials where the response itself counts them (``cbind``)."""
    if response.function == CENSORED:
        raise DataError(f"{response.text} is a response for {response.purpose}; this model is of successes.")
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
    _note(response.text, y, environment, missing)
    if np.isinf(y).any():
        raise DataError(f"Response {response.text!r} is infinite in {int(np.isinf(y).sum())} row(s).")
    return y, None


def counted(counts: Vector, n: int) -> tuple[Vector, Vector]:
    """Proportions of events, and numbers of trials, from numbers of events and of others in n rows, (n, 2).

    Raises
    ------
    DataError
        For another shape, and rows without trials.
    """
    if counts.shape != (n, 2):
        raise DataError(f"The new response has shape {counts.shape}: events and others in {n} rows are of ({n}, 2).")
    if not (np.isfinite(counts) & (counts >= 0.0)).all():
        raise DataError("Numbers of events and of others are not negative, and none is missing.")
    trials = counts.sum(axis=1)
    if not trials.all():
        raise DataError(f"{int((trials == 0.0).sum())} row(s) of the new response have no trials: leave them out.")
    return counts[:, 0] / trials, trials


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
        counts = (part >= 0) & (part == np.round(part))
        parts.append(part)
        if counts.all():
            continue
        _note(expression, part, environment, missing)
        bad = ~counts & ~np.isnan(part)
        if bad.any():
            first = environment.columns.index[int(np.argmax(bad))]
            raise DataError(
                f"{expression!r} in {response.text} must hold counts (0, 1, 2, ...); "
                f"{int(bad.sum())} row(s) do not, the first is {first!r}."
            )
    trials = parts[0] + parts[1]
    with np.errstate(invalid="ignore"):
        return np.where(trials > 0, parts[0] / trials, 0.0), trials
