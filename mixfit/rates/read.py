"""From what a user gives (arrays, column names, a formula) to units with counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.brief import brief
from mixfit.errors import ArgumentError, DataError, FormulaError
from mixfit.formula import parse, variables_of
from mixfit.gram.basis import fixed_basis
from mixfit.matrices.build import build
from mixfit.matrices.columns import Coded, Columns, MissingRows, code_factor, normalise, null_rows
from mixfit.matrices.environment import Environment
from mixfit.matrices.grouping import cross
from mixfit.matrices.vectors import numbers, read_binomial
from mixfit.rates.units import Units, aggregate, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["UnitData", "read_units"]

# Columns of a unit without trials are combinations of the others to about 1e-12.
_SAME = 1e-8


@dataclass(frozen=True, eq=False)
class UnitData:
    """Units, and what was left out on the way to them.

    Attributes
    ----------
    units : Units
        Their covariates without the aliased ones.
    aliased : tuple of str
        Covariates left out because earlier ones determine them.
    n_dropped : int
        Rows left out for missing values.
    """

    units: Units
    aliased: tuple[str, ...]
    n_dropped: int

    __repr__ = brief


def read_units(successes: Any, trials: Any, data: object, by: Any, na_action: Literal["drop", "raise"]) -> UnitData:
    """Read counts and covariates and add up the rows of every unit; parameters as for `mixfit.beta_binomial`.

    Raises
    ------
    FormulaError, DataError
    """
    if na_action not in ("drop", "raise"):
        raise ArgumentError(f"na_action is 'drop' or 'raise', not {na_action!r}.")
    if data is None and (isinstance(successes, str) or isinstance(trials, str)):
        raise DataError("Names of columns and formulas need data=.")
    labelled = [part.index for part in (data, successes, trials, by) if isinstance(part, (pd.Series, pd.DataFrame))]
    if not all(index.equals(labelled[0]) for index in labelled[1:]):
        raise DataError(
            "The series of successes, trials and units have different indexes, or another than data=: bring them into "
            "one frame."
        )
    frame = pd.DataFrame(index=labelled[0] if labelled else _row_numbers(successes)) if data is None else data
    environment = Environment(Columns(frame), {}, {})
    if environment.columns.n_rows == 0:
        raise DataError("The data have no rows.")
    missing = MissingRows(environment.columns.n_rows)
    if isinstance(successes, str) and "~" in successes:
        if trials is not None:
            raise FormulaError("A formula counts the trials itself: cbind(successes, failures) ~ x, without trials=.")
        y, n, X, offset, names = _read_formula(successes, frame, environment, missing, by)
    else:
        y, n = _read_counts(successes, trials, environment, missing)
        X, offset, names = np.ones((len(y), 1)), np.zeros(len(y)), ("Intercept",)
    coded = _read_by(by, environment, missing)
    if na_action == "raise":
        missing.refuse()
    keep = np.ones(len(y), dtype=bool) if missing.rows is None else ~missing.rows
    if not keep.any():
        raise DataError(f"No row is left: all {len(y)} rows have a missing value.")
    codes, labels = _units_of(coded, environment.columns.index, keep)
    units = aggregate(y[keep], n[keep], X[keep], offset[keep], codes, labels, names)
    if not units.n.any():
        raise DataError("No unit has any trials.")
    kept = fixed_basis(units.X[units.n > 0.0].T).kept
    _require_known_means(units, kept)
    aliased = tuple(name for j, name in enumerate(names) if j not in kept)
    units = replace(units, X=units.X[:, kept], labels=labels, exog_names=tuple(names[j] for j in kept))
    return UnitData(units, aliased, int((~keep).sum()))


def _require_known_means(units: Units, kept: NDArray[np.intp]) -> None:
    """Refuse a unit without trials whose covariates are no combination of those of the others."""
    seen, left = units.X[units.n > 0.0], np.setdiff1d(np.arange(units.X.shape[1]), kept)
    combination = np.linalg.lstsq(seen[:, kept], seen[:, left], rcond=None)[0]
    size = np.abs(units.X[:, left]).max(axis=0, initial=0.0)
    unknown = (np.abs(units.X[:, left] - units.X[:, kept] @ combination) > _SAME * size).any(axis=1)
    if unknown.any():
        name = name_of(units.labels, int(np.argmax(unknown)))
        raise DataError(
            f"The mean of unit {name} cannot be estimated: it has no trials, and no unit with trials has covariates "
            "like its own. Leave it out."
        )


def _row_numbers(successes: Any) -> pd.Index:
    if np.ndim(successes) != 1:
        raise DataError(f"Successes must be one column of counts, not of shape {np.shape(successes)}.")
    return pd.RangeIndex(len(successes))


def _read_counts(successes: Any, trials: Any, environment: Environment, missing: MissingRows) -> tuple[Array, Array]:
    if trials is None:
        raise DataError("Give the trials beside the successes, or a formula cbind(successes, failures) ~ 1.")
    if np.ndim(trials) == 0 and not isinstance(trials, str):
        trials = np.full(environment.columns.n_rows, trials)
    parts = []
    for value, role in ((successes, "successes"), (trials, "trials")):
        label, what = role, role.capitalize()
        if isinstance(value, str):
            label, what, value = value, f"{what} {value!r}", environment.evaluate_text(value)
        column = normalise(_column(value, what), what)
        # Of rows of one trial, whether it was a success.
        counts = column.astype(np.float64) if pd.api.types.is_bool_dtype(column) else column
        part = numbers(counts, what, environment)
        missing.note(label, null_rows(part, missing.n_rows, label))
        with np.errstate(invalid="ignore"):
            _refuse(
                (part < 0) | (part != np.round(part)) | np.isinf(part),
                part,
                environment,
                f"{label!r} must hold counts (0, 1, 2, ...)",
            )
        parts.append(part)
    y, n = parts
    _refuse(y > n, y, environment, "Successes must not be more than the trials")
    return y, n


def _column(value: Any, what: str) -> pd.Series[Any]:
    """One column as a Series of its own type: categories keep their order, numbers beside strings stay numbers."""
    value = getattr(value, "__wrapped__", value)
    if np.ndim(value) != 1:
        raise DataError(f"{what} must be one value for each row, not of shape {np.shape(value)}.")
    if isinstance(value, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray, list, tuple)):
        return pd.Series(value)
    return pd.Series(np.asarray(value))


def _refuse(bad: NDArray[np.bool_], values: Array, environment: Environment, message: str) -> None:
    bad = bad & ~np.isnan(values)
    if bad.any():
        first = int(np.argmax(bad))
        name = name_of(environment.columns.index, first)
        raise DataError(
            f"{message}: so it is not in {int(bad.sum())} row(s), the first being {name} ({values[first]:g})."
        )


def _read_formula(
    formula: str, data: object, environment: Environment, missing: MissingRows, by: Any
) -> tuple[Array, Array, Array, Array, tuple[str, ...]]:
    parsed = parse(formula, random=False)
    if parsed.uses_dot:
        taken = {*variables_of(parsed.response.factor), *(name for name in _names(by) if isinstance(name, str))}
        columns = tuple(name for name in environment.columns if name not in taken)
        parsed = replace(parse(formula, columns, random=False), uses_dot=False)
    environment.require(parsed.variables)
    rates, n = read_binomial(parsed.response, environment, missing)
    if n is None:
        n = np.ones(len(rates))
        _refuse(
            (rates != 0.0) & (rates != 1.0),
            rates,
            environment,
            f"{parsed.response.text!r} must be 0 or 1 in a row of one trial (or be cbind(successes, failures))",
        )
    # A row without trials has no weight in a model, and yet its unit has a mean: the fitted encodings read all rows.
    design = build(parsed, data, binomial=True, residual=False)
    rows = design.reader.read(data, (), own=True)
    missing.note("the covariates", null_rows(np.column_stack([rows.X, rows.offset]), missing.n_rows, "the covariates"))
    return np.round(rates * n), n, rows.X, rows.offset, design.exog_names


def _names(by: Any) -> Sequence[Any]:
    return by if isinstance(by, (list, tuple)) else [by]


def _read_by(by: Any, environment: Environment, missing: MissingRows) -> dict[str, Coded]:
    """Code each column of the units; none where every row is a unit."""
    if by is None:
        return {}
    # A list may hold names of columns or a label for each row.
    names = _names(by)
    named = all(isinstance(name, str) for name in names) and (
        len(names) != environment.columns.n_rows or all(name in environment.columns for name in names)
    )
    coded = {}
    for name, value in [(name, name) for name in names] if named else [("by", by)]:
        series = _column(environment.evaluate_text(value) if named else value, "by=")
        if len(series) != environment.columns.n_rows:
            raise DataError(f"by={name!r} has {len(series)} values for {environment.columns.n_rows} rows.")
        coded[name] = code_factor(normalise(series.reset_index(drop=True), f"by={name!r}"), name)
        unknown = coded[name].codes < 0
        missing.note(name, unknown if unknown.any() else None)
    return coded


def _units_of(coded: dict[str, Coded], index: pd.Index, keep: NDArray[np.bool_]) -> tuple[NDArray[np.intp], pd.Index]:
    if coded:
        grouping, _ = cross(tuple(coded), coded, None if keep.all() else keep, {})
        if keep.all():
            # A category without rows is no unit.
            used, codes = np.unique(grouping.codes, return_inverse=True)
            return codes.astype(np.intp), grouping.levels[used]
        return grouping.codes, grouping.levels
    labels = index[keep]
    if not labels.is_unique:
        twice = name_of(labels[labels.duplicated()], 0)
        raise DataError(
            f"Two rows are labelled {twice}. If they are one unit, name the units with by=; if not, give the rows "
            "labels of their own: data.reset_index(drop=True)."
        )
    return np.arange(len(labels), dtype=np.intp), labels
