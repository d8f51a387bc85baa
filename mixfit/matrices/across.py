"""Terms whose groups have a known covariance: the levels become the columns of one level.

``propto(1 | species, K)`` is the term ``propto(0 + species | one, K)`` with a column for each label of K, whether a
row has it or not. Where K is known by its sparse inverse, the nodes of that become the levels of the term.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import FitError, NewLevelError
from mixfit.matrices.grouping import as_text
from mixfit.matrices.types import Grouping, SpreadLevels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.columns import Across, Among
    from mixfit.matrices.grouping import GroupingReader
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["AcrossReader", "among", "refuse_given", "refuse_related", "spread"]


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
    spreads : bool
        Whether the levels are columns; they are levels otherwise, and `place` their codes.
    """

    grouping: GroupingReader
    place: Index
    size: int
    name: str
    spreads: bool

    def codes(self, levels: Index) -> Index:
        """The codes of rows in the columns `levels`."""
        back = np.full(self.size, -1, dtype=np.intp)
        back[self.place] = np.arange(len(self.place))
        return back[levels]

    def read(self, columns: list[pd.Series], values: Array) -> tuple[Array, Index]:
        """Columns (m, size) or (m, 1) and codes of rows with one column (m, 1); NaN and -1 where the level is missing.

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
        own = self.place[codes]
        out = _indicators(own, self.size, values) if self.spreads else values.copy()
        out[missing] = np.nan
        return out, np.where(missing, -1, 0 if self.spreads else own).astype(np.intp)


def spread(
    grouping: Grouping, reader: GroupingReader, recoding: Across, values: Array
) -> tuple[Grouping, Array, SpreadLevels, AcrossReader]:
    """The one level, its columns on the rows, what they are, and how new rows are read."""
    whole, read = _among(grouping, reader, recoding.labels, spreads=True)
    columns = _indicators(whole.codes, len(recoding.labels), values)
    one = Grouping(grouping.name, np.zeros(len(values), dtype=np.intp), pd.Index(["all"]))
    return one, columns, SpreadLevels(whole, recoding.column), read


def among(grouping: Grouping, reader: GroupingReader, recoding: Among) -> tuple[Grouping, AcrossReader]:
    """The nodes as levels, and how new rows are read."""
    return _among(grouping, reader, recoding.labels, spreads=False)


def refuse_related(random: Sequence[RandomDesign], what: str) -> None:
    """Refuse what takes levels for independent."""
    for term in random:
        if term.structure.relationship is not None:
            raise FitError(
                f"{term.text}: {what} takes levels for independent, or a dense matrix of theirs, and these are related "
                "by a sparse inverse. Hand over the matrix itself, K.covariance(levels), of the levels with rows."
            )


def refuse_given(random: Sequence[RandomDesign], what: str) -> None:
    """Refuse what takes all covariances for estimated, or relative to sigma."""
    for term in random:
        if term.structure.is_given:
            raise FitError(
                f"{term.text}: {what} takes every covariance for an estimated one, and this one is known. Compare "
                "fits by their log-likelihoods, or resample with bootstrap()."
            )


def _among(
    grouping: Grouping, reader: GroupingReader, labels: tuple[str, ...], *, spreads: bool
) -> tuple[Grouping, AcrossReader]:
    """The grouping with a level for each label."""
    text = as_text(grouping.levels)
    at = pd.Index(labels).get_indexer(text).astype(np.intp)
    if len(reader.levels) == 1:
        levels, place = _as_written(labels, text, grouping.levels), np.arange(len(labels), dtype=np.intp)
        reader = replace(reader, levels=(levels,))
    else:
        levels, place = pd.Index(labels), at
    whole = Grouping(grouping.name, at[grouping.codes], levels)
    return whole, AcrossReader(reader, place, len(labels), grouping.name, spreads)


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
