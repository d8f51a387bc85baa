"""Which rows lack a value, and of what."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def null_rows(values: object, n_rows: int, name: str) -> NDArray[np.bool_] | None:
    """Rows of a column, a matrix or a dict of columns that hold a missing value; None if no row does."""
    values = getattr(values, "__wrapped__", values)
    if isinstance(values, dict):
        found = [null_rows(v, n_rows, name) for k, v in values.items() if not str(k).startswith("__")]
        masks = [mask for mask in found if mask is not None]
        return np.logical_or.reduce(masks) if masks else None
    if values is None or np.ndim(values) == 0:  # type: ignore[arg-type]
        return None
    if np.shape(values)[0] != n_rows:  # type: ignore[arg-type]
        raise DataError(f"`{name}` gives {np.shape(values)[0]} values for {n_rows} rows.")  # type: ignore[arg-type]
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        mask = np.isnan(values)
    elif isinstance(values, pd.Series) and isinstance(values.dtype, np.dtype) and values.dtype.kind == "f":
        mask = np.isnan(values.to_numpy())
    elif getattr(getattr(values, "dtype", None), "kind", "O") in "iub":
        return None
    else:
        mask = np.asarray(pd.isna(values))  # type: ignore[call-overload]
    if mask.ndim > 1:
        mask = mask.any(axis=tuple(range(1, mask.ndim)))
    return mask if mask.any() else None
