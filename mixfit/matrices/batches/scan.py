"""The first pass over the rows: levels, what transforms learn, what is missing, and a few rows that stand for all.

The rows that are kept show every level, every combination of levels that a term or a grouping factor has, the ends of
what splines are made of, and a sample spread over the whole source. What a model's columns are called, and how they
follow from the data, is the same for them as for all rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import DataError, UndefinedValuesWarning, warn
from mixfit.matrices.batches.asked import present_rows
from mixfit.matrices.batches.labels import combinations_of
from mixfit.matrices.batches.learned import ColumnMoments, PolynomialMoments, learned_state
from mixfit.matrices.batches.quantiles import quantiles
from mixfit.matrices.vectors import numbers
from mixfit.sources.source import require_pyarrow

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from mixfit.matrices.batches.asked import Asked, Present
    from mixfit.matrices.batches.labels import Seen
    from mixfit.matrices.batches.learned import Learned
    from mixfit.matrices.environment import Environment

__all__ = ["SAMPLE", "Scan", "check_counts", "in_memory_types", "scan", "without_dictionaries"]

#: Rows spread over the source, at least (half of them where there are as many). They tell means to a few percent of
#: a standard deviation, which is all that a provisional basis needs.
SAMPLE = 4096


@dataclass(frozen=True, eq=False)
class Scan:
    """What the first pass found.

    Attributes
    ----------
    table : pyarrow.Table
        The rows that stand for all, their columns of the types that they have in memory.
    state : dict
        What transforms learned, by their calls.
    n_rows, n_used, n_dropped : int
        Rows of the source, those that the model uses, and those left out for missing values.
    """

    table: pa.Table
    state: dict[str, Any]
    n_rows: int
    n_used: int
    n_dropped: int

    def with_rows(self, tables: Sequence[pa.Table]) -> Scan:
        """The same with further rows among those that stand for all."""
        pa = require_pyarrow()
        more = [table.cast(self.table.schema) for table in tables]
        return replace(self, table=pa.concat_tables([self.table, *more]).unify_dictionaries())


def scan(asked: Asked, na_action: str) -> Scan:
    """Read all rows once, and their transformed columns once more where a polynomial is among them.

    Raises
    ------
    DataError
        Where no row can be used, or, with ``na_action="raise"``, a value is missing.
    """
    found = asked.reduced(_find, _merged)
    check_counts(found.n_rows, found.n_used, found.missing, found.undefined, na_action)
    calls, moments = _calls(asked), found.moments
    state = {key: own for key, call in calls.items() if (own := learned_state(call, moments[key])) is not None}
    state |= _polynomials(asked, [call for call in calls.values() if call.degree], moments)
    state |= {key: _knots(asked, call, moments[key]) for key, call in calls.items() if call.n_knots}
    return Scan(found.rows.table(), state, found.n_rows, found.n_used, found.n_dropped)


@dataclass(eq=False)
class _Found:
    """What some of the rows show."""

    rows: _Rows
    moments: dict[str, ColumnMoments]
    missing: Counter[str]
    undefined: Counter[str]
    n_rows: int = 0
    n_used: int = 0
    n_dropped: int = 0

    def merge(self, other: _Found) -> None:
        """Take in what other rows show."""
        self.rows.merge(other.rows)
        for key, moments in other.moments.items():
            self.moments[key].merge(moments)
        self.missing.update(other.missing)
        self.undefined.update(other.undefined)
        self.n_rows += other.n_rows
        self.n_used += other.n_used
        self.n_dropped += other.n_dropped


def _calls(asked: Asked) -> dict[str, Learned]:
    return {call.key: call for found in asked.learned.values() for call in found}


# What an expression computes of values outside its domain is missing, and said.
@np.errstate(divide="ignore", invalid="ignore")
def _find(asked: Asked) -> _Found:
    calls = _calls(asked)
    found = _Found(_Rows(asked.columns), {key: ColumnMoments() for key in calls}, Counter(), Counter())
    seen: list[Seen] | None = None
    for table in asked.tables():
        environment = asked.environment(table, {})
        present = present_rows(asked, environment)
        found.missing.update(present.missing.counts)
        found.undefined.update(present.missing.undefined)
        seen = combinations_of(asked, environment) if seen is None else seen
        used = np.arange(table.num_rows) if present.keep is None else np.flatnonzero(present.keep)
        new = [one.new_rows(environment, used) for one in seen]
        new += _ends(calls, found.moments, environment)
        found.rows.add(table, np.unique(np.concatenate([*new, np.empty(0, dtype=np.intp)])), used)
        found.n_rows, found.n_used = found.n_rows + table.num_rows, found.n_used + len(used)
        found.n_dropped += _count(present)
    return found


def _merged(parts: list[_Found]) -> _Found:
    first, *others = parts
    for other in others:
        first.merge(other)
    return first


def _count(present: Present) -> int:
    return 0 if present.missing.rows is None else int(np.count_nonzero(present.missing.rows))


def check_counts(n_rows: int, n_used: int, missing: Counter[str], undefined: Counter[str], na_action: str) -> None:
    """Refuse data of which no row can be used, and missing values where they are to be refused; say what is undefined.

    `missing` and `undefined` are numbers of rows by name.
    """
    listed = ", ".join(f"{name} ({count})" for name, count in missing.items())
    if not n_rows:
        raise DataError("The data have no rows.")
    if missing and na_action == "raise":
        raise DataError(f"Missing values (rows) in: {listed}. na_action='drop' leaves these rows out.")
    if not n_used:
        raise DataError(f"No row is left: all {n_rows} rows have a missing value or weight zero: {listed}.")
    if undefined:
        names = ", ".join(f"`{name}` ({count})" for name, count in undefined.items())
        warn(
            f"Expressions without a value in rows in which their columns have one: {names}. These rows are left out.",
            UndefinedValuesWarning,
        )


def _ends(
    calls: dict[str, Learned], moments: dict[str, ColumnMoments], environment: Environment
) -> Iterable[NDArray[np.intp]]:
    """Take in what transforms are applied to; rows with the least and the largest value so far."""
    for key, call in calls.items():
        values = numbers(environment.evaluate_text(call.argument), f"`{call.argument}`", environment)
        low, high = moments[key].low, moments[key].high
        moments[key].add(values)
        found = []
        if moments[key].low < low:
            found.append(int(np.nanargmin(values)))
        if moments[key].high > high:
            found.append(int(np.nanargmax(values)))
        yield np.array(found, dtype=np.intp)


def _polynomials(asked: Asked, calls: Sequence[Learned], moments: dict[str, ColumnMoments]) -> dict[str, Any]:
    sums = {call.key: PolynomialMoments(moments[call.key], call.degree) for call in calls}
    for table in asked.tables() if sums else ():
        environment = asked.environment(table, {})
        for call in calls:
            values = numbers(environment.evaluate_text(call.argument), f"`{call.argument}`", environment)
            sums[call.key].add(values)
    return {key: own.state() for key, own in sums.items()}


def _knots(asked: Asked, call: Learned, moments: ColumnMoments) -> dict[str, Any]:
    """What a spline with knots at quantiles learns, in some passes over what it is applied to."""

    def values() -> Iterator[NDArray[np.float64]]:
        for table in asked.tables():
            environment = asked.environment(table, {})
            yield numbers(environment.evaluate_text(call.argument), f"`{call.argument}`", environment)

    assert call.n_knots is not None
    inside = quantiles(
        values, moments.n, moments.low, moments.high, np.linspace(0.0, 1.0, call.n_knots + 2)[1:-1].tolist()
    )
    return call.spline_state(moments.low, moments.high, inside.tolist())


class _Rows:
    """The rows that are kept, with what whole columns would be: their categories, and whether they have gaps."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._kept: list[pa.Table] = []
        self._sample: pa.Table | None = None
        self._places = np.empty(0, dtype=np.int64)
        self._stride, self._used = 1, 0
        self._gaps: set[str] = set()
        self._kinds: dict[str, pa.DataType] = {}
        self._categories: dict[str, dict[Any, None]] = {name: {} for name in columns}

    def add(self, table: pa.Table, chosen: NDArray[np.intp], used: NDArray[np.intp]) -> None:
        """Take in a batch: keep the rows `chosen`, and a sample of those that are `used`."""
        self._note(table)
        if len(chosen):
            self._kept.append(table.take(chosen))
        first = -self._used % self._stride
        self._append(
            table.take(used[first :: self._stride]), np.arange(self._used + first, self._used + len(used), self._stride)
        )
        self._used += len(used)

    def merge(self, other: _Rows) -> None:
        """Take in what another keeps."""
        pa = require_pyarrow()
        self._kept += other._kept
        self._gaps |= other._gaps
        self._kinds |= other._kinds
        for name, labels in other._categories.items():
            self._categories[name].update(labels)
        samples = [table for table in (self._sample, other._sample) if table is not None]
        if samples:
            both = pa.concat_tables(samples)
            self._sample = both.take(np.arange(0, both.num_rows, -(-both.num_rows // (2 * SAMPLE))))

    def _append(self, table: pa.Table, places: NDArray[np.int64]) -> None:
        pa = require_pyarrow()
        self._sample = table if self._sample is None else pa.concat_tables([self._sample, table])
        self._places = np.concatenate([self._places, places])
        while len(self._places) >= 2 * SAMPLE:
            self._stride *= 2
            thinned = np.flatnonzero(self._places % self._stride == 0)
            self._sample, self._places = self._sample.take(thinned), self._places[thinned]

    def _note(self, table: pa.Table) -> None:
        pa = require_pyarrow()
        for field in table.schema:
            column = table.column(field.name)
            if column.null_count:
                self._gaps.add(field.name)
            if pa.types.is_dictionary(field.type):
                self._kinds[field.name] = field.type
                for chunk in column.chunks:
                    self._categories[field.name].update(dict.fromkeys(chunk.dictionary.to_pylist()))

    def table(self) -> pa.Table:
        """All rows that are kept."""
        pa = require_pyarrow()
        tables = [*self._kept, *([] if self._sample is None else [self._sample])]
        kinds = {name: (kind, list(self._categories[name])) for name, kind in self._kinds.items()}
        return in_memory_types(pa.concat_tables(tables), kinds, self._gaps)


def in_memory_types(
    table: pa.Table, categories: Mapping[str, tuple[pa.DataType, Sequence[Any]]], gaps: Container[str] | None = None
) -> pa.Table:
    """Columns as whole ones are in memory: those of `categories` as dictionaries, and integers with gaps as floats.

    `gaps` are the columns with missing values; by default those that have them in the table.
    """
    pa = require_pyarrow()
    for place, field in enumerate(table.schema):
        column = table.column(place)
        has_gaps = column.null_count > 0 if gaps is None else field.name in gaps
        if field.name in categories:
            kind, labels = categories[field.name]
            column = _with_categories(column, labels, kind)
        elif has_gaps and pa.types.is_integer(field.type):
            column = column.cast(pa.float64())
        table = table.set_column(place, field.name, column)
    return table


def without_dictionaries(table: pa.Table) -> pa.Table:
    """Labels themselves in the place of dictionaries, of which every row kept would hold a whole one."""
    pa = require_pyarrow()
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


def _with_categories(column: pa.ChunkedArray, categories: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column with the categories of all batches, in the order in which they appeared."""
    import pyarrow.compute as pc

    pa = require_pyarrow()
    dictionary = pa.array(categories, kind.value_type)
    codes = pc.index_in(column, value_set=dictionary).combine_chunks()
    return pa.DictionaryArray.from_arrays(codes, dictionary, ordered=kind.ordered)
