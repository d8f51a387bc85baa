"""Lazy frames and queries: what their own engine streams."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mixfit.errors import SourceError
from mixfit.sources.source import require_pyarrow, sliced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

__all__ = ["DaskSource", "DuckSource", "PolarsSource"]


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
class DaskSource:
    """A data frame of Dask, one partition after the other.

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

    def _table(self, number: int, columns: Sequence[str]) -> pa.Table:
        pa = require_pyarrow()
        frame = self.frame[list(columns)].partitions[number].compute()
        return pa.Table.from_pandas(frame, preserve_index=False)
