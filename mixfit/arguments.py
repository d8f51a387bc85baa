"""What an argument may be, said where it is given: a name or a number in the wrong place is not taken for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from mixfit.errors import ArgumentError, FitError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_callable", "check_count", "check_flag", "check_probability"]

_BY_NAME = "Other arguments are given by their names."


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
