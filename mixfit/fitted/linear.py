"""What is known once a linear mixed model is fitted."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.fitted.core import Fitted
from mixfit.fitted.linear_predictor import training_predictor
from mixfit.fitted.predict import predicted, row_predictors
from mixfit.fitted.predict_batches import predict_source
from mixfit.fitted.re_form import is_marginal, select
from mixfit.fitted.residual_covariance import residual_deviations, whitened
from mixfit.fitted.residuals import scale_residuals
from mixfit.spellings import nearest

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike

    from mixfit.fitted.protocols import Kind, LinearFit, LinearModel
    from mixfit.fitted.re_form import ReForm
    from mixfit.fitted.residuals import ResidualKind
    from mixfit.lmm.information import VarianceInformation
    from mixfit.lmm.types import LinearEstimate

__all__ = ["FittedLinear"]


class FittedLinear(Fitted):
    """Estimates of a linear mixed model, with all that follows from them alone."""

    kind: ClassVar[Kind] = "linear"
    model: LinearModel
    estimate: LinearEstimate

    @property
    def _n_scale(self) -> int:
        # Sigma, and what else describes the residuals; fixed effects that are known are no parameters.
        return 1 + self.estimate.n_residual - len(self.model.known_effects)

    @property
    def deviance(self) -> float:
        """``-2 llf``: the deviance of an ML fit, the REML criterion of a REML fit."""
        return self.estimate.criterion

    @property
    def sigma(self) -> float:
        """Residual standard deviation of an observation of weight 1."""
        return self.estimate.sigma

    @property
    def scale(self) -> float:
        """Residual variance, ``sigma**2``."""
        return self.estimate.sigma**2

    @property
    def residual_sd(self) -> float | None:
        """The same as `sigma`: linear models have a residual variance."""
        return self.estimate.sigma

    @cached_property
    def fittedvalues(self) -> pd.Series[float]:
        """Fitted values, random effects included, on the rows used."""
        design = self.model.design
        return pd.Series(training_predictor(self, select(None, design.random)), index=design.index)

    @property
    def resid(self) -> pd.Series[float]:
        """Response less fitted values."""
        return self.residuals("response")

    @cached_property
    def variance_information(self) -> VarianceInformation:
        """Derivatives of the model's moments in its variance parameters, at the estimate."""
        return self.model.variance_information(self.estimate)

    @cached_property
    def reml_fit(self) -> LinearFit:
        """The same model fitted by REML: the fit itself where it is."""
        return self if self.reml else self.model.fit(reml=True)

    def refit(self, y: ArrayLike) -> LinearFit:
        """Fit the same model to another response.

        Parameters
        ----------
        y : array_like, shape (nobs,)
            In the order of the rows used; the index of a Series is not looked at. Or a frame of one column, as
            `simulate` gives it, and after ``na_action="exclude"`` values of all rows of the data.

        Returns
        -------
        LinearResults

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> new = fit.simulate(seed=1)["sim_1"]
        >>> fit.refit(new).converged
        True
        """
        return self.model.with_response(np.asarray(y, dtype=np.float64)).fit(reml=self.reml)

    def residuals(self, kind: ResidualKind = "response") -> pd.Series[float]:
        """Return residuals.

        Parameters
        ----------
        kind : {"response", "working", "deviance", "pearson", "scaled", "normalized"}
            Response less fitted values, which are the working residuals too; times the square root of the weights,
            which are deviance and Pearson's residuals, as in lme4; that divided by sigma, or by the standard deviation
            of each row where residuals have several; made independent and of variance 1 by the estimated covariance of
            the residuals, as nlme's.

        Returns
        -------
        Series, shape (n,)

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.residuals("scaled").head(2).round(3).tolist()
        [-0.16, -0.571]
        """
        design = self.model.design
        response = design.y - self.fittedvalues.to_numpy()
        if kind == "normalized":
            return pd.Series(whitened(self, response), index=design.index)
        root = 1.0 if design.weights is None else np.sqrt(design.weights)
        deviations = residual_deviations(self) * root
        return pd.Series(scale_residuals(response, design.weights, deviations, kind), index=design.index)

    def predict(
        self,
        newdata: object = None,
        *,
        re_form: ReForm = None,
        allow_new_levels: bool = False,
        se: bool = False,
        type: Literal["link", "response"] = "link",  # noqa: A002
        to: str | os.PathLike[str] | None = None,
    ) -> pd.Series[float] | pd.DataFrame | int:
        """Predict the mean response, offset included.

        Parameters
        ----------
        newdata : frame or source, optional
            Rows to predict, with the columns of the formula; the rows of the fit by default. A
            row with a missing value gives NaN. Rows that need not fit in memory are a source, as `mixfit.mixed`
            takes them: a path of Parquet files, a Polars ``LazyFrame``, a DuckDB relation, ...
        re_form : None, str, False or sequence of str
            Random effects to include: all of them (None), none (``"population"``, ``False``,
            ``"~0"``), those of a formula such as ``"~(1 | Subject)"``, or those of the named
            grouping factors. The average over groups, ``"marginal"``, is that at effects of zero in a linear model.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with a random effect of zero.
        se : bool
            Whether to give standard errors: those of the fixed part, jointly with those of the
            included random effects, at the estimated theta. An unseen level's own effect and
            the residual add nothing to them; `get_prediction` has intervals that count both.
        type : {"link", "response"}
            Of a transformed response, such as ``log(y)``: predictions on its scale, or what the inverse of the
            transformation makes of them (medians of y, where the residuals are symmetric, not means), with
            standard errors by the delta method.
        to : path, optional
            Of a source: a Parquet file to write, batch by batch, with all columns of the source and beside them
            ``.fitted`` and, with `se`, ``.fitted_se``.

        Returns
        -------
        Series, shape (m,), or DataFrame, or int
            With `to` the number of rows written.
            With `se`, the columns ``mean`` and ``mean_se``. On the scale of a transformed response the series, or
            the axis of the columns, has its name.

        Raises
        ------
        NewLevelError
            For an unseen level, naming factor and level, unless `allow_new_levels`.
        DataError
            For labels of groups that cannot be those of the fit, such as numbers where it had names, and for a term
            computed from whole columns, such as ``I(x - x.mean())``, which new rows would compute from themselves.
        FormulaError
            For a `re_form` with a term that the model does not have.
        FitError
            For another `type`, and for a transformation whose inverse is not known.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.predict(sleep.head(2)).round(2).tolist()
        [253.66, 273.33]
        >>> fit.predict(sleep.head(2), re_form="population", se=True).round(2)
             mean  mean_se
        0  251.41     6.82
        1  261.87     6.79
        >>> logs = mixfit.mixed("log(Reaction) ~ Days + (Days | Subject)", sleep).fit()
        >>> logs.predict(sleep.head(2)).round(3)
        0    5.545
        1    5.604
        Name: log(Reaction), dtype: float64
        >>> logs.predict(sleep.head(2), type="response").round(2).tolist()
        [255.9, 271.38]
        """
        if type not in ("response", "link"):
            near = nearest(type, ("response", "link"))
            raise FitError(f"predict has the types 'response' and 'link', not {type!r}.{near}")
        asked: dict[str, Any] = {"re_form": re_form, "allow_new_levels": allow_new_levels, "se": se, "type": type}
        batches = predict_source(self.predict, self.model.design, newdata, to, **asked)
        if batches is not None:
            return batches
        transformation = self.model.design.transformation
        if transformation is not None and type == "response":
            transformation.require_inverse()
            if is_marginal(re_form):
                raise FitError(
                    "re_form='marginal' averages means, and what the inverse of the transformation gives are medians: "
                    "fit a generalized model, such as family='lognormal', for means of the untransformed response."
                )
        kept: ReForm = "population" if is_marginal(re_form) else re_form
        prediction = row_predictors(self, newdata, kept, allow_new_levels, se)
        if type == "response":
            return predicted(*prediction, transformation)
        return predicted(*prediction, scale=None if transformation is None else transformation.text)
