"""The stack of a nonlinear model: a block of its rows for every parameter of the curve, as ``nlmer`` makes it.

The column of a block's own parameter is one there and those of the others are zero, so that a formula in the names of
the parameters says what each of them depends on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.curves.mean import CurveExpression, self_starting
from mixfit.errors import ArgumentError, DataError, FormulaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.curves.mean import BoundCurve
    from mixfit.matrices.columns import Columns

__all__ = ["PredictorStack", "check_names", "check_parameters", "complete_rows", "weights_of_rows"]


@dataclass(frozen=True, eq=False)
class PredictorStack:
    """How rows become a stack: the columns that the predictors look up, and the curve."""

    expression: CurveExpression
    needed: tuple[str, ...]

    def columns(self, columns: Columns) -> dict[str, pd.Series]:
        """Every column of the data that the model looks up, those of the curve included."""
        names = dict.fromkeys((*self.needed, *self.expression.covariates))
        return {name: columns.labelled(name).set_axis(columns.index) for name in names if name in columns}

    def frame(self, columns: Columns, keep: NDArray[np.bool_] | None = None) -> pd.DataFrame:
        """Blocks of the rows, one a parameter, with the parameters' indicators."""
        rows = pd.DataFrame({name: columns.labelled(name) for name in self.needed if name in columns})
        rows.index = columns.index
        if keep is not None:
            rows = rows[keep]
        parameters = self.expression.parameters
        blocks = [rows.assign(**{q: float(q == p) for q in parameters}) for p in parameters]
        return pd.concat(blocks)

    def curve(self, columns: Columns, keep: NDArray[np.bool_] | None = None) -> BoundCurve:
        """The curve at the rows' covariates."""
        values = {}
        for name in self.expression.covariates:
            if name not in columns:
                raise DataError(f"The {columns.what} have no column {name!r}.")
            if columns.kind(name) != "number":
                raise DataError(f"The curve's covariate {name!r} is not numeric.")
            x = columns.labelled(name).to_numpy(dtype=float, na_value=np.nan)
            values[name] = x if keep is None else x[keep]
        return self.expression.at(values)


def check_parameters(
    curve: str, names: Sequence[str], parameters: Sequence[str], columns: Columns, self_starts: bool
) -> None:
    """Refuse parameters that the curve does not have, or that have no start.

    Raises
    ------
    FormulaError
        Naming the parameter.
    """
    if not parameters:
        raise FormulaError(
            f"The curve {curve!r} is no self-starting one: start= gives a value for every parameter, by name."
        )
    for name in parameters:
        if name in columns:
            raise FormulaError(f"The parameter {name!r} is a column of the data too: rename one of them.")
        if name not in names:
            raise FormulaError(f"start= names the parameter {name!r}, which the curve {curve!r} does not.")
    if self_starts:
        own = self_starting(curve)
        missing = [] if own is None else [name for name in own[2] if name not in parameters]
        if missing:
            raise FormulaError(
                f"start= has no value for {', '.join(missing)}: it names every parameter, or is left out."
            )


def check_names(expression: CurveExpression, names: Sequence[str], self_starts: bool) -> None:
    """Refuse a curve with names that are neither columns nor parameters, nor given by context=.

    Raises
    ------
    FormulaError
        Naming them.
    """
    unknown = ", ".join(map(repr, expression.unknown(names)))
    if unknown:
        lacks = "" if self_starts else f", and no parameter with a start: start= lacks {unknown}"
        raise FormulaError(f"The curve {expression.text!r} names {unknown}, no column of the data{lacks}.")


def complete_rows(columns: Columns, names: Sequence[str], na_action: str) -> NDArray[np.bool_] | None:
    """Rows in which nothing that the model uses is missing; None for all."""
    if na_action not in ("drop", "raise"):
        raise ArgumentError(f"na_action is 'drop' or 'raise', not {na_action!r}.")
    missing = {name: columns.labelled(name).isna().to_numpy() for name in dict.fromkeys(names)}
    gone = np.any(list(missing.values()), axis=0)
    if not gone.any():
        return None
    counts = ", ".join(f"{name} ({int(rows.sum())})" for name, rows in missing.items() if rows.any())
    if na_action == "raise":
        raise DataError(f"Missing values: {counts}. na_action='drop' leaves these rows out.")
    if gone.all():
        raise DataError(f"No row is left: every row has a missing value: {counts}.")
    return np.asarray(~gone)


def weights_of_rows(weights: object, n_rows: int, keep: NDArray[np.bool_] | None) -> object:
    """Weights of the rows that are used, where they are an array of one value a row, shape (n_rows,).

    Raises
    ------
    DataError
        For another shape.
    """
    if weights is None or isinstance(weights, str):
        return weights
    given = np.asarray(weights)
    if given.shape != (n_rows,):
        raise DataError(f"The weights are of shape {given.shape}, and the data have {n_rows} rows.")
    return given if keep is None else given[keep]
