"""The rows of the data beside those used: what ``na_action="exclude"`` pads results to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.brief import brief

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Excluded"]


@dataclass(frozen=True, eq=False)
class Excluded:
    """All rows of the data, and which of them are used.

    Attributes
    ----------
    index : pandas.Index, shape (m,)
        Labels of all rows.
    keep : ndarray of bool, shape (m,)
        Which of them are used.
    """

    index: pd.Index
    keep: NDArray[np.bool_]

    __repr__ = brief

    def pad(self, values: pd.Series[Any] | pd.DataFrame) -> pd.Series[Any] | pd.DataFrame:
        """What the rows used have, under the labels of all rows, NaN elsewhere."""
        place = np.where(self.keep, np.cumsum(self.keep) - 1, -1)
        # By place: labels of rows may repeat.
        return values.set_axis(range(len(values)), axis=0).reindex(place).set_axis(self.index, axis=0)
