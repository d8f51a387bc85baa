"""Errors for names that are not there: the name, and how it is written here."""

from __future__ import annotations

from functools import update_wrapper
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from mixfit import spellings
from mixfit.errors import ArgumentError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Helped", "helped"]

_F = TypeVar("_F", bound="Callable[..., Any]")
# Of a code object: whether it takes *args and **kwargs (inspect.CO_VARARGS, inspect.CO_VARKEYWORDS).
_PLACES, _VARIABLE = 0x04, 0x08
# What a method is called on, which its user does not write.
_OWNERS = ("self", "fit")


def helped(function: _F) -> _F:
    """Refuse arguments that a function does not have, by name or by place, in an error that says how they are written.

    Parameters
    ----------
    function : function

    Returns
    -------
    function

    Examples
    --------
    >>> @helped
    ... def fit(*, reml=True):
    ...     return reml
    >>> fit(reml=False)
    False
    >>> fit(REML=False)
    Traceback (most recent call last):
    mixfit.errors.ArgumentError: fit() has no argument 'REML': it is written reml=.
    >>> fit(False)
    Traceback (most recent call last):
    mixfit.errors.ArgumentError: fit() takes every argument by its name: reml=.
    """
    code = function.__code__
    first, last = code.co_posonlyargcount, code.co_argcount + code.co_kwonlyargcount
    named = tuple(name for name in code.co_varnames[first:last] if name != "self")
    known, refuse, open_ended = frozenset(code.co_varnames[first:last]), _refuse, bool(code.co_flags & _VARIABLE)
    places, misplaced = float("inf") if code.co_flags & _PLACES else code.co_argcount, _misplaced

    def checked(*args: Any, **given: Any) -> Any:
        if not known.issuperset(given):
            refuse(function, named, given, open_ended)
        if len(args) > places:
            misplaced(function)
        return function(*args, **given)

    # With the globals of what it stands for: doctest looks there for the module that a function belongs to.
    made = FunctionType(
        checked.__code__, function.__globals__, function.__name__, checked.__defaults__, checked.__closure__
    )
    return update_wrapper(made, function)  # type: ignore[return-value]


def _refuse(function: Callable[..., Any], known: tuple[str, ...], given: Mapping[str, Any], open_ended: bool) -> None:
    """Raise for a name that is not among those known; where others may follow, for another spelling of these alone."""
    unknown = [name for name in given if name not in known]
    if open_ended:
        unknown = [name for name in unknown if spellings.argument(name) in known]
        if not unknown:
            return
    name = unknown[0]
    said = spellings.of_argument(name, known)
    value = given[name]
    if said == "it is written level=" and spellings.key(name) == "alpha" and isinstance(value, float):
        said = f"alpha={value:g} is level={1.0 - value:g}"
    raise ArgumentError(f"{function.__name__}() has no argument {name!r}: {said}{'' if said.endswith('?') else '.'}")


def _misplaced(function: Callable[..., Any]) -> None:
    """Say which arguments go by their places, and which by their names."""
    code = function.__code__
    by_place = [name for name in code.co_varnames[: code.co_argcount] if name not in _OWNERS]
    by_name = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    if not by_name and not by_place:
        raise ArgumentError(f"{function.__name__}() takes no arguments.")
    taken = f"{', '.join(by_place)} by place" if by_place else "every argument by its name"
    others = (", and by name " if by_place else ": ") + ", ".join(f"{name}=" for name in by_name) if by_name else ""
    raise ArgumentError(f"{function.__name__}() takes {taken}{others}.")


class Helped:
    """A class whose public methods are `helped`, and whose missing attributes say how they are written."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in list(vars(cls).items()):
            if isinstance(value, FunctionType) and not name.startswith("_") and not hasattr(value, "__wrapped__"):
                setattr(cls, name, helped(value))

    if not TYPE_CHECKING:
        # Only what is missing comes here. To a type checker, nothing is there that is not written.
        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):
                # A property that raised an AttributeError itself: that is the error.
                return object.__getattribute__(self, name)
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            raise UnknownNameError(type(self), name)
