"""Terms whose groups have a known covariance: the levels become the columns of one level.

``propto(1 | species, K)`` is the term ``propto(0 + species | one, K)`` with a column for each label of K, whether a
row has it or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.design.grouping import as_text
from mixfit.design.types import Grouping, SpreadLevels
from mixfit.errors import NewLevelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.columns import Across
    from mixfit.design.grouping import GroupingReader

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["AcrossReader", "spread"]


@dataclass(frozen=True)
class AcrossReader:
    """Gives new rows the columns of their levels.

    Attributes
    ----------
    grouping : GroupingReader
    place : ndarray of intp
        The column of each of its codes.
    size : int
        How many columns there are.
    name : str
        Of the grouping factor.
    """

    grouping: GroupingReader
    place: Index
    size: int
    name: str

    def codes(self, levels: Index) -> Index:
        """The codes of rows in the columns `levels`."""
        back = np.full(self.size, -1, dtype=np.intp)
        back[self.place] = np.arange(len(self.place))
        return back[levels]

    def read(self, columns: list[pd.Series], values: Array) -> tuple[Array, Index]:
        """Columns (m, size) and codes of rows with one column (m, 1); NaN and -1 where the level is missing.

        Raises
        ------
        NewLevelError
            For a level that is no label: nothing is known of its covariance.
        """
        codes = self.grouping.read(columns)
        missing = np.logical_or.reduce([column.isna().to_numpy(dtype=bool) for column in columns])
        unknown = (codes < 0) & ~missing
        if unknown.any():
            row = int(np.flatnonzero(unknown)[0])
            label = ":".join(str(column.iloc[row]) for column in columns)
            raise NewLevelError(
                f"{self.name} {label!r} has no row in the known covariance of the fit: refit with a matrix that has it."
            )
        out = _indicators(self.place[codes], self.size, values)
        out[missing] = np.nan
        return out, np.where(missing, -1, 0).astype(np.intp)


def spread(
    grouping: Grouping, reader: GroupingReader, recoding: Across, values: Array
) -> tuple[Grouping, Array, SpreadLevels, AcrossReader]:
    """The one level, its columns on the rows, what they are, and how new rows are read."""
    text = as_text(grouping.levels)
    at = pd.Index(recoding.labels).get_indexer(text).astype(np.intp)
    levels, place = grouping.levels, at
    if len(reader.levels) == 1:
        levels = _as_written(recoding.labels, text, grouping.levels)
        reader, place = replace(reader, levels=(levels,)), np.arange(len(levels), dtype=np.intp)
    else:
        levels = pd.Index(recoding.labels)
    size = len(recoding.labels)
    known = SpreadLevels(Grouping(grouping.name, at[grouping.codes], levels), recoding.column)
    columns = _indicators(at[grouping.codes], size, values)
    one = Grouping(grouping.name, np.zeros(len(values), dtype=np.intp), pd.Index(["all"]))
    return one, columns, known, AcrossReader(reader, place, size, grouping.name)


def _indicators(at: Index, size: int, values: Array) -> Array:
    out = np.zeros((len(values), size))
    out[np.arange(len(values)), at] = values[:, 0]
    return out


def _as_written(labels: tuple[str, ...], text: pd.Index, seen: pd.Index) -> pd.Index:
    """Labels in the type of the data's levels; those that no row has in the same type, if it can hold them."""
    known = dict(zip(text, seen, strict=True))
    try:
        return pd.Index([known[a] if a in known else seen.dtype.type(a) for a in labels], dtype=seen.dtype)
    except (TypeError, ValueError):
        return pd.Index([known.get(a, a) for a in labels], dtype=object)
