"""What stands left of a bar, as structures read it: levels in their order, and places in time or space."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, overload

import numpy as np

from mixfit.errors import DataError, FormulaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "SAME_STEP",
    "Across",
    "Among",
    "GivenColumns",
    "Permuted",
    "PlaceNames",
    "Places",
    "Recoding",
    "ordered_levels",
    "places",
    "without_options",
]

# Levels of a factor, as formulaic names their columns.
_LEVEL = re.compile(r"(.+)\[(?:T\.)?([^\[\]]*)\]")
# Steps between equally spaced numbers differ by rounding only.
SAME_STEP = 1e-8
# A place has one to three numbers.
_MOST_COORDINATES = 3
# Digits of a place in a column's name; where these leave two places one name, as many as tell any two doubles apart.
_DIGITS = (6, 17)


def _nothing(name: str) -> object:
    raise KeyError(name)


@dataclass(frozen=True, eq=False)
class GivenColumns:
    """Columns left of a bar, and what follows the grouping factor.

    Attributes
    ----------
    text : str
        The term as it was written, for messages.
    names : tuple of str, length k
    values : ndarray, shape (n, k)
    options : tuple of str
    lookup : callable
        The value of a name of the formula's context; raises KeyError.
    group_levels : callable
        The levels of the grouping factor that occur, as text; only structures of known levels ask for them.
    of_residuals : bool
        Whether the rows themselves are what covaries, and not effects beside residuals.
    """

    text: str
    names: tuple[str, ...]
    values: Array
    options: tuple[str, ...] = ()
    lookup: Callable[[str], object] = _nothing
    group_levels: Callable[[], tuple[str, ...]] = tuple
    of_residuals: bool = False

    @property
    def levels(self) -> tuple[str, ...] | None:
        """The levels that the columns are indicators of; None where they are not those of one factor."""
        found = [_LEVEL.fullmatch(name) for name in self.names]
        variables = {match.group(1) for match in found if match}
        if None in found or len(variables) != 1 or "[T." in "".join(self.names):
            return None
        return tuple(match.group(2) for match in found if match)


class Recoding(Protocol):
    """How a term's columns are made of those that its formula names."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that are made."""

    def apply(self, values: Array) -> Array:
        """Rows (m, k) of them from rows (m, c) of those in the formula."""


@dataclass(frozen=True)
class Across:
    """The levels of the grouping factor as the columns of one level, each times the one column that is written.

    What a row has in them follows from its level: `apply` takes the column times the indicators of the levels.

    Attributes
    ----------
    labels : tuple of str, length k
        All levels, those that no row has included.
    column : str
    """

    labels: tuple[str, ...]
    column: str

    @property
    def names(self) -> tuple[str, ...]:
        """``"Intercept[a]"``."""
        return tuple(f"{self.column}[{label}]" for label in self.labels)

    def apply(self, values: Array) -> Array:
        """The same columns."""
        return values


