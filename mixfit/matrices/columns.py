"""The user's columns, read one by one when something asks for them, and the rows that lack a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.errors import DataError, UndefinedValuesWarning, warn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[Any]
    Kind = Literal["number", "factor", "other"]


__all__ = ["Coded", "Columns", "MissingRows", "code_factor", "is_factor", "normalise", "null_rows"]

# What pandas calls dates in a column of objects.
_DATES = ("date", "datetime", "datetime64")
# What may stand in a cell of a column of objects, and is no label.
_NESTED = (list, tuple, dict, set, frozenset, np.ndarray, pd.Series, pd.DataFrame)


class Columns(Mapping[str, pd.Series]):
    """A read-only mapping from column names to Series with a RangeIndex.

    Nothing is copied or converted before it is asked for, and the user's frame is never touched.

    Parameters
    ----------
    data : pandas.DataFrame, mapping, or any frame that narwhals reads eagerly
    what : str
        What errors call the data.
    """

    def __init__(self, data: object, what: str = "data"):
        if isinstance(data, Mapping) and not isinstance(data, pd.DataFrame):
            data = _mapping_frame(data, what)
        self.what = what
        self._frame: Any = data if isinstance(data, pd.DataFrame) else _narwhals_frame(data, what)
        self._is_pandas = isinstance(data, pd.DataFrame)
        self._names: Any = self._frame.columns
        self._read: dict[str, pd.Series] = {}
        self._ranged: dict[str, pd.Series] = {}
        self._kinds: dict[str, Kind] = {}
        self._numbers: dict[str, Numbers] = {}
        self._coded: dict[str, Coded] = {}
        self.n_rows: int = len(self._frame)
        #: Row labels: the user's index, or row numbers for frames without one.
        self.index: pd.Index = self._frame.index if self._is_pandas else self.range
        if self._is_pandas and not self._names.is_unique:
            twice = [str(name) for name in self._names[self._names.duplicated()].unique()]
            raise duplicate_names(twice, what)

    def __getitem__(self, name: str) -> pd.Series:
        if name not in self._ranged:
            series = self.labelled(name)
            index = series.index
            if not (isinstance(index, pd.RangeIndex) and (index.start, index.step) == (0, 1)):
                # Transforms and formulaic drop rows by label, which a repeated label would break.
                series = series.set_axis(self.range)
            self._ranged[name] = series
        return self._ranged[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def range(self) -> pd.RangeIndex:
        """Numbers of the rows."""
        return pd.RangeIndex(self.n_rows)

    def labelled(self, name: str) -> pd.Series:
        """A column under the labels of the user's frame."""
        if name not in self._read:
            if name not in self._names:
                raise KeyError(name)
            series = self._frame[name] if self._is_pandas else _narwhals_series(self._frame, name)
            if not isinstance(series, pd.Series):
                raise DataError(
                    f"Column {name!r} of the {self.what} is a table of {series.shape[1]} columns: give each a name of "
                    "its own."
                )
            self._read[name] = normalise(series, f"column {name!r} of the {self.what}")
        return self._read[name]

    def kind(self, name: str) -> Kind:
        """Whether a column holds numbers, a factor, or something that only an expression can use (such as dates)."""
        if name not in self._kinds:
            series = self.labelled(name)
            numeric = series.dtype.kind in "iuf"
            self._kinds[name] = "factor" if is_factor(series) else "number" if numeric else "other"
        return self._kinds[name]

    def numbers(self, name: str) -> Numbers:
        """A column of numbers as it is stored, shape (n,)."""
        if name not in self._numbers:
            self._numbers[name] = self.labelled(name).to_numpy()
        return self._numbers[name]

    def coded(self, name: str) -> Coded:
        """Codes of a column, made once."""
        if name not in self._coded:
            self._coded[name] = code_factor(self.labelled(name), name)
        return self._coded[name]


def duplicate_names(names: list[str], what: str) -> DataError:
    """Make the error for column names that occur more than once."""
    return DataError(f"Duplicate column names in the {what}: {', '.join(map(repr, names))}. Rename them.")


