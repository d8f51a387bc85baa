"""A stream that can be read but once: written to a temporary Arrow file, which is read as often as is needed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixfit.errors import SourceError
from mixfit.sources.source import require_pyarrow, sliced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

__all__ = ["SpooledSource", "spooled"]

_FILE = "rows.arrows"


@dataclass(frozen=True, eq=False)
class SpooledSource:
    """Batches of a reader in a file that goes with the last reference to it.

    The file is a stream as the reader is: batches of one column may have dictionaries of their own in it.

    Attributes
    ----------
    folder : tempfile.TemporaryDirectory
    schema : pyarrow.Schema
    n_rows : int
    """

    folder: tempfile.TemporaryDirectory[str]
    schema: pa.Schema
    n_rows: int

    @property
    def name(self) -> str:
        """What errors call it."""
        return "The record batch reader"

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns; see `Source.batches`."""
        pa = require_pyarrow()
        try:
            with pa.OSFile(str(Path(self.folder.name) / _FILE), "rb") as file, pa.ipc.open_stream(file) as batches:
                for batch in batches:
                    yield from sliced(pa.Table.from_batches([batch]).select(list(columns)), chunk_rows)
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"The temporary file of the record batch reader cannot be read: {error}.") from error


def spooled(reader: Any) -> SpooledSource:
    """Write what is left of a ``pyarrow.RecordBatchReader`` to a temporary file.

    Raises
    ------
    SourceError
        Where the reader fails, or the disk is full; nothing is left behind then.
    """
    pa = require_pyarrow()
    folder = tempfile.TemporaryDirectory(prefix="mixfit-")
    n_rows = 0
    try:
        with pa.OSFile(str(Path(folder.name) / _FILE), "wb") as sink, pa.ipc.new_stream(sink, reader.schema) as out:
            for batch in reader:
                out.write_batch(batch)
                n_rows += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        folder.cleanup()
        raise SourceError(f"The record batch reader could not be written to a temporary file: {error}.") from error
    return SpooledSource(folder, reader.schema, n_rows)
