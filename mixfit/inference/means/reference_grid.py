"""The reference grid: all combinations of levels, covariates at their means, and averages over it.

Searle, Speed & Milliken (1980), The American Statistician 34(4), 216-221, for population marginal means; the grid is
that of R's emmeans (Lenth).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from mixfit.design.columns import is_factor
from mixfit.errors import FitError, RowsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import Design
    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "GridVariable",
    "ReferenceGrid",
    "Weights",
    "average",
    "combinations",
    "grid_variables",
    "reference_grid",
]

# Rows with all their covariances: 800 MB at 10,000.
_LARGEST = 10_000
Weights = Literal["equal", "proportional", "outer", "cells", "flat"]


@dataclass(frozen=True, eq=False)
class GridVariable:
    """A variable of the fixed effects and its values in the grid.

    Attributes
    ----------
    name : str
    values : list
        Levels of a factor in their order; means or chosen values of a covariate.
    codes : ndarray of intp, shape (n,), or None
        Which of the values each row of the data has (-1 for another); None for a covariate, which
        no rows are counted by.
    """

    name: str
    values: list[Any]
    codes: Index | None


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
    """

    focal: pd.DataFrame
    X: Array
    counts: Array
    shape: tuple[int, ...]
    averaged: tuple[str, ...]
    rows: pd.DataFrame

    def cell_weights(self, weights: str = "equal") -> Array:
        """What each combination counts in the average of its focal combination, (r, m); as `average` has it."""
        cells = _weights(self, weights)
        with np.errstate(invalid="ignore"):
            return np.asarray(cells / cells.sum(axis=0))


def grid_variables(fit: Fit, at: Mapping[str, Any] | None = None, cov_keep: int = 2) -> dict[str, GridVariable]:
    """Variables of the fixed effects, in the order of the formula.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    at : mapping of str to value or list of values, optional
        Values of covariates, or some of the levels of factors.
    cov_keep : int
        A covariate with at most so many distinct values keeps them, as a factor.

    Returns
    -------
    dict of str to GridVariable

    Raises
    ------
    FitError
        Where `at` names no variable of the fixed effects or no level of a factor, or the model has no formula.
    """
    design = fit.model.design
    # Every value of a factor is among them, if not every row.
    columns = design.representatives.variables
    if columns is None:
        raise FitError("Marginal means need a model that was read from a formula and data.")
    names = dict.fromkeys(name for term in design.reader.fixed_terms for name in term if name in columns)
    chosen = {name: _as_list(values) for name, values in (at or {}).items()}
    for name in chosen:
        if name not in names:
            known = ", ".join(names) or "none"
            raise FitError(f"at= names {name!r}, which is no variable of the fixed effects ({known}).")
    factors = design.reader.factor_names
    return {name: _variable(design, name, columns[name], name in factors, chosen.get(name), cov_keep) for name in names}


def _as_list(values: Any) -> list[Any]:
    found = [values] if isinstance(values, str) or np.ndim(values) == 0 else list(values)
    if not found:
        raise FitError("at= needs at least one value for each variable that it names.")
    return found


def _variable(
    design: Design, name: str, column: pd.Series, encoded: bool, at: list[Any] | None, cov_keep: int
) -> GridVariable:
    factor = encoded or is_factor(column)
    if not factor and column.nunique() > cov_keep:
        return GridVariable(name, [design.variable_mean(name)] if at is None else at, None)
    values = column.astype("category").cat.remove_unused_categories()
    levels = list(values.cat.categories)
    if at is None:
        at = levels
    elif factor:
        unknown = [value for value in at if value not in levels]
        if unknown:
            raise FitError(
                f"at= gives {name!r} the levels {', '.join(map(repr, unknown))}, but it has "
                f"{', '.join(map(repr, levels))}."
            )
    elif any(value not in levels for value in at):
        return GridVariable(name, at, None)
    return GridVariable(name, at, pd.Index(at, dtype=object).get_indexer(pd.Index(column.astype(object))))


def combinations(variables: Sequence[GridVariable]) -> pd.DataFrame:
    """All combinations of values, the first variable varying fastest."""
    sizes = [len(variable.values) for variable in variables]
    rows = int(np.prod(sizes, dtype=np.int64))
    places = np.indices(sizes[::-1]).reshape(len(sizes), rows)[::-1]
    columns = {v.name: _column(v.values, place) for v, place in zip(variables, places, strict=True)}
    return pd.DataFrame(columns, index=pd.RangeIndex(rows))


def _column(values: list[Any], place: Index) -> pd.Series:
    return pd.Series(values).take(place).reset_index(drop=True)


def reference_grid(fit: Fit, variables: Mapping[str, GridVariable], focal: Sequence[str]) -> ReferenceGrid:
    """Build the grid, `focal` variables apart from those to be averaged over.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    variables : mapping of str to GridVariable
        From `grid_variables`.
    focal : sequence of str

    Raises
    ------
    FitError
        For a focal name that is no variable of the fixed effects, and for a grid of more than 10,000 rows.
    """
    design = fit.model.design
    for name in focal:
        if name not in variables:
            known = ", ".join(variables) or "none"
            raise FitError(f"{name!r} is no variable of the fixed effects ({known}).")
    # slowest first, so that the focal variables vary within each combination of the others
    others = [variable for name, variable in variables.items() if name not in focal]
    order = [*(variables[name] for name in focal), *reversed(others)]
    rows = int(np.prod([len(v.values) for v in order], dtype=np.float64))
    if rows > _LARGEST:
        sizes = ", ".join(f"{v.name} ({len(v.values)})" for v in order if len(v.values) > 1)
        raise FitError(
            f"The reference grid would have {rows:,} rows, more than {_LARGEST:,}: fix some of its variables by at=. "
            f"They have the numbers of values: {sizes}."
        )
    grid = combinations(order)
    X = design.reader.read_fixed(grid)
    cells = combinations([variables[name] for name in focal])
    sample = design.representatives
    counts = _counts(order, sample.n_rows) if design.has_rows else np.full(rows, np.nan)
    return ReferenceGrid(
        focal=cells,
        X=X.reshape(-1, len(cells), X.shape[1]),
        counts=counts.reshape(-1, len(cells)),
        shape=tuple(len(v.values) for v in others),
        averaged=tuple(v.name for v in others if len(v.values) > 1),
        rows=grid,
    )


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
        return np.ones_like(counts)
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
        return np.broadcast_to(outer.reshape(-1, 1), counts.shape)
    known = ", ".join(map(repr, get_args(Weights)))
    raise FitError(f"weights is one of {known}, not {weights!r}.")