def is_factor(values: pd.Series) -> bool:
    """Whether a column is a factor: strings, categories or booleans."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return dtype.kind in "bO"
    return isinstance(dtype, (pd.CategoricalDtype, pd.StringDtype))


def normalise(series: pd.Series, what: str) -> pd.Series:
    """Bring a column to a numpy number, boolean, datetime, string or categorical dtype."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _normalise_objects(series, what) if dtype == np.object_ else series
    if isinstance(dtype, pd.CategoricalDtype):
        levels = dtype.categories
        if _marks_na(levels.dtype):
            return series.cat.rename_categories(list(levels))
        if levels.inferred_type in (*_DATES, "period"):
            return series.cat.rename_categories(pd.Index(normalise(pd.Series(levels), what)))
        return series
    if isinstance(dtype, pd.StringDtype):
        return series.astype(object) if _marks_na(dtype) else series
    if isinstance(dtype, pd.SparseDtype):
        return normalise(pd.Series(np.asarray(series), index=series.index), what)
    if pd.api.types.is_bool_dtype(dtype):
        return _booleans(series)
    if pd.api.types.is_integer_dtype(dtype) and not series.isna().any():
        return series.astype(np.int64)
    if pd.api.types.is_numeric_dtype(dtype):
        # Nullable numbers: floats hold their missing values as NaN.
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return pd.Series(numbers, index=series.index)
    if isinstance(dtype, pd.PeriodDtype):
        # A date is the same date however it is stored.
        return series.dt.to_timestamp()
    if isinstance(dtype, (pd.DatetimeTZDtype, pd.IntervalDtype)):
        return series
    # Arrow strings, dictionaries, dates: as Python objects.
    return _normalise_objects(series.astype(object), what)


def _marks_na(dtype: Any) -> bool:
    """Whether missing values of a dtype are pandas.NA, which turns dummy columns into objects."""
    return isinstance(dtype, pd.api.extensions.ExtensionDtype) and getattr(dtype, "na_value", None) is pd.NA


def _normalise_objects(series: pd.Series, what: str) -> pd.Series:
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind == "boolean":
        return _booleans(series)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal", "empty"):
        return pd.Series(pd.to_numeric(series, errors="coerce"), index=series.index).astype(np.float64)
    if kind in _DATES:
        return _dates(series)
    if kind == "period":
        return pd.Series(pd.PeriodIndex(series).to_timestamp(), index=series.index)
    if kind in ("mixed", "mixed-integer"):
        present = series.notna()
        if not present.all() and pd.api.types.infer_dtype(series[present]) not in ("mixed", "mixed-integer"):
            # Only what stands for a missing value is of another type.
            return _normalise_objects(series.where(present, None), what)
        kinds = sorted({type(value).__name__ for value in series[present]})
        what = f"{what[0].upper()}{what[1:]}"
        if any(isinstance(value, _NESTED) for value in series[present]):
            raise DataError(
                f"{what} holds several values a row ({', '.join(kinds)}): give it one number or label a row."
            )
        if len(kinds) == 1:
            raise DataError(f"{what} holds values that are neither numbers nor labels ({kinds[0]}).")
        raise DataError(f"{what} mixes types ({', '.join(kinds)}): make it all one.")
    return series


def _dates(series: pd.Series) -> pd.Series:
    try:
        return pd.to_datetime(series)
    except (ValueError, TypeError):
        # Of several zones, or beyond what a datetime64 can hold: labels as good as any.
        return series


def _booleans(series: pd.Series) -> pd.Series:
    if series.isna().any():
        objects = series.astype(object)
        return objects.where(objects.notna(), None).astype(pd.CategoricalDtype([False, True]))
    return series.astype(np.bool_)


def _mapping_frame(data: Mapping[Any, Any], what: str) -> pd.DataFrame:
    tables = [
        name for name, column in data.items() if isinstance(column, (np.ndarray, pd.DataFrame)) and column.ndim > 1
    ]
    if tables:
        raise DataError(f"Column {tables[0]!r} of the {what} is a table: give each of its columns a name of its own.")
    try:
        return pd.DataFrame(data)
    except ValueError as error:
        lengths = [f"{name} ({len(column)})" for name, column in data.items() if np.ndim(column)]
        if not lengths:
            raise DataError(f"The columns of the {what} are single values: give one for each row.") from error
        raise DataError(f"The columns of the {what} are of different lengths: {', '.join(lengths)}.") from error


def _narwhals_frame(data: object, what: str) -> Any:
    import narwhals as nw

    try:
        frame = nw.from_native(data, eager_only=True)  # type: ignore[call-overload]
        names = list(frame.columns)
    except TypeError as error:
        raise DataError(
            f"The {what} must be a pandas, polars or pyarrow table in memory, not {type(data).__name__}."
        ) from error
    except nw.exceptions.DuplicateError as error:
        names = [str(name) for name in getattr(data, "column_names", [])]
        raise duplicate_names(sorted({n for n in names if names.count(n) > 1}), what) from error
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise duplicate_names(twice, what)
    return frame


