"""The user's columns as a model keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.matrices.columns import Columns

__all__ = ["Variables"]


class Variables(Mapping[str, pd.Series]):
    """Columns as they were when a model was read, on the rows it uses; Series are made when something asks for them.

    Parameters
    ----------
    columns : Columns
    names : iterable of str
    keep : ndarray of bool, shape (n,), or None
        Rows used; None for all.
    """

    def __init__(self, columns: Columns, names: Iterable[str], keep: NDArray[np.bool_] | None):
        self._index = None if keep is None else pd.Index(np.flatnonzero(keep))
        self._values: dict[str, Any] = {}
        for name in names:
            series = columns.labelled(name)
            values = series.to_numpy() if isinstance(series.dtype, np.dtype) else series.array
            # A copy in any case: a model must not change with the user's frame.
            self._values[name] = values.copy() if keep is None else values[keep]

    def __repr__(self) -> str:
        n_rows = len(next(iter(self._values.values()), ()))
        return f"<Variables: {', '.join(self._values)}, {n_rows} rows>"

    def only(self, names: Iterable[str]) -> Variables:
        """Some of the columns, held but once."""
        out = copy(self)
        out._values = {name: self._values[name] for name in names}
        return out

    def __getitem__(self, name: str) -> pd.Series:
        return pd.Series(self._values[name], index=self._index, name=name, copy=True)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
