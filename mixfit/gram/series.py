"""Rows of series, ordered so that a recursion over time runs through all series at once.

First stand the first rows of all series, then the second ones, and so on, the longest series in front: the rows of a
step and those before them are slices, and no row is made up to fill a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Series", "series_of"]


@dataclass(frozen=True, eq=False)
class Series:
    """All series of a model's rows.

    Attributes
    ----------
    order : ndarray of intp, shape (n,)
        The rows, the first ones of all series in front.
    steps : tuple of (slice, slice)
        From the second rows on: those of a step, and the rows of the same series before them.
    n_series : int
    gap : ndarray, shape (n,)
        Time since the row before; 0 for the first rows.
    part : ndarray of intp, shape (n,)
        Which covariance the series of a row has.
    span : ndarray, shape (n_series,)
        Time from the first row of a series to its last.
    """

    order: Index
    steps: tuple[tuple[slice, slice], ...]
    n_series: int
    gap: Array
    part: Index
    span: Array

    @property
    def is_first(self) -> NDArray[np.bool_]:
        """The first rows, (n,)."""
        return np.arange(len(self.order)) < self.n_series


def series_of(block: Index, time: Array, part: Index) -> Series:
    """Order rows.

    Parameters
    ----------
    block : ndarray of intp, shape (n,)
        The series of every row, numbered from 0 on.
    time : ndarray, shape (n,)
        No two rows of a series have the same.
    part : ndarray of intp, shape (n,)
        The same in all rows of a series.
    """
    n = len(block)
    by_series = np.lexsort((time, block))
    sizes = np.bincount(block)
    sizes = sizes[sizes > 0]
    start = np.cumsum(sizes) - sizes
    longest = np.argsort(-sizes, kind="stable")
    rank = np.empty_like(longest)
    rank[longest] = np.arange(len(sizes))
    within = np.arange(n) - np.repeat(start, sizes)
    order = by_series[np.lexsort((np.repeat(rank, sizes), within))].astype(np.intp)
    width = np.bincount(within)
    ends, widths = np.cumsum(width).tolist(), width.tolist()
    starts = [0, *ends]
    steps = tuple(
        (slice(starts[k], ends[k]), slice(starts[k - 1], starts[k - 1] + widths[k])) for k in range(1, len(widths))
    )
    sorted_time = time[order]
    gap, span = np.zeros(n), np.zeros(len(sizes))
    for own, before in steps:
        gap[own] = sorted_time[own] - sorted_time[before]
        span[: own.stop - own.start] += gap[own]
    return Series(order, steps, len(sizes), gap, part[order], span)
