"""Which rows are left out together: levels of a factor, folds at random, or the splits of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import ArgumentError, DataError
from mixfit.inference.left_out import partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.matrices.types import Design

    Index = NDArray[np.intp]
    Pair = tuple[Index, Index]

__all__ = ["Splits", "read_splits"]


@dataclass(frozen=True, eq=False)
class Splits:
    """Rows that are left out, group by group.

    Attributes
    ----------
    by : str
        What the groups are: ``"observation"``, the name of a factor, ``"fold"``, ``"split"``.
    labels : pandas.Index, shape (q,)
    rows : ndarray of intp, shape (N,)
        Rows left out; with a splitter one may be left out several times.
    codes : ndarray of intp, shape (N,)
        The group that each is left out with.
    scored : ndarray of bool, shape (N,)
        Whether it is predicted; a splitter may leave out rows that it does not test.
    """

    by: str
    labels: pd.Index
    rows: Index
    codes: Index
    scored: NDArray[np.bool_]

    def name(self, group: int) -> str:
        """What an error calls a group."""
        return f"{self.by} {self.labels[group]!r}"


def read_splits(by: Any, design: Design, groups: str | ArrayLike | None, seed: int | None) -> Splits:
    """Read ``by=`` of `cross_validate`.

    Raises
    ------
    ArgumentError, DataError
        For what says no groups, and groups without rows to predict or to fit to.
    """
    n = len(design.y)
    if isinstance(by, (int, np.integer)) and not isinstance(by, bool):
        _refuse_groups(groups)
        return _whole("fold", pd.RangeIndex(int(by)), _random_folds(int(by), n, seed))
    if seed is not None:
        raise ArgumentError("seed= is for a number of random folds, by=5: other splits bring their own.")
    if hasattr(by, "split") and not isinstance(by, str) and not hasattr(by, "dtype"):
        own = None if groups is None else partition(groups, design)[1]
        # A splitter looks at the number of rows, at the classes of the response and at the groups.
        return _from_pairs(list(by.split(np.zeros((n, 1)), design.y, own)), n)
    _refuse_groups(groups)
    if not np.iterable(by):
        raise ArgumentError(
            f"by= is a grouping factor, 'observation', a number of folds, a label for every row, or a splitter of "
            f"scikit-learn, not {by!r}."
        )
    if not isinstance(by, str) and not hasattr(by, "dtype"):
        by = list(by)
        if by and all(isinstance(one, tuple) and len(one) == 2 for one in by):
            return _from_pairs(by, n)
    name, codes, labels = partition(by, design)
    if len(labels) < 2:
        raise DataError(f"{name} has one level, {labels[0]!r}: without it no row is left to fit to.")
    return _whole(name, labels, codes)


def _whole(by: str, labels: pd.Index, codes: Index) -> Splits:
    return Splits(by, labels, np.arange(len(codes)), codes, np.ones(len(codes), dtype=bool))


def _refuse_groups(groups: object) -> None:
    if groups is not None:
        raise ArgumentError("groups= is for splitters such as GroupKFold: by= itself says what is left out together.")


def _random_folds(k: int, n: int, seed: int | None) -> Index:
    """Folds of sizes that differ by one at most."""
    if not 2 <= k <= n:
        raise DataError(f"by={k} is no number of folds of {n} rows: give 2 to {n}.")
    return np.asarray(np.random.default_rng(seed).permutation(n) % k, dtype=np.intp)


def _from_pairs(pairs: Sequence[tuple[Any, Any]], n: int) -> Splits:
    """Of rows to fit to, and rows to predict, a pair a split."""
    rows, codes, scored = [], [], []
    for g, pair in enumerate(pairs):
        train, test = (_places(part, n, g) for part in pair)
        for part, what in ((train, "fit to"), (test, "predict")):
            if not len(part):
                raise DataError(f"split {g} of by= leaves no row to {what}: take fewer splits, or larger groups.")
        out = np.ones(n, dtype=bool)
        out[train] = False
        if not out[test].all():
            both = int(test[~out[test]][0])
            raise DataError(f"split {g} of by= has row {both} both among those to fit to and among those to predict.")
        left = np.flatnonzero(out)
        tested = np.zeros(n, dtype=bool)
        tested[test] = True
        rows.append(left)
        codes.append(np.full(len(left), g))
        scored.append(tested[left])
    if not rows:
        raise DataError("by= has no splits.")
    joined = (np.concatenate(part) for part in (rows, codes, scored))
    return Splits("split", pd.RangeIndex(len(rows)), *joined)


def _places(part: Any, n: int, split: int) -> Index:
    values = np.asarray(part)
    if values.dtype == bool and len(values) == n:
        return np.flatnonzero(values)
    if len(values) and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= n):
        raise DataError(f"split {split} of by= has rows that are no places among the {n} rows that the model uses.")
    return np.asarray(values, dtype=np.intp)
