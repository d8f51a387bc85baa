"""Predictions of rows that come in batches: one after the other, to a frame or to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FitError
from mixfit.sources.opening import open_source
from mixfit.sources.source import CHUNK_ROWS, require_pyarrow
from mixfit.sources.write import write_parquet

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from mixfit.matrices.types import Design
    from mixfit.sources.source import Source

    Prediction = pd.Series[float] | pd.DataFrame

__all__ = ["predict_source"]

#: What a file of predictions has beside the columns of the source, as `augment` calls them.
FITTED, ERRORS = ".fitted", ".fitted_se"


def predict_source(
    predict: Callable[..., Any], design: Design, newdata: object, to: str | os.PathLike[str] | None, **options: Any
) -> Prediction | int | None:
    """Predict the rows of a source by `predict`, which predicts a table; None where `newdata` is no source.

    Parameters
    ----------
    predict : callable
    design : Design
    newdata : object
    to : path or None
        A Parquet file to write to, with the columns of the source and the predictions beside them.
    **options
        Of `predict`.

    Returns
    -------
    Series or DataFrame, or int, or None
        Predictions by the number of the row, or how many were written.

    Raises
    ------
    FitError
        Where `to` is given for data in memory.
    """
    source = open_source(newdata)
    if source is None:
        if to is not None:
            raise FitError("to= is for the predictions of a source, such as a path: those of a frame are a series.")
        return None
    if to is not None:
        return write_parquet(_beside(predict, source, options), to)
    # What the model looks up, where it is known; the response need not be there.
    frame = design.representatives.frame
    names = source.schema.names if frame is None else [name for name in source.schema.names if name in frame]
    parts = [predict(table, **options) for table in source.batches(names, CHUNK_ROWS)]
    found: Prediction = pd.concat(parts, ignore_index=True) if parts else pd.Series(np.empty(0))
    return found


def _beside(predict: Callable[..., Any], source: Source, options: dict[str, Any]) -> Iterator[pa.Table]:
    pa = require_pyarrow()
    taken = [name for name in (FITTED, ERRORS) if name in source.schema.names]
    if taken:
        raise DataError(
            f"{source.name} has a column {taken[0]!r} already: predictions would be written under its name."
        )
    for table in source.batches(source.schema.names, CHUNK_ROWS):
        found = predict(table, **options)
        if isinstance(found, pd.DataFrame):
            table = table.append_column(ERRORS, pa.array(found.iloc[:, 1].to_numpy()))
            found = found.iloc[:, 0]
        # The errors stand after what they are the errors of.
        yield table.add_column(len(source.schema), FITTED, pa.array(found.to_numpy()))
