"""Distinct rows of a source, with how often each of them occurs.

A log-likelihood is a sum over rows, and equal rows have equal parts: counts as prior weights give that of all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import DataError, FormulaError
from mixfit.matrices.batches.read import refuse_structures, refuse_whole_columns
from mixfit.matrices.batches.scan import in_memory_types, without_dictionaries
from mixfit.matrices.build import build
from mixfit.sources.source import require_pyarrow

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.matrices.batches.asked import Asked
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["COUNT", "Counted", "counted_design"]

#: The column of counts; no column of a formula can have its name.
COUNT = "(count)"
# Distinct rows that are kept in memory: some hundred megabytes of them.
_MOST = 1_000_000


@dataclass(frozen=True, eq=False)
class Counted:
    """A design of distinct rows.

    Attributes
    ----------
    design : Design
        Its weights are the counts.
    n_rows : int
        Rows of the source.
    """

    design: Design
    n_rows: int

    @property
    def counts(self) -> Array:
        """How often each row occurs, shape (m,)."""
        assert self.design.weights is not None
        return self.design.weights

    @property
    def n_used(self) -> int:
        """Rows of the source that the model uses."""
        return round(float(self.counts.sum()))


def counted_design(asked: Asked, na_action: Any, links: Mapping[str, Link], *, binomial: bool) -> Counted | None:
    """The distinct rows of a source as a design; None where they are too many, or transforms learn from all rows.

    Raises
    ------
    DataError
        For proportions.
    """
    if asked.learned:
        return None
    if asked.formula.response.arguments is not None:
        raise FormulaError(
            f"{asked.formula.response.text} is of two columns, and rows of a source are counted themselves: give a "
            "response of 0 and 1, a row a trial, or read the data into a frame."
        )
    table = _distinct(asked)
    if table is None:
        return None
    refuse_whole_columns(asked, table.drop_columns([COUNT]))
    given = COUNT, asked.offset, na_action, asked.context
    design = build(asked.formula, table, *given, binomial=binomial, residual=False, links=links)
    # Expressions of whole columns are found out, and refused, where rows are read anew.
    design.reader.read(table.slice(0, 1), (True,) * len(design.random))
    refuse_structures(design)
    if binomial and not ((design.y == 0.0) | (design.y == 1.0)).all():
        raise DataError(
            f"The response {design.endog_name!r} has proportions, and rows of a source are trials, 0 or 1: read the "
            "data into a frame, and give the numbers of trials by weights=."
        )
    return Counted(design, round(float(np.asarray(table.column(COUNT)).sum())))


def _distinct(asked: Asked) -> pa.Table | None:
    """Distinct rows of the columns that are looked up, and their counts; None where they are too many."""
    lazy = getattr(asked.source, "lazy", None)
    table = _of_batches(asked) if lazy is None else _of_query(lazy(asked.columns), asked)
    if table is None:
        return None
    return table.set_column(table.num_columns - 1, COUNT, table.column(table.num_columns - 1).cast("double"))


def _of_query(native: Any, asked: Asked) -> pa.Table | None:
    import narwhals as nw

    query = nw.from_native(native).group_by(*asked.columns).agg(nw.len().alias(COUNT))
    n_distinct = query.select(nw.len().alias("n")).collect().to_arrow().to_pylist()[0]["n"]
    if n_distinct > _MOST:
        return None
    table = query.collect().to_arrow()
    return in_memory_types(table, {})


def _of_batches(asked: Asked) -> pa.Table | None:
    pa = require_pyarrow()
    names, kinds = list(asked.columns), asked.source.schema
    categories: dict[str, dict[Any, None]] = {name: {} for name in names}
    parts, waiting, known = [], 0, 0
    for table in asked.tables():
        for name in names:
            if pa.types.is_dictionary(kinds.field(name).type):
                for chunk in table.column(name).chunks:
                    categories[name].update(dict.fromkeys(chunk.dictionary.to_pylist()))
        plain = without_dictionaries(table).append_column(COUNT, pa.array(np.ones(table.num_rows)))
        parts.append(_added(plain, names))
        waiting += parts[-1].num_rows
        # Each row is then sorted a few times only.
        if waiting > known:
            parts = [_added(pa.concat_tables(parts), names)]
            known, waiting = parts[0].num_rows, 0
            if known > _MOST:
                return None
    if not parts:
        raise DataError("The data have no rows.")
    found = {name: kinds.field(name).type for name in names if pa.types.is_dictionary(kinds.field(name).type)}
    labels = {name: (kind, list(categories[name])) for name, kind in found.items()}
    return in_memory_types(_added(pa.concat_tables(parts), names), labels)


def _added(table: pa.Table, names: list[str]) -> pa.Table:
    """Counts of equal rows added up."""
    sums = table.group_by(names).aggregate([(COUNT, "sum")])
    return sums.select([*names, f"{COUNT}_sum"]).rename_columns([*names, COUNT])
