"""Data frames of Spark: sums of partitions are formed by its workers, and added up by its tree reduction.

What a partition comes to is carried as bytes, in one column of a frame that `mapInArrow` makes.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from mixfit.errors import DataError, SourceError
from mixfit.sources.source import TableSource, require_pyarrow, sliced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

__all__ = ["SparkSource"]

_PART = "part"


@dataclass(frozen=True, eq=False)
class SparkSource:
    """A data frame of Spark, 4.0 or later.

    Attributes
    ----------
    frame : pyspark.sql.DataFrame
    """

    frame: Any

    @property
    def name(self) -> str:
        """What errors call it."""
        return "The Spark frame"

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self.frame.limit(0).toArrow().schema

    @property
    def n_rows(self) -> int | None:
        """Not known before the frame is computed."""
        return None

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns, partition by partition; see `Source.batches`."""
        pa = require_pyarrow()
        for row in self._parts(columns, _as_messages).toLocalIterator():
            table = pa.ipc.open_stream(row[_PART]).read_all()
            yield from sliced(table.cast(self._schema_of(columns)), chunk_rows)

    def lazy(self, columns: Sequence[str]) -> Any:
        """A query of some columns, for narwhals."""
        return self.frame.select(list(columns))

    def reduce(
        self, columns: Sequence[str], each: Callable[[TableSource], Any], merge: Callable[[list[Any]], Any]
    ) -> Any:
        """What `each` makes of every partition that has rows, merged pair by pair, where Spark's workers are.

        Raises
        ------
        DataError
            Where no partition has rows.
        SourceError
            For a session of Spark Connect, which has no tree reduction.
        """
        try:
            parts = self._parts(columns, partial(_as_pickles, each, self.schema)).rdd
        except Exception as error:
            if type(error).__module__.startswith("pyspark"):
                raise SourceError(
                    f"{self.name} is of a session without treeReduce (Spark Connect has none): use a classic session, "
                    f"or write the columns to Parquet and give their path. Spark says: {error}"
                ) from error
            raise
        found = parts.map(_payload)
        if found.isEmpty():
            raise DataError("The data have no rows.")
        return pickle.loads(found.treeReduce(partial(_merged, merge)))

    def _parts(self, columns: Sequence[str], carried: Callable[[Iterable[Any]], Iterator[Any]]) -> Any:
        return self.frame.select(list(columns)).mapInArrow(carried, f"{_PART} binary")

    def _schema_of(self, columns: Sequence[str]) -> pa.Schema:
        return require_pyarrow().schema([self.schema.field(name) for name in columns])


def _carried(content: Any) -> pa.RecordBatch:
    pa = require_pyarrow()
    return pa.record_batch({_PART: pa.array([content], pa.binary())})


def _as_messages(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Every batch by itself."""
    pa = require_pyarrow()
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield _carried(sink.getvalue().to_pybytes())


def _as_pickles(
    each: Callable[[TableSource], Any], schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """What a function makes of the rows of a partition, if it has some."""
    pa = require_pyarrow()
    rows = [batch for batch in batches if batch.num_rows]
    if rows:
        table = pa.Table.from_batches(rows)
        table = table.cast(pa.schema([schema.field(name) for name in table.schema.names]))
        yield _carried(pickle.dumps(each(TableSource(table, schema))))


def _payload(row: Any) -> bytes:
    return bytes(row[_PART])


def _merged(merge: Callable[[list[Any]], Any], one: bytes, other: bytes) -> bytes:
    return pickle.dumps(merge([pickle.loads(one), pickle.loads(other)]))
