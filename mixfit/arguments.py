"""What an argument may be, said where it is given: a name or a number in the wrong place is not taken for another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, get_args

import numpy as np

from mixfit.errors import ArgumentError, DataError, FitError, MissingFileError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = [
    "SMALLEST_LEVEL",
    "Solver",
    "check_callable",
    "check_count",
    "check_flag",
    "check_folder",
    "check_level",
    "check_probability",
    "check_solver",
    "one_by_one",
    "pattern_of",
    "row_weights",
    "same_name",
]

Solver = Literal["auto", "dense", "sparse", "iterative"]

# What a name is made of, but for the spaces between.
_WORDS_AND_SIGNS = re.compile(r"\w+|[^\w\s]")
_BY_NAME = "Other arguments are given by their names."
#: A smaller coverage is nearly always one less the coverage, which other programs call alpha; 0.5 is of use, as the
#: interval between quartiles.
SMALLEST_LEVEL = 0.5


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def check_probability(name: str, value: object) -> None:
    """Refuse what does not lie between 0 and 1.

    Raises
    ------
    ArgumentError
        For what is no number.
    FitError
        For another number.

    Examples
    --------
    >>> check_probability("alpha", 0.05)
    >>> try:
    ...     check_probability("alpha", "profile")
    ... except ArgumentError as error:
    ...     print(error)
    alpha is a number between 0 and 1, not 'profile'. Other arguments are given by their names.
    """
    if not _is_number(value):
        raise ArgumentError(f"{name} is a number between 0 and 1, not {value!r}. {_BY_NAME}")
    if not 0.0 < value < 1.0:
        raise FitError(f"{name} must lie between 0 and 1, not {value!r}.")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a file to be written whose folder there is not.

    Raises
    ------
    MissingFileError
        Naming the folder.
    """
    folder = Path(path).parent
    if not folder.exists():
        raise MissingFileError(f"There is no folder {str(folder)!r} to write {Path(path).name!r} to: make it first.")


def check_level(value: object) -> None:
    """Refuse what is no coverage of intervals.

    Raises
    ------
    ArgumentError
        For what is no number.
    FitError
        For a number that is not between 0.5 and 1.

    Examples
    --------
    >>> check_level(0.95)
    >>> check_level(0.05)
    Traceback (most recent call last):
    mixfit.errors.FitError: level is the coverage of intervals, as in level=0.95, not 0.05: alpha=0.05 is level=0.95.
    """
    if not _is_number(value):
        raise ArgumentError(f"level is a number, as in level=0.95, not {value!r}. {_BY_NAME}")
    if not 0.0 < value < 1.0:
        percent = f": {value:g} % is level={value / 100.0:g}" if 100.0 * SMALLEST_LEVEL <= value < 100.0 else ""
        raise FitError(f"level must lie between 0 and 1, as in level=0.95, not {value!r}{percent}.")
    if value < SMALLEST_LEVEL:
        raise FitError(
            f"level is the coverage of intervals, as in level=0.95, not {value!r}: alpha={value:g} is "
            f"level={1.0 - value:g}."
        )


def check_count(name: str, value: object) -> None:
    """Refuse what is no positive whole number.

    Raises
    ------
    ArgumentError
        For what is no number.
    FitError
        For another number.

    Examples
    --------
    >>> check_count("n", 100)
    """
    if not _is_number(value):
        raise ArgumentError(f"{name} is a positive whole number, not {value!r}. {_BY_NAME}")
    if value != int(value) or value < 1:
        raise FitError(f"{name} must be a positive whole number, not {value!r}.")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_flag("reml", False)
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{name} is True or False, not {value!r}. {_BY_NAME}")


def check_callable(name: str, value: Callable[..., object] | None) -> None:
    """Refuse what is neither a function nor None.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_callable("statistic", len)
    """
    if value is not None and not callable(value):
        raise ArgumentError(f"{name} is a function, not {value!r}. {_BY_NAME}")


def check_solver(value: object) -> None:
    """Refuse what names no way to hold the factor of crossed effects.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_solver("sparse")
    """
    if value not in get_args(Solver):
        raise ArgumentError(f"solver is one of {', '.join(map(repr, get_args(Solver)))}, not {value!r}.")


def one_by_one(given: Sequence[Any], names: Sequence[str] | None) -> tuple[list[Any], list[str] | None]:
    """Fits that are given one by one, or all in one sequence or mapping, with the names that there are of them.

    Parameters
    ----------
    given : sequence
        What was given by place.
    names : sequence of str or None
        Go before the keys of a mapping.

    Returns
    -------
    fits : list
    names : list of str or None

    Examples
    --------
    >>> one_by_one((1, 2), None), one_by_one(([1, 2],), None), one_by_one(({"a": 1, "b": 2},), None)
    (([1, 2], None), ([1, 2], None), ([1, 2], ['a', 'b']))
    """
    fits: Any = given[0] if len(given) == 1 and isinstance(given[0], (list, tuple, Mapping)) else given
    if isinstance(fits, Mapping):
        return list(fits.values()), [str(name) for name in (fits if names is None else names)]
    return list(fits), None if names is None else [str(name) for name in names]


def pattern_of(name: str) -> str:
    """A regular expression of a name with any spaces between its words and signs: those that a formula may have.

    Examples
    --------
    >>> bool(re.fullmatch(pattern_of("I(x ** 2)"), "I( x**2 )")), bool(re.fullmatch(pattern_of("x[T.a b]"), "x[T.ab]"))
    (True, False)
    """
    parts = _WORDS_AND_SIGNS.findall(name)
    between = (r"\s+" if a[-1:].isalnum() and b[:1].isalnum() else r"\s*" for a, b in pairwise([*parts, ""]))
    return "".join(re.escape(part) + space for part, space in zip(parts, between, strict=True)).removesuffix(r"\s*")


def same_name(name: str, known: Iterable[str]) -> str:
    """The one of the names that differs in spaces alone, or the name itself where it is known or there is none.

    Examples
    --------
    >>> same_name("I(x**2)", ["Intercept", "I(x ** 2)"]), same_name("y", ["x"])
    ('I(x ** 2)', 'y')
    """
    names = list(known)
    if name in names:
        return name
    alike = [other for other in names if re.fullmatch(pattern_of(other), name.strip())]
    return alike[0] if len(alike) == 1 else name


def row_weights(weights: ArrayLike | None, default: Array | None, m: int) -> Array:
    """Prior weights of m new rows.

    Parameters
    ----------
    weights : array_like, shape (m,) or (), or None
        None for the default.
    default : ndarray, shape (m,), or None
        None for ones.
    m : int

    Returns
    -------
    ndarray, shape (m,)

    Raises
    ------
    DataError
        Where they are not numbers, not positive, or of another length. A missing one stays NaN.
    """
    if weights is None:
        return np.ones(m) if default is None else default
    try:
        values = np.asarray(np.broadcast_to(np.asarray(weights, dtype=np.float64), m))
    except (TypeError, ValueError) as error:
        raise DataError(f"weights of the new rows must be a number for each of the {m} rows: {error}") from error
    if (values <= 0.0).any():
        raise DataError(f"weights of the new rows must be positive; {int((values <= 0.0).sum())} are not")
    return values
