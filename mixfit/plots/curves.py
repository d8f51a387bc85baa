"""Predicted curves by group along one variable, the others held: the numbers behind the panels of fitted lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError
from mixfit.inference.description.augment import model_frame, used_rows
from mixfit.plots.figure import texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.design.types import Grouping, RandomDesign
    from mixfit.plots.figure import Fit

    Array = NDArray[np.float64]

__all__ = ["Curves", "containing_factors", "group_curves", "group_regressions", "typical_rows"]

_GRID = 61


@dataclass(frozen=True, eq=False)
class Curves:
    """Predictions for some levels of a grouping factor.

    Attributes
    ----------
    x : ndarray, shape (n,)
        The variable in the rows of the fit; of a categorical one the place among its values.
    values : tuple of str, or None
        These values, for a categorical variable.
    at : ndarray, shape (m,)
        Where the curves are evaluated.
    mixed, population : ndarray, shape (g, m)
        Mean response with the random effects of each level, and with none.
    """

    x: Array
    values: tuple[str, ...] | None
    at: Array
    mixed: Array
    population: Array


def group_curves(fit: Fit, x: str, grouping: Grouping, shown: NDArray[np.intp], data: Any = None) -> Curves:
    """Predict along `x` for the levels `shown`.

    The random effects are those of the factor and of the factors that it is nested in. The other variables are
    held at what is typical of the level's rows: see `typical_rows`.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    x : str
        A column of `data`.
    grouping : Grouping
    shown : ndarray of intp, shape (g,)
        Codes of levels.
    data : frame, optional
        That of the fit; without it the formula may use bare numeric columns and grouping factors only.

    Returns
    -------
    Curves

    Raises
    ------
    DataError
        For a column that is not there.
    """
    design = fit.model.design
    frame = model_frame(design) if data is None else used_rows(data, design)
    if x not in frame:
        known = ", ".join(map(repr, map(str, frame.columns)))
        ask = " Pass the frame of the fit as data=." if data is None else ""
        raise DataError(f"There is no column {x!r}; {_where(data)}: {known}.{ask}")
    panel = np.full(grouping.n_levels, -1)
    panel[shown] = np.arange(len(shown))
    of_row = panel[grouping.codes]
    rows = typical_rows(frame[of_row >= 0], of_row[of_row >= 0])
    places, values, at, grid = _grid(frame[x])
    new = rows.iloc[np.repeat(np.arange(len(shown)), len(at))].reset_index(drop=True)
    new[x] = pd.concat([grid] * len(shown), ignore_index=True)
    factors = containing_factors(design.random, grouping)
    try:
        mixed, population = (np.asarray(fit.predict(new, re_form=r), dtype=float) for r in (factors, "population"))
    except DataError as error:
        if data is not None:
            raise
        raise DataError(
            f"{error} The fit keeps columns of its formula only: pass the frame of the fit as data=."
        ) from error
    shape = (len(shown), len(at))
    return Curves(places, values, at, mixed.reshape(shape), population.reshape(shape))


def _where(data: Any) -> str:
    return "without data= there are the columns of the formula" if data is None else "data= has"


def _grid(column: pd.Series[Any]) -> tuple[Array, tuple[str, ...] | None, Array, pd.Series[Any]]:
    """Places of the rows, names of the places, where to predict, and the variable there."""
    if _is_number(column):
        x = column.to_numpy(dtype=float, na_value=np.nan)
        at = np.linspace(np.nanmin(x), np.nanmax(x), _GRID)
        return x, None, at, pd.Series(at)
    codes, values = pd.factorize(column, sort=True)
    places, first = np.unique(codes, return_index=True)
    # Taken from the column, so that its type stays as it was in the fit.
    grid = column.iloc[first[places >= 0]]
    return np.where(codes < 0, np.nan, codes), tuple(texts(values)), np.arange(len(values), dtype=float), grid


def typical_rows(frame: pd.DataFrame, panel: NDArray[np.intp]) -> pd.DataFrame:
    """One row a panel: of every column a value that occurs in the panel's rows.

    Parameters
    ----------
    frame : DataFrame, shape (n, c)
    panel : ndarray of intp, shape (n,)
        0, ..., g - 1, each at least once.

    Returns
    -------
    DataFrame, shape (g, c)
        Of numbers the median (the lower of two middle ones), of other columns the most frequent value.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": [1, 2, 9, 5], "f": ["b", "a", "a", "c"]})
    >>> typical_rows(frame, np.array([0, 0, 0, 1])).to_numpy().tolist()
    [[2, 'a'], [5, 'c']]
    """
    count = np.bincount(panel)
    start = np.cumsum(count) - count
    columns = {}
    for name, column in frame.items():
        if _is_number(column):
            row = np.lexsort((column.to_numpy(dtype=float, na_value=np.nan), panel))[start + (count - 1) // 2]
        else:
            value = np.unique(np.column_stack([panel, pd.factorize(column)[0]]), axis=0, return_inverse=True)[1].ravel()
            row = np.lexsort((-np.bincount(value)[value], panel))[start]
        columns[name] = column.iloc[row].reset_index(drop=True)
    return pd.DataFrame(columns)


def _is_number(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def containing_factors(random: tuple[RandomDesign, ...], grouping: Grouping) -> list[str]:
    """Names of the factor itself and of those that it is nested in.

    Parameters
    ----------
    random : tuple of RandomDesign
    grouping : Grouping

    Returns
    -------
    list of str
    """
    names = []
    for other in {term.grouping.name: term.grouping for term in random}.values():
        pairs = np.unique(grouping.codes * other.n_levels + other.codes)
        if len(pairs) == grouping.n_levels:
            names.append(other.name)
    return names


def group_regressions(
    x: Array, y: Array, weights: Array | None, codes: NDArray[np.intp], n_levels: int
) -> tuple[Array, Array]:
    """Simple linear regression of y on x in every level.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
    weights : ndarray, shape (n,), or None
    codes : ndarray of intp, shape (n,)
    n_levels : int

    Returns
    -------
    tuple of ndarray, shape (n_levels,)
        Intercepts and slopes; NaN where x does not vary.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0])
    >>> [a.round(9).tolist() for a in group_regressions(x, 1.0 + 2.0 * x, None, np.zeros(3, dtype=int), 1)]
    [[1.0], [2.0]]
    """
    from mixfit.inference.description.within import unpenalized_steps

    w = np.ones(len(x)) if weights is None else weights
    # About the mean, so that rounding does not pass for variation.
    middle = float(x.mean())
    both = unpenalized_steps(np.column_stack([np.ones(len(x)), x - middle]), codes, n_levels, w, w * y)
    return both[:, 0] - middle * both[:, 1], both[:, 1]
