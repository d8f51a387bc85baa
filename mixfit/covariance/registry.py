"""Structures by the names that formulas give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.covariance.diagonal import Diagonal
from mixfit.covariance.unstructured import Unstructured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.covariance.structure import Structure

__all__ = ["is_structure", "register", "structure_named", "structure_names"]

_STRUCTURES: dict[str, type[Structure]] = {}


def register(name: str, structure: type[Structure]) -> None:
    """Let formulas write ``name(columns | group)`` for a structure of one's own.

    Parameters
    ----------
    name : str
        A Python identifier. A name that is also a function means the structure only around a bar.
    structure : subclass of Structure
        See there what it has to say.

    Raises
    ------
    ValueError
        For a name that is no identifier, or stands for another structure.
    """
    if not name.isidentifier():
        raise ValueError(f"A structure's name is a Python identifier, not {name!r}.")
    if _STRUCTURES.get(name, structure) is not structure:
        raise ValueError(f"{name!r} is the name of another structure: choose one that is free.")
    _STRUCTURES[name] = structure


def is_structure(name: str) -> bool:
    """Whether formulas may write ``name(columns | group)``."""
    return name in _STRUCTURES


def structure_names() -> tuple[str, ...]:
    """Names that formulas may give to structures, in the order of their registration."""
    return tuple(_STRUCTURES)


def structure_named(name: str, columns: Sequence[str], options: Sequence[str] = ()) -> Structure:
    """The structure of a term of these columns, with the `options` that the formula gives it.

    Raises
    ------
    FormulaError
        For columns or options that the structure does not take.
    """
    return _STRUCTURES[name].of(columns, options)


register(Unstructured.name, Unstructured)
register(Diagonal.name, Diagonal)
