"""A stream that can be read but once: written to a temporary Arrow file, which is read as often as is needed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixfit.errors import SourceError
from mixfit.sources.files import file_source
from mixfit.sources.source import require_pyarrow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mixfit.sources.source import Source

__all__ = ["SpooledSource", "spooled"]


@dataclass(frozen=True, eq=False)
class SpooledSource:
    """Batches of a reader in a file that goes with the last reference to it.

    Attributes
    ----------
    inner : Source
        The file.
    folder : tempfile.TemporaryDirectory
    n_rows : int
    """

    inner: Source
    folder: tempfile.TemporaryDirectory[str]
    n_rows: int

    @property
    def name(self) -> str:
        """What errors call it."""
        return "The record batch reader"

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self.inner.schema

    def batches(self, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        """Tables of some columns; see `Source.batches`."""
        return self.inner.batches(columns, chunk_rows)


def spooled(reader: Any) -> SpooledSource:
    """Write what is left of a ``pyarrow.RecordBatchReader`` to a temporary file.

    Raises
    ------
    SourceError
        Where the reader fails, or the disk is full; nothing is left behind then.
    """
    pa = require_pyarrow()
    folder = tempfile.TemporaryDirectory(prefix="mixfit-")
    path = Path(folder.name) / "rows.arrow"
    n_rows = 0
    try:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, reader.schema) as out:
            for batch in reader:
                out.write_batch(batch)
                n_rows += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        folder.cleanup()
        raise SourceError(f"The record batch reader could not be written to a temporary file: {error}.") from error
    return SpooledSource(file_source(path), folder, n_rows)
