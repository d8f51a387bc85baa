"""Predictions of single rows with their derivatives in the parameters: what averages are taken of.

By the delta method the variance of any smooth function of them is J V J', J its derivatives in the parameters and V
their covariance. These are exact; those in a covariate are differences, see `mixfit.inference.means.design_slopes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.brief import brief
from mixfit.errors import FitError
from mixfit.fitted.further import part_gradient
from mixfit.fitted.marginal import integrated, joint_covariance
from mixfit.fitted.predict import estimable_rows, rows_to_predict
from mixfit.fitted.probabilities import probability_covariance, probability_slopes
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.re_form import select
from mixfit.inference.fixed_effects.denominator import denominator, parse_ddf
from mixfit.matrices.columns import Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, GeneralizedFit
    from mixfit.inference.fixed_effects.denominator import Denominator

    Array = NDArray[np.float64]

__all__ = ["UnitMeans", "fit_rows", "new_rows", "unit_means"]

# What `predict` of ordered categories has, but for the likeliest category, which has no derivative.
_OF_CATEGORIES = ("response", "prob", "cumulative", "mean", "link")


@dataclass(frozen=True, eq=False)
class UnitMeans:
    """How single rows are predicted.

    Attributes
    ----------
    fit : LinearResults or GeneralizedResults
    what : str
        What is predicted, as ``fit.predict`` names it.
    marginal : bool
        Whether over the population of groups, instead of at random effects of zero.
    method : Denominator, or None
        Coefficients, covariance and degrees of freedom of a linear model.
    cov : ndarray, shape (q, q)
        Covariance of the parameters.
    categories : tuple of str
        Of ordered categories those that are predicted side by side; empty elsewhere.
    """

    fit: Fit
    what: str
    marginal: bool
    method: Denominator | None
    cov: Array
    categories: tuple[str, ...] = ()

    __repr__ = brief

    def __call__(self, rows: pd.DataFrame | None) -> tuple[Array, Array]:
        """Predictions (m,) and their derivatives (m, q), of several categories (m, K) and (m, K, q).

        Those of the rows of the fit for None.
        """
        fit = self.fit
        if fit.model.design.categories is not None:
            return self._of_categories(rows)
        if self.marginal:
            X, offset = self._read(rows)
            return integrated(fit, X, X @ fit.estimate.beta + offset, rows)  # type: ignore[arg-type]
        if self.method is None:
            return part_gradient(fit, rows, self.what)  # type: ignore[arg-type]
        X, offset = self._read(rows)
        return X @ self.method.beta + offset, X

    def _of_categories(self, rows: pd.DataFrame | None) -> tuple[Array, Array]:
        fit: Any = self.fit
        read = rows_to_predict(fit, rows, select("population", fit.model.design.random), True)
        if self.what == "link":
            nothing = np.zeros((len(read.X), len(fit.estimate.shape)))
            return read.X @ fit.estimate.beta + read.offset, np.column_stack([read.X, nothing])
        eta = read.X @ fit.estimate.beta + read.offset
        p, slopes = probability_slopes(fit.family if rows is None else fit.family_of(rows), read.X, eta)
        p, slopes = p.T, slopes.swapaxes(0, 1)
        if self.what == "cumulative":
            # That of the highest category is one.
            return p.cumsum(axis=1)[:, :-1], slopes.cumsum(axis=1)[:, :-1]
        if self.what == "mean":
            numbers = np.arange(1.0, p.shape[1] + 1.0)
            return p @ numbers, np.einsum("mkq,k->mq", slopes, numbers)
        return p, slopes

    def df(self, J: Array) -> Array:
        """Degrees of freedom of functions with the derivatives J (k, q)."""
        return np.full(len(J), np.inf) if self.method is None else self.method.df(J)

    def _read(self, rows: pd.DataFrame | None) -> tuple[Array, Array]:
        model = self.fit.model
        if rows is None:
            offset = model.design.offset
            return model.exog, np.zeros(len(model.exog)) if offset is None else offset
        read = model.design.reader.read(rows, (False,) * len(model.design.random))
        return estimable_rows(model, read.X), read.offset


def unit_means(fit: Fit, what: str, re_form: str, ddf: str | None) -> UnitMeans:
    """How rows are predicted by a fit.

    Raises
    ------
    FitError
        For a `what` or `re_form` that the model does not have, and what `denominator` refuses.
    """
    if re_form not in ("population", "marginal"):
        raise FitError(f"re_form is 'population' or 'marginal', not {re_form!r}.")
    if not is_generalized(fit):
        if what not in ("response", "link"):
            raise FitError(f"what is 'response' for a linear model, not {what!r}.")
        # the average over normal effects is the mean where they are zero
        method = denominator(fit, ddf)
        return UnitMeans(fit, what, False, method, method.cov)
    parse_ddf(fit, ddf)
    if fit.model.design.categories is not None:
        return _of_categories(fit, what, re_form)
    if re_form == "marginal":
        if what != "response":
            raise FitError(f"re_form='marginal' averages responses, and what={what!r} is none.")
        return UnitMeans(fit, what, True, None, joint_covariance(fit))
    estimate = fit.estimate
    return UnitMeans(fit, what, False, None, estimate.cov_every_beta if estimate.further else estimate.cov_beta)


def _of_categories(fit: GeneralizedFit, what: str, re_form: str) -> UnitMeans:
    """How rows of ordered categories are predicted."""
    if what not in _OF_CATEGORIES:
        known = ", ".join(map(repr, _OF_CATEGORIES))
        raise FitError(f"what is one of {known} for ordered categories, not {what!r}.")
    if re_form == "marginal":
        raise FitError(
            "Averages of ordered categories have errors at random effects of zero, re_form='population'; "
            "predict(newdata, re_form='marginal') has the probabilities over the population of groups, without errors."
        )
    categories = fit.model.design.categories
    assert categories is not None
    several = {"response": categories, "prob": categories, "cumulative": categories[:-1]}
    return UnitMeans(fit, what, False, None, probability_covariance(fit), tuple(several.get(what, ())))


def fit_rows(fit: Fit) -> pd.DataFrame:
    """The columns that the model looks up, on the rows of the fit.

    Raises
    ------
    FitError
        For a model that was not read from a formula and data.
    """
    design = fit.model.design
    columns: Any = design.variables if design.frame is None else design.frame
    if columns is None:
        raise FitError("Averages over rows need a model that was read from a formula and data, or newdata=.")
    return pd.DataFrame({name: column.reset_index(drop=True) for name, column in columns.items()})


def new_rows(newdata: object) -> pd.DataFrame:
    """The columns of any frame that the model may be given."""
    columns = Columns(newdata, "new data")
    return pd.DataFrame({name: columns[name] for name in columns}, index=columns.range)
