"""Files: paths and globs of Parquet, CSV and Arrow IPC, datasets of pyarrow, and open Parquet files."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixfit.errors import SourceError
from mixfit.sources.source import require_pyarrow, same_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

__all__ = ["DatasetSource", "ParquetSource", "file_source"]

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".arrow": "ipc",
    ".ipc": "ipc",
    ".feather": "ipc",
}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
_CORRUPT = "The file may be damaged or not be complete: write it anew, or leave it out."
_UNTYPED = (
    "Columns of a CSV file have the types of their first rows: pass a pyarrow.dataset with a schema, or write Parquet."
)


@dataclass(frozen=True, eq=False)
class DatasetSource:
    """Files of one schema, read one after the other, those of Parquet by row groups.

    Attributes
    ----------
    name : str
    dataset : pyarrow.dataset.Dataset
    """

    name: str
    dataset: Any

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns, of partitions too."""
        return self.dataset.schema

    @cached_property
    def n_rows(self) -> int | None:
        """Number of rows where the files say it: Parquet's do."""
        fragments = list(self._fragments())
        if not fragments or not all(hasattr(fragment, "metadata") for fragment, _ in fragments):
            return None
        return sum(_opened(fragment, place).metadata.num_rows for fragment, place in fragments)

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns; see `Source.batches`."""
        pa = require_pyarrow()
        options = {"columns": list(columns), "batch_size": chunk_rows, "batch_readahead": 1, "schema": self.schema}
        orders: dict[str, list[Any]] = {}
        for fragment, place in self._fragments():
            # Columns that a file need not have are those of its path: year=2026.
            partitions = set(pa.dataset.get_partition_keys(fragment.partition_expression))
            own = [name for name in columns if name not in partitions]
            same_columns(self.schema, _opened(fragment, place).physical_schema, own, place)
            for piece, where in _row_groups(fragment, place):
                try:
                    for batch in piece.to_batches(**options, **_scan_options(piece)):
                        _same_order(batch, orders, place)
                        if batch.num_rows:
                            yield pa.Table.from_batches([batch])
                except (OSError, pa.ArrowException) as error:
                    raise SourceError(f"{where} cannot be read: {error}. {_advice(fragment)}") from error

    def _fragments(self) -> Iterator[tuple[Any, str]]:
        for number, fragment in enumerate(self.dataset.get_fragments()):
            path = getattr(fragment, "path", "")
            yield fragment, f"File {path!r}" if path else f"Part {number} of {self.name}"


def _same_order(batch: pa.RecordBatch, orders: dict[str, list[Any]], place: str) -> None:
    """Refuse ordered categories that stand in another order than in the files before: the first would win."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if not getattr(field.type, "ordered", False):
            continue
        here, known = column.dictionary.to_pylist(), orders.setdefault(field.name, column.dictionary.to_pylist())
        if [label for label in here if label in known] != [label for label in known if label in here]:
            raise SourceError(
                f"The ordered categories of {field.name!r} are {', '.join(map(repr, here))} in {place}, but "
                f"{', '.join(map(repr, known))} in the first file: write them in one order in all."
            )


def _advice(fragment: Any) -> str:
    pa = require_pyarrow()
    return _UNTYPED if isinstance(fragment.format, pa.dataset.CsvFileFormat) else _CORRUPT


def _opened(fragment: Any, place: str) -> Any:
    """The fragment, once what it says of itself has been read."""
    pa = require_pyarrow()
    try:
        _ = fragment.physical_schema
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{place} cannot be read: {error}. {_CORRUPT}") from error
    return fragment


def _row_groups(fragment: Any, place: str) -> Iterator[tuple[Any, str]]:
    """A file's row groups; the file itself where it has none."""
    if not hasattr(fragment, "split_by_row_group"):
        yield fragment, place
        return
    for piece in fragment.split_by_row_group():
        yield piece, f"{place}, row group {piece.row_groups[0].id},"


def _scan_options(fragment: Any) -> dict[str, Any]:
    """Parquet: pages as they are needed; a row group read ahead would have to fit in memory."""
    pa = require_pyarrow()
    if not hasattr(fragment, "split_by_row_group"):
        return {}
    return {"fragment_scan_options": pa.dataset.ParquetFragmentScanOptions(pre_buffer=False)}


@dataclass(frozen=True, eq=False)
class ParquetSource:
    """An open Parquet file, read by row groups.

    Attributes
    ----------
    file : pyarrow.parquet.ParquetFile
    """

    file: Any

    @property
    def name(self) -> str:
        """What errors call it."""
        return "The Parquet file"

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self.file.schema_arrow

    @property
    def n_rows(self) -> int | None:
        """Number of its rows."""
        return int(self.file.metadata.num_rows)

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns; see `Source.batches`."""
        pa = require_pyarrow()
        for group in range(self.file.num_row_groups):
            try:
                for batch in self.file.iter_batches(batch_size=chunk_rows, row_groups=[group], columns=list(columns)):
                    yield pa.Table.from_batches([batch])
            except (OSError, pa.ArrowException) as error:
                raise SourceError(f"{self.name}, row group {group}, cannot be read: {error}. {_CORRUPT}") from error


def file_source(paths: Any) -> DatasetSource:
    """Files by a path, a directory, a glob, or a list of paths.

    Raises
    ------
    SourceError
        Where there are none, or their format cannot be told.
    """
    pa = require_pyarrow()
    several = isinstance(paths, (list, tuple))
    given = [str(path) for path in (paths if several else [paths])]
    name = given[0] if len(given) == 1 else f"{given[0]} and {len(given) - 1} more"
    found = [path for one in given for path in _expanded(one)]
    data_format = _format(found, name)
    source: Any = found if several or len(found) > 1 else found[0]
    try:
        # A directory's keys (year=2026) are columns.
        dataset = pa.dataset.dataset(source, format=data_format, partitioning="hive")
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{name} cannot be read: {error}. {_CORRUPT}") from error
    return DatasetSource(name, dataset)


def _expanded(path: str) -> list[str]:
    if "://" in path or (path and Path(path).exists()):
        return [path]
    found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    if not found:
        raise SourceError(f"There is no file {path!r}.")
    return found


def _format(paths: Sequence[str], name: str) -> Any:
    """The format of files by their names; of a directory by those of the files in it."""
    pa = require_pyarrow()
    kinds = {_kind(inside) for path in paths for inside in (_files_of(path) if Path(path).is_dir() else [path])}
    if len(kinds) != 1 or None in kinds:
        known = ", ".join(_FORMATS)
        raise SourceError(
            f"{name}: names of files end in one of {known}, and all of one source alike. Pass a pyarrow.dataset for "
            "other names and formats."
        )
    kind = kinds.pop()
    if kind != "csv":
        return kind
    from pyarrow import csv

    # An empty field is a missing value in text too.
    options = pa.dataset.CsvFragmentScanOptions(convert_options=csv.ConvertOptions(strings_can_be_null=True))
    return pa.dataset.CsvFileFormat(default_fragment_scan_options=options)


def _files_of(folder: str) -> list[str]:
    """The files of a directory that hold rows: others have names that begin with a point or an underscore."""
    return [str(path) for path in sorted(Path(folder).rglob("*.*")) if path.is_file() and path.name[0] not in "._"]


def _kind(path: str) -> str | None:
    suffixes = Path(path).suffixes
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes = suffixes[:-1]
    return _FORMATS.get(suffixes[-1].lower()) if suffixes else None
