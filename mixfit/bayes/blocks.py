"""Rows by the level they belong to, levels of one size together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Index = NDArray[np.intp]

__all__ = ["equal_sizes"]


def equal_sizes(codes: Index) -> list[tuple[Index, Index]]:
    """Levels (g,) of one number of rows c beside their rows (g, c), for every such number."""
    order = np.argsort(codes, kind="stable")
    count = np.bincount(codes)
    first = np.cumsum(count) - count
    out = []
    for size in np.unique(count[count > 0]):
        levels = np.flatnonzero(count == size)
        out.append((levels, order[first[levels][:, None] + np.arange(size)]))
    return out
