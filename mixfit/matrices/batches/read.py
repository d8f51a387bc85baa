"""The arrays of a linear model batch by batch, under encodings that a first pass found."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError, DesignError, UndefinedValuesWarning
from mixfit.matrices.batches.asked import Asked, T, present_rows
from mixfit.matrices.batches.learned import ColumnMoments, learned_calls
from mixfit.matrices.batches.scan import scan
from mixfit.matrices.build import build, expand_dot
from mixfit.matrices.columns import Columns
from mixfit.matrices.environment import Environment
from mixfit.matrices.parts import check_finite
from mixfit.matrices.reader import FittedReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from mixfit.formula import MixedFormula
    from mixfit.matrices.batches.scan import Scan
    from mixfit.matrices.types import Design
    from mixfit.sources.source import Source

    Array = NDArray[np.float64]

__all__ = ["RowBatch", "Stream", "Totals", "ask", "open_stream", "refuse_structures", "refuse_whole_columns"]

# Rounding of an expression that is computed from a part of the rows in another order.
_RELATIVE = 1e-7


@dataclass(frozen=True, eq=False)
class RowBatch:
    """The rows of a batch that a model uses.

    Attributes
    ----------
    X : ndarray, shape (m, c)
    y : ndarray, shape (m,)
        The response, of linear models less the offset.
    Z : tuple of ndarray, shape (m, k_t)
    codes : tuple of ndarray of intp, shape (m,)
        Level of each row, by term.
    weights : ndarray, shape (m,), or None
    table : pyarrow.Table or None
        Of the columns as the source has them; None for what is no row of it.
    squares : ndarray, shape (c,), or None
        Sums of squares that the columns of X would have if nothing had cancelled, where they are sums themselves.
    offset : ndarray, shape (m,), or None
    """

    X: Array
    y: Array
    Z: tuple[Array, ...]
    codes: tuple[NDArray[np.intp], ...]
    weights: Array | None
    table: pa.Table | None
    squares: Array | None = None
    offset: Array | None = None


class Totals:
    """Sums over all rows that a design is asked for beside its cross-products."""

    def __init__(self, variables: Iterable[str]) -> None:
        self.n = 0
        self.response, self.offset, self.weights = ColumnMoments(), ColumnMoments(), ColumnMoments()
        self.variables = {name: ColumnMoments() for name in variables}

    def add(self, environment: Environment, y: Array, offset: Array | None, weights: Array | None) -> None:
        """Take in the rows of a batch that are used."""
        self.n += len(y)
        self.response.add(y)
        for moments, values in ((self.offset, offset), (self.weights, weights)):
            if values is not None:
                moments.add(values)
        for name, moments in self.variables.items():
            moments.add(environment.columns.numbers(name).astype(np.float64))

    def merge(self, other: Totals) -> None:
        """Take in the rows of another."""
        self.n += other.n
        for mine, theirs in ((self.response, other.response), (self.offset, other.offset)):
            mine.merge(theirs)
        self.weights.merge(other.weights)
        for name, moments in other.variables.items():
            self.variables[name].merge(moments)

    @property
    def fingerprint(self) -> tuple[tuple[float, float], ...]:
        """Means and sums of squares of response, offset and weights."""
        return tuple((m.mean, m.squares) for m in (self.response, self.offset, self.weights))


@dataclass(frozen=True, eq=False)
class Stream:
    """A linear model of rows in batches.

    Attributes
    ----------
    asked : Asked
    scan : Scan
    sample : Design
        Of the rows that stand for all.
    """

    asked: Asked
    scan: Scan
    sample: Design

    @property
    def n_used(self) -> int:
        """Rows that the model uses."""
        return self.scan.n_used

    @property
    def n_dropped(self) -> int:
        """Rows left out for missing values."""
        return self.scan.n_dropped

    @property
    def shift(self) -> tuple[float, int | None]:
        """What is subtracted of the response, and the column of X that is constant: nothing."""
        return 0.0, None

    def reduced(self, each: Callable[[Stream], T], merge: Callable[[list[T]], T]) -> T:
        """What a function makes of the rows, part by part where the source has parts."""
        alone = replace(self, asked=self.asked.without_source())
        return self.asked.reduced(partial(_of_part, alone, each), merge)

    def with_solver(self, solver: Any) -> Stream:
        """The same with another way to hold the factor."""
        return replace(self, sample=replace(self.sample, solver=solver))

    def totals(self) -> Totals:
        """Sums to be filled by a pass."""
        columns, variables = Columns(self.scan.table), self.sample.variables or {}
        return Totals(name for name in variables if columns.kind(name) == "number")

    def batches(self, totals: Totals | None = None) -> Iterator[RowBatch]:
        """One pass over the rows that are used.

        Raises
        ------
        DataError
            For an infinite value, and for an expression without a value where the first pass found one.
        """
        reader = self.sample.reader
        assert isinstance(reader, FittedReader)
        wanted = (True,) * len(self.sample.random)
        for table in self.asked.tables():
            environment = self.asked.environment(table, dict(reader.state))
            present = present_rows(self.asked, environment)
            if present.keep is not None:
                if not present.keep.any():
                    continue
                table = table.filter(present.keep)
                environment = self.asked.environment(table, dict(reader.state))
            y, offset, weights = (
                values if values is None or present.keep is None else values[present.keep]
                for values in (present.y, present.offset, present.weights)
            )
            assert y is not None
            with np.errstate(divide="ignore", invalid="ignore"):
                new = reader.read(table, wanted)
            Z = tuple(z for z in new.Z if z is not None)
            self.check(new.X, Z)
            if totals is not None:
                linear = self.asked.links is None
                totals.add(environment, y if offset is None or not linear else y + offset, offset, weights)
            codes = tuple(code for code in new.codes if code is not None)
            yield RowBatch(new.X, y, Z, codes, weights, table, offset=offset)

    def with_rows(self, tables: Sequence[pa.Table]) -> Stream:
        """The same with further rows among those that stand for all."""
        found = self.scan.with_rows(tables)
        return Stream(self.asked, found, replace(_sample(self.asked, found), solver=self.sample.solver))

    def check(self, X: Array, Z: tuple[Array, ...]) -> None:
        """Refuse infinite values, and columns without a value in rows that are used."""
        random = self.sample.random
        parts = [(X, self.sample.exog_names, "the fixed effects")]
        parts += [(z, term.columns, term.text) for z, term in zip(Z, random, strict=True)]
        for matrix, names, where in parts:
            undefined = np.isnan(matrix).any(axis=0)
            if undefined.any():
                name = names[int(np.argmax(undefined))]
                raise DataError(
                    f"Column {name!r} of {where} has no value in some rows because of what a transform in it learned "
                    "from all: make a column of it, and leave those rows out."
                )
            check_finite(matrix, names, where)


def _of_part(stream: Stream, each: Callable[[Stream], T], part: Asked) -> T:
    return each(replace(stream, asked=part))


def ask(
    formula: MixedFormula,
    source: Source,
    weights: object,
    offset: object,
    context: Mapping[str, Any] | None,
    chunk_rows: int,
    *,
    progress: bool,
) -> Asked:
    """What a model asks of a source, once its names are known to be there.

    Raises
    ------
    FormulaError, DataError
        For names that nothing provides, and what rows in batches cannot be given.
    """
    for name, value in (("weights", weights), ("offset", offset)):
        if value is not None and not isinstance(value, str):
            raise DataError(f"{name}= is an array, and rows come in batches: make a column of it, and give its name.")
    assert weights is None or isinstance(weights, str)
    assert offset is None or isinstance(offset, str)
    columns = Columns(source.schema.empty_table())
    if formula.uses_dot:
        expanded = expand_dot(formula, formula.response, columns, weights, offset)
        formula = expanded  # type: ignore[assignment]
    used = {name: value for name, value in (context or {}).items() if name not in columns}
    Environment(columns, used, {}).require(formula.variables, formula.text)
    response = formula.response.text
    if response not in columns and learned_calls(response, used):
        raise DataError(f"The response {response!r} is transformed by what all rows have: make a column of it.")
    return Asked(formula, weights, offset, used, source, chunk_rows, progress)


def open_stream(asked: Asked, na_action: str) -> Stream:
    """Read a source once, and settle the encodings of its columns.

    Raises
    ------
    DataError, DesignError
        As in memory; and for what rows in batches do not tell, by its name.
    """
    found = scan(asked, na_action)
    refuse_whole_columns(asked, found.table)
    stream = Stream(asked, found, _sample(asked, found))
    stream.check(stream.sample.X, tuple(term.Z for term in stream.sample.random))
    return stream


def _sample(asked: Asked, found: Scan) -> Design:
    table, state = found.table, found.state
    with warnings.catch_warnings():
        # The first pass has said it of all rows.
        warnings.simplefilter("ignore", UndefinedValuesWarning)
        given = asked.weights, asked.offset
        options: dict[str, Any] = {"context": asked.context, "state": state, "check": False}
        if asked.links is not None:
            options |= {"binomial": asked.binomial, "residual": False, "links": asked.links}
        return build(asked.formula, table, *given, **options)


# What an expression computes of values outside its domain is missing, and said.
@np.errstate(divide="ignore", invalid="ignore")
def refuse_whole_columns(asked: Asked, table: pa.Table) -> None:
    """Refuse expressions that are computed from whole columns: each batch would make them from itself.

    What they are in every other row alone must be what they are in these rows among all.
    """
    texts = [asked.formula.response.text, *asked.offsets, *([asked.weights] if asked.weights else [])]
    texts += [factor.expr for random in asked.formula.random for factor in random.groups]
    texts = [text for text in texts if text not in asked.source.schema.names and text not in asked.learned]
    whole = asked.environment(table, {})
    for text in texts:
        values = np.asarray(whole.series(asked.factor(text)))
        for start in range(2):
            half = table.take(np.arange(start, table.num_rows, 2))
            alone = np.asarray(asked.environment(half, {}).series(asked.factor(text)))
            if not _alike(alone, values[start::2]):
                raise DataError(
                    f"`{text}` is computed from whole columns, and rows come in batches: make a column of it, where "
                    "the rows are."
                )


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    missing = np.asarray(pd.isna(other))
    if not np.array_equal(np.asarray(pd.isna(one)), missing):
        return False
    one, other = one[~missing], other[~missing]
    if one.dtype.kind != "f":
        return bool((one == other).all())
    return bool((np.abs(one - other) <= _RELATIVE * np.abs(other).max(initial=0.0)).all())


def refuse_structures(sample: Design) -> None:
    """Refuse structures whose columns are made of the places or levels of all rows."""
    reader = sample.reader
    assert isinstance(reader, FittedReader)
    for term, own in zip(sample.random, reader.random, strict=True):
        known = term.structure.relationship is not None or term.structure.is_given
        if known or own.recoding is not None or own.across is not None:
            raise DesignError(
                f"{term.text}: the columns of {term.structure.name} are places or levels of all rows, which batches do "
                "not tell. Rows in batches take (x | g), (x || g), us, diag, homdiag, cs and homcs; fit to a frame in "
                "memory for others."
            )