@dataclass(frozen=True)
class Among:
    """The nodes of a relationship as the levels of the grouping factor; the one column stays as it is.

    Attributes
    ----------
    labels : tuple of str
        All nodes, those that no row has included.
    column : str
    """

    labels: tuple[str, ...]
    column: str

    @property
    def names(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def apply(self, values: Array) -> Array:
        """The same column."""
        return values


@dataclass(frozen=True)
class Permuted:
    """The same columns in another order."""

    order: tuple[int, ...]
    names: tuple[str, ...]

    def apply(self, values: Array) -> Array:
        """The columns in order."""
        return values[:, list(self.order)]


@dataclass(frozen=True)
class Places:
    """Indicators of places, given by coordinates.

    Attributes
    ----------
    positions : tuple of tuple of float, length k
        The distinct coordinates, in ascending order.
    variables : tuple of str
        Names of the coordinates.
    """

    positions: tuple[tuple[float, ...], ...]
    variables: tuple[str, ...]

    @classmethod
    def of(cls, given: GivenColumns) -> Places:
        """Those that occur."""
        # Of one number without a view of rows, whose sort is several times slower.
        values = given.values
        found = np.unique(values[:, 0])[:, None] if values.shape[1] == 1 else np.unique(values, axis=0)
        return cls(tuple(zip(*found.T.tolist(), strict=True)), given.names)

    @property
    def names(self) -> tuple[str, ...]:
        """``"t[2.5]"``, ``"x,y[1,0.5]"``."""
        few, many = (self._names(digits) for digits in _DIGITS)
        return few if len(set(few)) == len(few) else many

    def _names(self, digits: int) -> tuple[str, ...]:
        variables = ",".join(self.variables)
        return tuple(f"{variables}[{','.join(f'{x:.{digits}g}' for x in place)}]" for place in self.positions)

    def apply(self, values: Array) -> Array:
        """Indicators; rows of NaN for places that are not among them (see `new`)."""
        known = {place: a for a, place in enumerate(self.positions)}
        at = np.array([known.get(place, -1) for place in map(tuple, values.tolist())], dtype=np.intp)
        out = np.zeros((len(values), len(self.positions)))
        out[np.arange(len(values)), at] = 1.0
        out[at < 0] = np.nan
        return out

    def new(self, values: Array) -> NDArray[np.bool_]:
        """Which rows are of places that are not among them."""
        known = set(self.positions)
        other = [place not in known for place in map(tuple, values.tolist())]
        return np.asarray(np.array(other, dtype=bool) & np.isfinite(values).all(axis=1))


class PlaceNames(Sequence[str]):
    """The names of places, made when one is asked for: a hundred thousand take longer than a fit.

    Parameters
    ----------
    places : Places
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return self._places.names

    def __len__(self) -> int:
        return len(self._places.positions)

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...

    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        return self._names[at]


def without_options(given: GivenColumns, name: str, known: str = "") -> None:
    """Refuse what follows the grouping factor, and was not read as the option that is `known`."""
    if given.options:
        none = f"no option but {known}" if known else "no option"
        raise FormulaError(f"{given.text}: {name}(... | ...) takes {none}, and was given {given.options[0]!r}.")


def ordered_levels(given: GivenColumns, name: str) -> Permuted | Places | None:
    """Columns for a factor's levels in their order, numbers ascending; for the values of one number likewise.

    Raises
    ------
    FormulaError
        For other columns.
    DataError
        For numbers that are not equally spaced.
    """
    if given.levels is not None:
        numbers = _numbers(given.levels)
        if numbers is None or (np.diff(numbers) > 0.0).all():
            return None
        order = tuple(np.argsort(numbers).tolist())
        return Permuted(order, tuple(given.names[a] for a in order))
    variable = given.names[0]
    if len(given.names) != 1 or variable == "Intercept":
        raise FormulaError(
            f"{given.text}: {name}(... | ...) takes the levels of one factor, or one number, and no intercept: write "
            f"{name}(0 + time | group)."
        )
    recoding = Places.of(given)
    steps = np.diff([place[0] for place in recoding.positions])
    if len(steps) and (np.abs(steps / steps[0] - 1.0) > SAME_STEP).any():
        raise DataError(
            f"{given.text}: the values of {variable!r} are not equally spaced, as the steps of {name} are. Write "
            f"ou(0 + {variable} | ...) for a correlation that falls with the time between, or make it a factor, "
            f"C({variable}), whose levels count as one step each."
        )
    return recoding


def places(given: GivenColumns, name: str) -> tuple[tuple[tuple[float, ...], ...], Places | None]:
    """The places that one to three numbers are the coordinates of, and columns for them.

    The levels of a factor serve where they are numbers, or several as glmmTMB's numFactor writes them: ``"(1,0.5)"``.

    Raises
    ------
    FormulaError
        For other columns.
    """
    if given.levels is not None:
        positions = _coordinates(given.levels)
        if positions is None:
            raise FormulaError(
                f"{given.text}: {name}(... | ...) takes numbers, and levels such as {given.levels[0]!r} are none."
            )
        return positions, None
    if "Intercept" in given.names or not 1 <= len(given.names) <= _MOST_COORDINATES:
        raise FormulaError(
            f"{given.text}: {name}(... | ...) takes one to three numbers as coordinates, and no intercept: write "
            f"{name}(0 + x + y | group)."
        )
    recoding = Places.of(given)
    return recoding.positions, recoding


def _numbers(labels: tuple[str, ...]) -> Array | None:
    try:
        return np.array([float(label) for label in labels])
    except ValueError:
        return None


def _coordinates(labels: tuple[str, ...]) -> tuple[tuple[float, ...], ...] | None:
    split = [label.strip("() ").split(",") for label in labels]
    if len({len(parts) for parts in split}) != 1:
        return None
    try:
        return tuple(tuple(float(part) for part in parts) for parts in split)
    except ValueError:
        return None
