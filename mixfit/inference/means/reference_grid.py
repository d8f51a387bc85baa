"""The reference grid: all combinations of levels, covariates at their means, and averages over it.

Searle, Speed & Milliken (1980), The American Statistician 34(4), 216-221, for population marginal means; the grid is
that of R's emmeans (Lenth).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mixfit.errors import FitError, RowsError
from mixfit.inference.means.grid_variables import combinations
from mixfit.inference.means.nesting import occurs
from mixfit.inference.means.nuisance import nuisance_shift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.grid_variables import GridVariable
    from mixfit.inference.means.nesting import Nesting

    Array = NDArray[np.float64]

__all__ = [
    "ReferenceGrid",
    "Weights",
    "average",
    "reference_grid",
]

# Rows with all their covariances: 800 MB at 10,000.
_LARGEST = 10_000
# Of formulas: a name with one of them was meant as several.
_OPERATORS = "*:|+"
Weights = Literal["equal", "proportional", "outer", "cells", "flat"]


@dataclass(frozen=True, eq=False)
class ReferenceGrid:
    """Rows of X for all combinations of focal values, and within each for all others.

    Attributes
    ----------
    focal : DataFrame, shape (m, number of focal variables)
        Combinations of the focal variables, the first varying fastest.
    X : ndarray, shape (r, m, c)
        All columns of the design, aliased ones included, for each of the r combinations of the other variables.
    counts : ndarray, shape (r, m)
        Rows of the data in each cell.
    shape : tuple of int
        Numbers of values of the other variables, the last varying fastest: they multiply to r.
    averaged : tuple of str
        The other variables that have more than one value.
    rows : DataFrame, shape (r * m, number of variables)
        The combinations of all variables, those of the focal ones within each of the others.
    shares : ndarray, shape (r, m)
        What each combination counts where levels are averaged over alike: those of a nested factor within each of the
        factors that it is nested in.
    """

    focal: pd.DataFrame
    X: Array
    counts: Array
    shape: tuple[int, ...]
    averaged: tuple[str, ...]
    rows: pd.DataFrame
    shares: Array

    def cell_weights(self, weights: str = "equal") -> Array:
        """What each combination counts in the average of its focal combination, (r, m); as `average` has it."""
        cells = _weights(self, weights)
        with np.errstate(invalid="ignore"):
            return np.asarray(cells / cells.sum(axis=0))


def reference_grid(
    fit: Fit,
    variables: Mapping[str, GridVariable],
    focal: Sequence[str],
    nesting: Nesting | None = None,
    nuisance: Sequence[str] = (),
    weights: str = "equal",
) -> ReferenceGrid:
    """Build the grid, `focal` variables apart from those to be averaged over.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    variables : mapping of str to GridVariable
        From `grid_variables`.
    focal : sequence of str
        With a nested factor, those that it is nested in.
    nesting : mapping of str to tuple of str, optional
    nuisance : sequence of str
        Variables that are averaged over without a place in the grid.
    weights : str
        How these are.

    Raises
    ------
    FitError
        For a focal name that is no variable of the fixed effects, and for a grid of more than 10,000 rows.
    """
    design = fit.model.design
    for name in (*focal, *nuisance):
        if name not in variables:
            known = ", ".join(variables) or "none"
            several = f" Several are a formula, '~ {name}', or a list." if set(_OPERATORS) & set(name) else ""
            raise FitError(f"{name!r} is no variable of the fixed effects ({known}).{several}")
    # slowest first, so that the focal variables vary within each combination of the others
    others = [variable for name, variable in variables.items() if name not in (*focal, *nuisance)]
    order = [*(variables[name] for name in focal), *reversed(others)]
    rows = int(np.prod([len(v.values) for v in order], dtype=np.float64))
    if rows > _LARGEST:
        sizes = ", ".join(f"{v.name} ({len(v.values)})" for v in order if len(v.values) > 1)
        raise FitError(
            f"The reference grid would have {rows:,} rows, more than {_LARGEST:,}: fix some of its variables by at= "
            f"or average over some by nuisance=. They have the numbers of values: {sizes}."
        )
    grid = combinations(order)
    grid = grid.assign(**{name: variables[name].values[0] for name in nuisance})
    X = design.reader.read_fixed(grid)
    if nuisance:
        X = X + nuisance_shift(fit, variables, nuisance, grid, weights)
    cells = combinations([variables[name] for name in focal])
    sample = design.representatives
    counts = _counts(order, sample.n_rows) if design.has_rows else np.full(rows, np.nan)
    counts = counts.reshape(-1, len(cells))
    shares, there = _nested_shares(order, focal, nesting or {}, variables)
    m = int(there.sum())
    return ReferenceGrid(
        focal=cells[there].reset_index(drop=True),
        X=X.reshape(-1, len(cells), X.shape[1])[:, there],
        counts=counts[:, there],
        shape=tuple(len(v.values) for v in others),
        averaged=tuple(v.name for v in variables.values() if v.name not in focal and len(v.values) > 1),
        rows=grid if m == len(cells) else grid[np.tile(there, len(counts))].reset_index(drop=True),
        shares=shares[:, there],
    )


def _nested_shares(
    order: Sequence[GridVariable], focal: Sequence[str], nesting: Nesting, variables: Mapping[str, GridVariable]
) -> tuple[Array, NDArray[np.bool_]]:
    """Shares (r, m) of all combinations in means that weigh levels alike, and which focal ones the data have (m,).

    A nested factor's levels share alike in what the factors that it is nested in have: those that occur there.
    """
    sizes = [len(variable.values) for variable in order]
    rows = int(np.prod(sizes, dtype=np.int64))
    places = dict(zip([v.name for v in order], np.indices(sizes[::-1]).reshape(len(sizes), rows)[::-1], strict=True))
    m = int(np.prod([len(variables[name].values) for name in focal], dtype=np.int64))
    shares, there = np.ones(rows), np.ones(m, dtype=bool)
    for name, parents in nesting.items():
        names = [name, *parents]
        if not set(names) <= set(places):
            continue
        known = occurs(names, variables)
        at = tuple(places[n] for n in names)
        if name in focal:
            there &= known[at][:m]
        else:
            shares *= known[at] / np.maximum(known.sum(axis=0)[at[1:]], 1)
    return shares.reshape(-1, m), there


def _counts(order: Sequence[GridVariable], n: int) -> Array:
    """Rows of the data in each cell, slowest variable first; a covariate's values all have the rows of their cell."""
    sizes = [len(v.values) for v in order][::-1]
    codes = [v.codes for v in order if v.codes is not None][::-1]
    counted = [len(v.values) for v in order if v.codes is not None][::-1]
    inside = np.ones(n, dtype=bool)
    for code in codes:
        inside &= code >= 0
    flat = np.zeros(int(inside.sum()), dtype=np.intp)
    for code, size in zip(codes, counted, strict=True):
        flat = flat * size + code[inside]
    table = np.bincount(flat, minlength=int(np.prod(counted, dtype=np.int64))).astype(np.float64)
    spread = [1 if v.codes is None else len(v.values) for v in order][::-1]
    return np.broadcast_to(table.reshape(spread), sizes).ravel()


