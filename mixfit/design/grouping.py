"""Grouping factors: from columns to codes and levels, and back for new data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.design.types import Grouping
from mixfit.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Coded", "GroupingReader", "code_factor", "make_grouping"]

# A table of flags over all combinations is faster than sorting as long as it is no larger than a few columns.
_TABLE_ROWS = 4


@dataclass(frozen=True)
class Coded:
    """One column as codes: -1 where missing; `complete` says that every level is known to occur."""

    codes: NDArray[np.intp]
    levels: pd.Index
    complete: bool


@dataclass(frozen=True)
class GroupingReader:
    """Gives new rows the codes of a fitted grouping factor.

    Attributes
    ----------
    levels : tuple of pandas.Index
        The levels of each column of the (interaction) factor.
    keys : tuple of ndarray of int
        For every column after the first, the observed pairs ``code so far * n_levels + code``, sorted.
    """

    levels: tuple[pd.Index, ...]
    keys: tuple[NDArray[np.intp], ...]

    def read(self, columns: list[pd.Series]) -> NDArray[np.intp]:
        """Return the codes of the rows of `columns`, -1 for a level (or pair) that the fit never saw."""
        codes = _lookup(self.levels[0], columns[0])
        for column, levels, keys in zip(columns[1:], self.levels[1:], self.keys, strict=True):
            more = _lookup(levels, column)
            pair = codes * len(levels) + more
            place = np.minimum(np.searchsorted(keys, pair), len(keys) - 1)
            known = (codes >= 0) & (more >= 0) & (keys[place] == pair)
            codes = np.where(known, place, -1)
        return codes


def code_factor(values: pd.Series, name: str) -> Coded:
    """Code one column: category order for categoricals, sorted otherwise."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return Coded(values.cat.codes.to_numpy(np.intp), values.cat.categories, False)
    if values.dtype == np.bool_:
        return Coded(values.to_numpy().astype(np.intp), pd.Index([False, True]), False)
    try:
        codes, levels = pd.factorize(values, sort=True)
    except TypeError as error:
        raise DataError(f"Grouping factor {name!r} holds values that cannot be ordered ({error}).") from error
    return Coded(codes, pd.Index(levels), True)


def make_grouping(
    name: str, parts: list[Coded], keep: NDArray[np.bool_] | None
) -> tuple[Grouping, GroupingReader]:
    """Cross the columns of a grouping factor over the rows that are kept."""
    kept = [_compact(part, keep) for part in parts]
    codes, levels = kept[0].codes, kept[0].levels
    keys: list[NDArray[np.intp]] = []
    for part in kept[1:]:
        pair_codes, pairs = _observed(codes * len(part.levels) + part.codes, len(levels) * len(part.levels))
        first, second = np.divmod(pairs, len(part.levels))
        levels = _as_text(levels).take(first) + ":" + _as_text(part.levels).take(second)
        codes = pair_codes
        keys.append(pairs)
    reader = GroupingReader(tuple(part.levels for part in kept), tuple(keys))
    return Grouping(name, codes, levels), reader


def _compact(part: Coded, keep: NDArray[np.bool_] | None) -> Coded:
    """Leave out the rows not kept, and then the levels that no row has."""
    if keep is None and part.complete:
        return part
    codes = part.codes if keep is None else part.codes[keep]
    codes, used = _observed(codes, len(part.levels))
    levels = part.levels if len(used) == len(part.levels) else part.levels.take(used)
    return Coded(codes, levels, True)


def _observed(codes: NDArray[np.intp], n_codes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Renumber `codes` (all < `n_codes`) without gaps; return the new codes and the sorted old ones."""
    if n_codes > _TABLE_ROWS * len(codes) + 1024:
        used, renumbered = np.unique(codes, return_inverse=True)
        return renumbered.astype(np.intp, copy=False), used
    seen = np.zeros(n_codes, dtype=bool)
    seen[codes] = True
    if seen.all():
        return codes, np.arange(n_codes, dtype=np.intp)
    return (np.cumsum(seen, dtype=np.intp) - 1)[codes], np.flatnonzero(seen)


def _as_text(levels: pd.Index) -> pd.Index:
    """Level names as R prints them: a whole number without its ``.0``."""
    if levels.dtype.kind == "f" and np.all(levels.to_numpy() == np.trunc(levels.to_numpy())):
        levels = levels.astype(np.int64)
    return levels.astype(str)


def _lookup(levels: pd.Index, values: pd.Series) -> NDArray[np.intp]:
    codes: NDArray[np.intp]
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, found = values.cat.codes.to_numpy(np.intp), values.cat.categories
    else:
        codes, found = pd.factorize(values)
    if len(found) == 0:
        return np.full(len(values), -1, dtype=np.intp)
    places = levels.get_indexer(pd.Index(found)).astype(np.intp)
    return np.where(codes >= 0, places[codes], -1)
