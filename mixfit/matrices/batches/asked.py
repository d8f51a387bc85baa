"""What a model asks of each batch of rows, and which rows of a batch it can use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from formulaic.parser.types import Factor

from mixfit.errors import DataError
from mixfit.formula import variables_of
from mixfit.matrices.batches.learned import Learned, learned_calls
from mixfit.matrices.columns import Columns, MissingRows, null_rows
from mixfit.matrices.environment import Environment
from mixfit.matrices.vectors import argument_vector, numbers, read_response, read_trials, sum_offsets
from mixfit.progress import progress_bar
from mixfit.sources.source import TableSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.formula import MixedFormula
    from mixfit.sources.source import Source

    Array = NDArray[np.float64]

__all__ = ["Asked", "Present", "T", "present_rows"]

T = TypeVar("T")

_LOOKUP, _PYTHON, _LITERAL = Factor.EvalMethod.LOOKUP, Factor.EvalMethod.PYTHON, Factor.EvalMethod.LITERAL

# What a bar counts bytes by.
_MEGABYTE = 1e6


@dataclass(frozen=True, eq=False)
class Asked:
    """A model of a source.

    Attributes
    ----------
    formula : MixedFormula
    weights, offset : str or None
        Columns or expressions.
    context : mapping of str to object
        The caller's own names.
    source : Source
    chunk_rows : int
    progress : bool
        Whether passes over the rows show how far they are.
    links : mapping of str to Link, or None
        Of the mean of a generalized model.
    binomial : bool
        Whether the response is of trials, true or false, or 1 and 0.
    """

    formula: MixedFormula
    weights: str | None
    offset: str | None
    context: Mapping[str, Any]
    source: Source
    chunk_rows: int
    progress: bool = False
    links: Mapping[str, Link] | None = None
    binomial: bool = False

    @cached_property
    def offsets(self) -> tuple[str, ...]:
        """Expressions that are summed to the offset."""
        return self.formula.offsets + (() if self.offset is None else (self.offset,))

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """What the terms look up or evaluate, each once."""
        terms = [*self.formula.fixed, *(term for random in self.formula.random for term in random.terms)]
        found = [factor for term in terms for factor in term.factors]
        found += [factor for random in self.formula.random for factor in random.groups]
        return tuple({f.expr: f for f in found if f.eval_method is not _LITERAL}.values())

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of the source that anything looks up."""
        names = list(self.formula.variables)
        for expression in (*self.offsets, self.weights):
            if expression is not None:
                names += variables_of(self.factor(expression))
        return tuple(dict.fromkeys(name for name in names if name in self.source.schema.names))

    @cached_property
    def learned(self) -> dict[str, tuple[Learned, ...]]:
        """Calls of transforms that learn from all rows, by the expression that they are in; none of most."""
        texts = [f.expr for f in self.factors if f.eval_method is _PYTHON] + list(self.offsets)
        texts += [] if self.weights is None else [self.weights]
        found = {text: learned_calls(text, self.context) for text in texts if text not in self.source.schema.names}
        return {text: calls for text, calls in found.items() if calls}

    def factor(self, expression: str) -> Factor:
        """A column or an expression, as formulas have it."""
        return Factor(expression, eval_method=_LOOKUP if expression in self.source.schema.names else _PYTHON)

    def environment(self, table: pa.Table, state: dict[str, Any]) -> Environment:
        """The names of the formula over some rows; what transforms learned is in `state`."""
        return Environment(Columns(table, "rows of the source"), self.context, state)

    def reduced(self, each: Callable[[Asked], T], merge: Callable[[list[T]], T]) -> T:
        """What a function makes of the rows: of those of each part of the source where it has parts, merged."""
        reduce = getattr(self.source, "reduce", None)
        if reduce is None:
            return each(self)
        found: T = reduce(self.columns, partial(_of_part, self.without_source(), each), merge)
        return found

    def without_source(self) -> Asked:
        """The same, to be sent to where the rows are."""
        schema = self.source.schema
        return replace(self, source=TableSource(schema.empty_table(), schema), progress=False)

    def tables(self) -> Iterator[pa.Table]:
        """The batches of the source that have rows, in one pass over it."""
        read = 0
        # Of a file its name alone: a long path leaves a line no room for the bar.
        name = PurePath(self.source.name).name
        bar = progress_bar(self.source.n_rows, progress=self.progress, unit="row", unit_scale=True, desc=name)
        with bar:
            for table in self.source.batches(self.columns, self.chunk_rows):
                if table.num_rows:
                    yield table
                read += table.nbytes
                bar.set_postfix_str(f"{read / _MEGABYTE:.0f} MB", refresh=False)
                bar.update(table.num_rows)


def _of_part(asked: Asked, each: Callable[[Asked], T], part: TableSource) -> T:
    return each(replace(asked, source=part))


@dataclass(frozen=True, eq=False)
class Present:
    """Rows of a batch.

    Attributes
    ----------
    missing : MissingRows
    keep : ndarray of bool, shape (m,), or None
        Rows in which nothing is missing and whose weight is not zero; None for all.
    y : ndarray, shape (m,)
        The response, of linear models less the offset.
    offset, weights : ndarray, shape (m,), or None
    """

    missing: MissingRows
    keep: NDArray[np.bool_] | None
    y: Array
    offset: Array | None
    weights: Array | None


def present_rows(asked: Asked, environment: Environment) -> Present:
    """Read response, offset and weights of a batch, and find the rows that the model can use.

    Raises
    ------
    DataError
        For infinite responses and offsets, and for weights below zero.
    """
    missing = MissingRows(environment.columns.n_rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = (read_trials if asked.binomial else read_response)(asked.formula.response, environment, missing)
        offset = sum_offsets(asked.offsets, None, environment, missing)
        weights = None
        if asked.weights is not None:
            weights = argument_vector(asked.weights, "weights", environment, missing)
        for factor in asked.factors:
            _note(asked, factor, environment, missing)
    keep = None if missing.rows is None else ~missing.rows
    if weights is not None and not (weights > 0.0).all():
        if (weights < 0.0).any():
            raise DataError(f"Weights must not be negative; {int((weights < 0).sum())} row(s) of one batch are.")
        positive = weights > 0.0
        keep = positive if keep is None else keep & positive
    y = y if offset is None or asked.links is not None else y - offset
    return Present(missing, keep, y, offset, weights)


def _note(asked: Asked, factor: Factor, environment: Environment, missing: MissingRows) -> None:
    """Take down the rows in which a factor of the formula is missing."""
    name, columns = factor.expr, environment.columns
    if name in missing.counts:
        return
    if factor.eval_method is _LOOKUP and name in columns:
        if columns.kind(name) == "number":
            missing.note(name, null_rows(columns.numbers(name), columns.n_rows, name))
        else:
            rows = columns.coded(name).codes < 0 if columns.kind(name) == "factor" else columns[name].isna().to_numpy()
            missing.note(name, rows if rows.any() else None)
        return
    for learned in asked.learned.get(name, ()):
        # Where a transform has a value is where its argument has one; what it learned is not known yet.
        values = numbers(environment.evaluate_text(learned.argument), f"`{learned.argument}`", environment)
        missing.note(name, null_rows(values, columns.n_rows, name), environment.without(name))
    if name not in asked.learned:
        missing.note(name, null_rows(environment.evaluate(factor), columns.n_rows, name), environment.without(name))
