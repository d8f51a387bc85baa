"""Rows of the data that a model is made of, where it is not made of all: ``subset=``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError
from mixfit.matrices.columns import Columns
from mixfit.matrices.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

__all__ = ["some_rows"]


def some_rows(
    subset: Any, data: Any, context: Mapping[str, Any] | None, vectors: Sequence[Any]
) -> tuple[Any, tuple[Any, ...]]:
    """Rows of the data where `subset` holds, and what else has a value for each row.

    Parameters
    ----------
    subset : str or array_like of bool, shape (n,), or None
        An expression over the columns, or one truth value a row; rows where it is missing are left out.
    data : frame
    context : mapping, optional
        More names for the expression.
    vectors : sequence
        Arguments such as weights: arrays of length n lose the same rows, all else stays.

    Returns
    -------
    data : frame
    vectors : tuple

    Raises
    ------
    DataError
        Where it holds in no row, or gives no truth values.
    FormulaError
        For an expression that cannot be evaluated.
    """
    if subset is None:
        return data, tuple(vectors)
    columns = Columns(data)
    keep = _truth(subset, columns, context)
    if not keep.any():
        raise DataError(f"subset={subset!r} holds in no row." if isinstance(subset, str) else "subset= has no row.")
    return _filter(data, keep), tuple(_filter_vector(vector, keep) for vector in vectors)


def _truth(subset: Any, columns: Columns, context: Mapping[str, Any] | None) -> Bools:
    value, said = subset, "subset="
    if isinstance(subset, str):
        said = f"subset={subset!r}"
        names = {name: value for name, value in (context or {}).items() if name not in columns}
        value = Environment(columns, names, {}).evaluate_text(subset)
    elif isinstance(subset, pd.Series) and not subset.index.equals(columns.index):
        raise DataError("The index of subset= is not that of the data: pass .to_numpy() to go by position.")
    # Of pandas' and numpy's truth values, missing ones included.
    series = pd.Series(value if isinstance(value, pd.Series) else np.asarray(value)).reset_index(drop=True)
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind != "boolean" or len(series) != columns.n_rows:
        raise DataError(f"{said} is a truth value for each of the {columns.n_rows} rows, such as 'x > 0'.")
    return np.asarray(series.astype(object).where(series.notna(), False), dtype=bool)


def _filter(data: Any, keep: Bools) -> Any:
    if isinstance(data, pd.DataFrame):
        return data[keep]
    if isinstance(data, Mapping):
        return pd.DataFrame(data)[keep]
    import narwhals as nw

    return nw.from_native(data, eager_only=True).filter(keep.tolist()).to_native()


def _filter_vector(vector: Any, keep: Bools) -> Any:
    if isinstance(vector, str) or np.ndim(vector) != 1 or len(vector) != len(keep):
        return vector
    return vector[keep] if isinstance(vector, pd.Series) else np.asarray(vector)[keep]
