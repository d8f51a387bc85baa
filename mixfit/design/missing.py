"""Which rows lack a value, and of what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MissingRows", "null_rows"]


class MissingRows:
    """Collects the rows in which anything that the model uses is missing."""

    def __init__(self, n_rows: int):
        self.n_rows = n_rows
        self.counts: dict[str, int] = {}
        self.rows: NDArray[np.bool_] | None = None

    def note(self, name: str, rows: NDArray[np.bool_] | None) -> None:
        """Take down the rows in which `name` is missing (None for none)."""
        if rows is None or name in self.counts:
            return
        self.counts[name] = int(np.count_nonzero(rows))
        self.rows = rows.copy() if self.rows is None else self.rows | rows

    def refuse(self) -> None:
        """Raise a DataError that names everything that is missing and how often."""
        if self.counts:
            listed = ", ".join(f"{name} ({count})" for name, count in self.counts.items())
            raise DataError(f"Missing values (rows) in: {listed}. na_action='drop' leaves these rows out.")


def null_rows(values: Any, n_rows: int, name: str) -> NDArray[np.bool_] | None:
    """Rows of a column, a matrix or a dict of columns that hold a missing value; None if no row does."""
    values = getattr(values, "__wrapped__", values)
    if isinstance(values, dict):
        found = [null_rows(v, n_rows, name) for k, v in values.items() if not str(k).startswith("__")]
        masks = [mask for mask in found if mask is not None]
        return np.logical_or.reduce(masks) if masks else None
    if values is None or np.ndim(values) == 0:
        return None
    if len(values) != n_rows:
        raise DataError(f"`{name}` gives {len(values)} values for {n_rows} rows.")
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "iub":
        return None
    # isna on a float column takes a detour that isnan does not.
    numeric = isinstance(dtype, np.dtype) and dtype.kind == "f"
    mask = np.asarray(np.isnan(np.asarray(values)) if numeric else pd.isna(values), dtype=np.bool_)
    if mask.ndim > 1:
        mask = np.asarray(mask.any(axis=tuple(range(1, mask.ndim))))
    return mask if mask.any() else None
