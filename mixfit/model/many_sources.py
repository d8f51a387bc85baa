"""The data of many fits: groups of rows, or responses over the same rows, each as a formula with a frame."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from mixfit.errors import ArgumentError, DataError, FormulaError
from mixfit.formula import parse, parse_predictor
from mixfit.matrices.alike import Alike, alike_groups
from mixfit.matrices.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["FitSource", "ResponseColumns", "RowGroups", "read_groups", "read_responses"]

# Options that may be one value a row.
_BY_ROW = ("weights", "offset", "sigma")
# Names in an expression or a formula, in backticks where they are no identifiers.
_NAME = re.compile(r"`([^`]+)`|([^\W\d]\w*)")
# What tells responses of one design apart, beside the covariates: a name that no formula has.
_KIND = "\0kind of response"


class FitSource(Protocol):
    """What is fitted, by number."""

    @property
    def keys(self) -> pd.Index:
        """What each is called."""
        ...

    @property
    def has_columns(self) -> bool:
        """Whether responses are columns as they stand, so that they may be exchanged in a design."""
        ...

    def alike(self) -> list[Alike]:
        """Those of one design."""
        ...

    def responses(self, alike: Alike) -> Array:
        """Responses (R, n) of these, rows in their common order."""
        ...

    def piece(self, number: int, rows: Index | None = None) -> tuple[str, pd.DataFrame]:
        """The formula and the data of one, of `rows` alone where they are given."""
        ...


@dataclass(frozen=True, eq=False)
class RowGroups:
    """Groups of the rows of a frame.

    Attributes
    ----------
    formula : str
    response : str
        The left-hand side.
    frame : DataFrame
        What the formula looks up. Rows with missing values are among them: transforms learn from what such rows have.
    keys : Index
    group : ndarray of intp, shape (n,)
    """

    formula: str
    response: str
    frame: pd.DataFrame
    keys: pd.Index
    group: Index

    def split(self) -> tuple[RowGroups, Index]:
        """The rows in which nothing is missing, though some groups may have none; and the groups that have others."""
        there = self.frame.notna().all(axis=1).to_numpy()
        complete = replace(self, frame=self.frame[there].reset_index(drop=True), group=self.group[there])
        return complete, np.unique(self.group[~there])

    @property
    def has_columns(self) -> bool:
        """Whether the left-hand side computes nothing: a column of numbers."""
        return self.response in self.frame and self.frame[self.response].dtype.kind in "iuf"

    def alike(self) -> list[Alike]:
        """Groups with the same covariates, whose responses are missing, or infinite, in the same rows."""
        kind = _kind(self._numbers())
        return alike_groups(self.frame.drop(columns=self.response).assign(**{_KIND: kind}), self.group)

    def responses(self, alike: Alike) -> Array:
        """The values of the response's column."""
        return np.asarray(self._numbers()[alike.rows])

    def _numbers(self) -> Array:
        return self.frame[self.response].to_numpy(dtype=np.float64)

    def piece(self, number: int, rows: Index | None = None) -> tuple[str, pd.DataFrame]:
        """The group's rows, in the order of the data."""
        own = np.flatnonzero(self.group == number) if rows is None else rows
        return self.formula, self.frame.iloc[own].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class ResponseColumns:
    """Responses over the rows of a frame.

    Attributes
    ----------
    formula : str
        One-sided.
    frame : DataFrame
        The covariates.
    keys : Index
    values : ndarray, shape (n, R)
    """

    formula: str
    frame: pd.DataFrame
    keys: pd.Index
    values: Array

    @property
    def has_columns(self) -> bool:
        """They are."""
        return True

    def alike(self) -> list[Alike]:
        """Responses that are missing, or infinite, in the same rows."""
        kinds, which = np.unique(_kind(self.values), axis=1, return_inverse=True)
        members = [np.flatnonzero(which.reshape(-1) == x) for x in range(kinds.shape[1])]
        rows = np.arange(len(self.values))
        return [Alike(own, np.broadcast_to(rows, (len(own), len(rows)))) for own in members]

    def responses(self, alike: Alike) -> Array:
        """Their columns."""
        return np.ascontiguousarray(self.values[:, alike.members].T)

    def piece(self, number: int, rows: Index | None = None) -> tuple[str, pd.DataFrame]:
        """The covariates beside one response."""
        name = str(self.keys[number])
        own = slice(None) if rows is None else rows
        frame = self.frame.iloc[own].assign(**{name: self.values[own, number]}).reset_index(drop=True)
        return f"{name if name.isidentifier() else f'`{name}`'} {self.formula}", frame


