"""Units: the ones that have a rate each, with all of their trials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.brief import brief
from mixfit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Units", "aggregate", "name_of"]

# The rows of one unit carry the same numbers, but for rounding of how they were computed.
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Units:
    """N units with their counts and the covariates of their means.

    Attributes
    ----------
    y, n : ndarray, shape (N,)
        Successes and trials; a unit without trials has n = 0.
    X : ndarray, shape (N, p)
        Covariates of the mean.
    offset : ndarray, shape (N,)
        Known part of the linear predictor.
    labels : pandas.Index, shape (N,)
    exog_names : tuple of str, length p
    times : ndarray, shape (N,)
        How often each counts: how many units `distinct` put into one.
    """

    y: Array
    n: Array
    X: Array
    offset: Array
    labels: pd.Index
    exog_names: tuple[str, ...]
    times: Array

    __repr__ = brief

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[Any]) -> Units:
        """Some of the units, by a mask or numbers."""
        return replace(
            self,
            y=self.y[rows],
            n=self.n[rows],
            X=self.X[rows],
            offset=self.offset[rows],
            labels=self.labels[rows],
            times=self.times[rows],
        )

    def distinct(self) -> Units:
        """Units with the same counts, covariates and offset as one: a likelihood needs each only once."""
        rows = np.column_stack([self.y, self.n, self.X, self.offset])
        _, first, codes = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        if len(first) == len(rows):
            return self
        return replace(self.take(first), times=np.bincount(codes.ravel(), self.times).astype(np.float64))

    def with_known_coefficient(self, j: int, value: float) -> Units:
        """The same units with coefficient j given: its column moves into the offset."""
        return replace(
            self,
            X=np.delete(self.X, j, axis=1),
            offset=self.offset + value * self.X[:, j],
            exog_names=self.exog_names[:j] + self.exog_names[j + 1 :],
        )


def name_of(labels: pd.Index, place: int) -> str:
    """Label at a place as it would be typed: 3, and not np.int64(3).

    Examples
    --------
    >>> import pandas as pd
    >>> name_of(pd.Index([5, 3]), 1), name_of(pd.Index(["a"]), 0)
    ('3', "'a'")
    """
    return repr(labels[[place]].tolist()[0])


def aggregate(
    y: Array,
    n: Array,
    X: Array,
    offset: Array,
    codes: NDArray[np.intp],
    labels: pd.Index,
    exog_names: Sequence[str],
) -> Units:
    """Add up the rows of every unit.

    Parameters
    ----------
    y, n : ndarray, shape (rows,)
        Successes and trials of each row.
    X : ndarray, shape (rows, p)
    offset : ndarray, shape (rows,)
    codes : ndarray of intp, shape (rows,)
        The unit of each row; every unit occurs.
    labels : pandas.Index, shape (N,)
        Name of each unit.
    exog_names : sequence of str, length p

    Returns
    -------
    Units

    Raises
    ------
    DataError
        Where a covariate or the offset differs between two rows of one unit: a unit has one rate.

    Examples
    --------
    >>> import pandas as pd
    >>> y, n, codes = np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 6.0]), np.array([0, 1, 0])
    >>> units = aggregate(y, n, np.ones((3, 1)), np.zeros(3), codes, pd.Index(["a", "b"]), ["Intercept"])
    >>> units.y.tolist(), units.n.tolist()
    ([4.0, 2.0], [11.0, 5.0])
    """
    N = len(labels)
    first = np.empty(N, dtype=np.intp)
    # The last assignment to a place wins: from the back, that is the first row of each unit.
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    columns, names = np.column_stack([X, offset]), [*exog_names, "the offset"]
    differs = np.abs(columns - columns[first][codes]) > _SAME * np.abs(columns).max(axis=0, initial=0.0)
    if differs.any():
        row, column = (int(place) for place in np.argwhere(differs)[0])
        raise DataError(
            f"{names[column]!r} differs between rows of the unit {name_of(labels, int(codes[row]))}: a unit has one "
            "rate, so a covariate of it must be the same in all of its rows. Choose smaller units with by=."
        )
    return Units(
        y=np.bincount(codes, y, N).astype(np.float64),
        n=np.bincount(codes, n, N).astype(np.float64),
        X=X[first],
        offset=offset[first],
        labels=labels,
        exog_names=tuple(exog_names),
        times=np.ones(N),
    )
