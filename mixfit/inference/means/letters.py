"""Compact letter displays: means that share a letter were not shown to differ.

By insertion and absorption (Piepho 2004, Journal of Computational and Graphical Statistics 13(2), 456-466): a column of
letters holds means of which no two differ. One column holds them all; for every two that differ each column with both
becomes two, without the one and without the other, and columns within others go.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LETTERS", "letter_columns", "letters_of"]

LETTERS = string.ascii_letters


def letter_columns(differ: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which means (k) each column of letters holds, in the order of the columns' first means: shape (k, q).

    Parameters
    ----------
    differ : ndarray of bool, shape (k, k)
        Symmetric: which two means differ.

    Examples
    --------
    >>> differ = np.zeros((3, 3), dtype=bool)
    >>> differ[0, 2] = differ[2, 0] = True
    >>> letter_columns(differ).astype(int).tolist()
    [[1, 0], [1, 1], [0, 1]]
    """
    k = len(differ)
    columns = [frozenset(range(k))]
    for i, j in zip(*np.nonzero(np.triu(differ)), strict=True):
        both = [column for column in columns if {i, j} <= column]
        others = [column for column in columns if not {i, j} <= column]
        halves = [column - {left_out} for column in both for left_out in (i, j)]
        columns = others
        for half in halves:
            if not any(half <= column for column in columns):
                columns.append(half)
    columns.sort(key=sorted)
    return np.array([[mean in column for column in columns] for mean in range(k)], dtype=bool).reshape(k, len(columns))


def letters_of(columns: NDArray[np.bool_], letters: str = LETTERS) -> list[str]:
    """The letters of each mean, from `letter_columns`.

    Raises
    ------
    FitError
        Where there are more columns than letters.
    """
    if columns.shape[1] > len(letters):
        raise FitError(f"The display needs {columns.shape[1]} letters, and there are {len(letters)}: give more.")
    return ["".join(letters[j] for j in np.flatnonzero(row)) for row in columns]
