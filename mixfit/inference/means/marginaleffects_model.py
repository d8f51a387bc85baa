"""The class that marginaleffects asks for predictions, coefficients, covariance and data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from marginaleffects.classes import ModelAbstract, ModelVault

from mixfit.errors import FitError
from mixfit.fitted.predict import estimable_rows
from mixfit.inference.fixed_effects.contrasts import contrast_tests
from mixfit.inference.fixed_effects.denominator import denominator, parse_ddf
from mixfit.inference.means.contrast_coefficients import level_text
from mixfit.matrices.columns import is_factor

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["MixedModelAdapter"]

# Derivatives depend on the link alone; marginaleffects knows each of them with some family only.
_FAMILIES = {
    "log": "poisson",
    "sqrt": "poisson",
    "logit": "binomial",
    "probit": "binomial",
    "cloglog": "binomial",
    "inverse": "gamma",
}


class MixedModelAdapter(ModelAbstract):  # type: ignore[misc]
    """The fixed effects of a fit, with the rows that it used.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    response : bool
        Whether predictions are means, or values of the linear predictor.
    ddf : str, optional
        Method of the degrees of freedom.
    """

    #: Of every test: the smallest degrees of freedom of a coefficient, infinite for the normal distribution.
    df_resid: float

    def __init__(self, fit: Fit, response: bool, ddf: str | None = None) -> None:
        self._ddf = parse_ddf(fit, ddf)
        tests = contrast_tests(fit, np.eye(len(fit.fixef)), self._ddf)
        self.df_resid = float(np.nanmin(tests.df, initial=math.inf))
        design = fit.model.design
        if design.variables is None:
            raise FitError("marginaleffects needs a model that was read from a formula and data.")
        family = getattr(fit.model, "family", None)
        self._has_offset = design.offset is not None
        self._link = family.link if family is not None and response else None
        columns, self._levels = _columns(design.variables, design.reader.factor_names)
        outcome = design.endog_name if design.endog_name.isidentifier() else "response"
        names = list(columns)
        groupings = {term.grouping.name: term.grouping for term in design.random}
        groups = {name: _enum(g.codes, g.levels) for name, g in groupings.items() if name not in columns}
        columns = {outcome: pl.Series(np.abs(design.y) if design.censored else design.y), **columns, **groups}
        quoted = " + ".join(f"`{name}`" for name in names) or "1"
        vault = ModelVault(
            coef=fit.fixef.to_numpy(),
            coefnames=np.array(fit.fixef.index, dtype=object),
            # only which columns take part is read from it
            formula=f"{outcome} ~ {quoted}",
            modeldata=pl.DataFrame(columns),
            package="mixfit",
            variable_names=[outcome, *names],
        )
        super().__init__(fit, vault)

    def validation(self) -> None:
        """Say what kinds of variables there are; all else that marginaleffects checks is made here.

        Its own check looks for whole numbers among columns of floats, which polars refuses from 2.0 on.
        """
        self.coef, self.formula, self.response_name = self.get_coef(), self.get_formula(), self.find_response()
        self.modeldata = self.get_modeldata()
        self.vault.variables_type = {name: _kind(self.modeldata[name]) for name in self.find_variables()}

    def get_vcov(self, vcov: bool | str = True) -> Array | None:
        """Covariance of the fixed effects; "kenward-roger" for the adjusted one, None for False."""
        if vcov is False or vcov is None:
            return None
        if vcov is True:
            # Thresholds, which are no coefficients of location, have rows of their own in cov_params.
            return denominator(self.model, self._ddf).cov
        if vcov == "kenward-roger":
            return denominator(self.model, "kenward-roger").cov
        raise FitError(f"vcov is True, False, 'kenward-roger' or a matrix, not {vcov!r}.")

    def get_exog(self, newdata: pl.DataFrame) -> Array:
        """Fixed-effects columns of new rows, (m, p), and their offset as the last one where the model has an offset."""
        model = self.model.model
        named = {name: labels for name, labels in self._levels.items() if name in newdata.columns}
        rows = newdata.with_columns(
            pl.col(name).cast(pl.String).replace_strict(labels, default=None) for name, labels in named.items()
        )
        new = model.design.reader.read(rows, (False,) * len(model.design.random))
        X = estimable_rows(model, new.X)
        return np.column_stack([X, new.offset]) if self._has_offset else X

    def get_predict(self, params: Array, newdata: Any) -> pl.DataFrame:
        """Predictions with the coefficients `params` (p,), for rows from `get_exog` or of data."""
        exog = newdata if isinstance(newdata, np.ndarray) else self.get_exog(newdata)
        eta = exog[:, : len(params)] @ np.asarray(params)
        if self._has_offset:
            eta = eta + exog[:, -1]
        mean = eta if self._link is None else self._link.mean(eta)
        return pl.DataFrame({"rowid": pl.Series(range(len(mean)), dtype=pl.Int32), "estimate": mean})

    def get_autodiff_args(self) -> dict[str, str | None] | str | None:
        """How marginaleffects may differentiate predictions itself, instead of by differences."""
        if self._has_offset:
            return "models with an offset"
        if self._link is None or self._link.name == "identity":
            return {"model_type": "linear", "family": None, "link": None}
        if self._link.name not in _FAMILIES:
            return f"the link {self._link.name!r}"
        return {"model_type": "glm", "family": _FAMILIES[self._link.name], "link": self._link.name}


def _kind(column: pl.Series) -> str:
    """Kind of a variable by marginaleffects' names."""
    if column.dtype == pl.Boolean:
        return "boolean"
    if not column.dtype.is_numeric():
        return "character"
    if ((column == 0) | (column == 1)).all():
        return "binary"
    return "integer" if column.dtype.is_integer() else "numeric"


def _columns(variables: Any, factor_names: frozenset[str]) -> tuple[dict[str, pl.Series], dict[str, dict[str, Any]]]:
    """Columns as polars has them, factors as Enum; and for those whose levels are no text, the level of each label."""
    columns, levels = {}, {}
    for name, column in variables.items():
        if not (is_factor(column) or name in factor_names) or column.dtype == np.bool_:
            columns[name] = pl.Series(column.to_numpy())
            continue
        coded = column.astype("category").cat.remove_unused_categories()
        columns[name] = _enum(coded.cat.codes.to_numpy(), coded.cat.categories)
        if not all(isinstance(level, str) for level in coded.cat.categories):
            levels[name] = {level_text(level): level for level in coded.cat.categories}
    return columns, levels


def _enum(codes: NDArray[np.integer[Any]], levels: pd.Index) -> pl.Series:
    labels = [level_text(level) for level in levels]
    return pl.Series(np.array(labels, dtype=object)[codes].tolist(), dtype=pl.Enum(labels))
