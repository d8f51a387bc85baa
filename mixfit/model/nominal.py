"""Nominal effects that cannot be told: beside location, and where a level lacks a category."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DataError, DesignError
from mixfit.fitted.ordinal_columns import NOMINAL
from mixfit.gram.basis import fixed_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.ordinal import Ordinal
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["refuse_absent", "refuse_twice"]


def refuse_twice(design: Design, nominal: Array, kept: NDArray[np.intp]) -> None:
    """Refuse columns of location that nominal effects determine: one shift of all thresholds is a location.

    Raises
    ------
    DesignError
        Naming them.
    """
    both = np.column_stack([nominal, design.X[:, kept]])
    found = fixed_basis(np.ascontiguousarray(both.T)).kept
    lost = np.setdiff1d(np.arange(nominal.shape[1], both.shape[1]), found) - nominal.shape[1]
    if len(lost):
        names = ", ".join(repr(design.exog_names[kept[j]]) for j in lost)
        raise DesignError(
            f"The fixed effect {names} is among the nominal effects too, which move every threshold by itself: leave "
            "it out of the formula, or out of nominal=."
        )


def refuse_absent(design: Design, family: Ordinal) -> None:
    """Refuse cells of the nominal effects that lack a category between two that they have.

    Where each cell has thresholds of its own, those on both sides of such a category end at one place, on the bound of
    their order, and its probability there at zero. A category that is lacking at an end is separation.

    Raises
    ------
    DataError
        Naming category and cell.
    """
    cells, first, place = np.unique(family.nominal, axis=1, return_index=True, return_inverse=True)
    free = len(family.thresholds.names) == len(family.categories) - 1
    if family.density != "cumulative" or not free or cells.shape[1] > len(family.nominal):
        return
    counts = np.zeros((cells.shape[1], len(family.categories)), dtype=np.intp)
    np.add.at(counts, (np.ravel(place), design.y.astype(np.intp) - 1), 1)
    seen = counts > 0
    between = np.maximum.accumulate(seen, axis=1) & np.maximum.accumulate(seen[:, ::-1], axis=1)[:, ::-1]
    for cell, category in np.argwhere(between & ~seen)[:1].tolist():
        name, (low, high) = family.categories[category], family.thresholds.names[category - 1 : category + 1]
        raise DataError(
            f"No row with {_described(design, int(first[cell]))} has the category {name!r} of {design.endog_name!r}, "
            f"and some have lower and some higher ones: the thresholds {low} and {high} are the same there. "
            "Merge the category with a neighbour, merge the level with another, or leave nominal= out."
        )


def _described(design: Design, row: int) -> str:
    """The values of the nominal variables in a row."""
    own = next(p for p in design.further if p.name == NOMINAL)
    assert own.fixed is not None
    factors = own.fixed.factors.values()
    values = [(f.name, f.levels[f.values[row]] if f.levels is not None else f.values[row].item()) for f in factors]
    return " and ".join(f"{name} = {value!r}" for name, value in values)
