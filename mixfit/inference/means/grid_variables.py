"""Variables of a reference grid and their values: levels of factors, covariates at their means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.matrices.columns import is_factor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.types import Design

    Index = NDArray[np.intp]

__all__ = ["GridVariable", "combinations", "grid_variables"]


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
