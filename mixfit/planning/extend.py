"""Layouts with more or fewer levels of a factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from numpy.typing import NDArray

    Index = NDArray[np.intp]

__all__ = ["extend"]

# Steps between the values of a covariate that differ by less than this share of them are equal.
_EQUAL_STEPS = 1e-9


def extend(data: pd.DataFrame, along: Mapping[str, int | Iterable[Any]], groups: Collection[str] = ()) -> pd.DataFrame:
    """Give columns of a frame other numbers of levels, as simr's ``extend``.

    The rows of a new level are those of an old one, which take turns; so that factors between units stay as balanced as
    they were. Fewer levels are the first ones.

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
    """
    for name, levels in along.items():
        if name not in data.columns:
            raise DataError(
                f"The layout has no factor {name!r} to go along; its columns are {', '.join(map(repr, data.columns))}."
            )
        data = _along(data, name, levels, set(groups))
    return data


def _along(data: pd.DataFrame, name: str, levels: int | Iterable[Any], groups: set[str]) -> pd.DataFrame:
    codes, old = _coded(data[name])
    outer = [g for g in groups - {name} if _within(codes, _coded(data[g])[0])]
    inner = [
        g
        for g in data.columns
        if g != name and (g in groups or _is_label(data[g])) and _within(_coded(data[g])[0], codes)
    ]
    # Of several factors that a factor lies within, the innermost has the most levels.
    parent = max((_coded(data[g])[0] for g in outer), key=lambda c: c.max(), default=np.zeros(len(data), dtype=np.intp))
    source, copy, labels = _sources(name, codes, old, parent, levels, is_group=name in groups)
    rows = [np.flatnonzero(codes == code) for code in source]
    out = data.iloc[np.concatenate(rows)].reset_index(drop=True)
    sizes = [len(own) for own in rows]
    out[name] = _column([labels[i] for i in np.repeat(np.arange(len(rows)), sizes)], data[name], labels)
    again = np.repeat(copy, sizes)
    for g in inner:
        own = _copied(out[g].tolist(), again)
        out[g] = _column(own, data[g], list(dict.fromkeys(own)))
    return out


def _copied(values: list[Any], copy: Index) -> list[Any]:
    """Names of copies of levels: from the second on with a number behind the level's own name, which none has yet."""
    if not copy.any():
        return values
    taken, names = set(map(str, values)), {}
    for value, k in dict.fromkeys(zip(values, copy.tolist(), strict=True)):
        number, name = k + 1, str(value)
        while k and name in taken:
            name, number = f"{value}.{number}", number + 1
        taken.add(name)
        names[value, k] = name
    return [names[pair] for pair in zip(values, copy.tolist(), strict=True)]


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


def _sources(
    name: str, codes: Index, old: list[Any], parent: Index, levels: int | Iterable[Any], *, is_group: bool
) -> tuple[list[int], Index, list[Any]]:
    """The old level that each new one is like, which copy of it that is, and the labels of the new ones."""
    parents = [np.unique(codes[parent == p]).tolist() for p in range(int(parent.max()) + 1)]
    if isinstance(levels, (bool, str)) or not isinstance(levels, (int, np.integer)):
        values = _values(name, levels)
        if len(parents) > 1:
            raise DataError(f"{name!r} lies within other groups: give the number of its levels in each of them.")
        return [i % len(old) for i in range(len(values))], np.arange(len(values)) // len(old), values
    if levels < 1:
        raise DataError(f"{name!r} is to have {levels} levels: it takes a positive number of them.")
    source = [own[i % len(own)] for own in parents for i in range(levels)]
    copy = np.concatenate([np.arange(levels) // len(own) for own in parents])
    if len(parents) == 1:
        return source, copy, _continued(name, old, int(levels), is_group=is_group)
    return source, copy, _copied([old[i] for i in source], copy)


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


def _column(values: list[Any], like: pd.Series[Any], levels: list[Any]) -> Any:
    return pd.Categorical(values, categories=levels) if isinstance(like.dtype, pd.CategoricalDtype) else values
