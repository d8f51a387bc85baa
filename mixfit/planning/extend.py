"""Layouts with more or fewer levels of a factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from numpy.typing import NDArray

    Index = NDArray[np.intp]

__all__ = ["extend", "levels_of"]

# Steps between the values of a covariate that differ by less than this share of them are equal.
_EQUAL_STEPS = 1e-9
# Levels to each value of what lies between them, on average, from which on it is an arm: a treatment or a sex, and not
# each unit's own age.
_LEAST_SHARED = 2


def extend(data: pd.DataFrame, along: Mapping[str, int | Iterable[Any]], groups: Collection[str] = ()) -> pd.DataFrame:
    """Give columns of a frame other numbers of levels, as simr's ``extend``.

    The rows of a new level are those of an old one, which take turns: one of each arm, then the next of each, so that
    what lies between units is balanced where arms stand in blocks too. Fewer levels are the first in that order.

    Parameters
    ----------
    data : DataFrame
    along : mapping of str to int or iterable
        By the column: how many levels it is to have, or their values. New levels of a grouping factor or categorical
        are numbered on; a covariate of equal steps goes on with them. In a factor that lies within levels of `groups`,
        such as the pupils of classrooms, it is their number in each of these.
    groups : collection of str
        Columns that are grouping factors of the model. Levels of those that lie within levels of a factor that is
        extended are new too: the classrooms of new schools.

    Returns
    -------
    DataFrame

    Raises
    ------
    DataError
        For a column that is not there, and a covariate that does not say how it goes on.
    ArgumentError
        For levels that are neither a number nor an iterable.

    Examples
    --------
    >>> frame = pd.DataFrame({"Subject": ["a", "a", "b", "b"], "Days": [0, 2, 0, 2], "arm": ["x", "x", "y", "y"]})
    >>> longer = extend(frame, {"Subject": 3, "Days": 3}, ["Subject"])
    >>> longer.groupby("Subject")["Days"].agg(list).to_dict()
    {'3': [0, 2, 4], 'a': [0, 2, 4], 'b': [0, 2, 4]}
    >>> longer.groupby("Subject")["arm"].first().to_dict()
    {'3': 'x', 'a': 'x', 'b': 'y'}
    >>> blocks = pd.DataFrame({"Subject": list("abcd"), "arm": list("xxyy")})
    >>> extend(blocks, {"Subject": 2}, ["Subject"]).to_numpy().tolist()
    [['a', 'x'], ['c', 'y']]
    """
    for name, levels in along.items():
        if name not in data.columns:
            raise DataError(
                f"The layout has no factor {name!r} to go along; its columns are {', '.join(map(repr, data.columns))}."
            )
        if data[name].isna().any():
            raise DataError(f"The factor {name!r} has missing levels, which have no number.")
        data = _along(data, name, levels, groups)
    return data


def levels_of(data: pd.DataFrame, name: str, groups: Collection[str] = ()) -> int:
    """How many levels a column has, in each of the levels of groups that it lies within: their largest number.

    Examples
    --------
    >>> frame = pd.DataFrame({"school": ["a", "a", "b", "b"], "room": ["1", "2", "3", "4"], "pupil": list("wxyz")})
    >>> levels_of(frame, "school"), levels_of(frame, "room", ["school", "room"])
    (2, 2)
    """
    codes, _ = _coded(data[name])
    return int(np.bincount(_parents(data, name, codes, groups)).max())


def _along(data: pd.DataFrame, name: str, levels: int | Iterable[Any], groups: Collection[str]) -> pd.DataFrame:
    codes, old = _coded(data[name])
    parent = _parents(data, name, codes, groups)
    turns = _turns(data, name, codes, groups, parent)
    new = _new_levels(name, old, parent, turns, levels, is_group=name in groups)
    order, size = np.argsort(codes, kind="stable"), np.bincount(codes)
    sizes = size[new.source]
    # Rows of the first new level, of the second, ...: each those of the old level that it is like.
    first, start = np.cumsum(size) - size, np.cumsum(sizes) - sizes
    within = np.arange(sizes.sum()) - np.repeat(start, sizes)
    rows = order[np.repeat(first[new.source], sizes) + within]
    out = data.iloc[rows].reset_index(drop=True)
    out[name] = _column(np.repeat(np.arange(len(sizes)), sizes), new.labels, data[name])
    again = np.repeat(new.copy, sizes)
    for g in data.columns:
        if g == name or data[g].isna().any() or not (g in groups or _is_label(data[g])):
            continue
        inner, labels = _coded(data[g])
        if again.any() and _within(inner, codes):
            pairs, place = np.unique(np.stack([again, inner[rows]]), axis=1, return_inverse=True)
            out[g] = _column(place.ravel(), _copied([labels[i] for i in pairs[1]], pairs[0]), data[g])
    return out


def _parents(data: pd.DataFrame, name: str, codes: Index, groups: Collection[str]) -> Index:
    """For every level of a column, the level of the groups that it lies within; 0 for all where there are none."""
    outer = [_coded(data[g])[0] for g in groups if g != name]
    # Of several factors that a factor lies within, the innermost has the most levels.
    around = max((c for c in outer if _within(codes, c)), key=lambda c: int(c.max()), default=np.zeros_like(codes))
    parent = np.zeros(int(codes.max()) + 1, dtype=np.intp)
    parent[codes] = around
    return parent


def _turns(data: pd.DataFrame, name: str, codes: Index, groups: Collection[str], parent: Index) -> Index:
    """Levels in the order in which they take turns: by parent the first of each arm, the second of each, and so on."""
    n = len(parent)
    arms = [parent]
    # Values of a covariate have their own order.
    for column in data.columns if name in groups else ():
        if column == name or column in groups or data[column].isna().any():
            continue
        values = _coded(data[column])[0]
        own = np.empty(n, dtype=np.intp)
        own[codes] = values
        # Constant in every level, and with levels that share a value: there is nothing to balance where none do.
        if (own[codes] == values).all() and (values.max() + 1) * _LEAST_SHARED <= n:
            arms.append(own)
    order = np.arange(n, dtype=np.intp)
    # From the last column to the first: among levels that are alike in all columns before, its values take turns.
    for last in range(len(arms), 1, -1):
        alike = np.unique(np.stack(arms[:last])[:, order], axis=1, return_inverse=True)[1].ravel()
        rank = pd.Series(alike).groupby(alike).cumcount()
        order = order[np.lexsort((arms[last - 1][order], rank))]
    return order[np.argsort(parent[order], kind="stable")]


def _copied(values: list[Any], copy: Index) -> list[Any]:
    """Names of copies of levels: from the second on with a number behind the level's own name, which none has yet."""
    if not copy.any():
        return values
    taken, names = set(map(str, values)), []
    for value, k in zip(values, copy.tolist(), strict=True):
        number, name = k + 1, str(value)
        while k and name in taken:
            name, number = f"{value}.{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def _coded(column: pd.Series[Any]) -> tuple[Index, list[Any]]:
    """Levels that occur, in the order of categories or values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        return np.asarray(column.cat.codes, dtype=np.intp), column.cat.categories.tolist()
    codes, levels = pd.factorize(column, sort=not _is_label(column))
    return np.asarray(codes, dtype=np.intp), levels.tolist()


def _is_label(column: pd.Series[Any]) -> bool:
    numeric = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column)
    return not numeric


def _within(inner: Index, outer: Index) -> bool:
    """Whether every level of one factor lies in one level of another, which has fewer of them."""
    pairs = len(np.unique(inner * (outer.max() + 1) + outer))
    return bool(pairs == inner.max() + 1 > outer.max() + 1)


@dataclass(frozen=True, eq=False)
class _NewLevels:
    """Levels that a factor is to have: the old level that each is like, which copy of it that is, and their labels."""

    source: Index
    copy: Index
    labels: list[Any]


def _new_levels(
    name: str, old: list[Any], parent: Index, turns: Index, levels: int | Iterable[Any], *, is_group: bool
) -> _NewLevels:
    sizes = np.bincount(parent)
    if isinstance(levels, (bool, str)) or not isinstance(levels, (int, np.integer)):
        values = _values(name, levels)
        if len(sizes) > 1:
            raise DataError(f"{name!r} lies within other groups: give the number of its levels in each of them.")
        # A value that there is stands for its own rows, others for those of the old ones in turn.
        source = np.array([old.index(v) if v in old else i % len(old) for i, v in enumerate(values)], dtype=np.intp)
        copy = np.asarray(pd.Series(source).groupby(source).cumcount(), dtype=np.intp)
        return _NewLevels(source, copy, values)
    if levels < 1:
        raise DataError(f"{name!r} is to have {levels} levels: it takes a positive number of them.")
    turn, first = np.arange(levels, dtype=np.intp), np.cumsum(sizes) - sizes
    source = turns[(first[:, None] + turn % sizes[:, None]).ravel()]
    copy = np.asarray(turn // sizes[:, None], dtype=np.intp).ravel()
    if len(sizes) == 1:
        # In the order that the old levels have.
        source[: len(old)] = np.sort(source[: len(old)])
        labels = _continued(name, old, int(levels), is_group=is_group)
        return _NewLevels(source, copy, [old[i] for i in source[:levels]] if levels < len(old) else labels)
    return _NewLevels(source, copy, _copied([old[i] for i in source], copy))


def _values(name: str, levels: Any) -> list[Any]:
    try:
        values = [] if isinstance(levels, (bool, str)) else list(levels)
    except TypeError:
        values = []
    if not values:
        raise ArgumentError(f"The levels of {name!r} are a number of them, or their values in a list, not {levels!r}.")
    if len(set(values)) < len(values):
        raise DataError(f"The levels of {name!r} are not all different.")
    return values


def _continued(name: str, old: list[Any], n: int, *, is_group: bool) -> list[Any]:
    """Labels of n levels of which the first are the old ones."""
    if n <= len(old):
        return old[:n]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in old):
        steps = np.diff(old)
        if is_group:
            return [*old, *(int(max(old)) + 1 + i for i in range(n - len(old)))]
        if not len(steps) or np.ptp(steps) > _EQUAL_STEPS * np.abs(steps).max():
            raise DataError(f"The values of {name!r} have no equal steps to go on with: give all of them in a list.")
        return [*old, *(old[-1] + steps[0].item() * (i + 1) for i in range(n - len(old)))]
    taken = set(map(str, old))
    fresh = (str(i) for i in range(len(old) + 1, n + len(old) + 1) if str(i) not in taken)
    return [*old, *(next(fresh) for _ in range(n - len(old)))]


def _column(codes: Index, levels: list[Any], like: pd.Series[Any]) -> Any:
    values = pd.Index(levels, tupleize_cols=False).take(codes)
    return pd.Categorical(values, categories=levels) if isinstance(like.dtype, pd.CategoricalDtype) else values
