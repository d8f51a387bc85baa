"""What a source of rows is: names and types of columns, and their values in batches, as often as they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mixfit.errors import MissingPackageError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

__all__ = ["CHUNK_ROWS", "Source", "TableSource", "require_pyarrow", "same_columns", "sliced"]

#: Rows at a time: arrays of some megabytes, which a processor's cache holds in part, and few enough calls.
CHUNK_ROWS = 2**17


class Source(Protocol):
    """Rows in batches. Reading them twice gives the same rows, though not always in the same order."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""

    @property
    def n_rows(self) -> int | None:
        """Number of rows, where it is known before they are read."""

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns and of at most `chunk_rows` rows.

        Raises
        ------
        SourceError
            Naming the file and the row group that cannot be read, or the file whose columns are others.
        """


@dataclass(frozen=True, eq=False)
class TableSource:
    """A table in memory, as a part of a source that has others elsewhere.

    Attributes
    ----------
    table : pyarrow.Table
    schema : pyarrow.Schema
        Of the source.
    """

    table: pa.Table
    schema: pa.Schema

    @property
    def name(self) -> str:
        """What errors call it."""
        return "A partition"

    @property
    def n_rows(self) -> int | None:
        """Number of its rows."""
        return int(self.table.num_rows)

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns; see `Source.batches`."""
        return sliced(self.table.select(list(columns)), chunk_rows)


def require_pyarrow() -> Any:
    """Import pyarrow, which all sources hand their rows over in.

    Raises
    ------
    MissingPackageError
        Where it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.dataset
    except ImportError as error:
        raise MissingPackageError("Rows in batches need pyarrow: pip install 'mixfit[parquet]'.") from error
    return pa


def same_columns(expected: pa.Schema, found: pa.Schema, columns: Sequence[str], place: str) -> None:
    """Refuse a file in which one of `columns` is missing or of another type than in the first one."""
    for name in columns:
        if name not in found.names:
            raise SourceError(f"{place} has no column {name!r}, which the first file has.")
        here, first = found.field(name).type, expected.field(name).type
        if here != first:
            raise SourceError(
                f"Column {name!r} is {here} in {place}, but {first} in the first file: write it as one type in all."
            )


def sliced(table: pa.Table, chunk_rows: int) -> Iterator[pa.Table]:
    """Tables of at most `chunk_rows` rows that make up a table of any number."""
    for start in range(0, table.num_rows, chunk_rows):
        yield table.slice(start, chunk_rows)
