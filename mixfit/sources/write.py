"""Parquet files that are written batch by batch, and are there only once they are whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixfit.errors import SourceError
from mixfit.sources.source import require_pyarrow

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

__all__ = ["write_parquet"]


def write_parquet(tables: Iterable[pa.Table], path: str | os.PathLike[str]) -> int:
    """Write tables of one schema to a file, under another name until all are written; return the number of rows.

    Raises
    ------
    SourceError
        Where the file cannot be written. Nothing is left behind then, nor after an interruption.
    """
    pa = require_pyarrow()
    import pyarrow.parquet as pq

    target = Path(path)
    unfinished = target.with_name(f"{target.name}.unfinished")
    n_rows, writer = 0, None
    try:
        for table in tables:
            if writer is None:
                writer = pq.ParquetWriter(unfinished, table.schema)
            writer.write_table(table)
            n_rows += table.num_rows
        _close(writer)
        if writer is not None:
            os.replace(unfinished, target)
    except BaseException as error:
        _close(writer)
        unfinished.unlink(missing_ok=True)
        if isinstance(error, (OSError, pa.ArrowException)):
            raise SourceError(f"{str(target)!r} cannot be written: {error}.") from error
        raise
    return n_rows


def _close(writer: Any) -> None:
    if writer is not None and writer.is_open:
        writer.close()