def average(grid: ReferenceGrid, weights: str = "equal") -> Array:
    """Average the rows of X within each focal combination.

    Parameters
    ----------
    grid : ReferenceGrid
    weights : {"equal", "proportional", "outer", "cells", "flat"}
        All combinations of the other variables alike; by their frequencies in the data, whatever the focal
        combination; by the product of each variable's own frequencies; by the frequencies within the focal
        combination; alike, but none for cells without data.

    Returns
    -------
    ndarray, shape (m, c)
        NaN for a focal combination without data where its own cells are the weights.

    Raises
    ------
    FitError
        For other weights.
    """
    return np.asarray(np.einsum("rm,rmc->mc", grid.cell_weights(weights), grid.X))


def _weights(grid: ReferenceGrid, weights: str) -> Array:
    counts = grid.counts
    if weights == "equal":
        return grid.shares
    if np.isnan(counts).any() and weights in get_args(Weights):
        raise RowsError(
            f"weights={weights!r} are frequencies of rows, and a model of rows in batches does not count them by "
            "cells: take weights='equal', or fit to a frame in memory."
        )
    if weights == "cells":
        return counts
    if weights == "flat":
        return (counts > 0).astype(np.float64)
    frequencies = counts.sum(axis=1)
    if weights == "proportional":
        return np.broadcast_to(frequencies[:, None], counts.shape)
    if weights == "outer":
        table = frequencies.reshape(grid.shape)
        outer = np.ones(())
        for axis in range(table.ndim):
            others = tuple(i for i in range(table.ndim) if i != axis)
            outer = np.multiply.outer(outer, table.sum(axis=others))
        return np.where(grid.shares > 0.0, outer.reshape(-1, 1), 0.0)
    known = ", ".join(map(repr, get_args(Weights)))
    raise FitError(f"weights is one of {known}, not {weights!r}.")