def read_groups(formula: str, data: Any, by: str | Sequence[str], options: Mapping[str, Any]) -> RowGroups:
    """Rows of each group; those without a group are left out.

    Raises
    ------
    DataError
        Where there is no column of that name.
    ArgumentError
        For options that are one value a row.
    """
    columns = Columns(data)
    names = [by] if isinstance(by, str) else list(by)
    for name in names:
        if name not in columns:
            raise DataError(f"The data have no column {name!r} to group by.")
    parsed = parse(formula, random=None)
    frame = _looked_up(parsed.variables, columns, options, names if parsed.uses_dot else None)
    groups = pd.DataFrame({name: columns[name] for name in names})
    known = groups.notna().all(axis=1)
    frame, groups = frame[known].reset_index(drop=True), groups[known]
    labels = groups[names[0]] if len(names) == 1 else pd.MultiIndex.from_frame(groups)
    codes, keys = pd.factorize(labels, sort=True)
    keys = pd.Index(keys, name=names[0]) if len(names) == 1 else keys.set_names(names)
    return RowGroups(formula, parsed.response.text, frame, keys, codes.astype(np.intp))


def read_responses(
    formula: str, data: Any, responses: Sequence[str] | pd.DataFrame, options: Mapping[str, Any]
) -> ResponseColumns:
    """Responses as columns of the data, or of a frame of their own with as many rows.

    Raises
    ------
    FormulaError
        Where the formula has a response already.
    DataError
        Where a column is not there, is no number, or has another number of rows.
    ArgumentError
        For options that are one value a row.
    """
    if not formula.lstrip().startswith("~"):
        raise FormulaError(f"With responses= the formula has none of its own: write '~ x + (1 | g)', not {formula!r}.")
    columns = Columns(data)
    own = columns if not isinstance(responses, pd.DataFrame) else Columns(responses, "frame of responses")
    names = list(own) if isinstance(responses, pd.DataFrame) else list(responses)
    missing = [name for name in names if name not in own]
    if missing:
        raise DataError(f"The data have no column {missing[0]!r} among the responses.")
    if own.n_rows != columns.n_rows:
        raise DataError(f"The responses have {own.n_rows} rows, and the data {columns.n_rows}.")
    parsed = parse_predictor(formula)
    frame = _looked_up(parsed.variables, columns, options, names if parsed.uses_dot else None)
    values = np.empty((columns.n_rows, len(names)))
    for j, name in enumerate(names):
        try:
            values[:, j] = own[name].to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"The response {name!r} is not a column of numbers: {error}") from error
    return ResponseColumns(formula, frame, pd.Index(names, name="response"), values)


def _kind(values: Array) -> NDArray[np.int8]:
    """0 where a response is a number, 1 where it is missing, 2 where it is infinite."""
    return np.isnan(values) + np.int8(2) * np.isinf(values)


def _looked_up(
    variables: Sequence[str], columns: Columns, options: Mapping[str, Any], all_but: Sequence[str] | None
) -> pd.DataFrame:
    """The columns that a formula and the options look up; all but some where a dot stands for them."""
    wanted = [name for name in variables if name in columns]
    for option, given in options.items():
        if isinstance(given, str):
            wanted += [given, *(name for found in _NAME.findall(given) for name in found)]
        elif option in _BY_ROW and np.ndim(given):
            raise ArgumentError(f"{option}= names a column or an expression here: rows are taken apart.")
    if all_but is not None:
        wanted += [name for name in columns if name not in all_but]
    return pd.DataFrame({name: columns[name] for name in dict.fromkeys(wanted) if name in columns})
