"""Which source a user's object is."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from mixfit.errors import DataError, MissingPackageError

if TYPE_CHECKING:
    from mixfit.sources.source import Source

__all__ = ["open_source"]


def open_source(data: Any) -> Source | None:
    """The source of rows that an object is; None for what is in memory already.

    Parameters
    ----------
    data : object
        A path, a glob or a list of paths of Parquet, CSV or Arrow IPC files; a ``pyarrow.dataset``, an open
        ``ParquetFile``, a ``RecordBatchReader``; a Polars ``LazyFrame``; a DuckDB relation; an Ibis table; a Dask or
        Spark data frame.

    Returns
    -------
    Source or None

    Raises
    ------
    SourceError
        For files that are not there or cannot be read.
    MissingPackageError
        Where pyarrow is not installed, or polars or pyspark is too old.

    Examples
    --------
    >>> import pandas as pd
    >>> open_source(pd.DataFrame({"y": [1.0]})) is None
    True
    """
    if _is_path(data) or (isinstance(data, (list, tuple)) and data and all(map(_is_path, data))):
        from mixfit.sources.files import file_source

        return file_source(data)
    if _is(data, "pyarrow.dataset", "Dataset"):
        from mixfit.sources.files import DatasetSource

        return DatasetSource("The dataset", data)
    if _is(data, "pyarrow.parquet", "ParquetFile"):
        from mixfit.sources.files import ParquetSource

        return ParquetSource(data)
    if _is(data, "pyarrow", "RecordBatchReader"):
        from mixfit.sources.once import spooled

        return spooled(data)
    return _query(data)


def _query(data: Any) -> Source | None:
    from mixfit.sources import engines

    if _is(data, "polars", "LazyFrame"):
        if not hasattr(data, "collect_batches"):
            raise MissingPackageError("Lazy frames in batches need polars 1.34 or later: pip install -U polars.")
        return engines.PolarsSource(data)
    if _is(data, "duckdb", "DuckDBPyRelation"):
        return engines.DuckSource(data)
    if _is(data, "ibis.expr.types", "Table"):
        return engines.IbisSource(data)
    if _is(data, "pyspark.sql", "DataFrame"):
        if not hasattr(data, "toArrow"):
            raise MissingPackageError("Spark frames need pyspark 4 or later: pip install -U pyspark.")
        from mixfit.sources.spark import SparkSource

        return SparkSource(data)
    if _is(data, "dask.dataframe", "DataFrame"):
        if not data.npartitions:
            raise DataError("The data have no rows.")
        return engines.DaskSource(data)
    return None


def _is_path(data: Any) -> bool:
    return isinstance(data, (str, os.PathLike))


def _is(data: Any, module: str, name: str) -> bool:
    """Whether it is of a class of a library, which nobody has an object of before it is imported."""
    found = sys.modules.get(module)
    return found is not None and isinstance(data, getattr(found, name, ()))
