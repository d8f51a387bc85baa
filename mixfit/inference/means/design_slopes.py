r"""Derivatives in a covariate of the rows of X, whatever transforms the formula makes of it.

The columns of X are functions of one row's values, so that differences of rows are exact but for their step h: five
values h apart leave h^4 f^(5) / 5 at most of a column f (Abramowitz & Stegun 1964, table 25.2), and rounding leaves
eps |f| / h. With h = 2^-12 of the covariate's range these are 1e-15 f^(5) and 1e-12 f in units of that range. Where a
spline has a knot within two steps of a value, h^2 of the jump of its third derivative is left, some 1e-7.

All five values lie within the range of the data where the value itself does: beyond it a logarithm or a spline with
boundaries may not exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.matrices.columns import is_factor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["covariate_values", "design_slopes", "places_around", "repeated"]

# Of the range. A quarter of eps^(1/5), for the fifth derivative of a curve that bends at one end of the data, such as
# a logarithm, is many times its size; and a power of two, so that steps of whole numbers have no rounding.
_STEP = 2.0**-12
# Weights of f(x + k h) - f(x) over h, k = 1, 2, ... forwards; and k = -2, -1, 1, 2 about x.
_AHEAD = {1: 4.0, 2: -3.0, 3: 4.0 / 3.0, 4: -0.25}
_ABOUT = {-2: 1.0 / 12.0, -1: -2.0 / 3.0, 1: 2.0 / 3.0, 2: -1.0 / 12.0}


def covariate_values(fit: Fit, name: str) -> Array:
    """Values of a covariate of the fixed effects: of all rows, or of those that stand for all.

    Raises
    ------
    FitError
        For a name that is none of the variables of the fixed effects, or a factor.
    """
    design = fit.model.design.representatives
    if design.variables is None:
        raise FitError("Slopes need a model that was read from a formula and data.")
    names = dict.fromkeys(n for term in design.reader.fixed_terms for n in term if n in design.variables)
    if name not in names:
        raise FitError(f"{name!r} is no variable of the fixed effects ({', '.join(names) or 'none'}).")
    column = design.variables[name]
    if is_factor(column) or name in design.reader.factor_names or not pd.api.types.is_numeric_dtype(column):
        raise FitError(f"{name!r} has no slope, as its values are not numbers: compare its levels instead.")
    return column.to_numpy(dtype=np.float64)


def design_slopes(fit: Fit, rows: pd.DataFrame, name: str) -> Array:
    """Derivatives of the rows of X, all columns of the design, in a covariate: shape (m, c).

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    rows : DataFrame, m rows
        Values of all variables of the fixed effects.
    name : str

    Raises
    ------
    FitError
        As `covariate_values` does.
    """
    at, weights = places_around(covariate_values(fit, name), rows[name].to_numpy(dtype=np.float64))
    X = fit.model.design.reader.read_fixed(repeated(rows, name, at)).reshape(at.shape[1], len(rows), -1)
    # differences first: a column that x is not in has the slope zero, without rounding
    return np.asarray(np.einsum("mk,kmc->mc", weights, X[1:] - X[0]))


def places_around(known: Array, x: Array) -> tuple[Array, Array]:
    """Where a function is to be known for its derivative at x (m,), and what its differences count.

    Parameters
    ----------
    known : ndarray, shape (n,)
        Values of the data, whose range the places do not leave.
    x : ndarray, shape (m,)

    Returns
    -------
    at : ndarray, shape (m, 5)
        x itself and four others.
    weights : ndarray, shape (m, 4)
        Of the function at the others less the function at x.
    """
    low, high = float(known.min()), float(known.max())
    h = _STEP * ((high - low) or max(abs(low), 1.0))
    ahead, behind = x - 2.0 * h < low, x + 2.0 * h > high
    towards = np.where(ahead, 1.0, -1.0)
    one_sided = (ahead | behind)[:, None]
    steps = np.where(one_sided, np.outer(towards, list(_AHEAD)), np.array(list(_ABOUT), dtype=np.float64))
    weights = np.where(one_sided, np.outer(towards, list(_AHEAD.values())), np.array(list(_ABOUT.values())))
    return np.column_stack([x, x[:, None] + h * steps]), weights / h


def repeated(rows: pd.DataFrame, name: str, at: Array) -> pd.DataFrame:
    """Rows (m) with one variable at each of k places (m, k), all rows at the first places before those at the next."""
    whole = rows.iloc[np.tile(np.arange(len(rows)), at.shape[1])].reset_index(drop=True)
    return whole.assign(**{name: at.T.ravel()})