def _narwhals_series(frame: Any, name: str) -> pd.Series:
    column = frame.get_column(name)
    if column.dtype.is_numeric() and not column.dtype.is_decimal() and not column.is_null().any():
        return pd.Series(column.to_numpy())
    # The native library's own conversion keeps dictionaries as categories; narwhals' does not.
    series: pd.Series = column.to_native().to_pandas().reset_index(drop=True)
    if isinstance(series.dtype, pd.CategoricalDtype) and _has_no_level_order(column):
        return series.cat.set_categories(sorted(series.cat.categories))
    return series


def _has_no_level_order(column: Any) -> bool:
    """Whether the categories come in no order that means anything, as polars' Categorical (not Enum)."""
    return bool(column.implementation.is_polars()) and str(column.dtype) == "Categorical"


@dataclass(frozen=True)
class Coded:
    """One column as codes: -1 where missing; `complete` says that every level is known to occur."""

    codes: NDArray[np.intp]
    levels: pd.Index
    complete: bool

    @cached_property
    def labels(self) -> tuple[Any, ...]:
        """The levels as Python objects."""
        return tuple(self.levels)


def code_factor(values: pd.Series, name: str) -> Coded:
    """Code one column: category order for categoricals, sorted otherwise."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes: NDArray[np.intp] = np.asarray(values.array.codes, dtype=np.intp)
        return Coded(codes, values.dtype.categories, False)
    if values.dtype == np.bool_:
        return Coded(values.to_numpy(dtype=np.intp), pd.Index([False, True]), False)
    try:
        raw, levels = pd.factorize(values, sort=True)
    except TypeError as error:
        raise DataError(f"Factor {name!r} holds values that cannot be ordered ({error}).") from error
    codes = np.asarray(raw, dtype=np.intp)
    return Coded(codes, pd.Index(levels), True)


class MissingRows:
    """Collects the rows in which anything that the model uses is missing."""

    def __init__(self, n_rows: int):
        self.n_rows = n_rows
        self.counts: dict[str, int] = {}
        self.undefined: dict[str, int] = {}
        self.rows: NDArray[np.bool_] | None = None

    def note(self, name: str, rows: NDArray[np.bool_] | None, without: NDArray[np.bool_] | None = None) -> None:
        """Take down the rows in which `name` is missing (None for none).

        Of an expression, `without` are the rows in which a column that it looks up is missing: that it has no value in
        others is worth a word.
        """
        if rows is None or name in self.counts:
            return
        self.counts[name] = int(np.count_nonzero(rows))
        self.rows = rows.copy() if self.rows is None else self.rows | rows
        if without is not None and (undefined := int(np.count_nonzero(rows & ~without))):
            self.undefined[name] = undefined

    def say_undefined(self) -> None:
        """Warn of expressions without a value where none of their columns is missing."""
        if self.undefined:
            listed = ", ".join(f"`{name}` ({count})" for name, count in self.undefined.items())
            warn(
                f"Expressions without a value in rows in which their columns have one: {listed}. These rows are left "
                "out.",
                UndefinedValuesWarning,
            )

    def refuse(self) -> None:
        """Raise a DataError that names everything that is missing and how often."""
        if self.counts:
            listed = ", ".join(f"{name} ({count})" for name, count in self.counts.items())
            raise DataError(f"Missing values (rows) in: {listed}. na_action='drop' leaves these rows out.")


def null_rows(values: Any, n_rows: int, name: str) -> NDArray[np.bool_] | None:
    """Rows of a column, a matrix or a dict of columns that hold a missing value; None if no row does."""
    values = getattr(values, "__wrapped__", values)
    if isinstance(values, dict):
        found = [null_rows(v, n_rows, name) for k, v in values.items() if not str(k).startswith("__")]
        masks = [mask for mask in found if mask is not None]
        return np.logical_or.reduce(masks) if masks else None
    try:
        n_dimensions = np.ndim(values)
    except ValueError as error:
        raise DataError(f"`{name}` gives lists of several lengths, not one number or label a row.") from error
    if values is None or n_dimensions == 0:
        return None
    if len(values) != n_rows:
        raise DataError(f"`{name}` gives {len(values)} values for {n_rows} rows.")
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "iub":
        return None
    # isna on a float column takes a detour that isnan does not.
    numeric = isinstance(dtype, np.dtype) and dtype.kind == "f"
    mask = np.asarray(np.isnan(np.asarray(values)) if numeric else pd.isna(values), dtype=np.bool_)
    if mask.ndim > 1:
        mask = np.asarray(mask.any(axis=tuple(range(1, mask.ndim))))
    return mask if mask.any() else None
