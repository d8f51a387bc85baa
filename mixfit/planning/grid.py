"""Balanced layouts of experiments, crossed and nested, as frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Index = NDArray[np.intp]

__all__ = ["grid"]

# What joins the number of a level to those of the levels that it is nested in.
_JOINT = "."


@dataclass(frozen=True, eq=False)
class _Factor:
    """A factor of the layout: how many levels it has (in each level of its parent), and their labels."""

    name: str
    n: int
    values: pd.Series[Any] | None


def grid(
    *,
    within: str | None = None,
    between: str | Sequence[str] | Mapping[str, str] | None = None,
    nested: str | Sequence[str] = (),
    **factors: int | Iterable[Any],
) -> pd.DataFrame:
    """Lay out an experiment: a frame with a row for every observation.

    Parameters
    ----------
    within : str, optional
        The unit, such as ``"Subject"``, within each level of which the other factors take all their levels, but for
        those that `between` names. Factors that nothing is said of are crossed anyhow.
    between : str, sequence of str, or mapping of str to str, optional
        Factors that have one level in each level of a unit: names, of the unit `within`, or a mapping of names to their
        units. The levels of the unit take them in turn (all combinations of several, the last varying fastest), so that
        numbers of units differ by at most one.
    nested : str or sequence of str
        Chains of factors, the outermost first, in the language of formulas: ``"school/classroom/pupil"``. A factor of
        a chain has its number of levels in *each* level of the one before it.
    **factors : int or iterable
        The levels of each factor: how many there are, or their values. Counted levels are called ``1``, ``2``, ...;
        nested ones by those before them too, ``1.1``, ``1.2``, ``2.1``, so that ``(1 | classroom)`` and
        ``(1 | school:classroom)`` are one factor. Numbers stay numbers: a covariate. Words become a categorical with
        levels in the order given, whose first is the reference of a formula.

    Returns
    -------
    DataFrame
        A column a factor, in the order given. All crossed factors meet in all combinations, the first varying slowest.

    Raises
    ------
    DataError
        For a factor without levels or with one twice, a name that no factor has, and factors that are said to be in two
        places.
    ArgumentError
        For levels that are neither a number nor an iterable.

    See Also
    --------
    mixfit.design : A model with stated parameters on such a frame.

    Examples
    --------
    Every subject on each of ten days, half of them in each group:

    >>> import mixfit
    >>> days = mixfit.grid(Subject=20, Days=range(10), group=["old", "new"], within="Subject", between="group")
    >>> len(days), days.groupby("group", observed=True)["Subject"].nunique().tolist()
    (200, [10, 10])

    All under both conditions, which is twice as many rows:

    >>> len(mixfit.grid(Subject=20, Days=range(10), condition=["a", "b"], within="Subject"))
    400

    Pupils in classrooms in schools, where the arm is a matter of the school:

    >>> schools = mixfit.grid(
    ...     school=6, classroom=2, pupil=3, arm=["control", "treated"],
    ...     nested="school/classroom/pupil", between={"arm": "school"},
    ... )
    >>> schools.iloc[[0, 3, 6, 35]]
       school classroom  pupil      arm
    0       1       1.1  1.1.1  control
    3       1       1.2  1.2.1  control
    6       2       2.1  2.1.1  treated
    35      6       6.2  6.2.3  treated
    """
    read = {name: _read(name, levels) for name, levels in factors.items()}
    if not read:
        raise DataError("A grid has at least one factor: grid(Subject=20, Days=range(10)).")
    chains, units = _chains(nested, read), _units(within, between, read)
    parent = {inner: outer for chain in chains for outer, inner in pairwise(chain)}
    for name, unit in units.items():
        if any(name in chain for chain in chains):
            raise DataError(f"The factor {name!r} is nested, and so cannot be between levels of {unit!r} as well.")
        if unit in units:
            raise DataError(f"{name!r} is said to be between levels of {unit!r}, which is itself between units.")
    codes = _cross({name: f for name, f in read.items() if name not in units}, parent)
    for unit in dict.fromkeys(units.values()):
        codes |= _in_turn([read[name] for name, own in units.items() if own == unit], codes[unit])
    return pd.DataFrame({name: _labels(name, read, parent, codes[name]) for name in read})


def _read(name: str, levels: Any) -> _Factor:
    if isinstance(levels, (bool, str)) or not isinstance(levels, (int, np.integer, Iterable)):
        raise ArgumentError(f"The levels of {name!r} are a number of them, or their values in a list, not {levels!r}.")
    if isinstance(levels, (int, np.integer)):
        if levels < 1:
            raise DataError(f"The factor {name!r} has no levels: give a positive number of them, not {levels}.")
        return _Factor(name, int(levels), None)
    values = pd.Series(list(levels))
    if not len(values) or values.isna().any():
        raise DataError(f"The factor {name!r} has {'a missing level' if len(values) else 'no levels'}.")
    if values.duplicated().any():
        twice = values[values.duplicated()].tolist()[0]
        raise DataError(
            f"The factor {name!r} has the level {twice!r} twice. For repeated observations add a factor, such as "
            "repeat=2."
        )
    return _Factor(name, len(values), values)


def _chains(nested: str | Sequence[str], read: Mapping[str, _Factor]) -> list[list[str]]:
    """The names of every chain, outermost first."""
    chains = [[part.strip() for part in text.split("/")] for text in ([nested] if isinstance(nested, str) else nested)]
    seen: set[str] = set()
    for chain in chains:
        _require(chain, read, "nested")
        if len(chain) < 2:
            raise DataError(f"nested names chains such as 'school/classroom', not {chain[0]!r} alone.")
        inner = chain[1:]
        if seen & set(inner) or len(set(chain)) < len(chain):
            raise DataError(f"nested says of {', '.join(inner)} twice what they are nested in.")
        for name in inner:
            if read[name].values is not None:
                raise DataError(f"The levels of {name!r} are counted in each level of another: give their number.")
        seen |= set(inner)
    return chains


def _units(
    within: str | None, between: str | Sequence[str] | Mapping[str, str] | None, read: Mapping[str, _Factor]
) -> dict[str, str]:
    """The unit of every factor that is between units."""
    if within is not None:
        _require([within], read, "within")
    if between is None:
        return {}
    if isinstance(between, Mapping):
        units = dict(between)
    else:
        if within is None:
            raise DataError("between= names factors: say by within= of which unit, or map them to their units.")
        units = dict.fromkeys([between] if isinstance(between, str) else between, within)
    _require([*units, *units.values()], read, "between")
    for name, unit in units.items():
        if name == unit:
            raise DataError(f"The factor {name!r} cannot be between its own levels.")
    return units


def _require(names: Iterable[str], read: Mapping[str, _Factor], where: str) -> None:
    for name in names:
        if name not in read:
            raise DataError(f"{where}= names {name!r}, and the factors are {', '.join(map(repr, read))}.")


def _cross(crossed: Mapping[str, _Factor], parent: Mapping[str, str]) -> dict[str, Index]:
    """Level of every factor in every row: of nested factors counted through all levels of their parents."""
    sizes = [f.n for f in crossed.values()]
    places = np.indices(sizes, dtype=np.intp).reshape(len(sizes), -1)
    own = dict(zip(crossed, places, strict=True))
    whole: dict[str, Index] = {}

    def through(name: str) -> Index:
        if name not in whole:
            whole[name] = own[name] if name not in parent else through(parent[name]) * crossed[name].n + own[name]
        return whole[name]

    return {name: through(name) for name in crossed}


def _in_turn(factors: Sequence[_Factor], unit: Index) -> dict[str, Index]:
    """Levels of factors that the levels of a unit take in turn."""
    sizes = [f.n for f in factors]
    cells = np.unravel_index(unit % int(np.prod(sizes)), sizes)
    return {f.name: np.asarray(level, dtype=np.intp) for f, level in zip(factors, cells, strict=True)}


def _labels(name: str, read: Mapping[str, _Factor], parent: Mapping[str, str], codes: Index) -> Any:
    """The column of a factor: numbers as they are, other levels as a categorical."""
    values = read[name].values
    if values is None:
        return _categorical(codes, _counted(name, read, parent))
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return values.to_numpy()[codes]
    return _categorical(codes, values.tolist())


def _categorical(codes: Index, levels: list[Any]) -> pd.Categorical:
    return pd.Categorical(pd.Index(levels, tupleize_cols=False).take(codes), categories=levels)


def _counted(name: str, read: Mapping[str, _Factor], parent: Mapping[str, str]) -> list[str]:
    """Labels of levels that are counted, in each level of the parent where there is one."""
    own, outer = [str(i + 1) for i in range(read[name].n)], parent.get(name)
    if outer is None:
        return own
    values = read[outer].values
    before = _counted(outer, read, parent) if values is None else [str(value) for value in values]
    return [f"{one}{_JOINT}{number}" for one in before for number in own]
