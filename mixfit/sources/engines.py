"""Lazy frames and queries: what their own engine streams."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from mixfit.errors import SourceError
from mixfit.sources.source import TableSource, require_pyarrow, sliced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pandas as pd
    import pyarrow as pa

__all__ = ["DaskSource", "DuckSource", "IbisSource", "PolarsSource"]

# Parts that one task of a tree reduction merges: Dask's own default for frames.
_SPLIT = 8


@dataclass(frozen=True, eq=False)
class PolarsSource:
    """A lazy frame of Polars, by its streaming engine.

    Attributes
    ----------
    frame : polars.LazyFrame
    """

    frame: Any

    @property
    def name(self) -> str:
        """What errors call it."""
        return "The lazy frame"

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self.labelled(list(self.frame.collect_schema())).limit(0).collect().to_arrow().schema

    @property
    def n_rows(self) -> int | None:
        """Not known before the query has run."""
        return None

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns; see `Source.batches`."""
        import polars as pl

        try:
            for frame in self.labelled(columns).collect_batches(chunk_size=chunk_rows, maintain_order=True):
                yield from sliced(frame.to_arrow(), chunk_rows)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SourceError(f"{self.name} cannot be read: {error}.") from error

    def lazy(self, columns: Sequence[str]) -> Any:
        """A query of some columns, for narwhals."""
        return self.labelled(columns)

    def labelled(self, columns: Sequence[str]) -> Any:
        """Some of the columns, categories without an order of their own as the text that they stand for."""
        import polars as pl

        kinds = self.frame.collect_schema()
        text = [name for name in columns if isinstance(kinds[name], pl.Categorical)]
        return self.frame.select(list(columns)).with_columns([pl.col(name).cast(pl.String) for name in text])


@dataclass(frozen=True, eq=False)
class DuckSource:
    """A relation of DuckDB, which runs as a query each time it is read.

    Attributes
    ----------
    relation : duckdb.DuckDBPyRelation
    """

    relation: Any

    @property
    def name(self) -> str:
        """What errors call it."""
        return "The relation"

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self.relation.limit(0).to_arrow_table().schema

    @property
    def n_rows(self) -> int | None:
        """Not known before the query has run."""
        return None

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns; see `Source.batches`."""
        import duckdb

        pa = require_pyarrow()
        query = self.lazy(columns)
        # Older versions have it by its first name only.
        read = getattr(query, "to_arrow_reader", None) or query.fetch_record_batch
        try:
            for batch in read(chunk_rows):
                yield from sliced(pa.Table.from_batches([batch]), chunk_rows)
        except (OSError, duckdb.Error, pa.ArrowException) as error:
            raise SourceError(f"{self.name} cannot be read: {error}.") from error

    def lazy(self, columns: Sequence[str]) -> Any:
        """A query of some columns, for narwhals."""
        return self.relation.project(", ".join('"' + name.replace('"', '""') + '"' for name in columns))


@dataclass(frozen=True, eq=False)
class IbisSource:
    """A table of Ibis, on any of its backends: a query that runs each time it is read.

    Attributes
    ----------
    table : ibis.Table
    """

    table: Any

    @property
    def name(self) -> str:
        """What errors call it."""
        return "The Ibis table"

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self.table.schema().to_pyarrow()

    @property
    def n_rows(self) -> int | None:
        """Not known before the query has run."""
        return None

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns; see `Source.batches`."""
        pa = require_pyarrow()
        # Every backend raises what its driver does.
        try:
            for batch in self.lazy(columns).to_pyarrow_batches(chunk_size=chunk_rows):
                yield from sliced(pa.Table.from_batches([batch]), chunk_rows)
        except Exception as error:
            raise SourceError(f"{self.name} cannot be read: {error}.") from error

    def lazy(self, columns: Sequence[str]) -> Any:
        """A query of some columns, for narwhals."""
        return self.table.select(list(columns))


@dataclass(frozen=True, eq=False)
class DaskSource:
    """A data frame of Dask: sums of its partitions are formed where its scheduler runs them.

    Attributes
    ----------
    frame : dask.dataframe.DataFrame
    """

    frame: Any

    @property
    def name(self) -> str:
        """What errors call it."""
        return "The Dask frame"

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of its columns, by its first partition."""
        return self._table(0, list(self.frame.columns)).schema

    @property
    def n_rows(self) -> int | None:
        """Not known before the partitions are computed."""
        return None

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns; see `Source.batches`."""
        for number in range(self.frame.npartitions):
            yield from sliced(self._table(number, columns), chunk_rows)

    def reduce(
        self, columns: Sequence[str], each: Callable[[TableSource], Any], merge: Callable[[list[Any]], Any]
    ) -> Any:
        """What `each` makes of every partition, merged by Dask's tree reduction, where its scheduler runs them."""
        import dask.bag

        parts = self.frame[list(columns)].to_delayed()
        bag: Any = dask.bag.from_delayed(parts)
        on_partition = partial(_on_partition, each, self.schema)
        # As a delayed value it runs where frames do; a bag's own scheduler would start processes.
        return bag.reduction(on_partition, partial(_merged, merge), split_every=_SPLIT).to_delayed().compute()

    def _table(self, number: int, columns: Sequence[str]) -> pa.Table:
        return _as_table(self.frame[list(columns)].partitions[number].compute())


def _as_table(frame: pd.DataFrame) -> pa.Table:
    return require_pyarrow().Table.from_pandas(frame, preserve_index=False)


def _on_partition(each: Callable[[TableSource], Any], schema: pa.Schema, frame: pd.DataFrame) -> Any:
    return each(TableSource(_as_table(frame), schema))


def _merged(merge: Callable[[list[Any]], Any], parts: Iterable[Any]) -> Any:
    return merge(list(parts))
