"""Structures by the names that formulas give them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixfit.covariance.autoregressive import Autoregressive, HeterogeneousAutoregressive
from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.diagonal import Diagonal
from mixfit.covariance.given import Given
from mixfit.covariance.known import Proportional
from mixfit.covariance.nugget import NUGGETS, Nugget, check_nugget
from mixfit.covariance.reduced_rank import ReducedRank
from mixfit.covariance.spatial import Exponential, Gaussian, Matern, OrnsteinUhlenbeck, Spatial
from mixfit.covariance.symmetric import CompoundSymmetry, HomogeneousCompoundSymmetry, HomogeneousDiagonal
from mixfit.covariance.toeplitz import HomogeneousToeplitz, Toeplitz
from mixfit.covariance.unstructured import Unstructured
from mixfit.errors import ArgumentError

if TYPE_CHECKING:
    from mixfit.covariance.columns import GivenColumns, Recoding
    from mixfit.covariance.structure import Structure

__all__ = ["is_structure", "read_structure", "register", "structure_names"]

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
    ArgumentError
        For a name that is no identifier, or stands for another structure.
    """
    if not name.isidentifier():
        raise ArgumentError(f"A structure's name is a Python identifier, not {name!r}.")
    if _STRUCTURES.get(name, structure) is not structure:
        raise ArgumentError(f"{name!r} is the name of another structure: choose one that is free.")
    _STRUCTURES[name] = structure


def is_structure(name: str) -> bool:
    """Whether formulas may write ``name(columns | group)``."""
    return name in _STRUCTURES


def structure_names() -> tuple[str, ...]:
    """Names that formulas may give to structures, in the order of their registration."""
    return tuple(_STRUCTURES)


def read_structure(name: str, given: GivenColumns) -> tuple[Structure, Recoding | None]:
    """The structure of a term with these columns left of its bar, and how its own columns are made of them.

    Raises
    ------
    FormulaError, DataError
        For columns or options that the structure does not take.
    """
    kind = _STRUCTURES[name]
    with_nugget = issubclass(kind, Spatial) and given.options in NUGGETS
    if with_nugget:
        check_nugget(given, name)
    structure, recoding = kind.read(replace(given, options=()) if with_nugget else given)
    if with_nugget and isinstance(structure, Spatial):
        structure = Nugget(structure.k, structure.positions, structure)
    if structure.k == 1 and isinstance(structure, CorrelationStructure) and not structure.is_given:
        # One column has no correlation: whatever the structure, its covariance is any variance.
        return Unstructured(1), recoding
    return structure, recoding


for _structure in (
    Unstructured,
    Diagonal,
    HomogeneousDiagonal,
    CompoundSymmetry,
    HomogeneousCompoundSymmetry,
    Autoregressive,
    HeterogeneousAutoregressive,
    Toeplitz,
    HomogeneousToeplitz,
    OrnsteinUhlenbeck,
    Exponential,
    Gaussian,
    Matern,
    Proportional,
    Given,
    ReducedRank,
):
    register(_structure.name, _structure)
