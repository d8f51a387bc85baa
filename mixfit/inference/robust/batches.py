"""Groups of rows of about one size, side by side, so that what each of them needs is computed for many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Index = NDArray[np.intp]

__all__ = ["batches", "combined"]

# Numbers of an array: 80 MB.
_AT_ONCE = 10_000_000
# Groups batched with ones at most this much larger: padding costs less than another batch.
_PADDING = 1.25


def combined(codes: Sequence[Index]) -> Index:
    """Number of every row's combination of codes.

    Examples
    --------
    >>> combined([np.array([0, 0, 1]), np.array([1, 0, 1])]).tolist()
    [1, 0, 2]
    """
    out = np.unique(codes[0], return_inverse=True)[1].ravel()
    for code in codes[1:]:
        out = np.unique(out * (int(code.max()) + 1) + code, return_inverse=True)[1].ravel()
    return np.asarray(out, dtype=np.intp)


def batches(codes: Index, wanted: NDArray[np.bool_], width: int) -> Iterator[Index]:
    """Rows of the groups that are wanted, by size: (g, s) at a time, -1 beyond a group's own.

    Parameters
    ----------
    codes : ndarray of intp, shape (n,)
        The group of every row.
    wanted : ndarray of bool, shape (q,)
    width : int
        Columns beside the rows' own, to count memory by.

    Yields
    ------
    ndarray of intp, shape (g, s)

    Examples
    --------
    >>> for rows in batches(np.array([0, 1, 0, 1, 2]), np.ones(3, dtype=bool), 1):
    ...     print(rows.tolist())
    [[4]]
    [[0, 2], [1, 3]]
    """
    by_group = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=len(wanted))
    first = np.concatenate([[0], np.cumsum(sizes)])
    order = np.flatnonzero(wanted & (sizes > 0))
    order = order[np.argsort(sizes[order], kind="stable")]
    start = 0
    while start < len(order):
        size = int(sizes[order[start]] * _PADDING)
        most = max(1, _AT_ONCE // (size * (size + width)))
        stop = min(start + most, int(np.searchsorted(sizes[order], size, side="right")))
        groups = order[start:stop]
        offset = np.arange(int(sizes[groups].max()))
        inside = offset < sizes[groups, None]
        yield np.where(inside, by_group[np.minimum(first[groups, None] + offset, len(codes) - 1)], -1)
        start = stop
