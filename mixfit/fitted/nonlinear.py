"""What is known once a nonlinear mixed model is fitted."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from mixfit.arguments import check_count, check_flag
from mixfit.errors import ParameterError
from mixfit.fitted.core import Fitted
from mixfit.fitted.curve_rows import curve_rows, curve_variance, curve_weights
from mixfit.fitted.draws import add_noise, draw_predictors
from mixfit.fitted.new_responses import draw_new_predictors
from mixfit.fitted.predict import predicted, row_predictors
from mixfit.fitted.re_form import select
from mixfit.fitted.residuals import scale_residuals
from mixfit.matrices.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.new_responses import NewLevels
    from mixfit.fitted.protocols import Kind
    from mixfit.fitted.re_form import ReForm
    from mixfit.fitted.residuals import ResidualKind
    from mixfit.nlmm.estimate import NonlinearEstimate

    Array = NDArray[np.float64]

__all__ = ["FittedNonlinear"]


class FittedNonlinear(Fitted):
    """Estimates of a nonlinear mixed model, with all that follows from them alone."""

    kind: ClassVar[Kind] = "nonlinear"
    model: Any
    estimate: NonlinearEstimate

    @property
    def nobs(self) -> int:
        """Number of observations used."""
        return len(self.model.endog)

    @property
    def deviance(self) -> float:
        """``-2 llf``."""
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
    def residual_sd(self) -> float:
        """The same as `sigma`."""
        return self.estimate.sigma

    @property
    def _n_scale(self) -> int:
        return 1 + len(self.estimate.gamma)

    @cached_property
    def _index(self) -> pd.Index:
        return self.model.design.index[: self.nobs]

    @cached_property
    def fittedvalues(self) -> pd.Series[float]:
        """The curve at the modes, on the rows used."""
        return pd.Series(self.estimate.fitted, index=self._index)

    @property
    def resid(self) -> pd.Series[float]:
        """Response less fitted values."""
        return self.residuals("response")

    def residuals(self, kind: ResidualKind = "response") -> pd.Series[float]:
        """Return residuals.

        Parameters
        ----------
        kind : {"response", "pearson", "scaled"}
            Response less fitted values; times the square root of the weights, over the standard deviations relative
            to sigma that ``dispersion=`` gives; that divided by sigma.

        Returns
        -------
        Series, shape (n,)
        """
        response = self.model.endog - self.estimate.fitted
        return pd.Series(scale_residuals(response, curve_weights(self, None), self.sigma, kind), index=self._index)

    def refit(self, y: ArrayLike) -> FittedNonlinear:
        """Fit the same model to another response, by the same method, from these estimates.

        Parameters
        ----------
        y : array_like, shape (nobs,)

        Returns
        -------
        NonlinearResults
        """
        model = self.model.with_response(y)
        model.start = self.estimate.beta
        found: FittedNonlinear = model.fit(n_agq=self.estimate.n_agq, method=self.estimate.method, reml=self.reml)
        return found

    def parameters(
        self, newdata: object = None, *, re_form: ReForm = None, allow_new_levels: bool = False
    ) -> pd.DataFrame:
        """Return the curve's parameters of every row.

        Parameters
        ----------
        newdata, re_form, allow_new_levels
            As of `predict`.

        Returns
        -------
        DataFrame, shape (m, P)
        """
        names = list(self.model.parameters)
        stacked = None if newdata is None else self.model.stack.frame(Columns(newdata, "new data"))
        eta, _, labels = row_predictors(self, stacked, re_form, allow_new_levels, False)
        m = len(eta) // len(names)
        return pd.DataFrame(eta.reshape(len(names), m).T, index=labels[:m], columns=names)

    def predict(
        self, newdata: object = None, *, re_form: ReForm = None, allow_new_levels: bool = False, se: bool = False
    ) -> pd.Series[float] | pd.DataFrame:
        """Predict the curve.

        Parameters
        ----------
        newdata : frame, optional
            Rows to predict, with the curve's covariates; the rows of the fit by default.
        re_form : None, str, False or sequence of str
            Random effects to include: all of them (None), none (``"population"``, ``False``, ``"~0"``), or those of
            the named grouping factors. The curve of the population is that of a level without random effects.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with random effects of zero.
        se : bool
            Whether to give standard errors, by the delta method: those of the fixed effects jointly with those of the
            included random effects, at the estimated theta. An unseen level's own effect and the residual add nothing
            to them; `get_prediction` has intervals that count both.

        Returns
        -------
        Series, shape (m,), or DataFrame
            With `se`, the columns ``mean`` and ``mean_se``.

        Raises
        ------
        NewLevelError
            For an unseen level, naming factor and level, unless `allow_new_levels`.
        """
        check_flag("allow_new_levels", allow_new_levels)
        check_flag("se", se)
        rows = curve_rows(self, newdata, select(re_form, self.model.design.random), allow_new_levels)
        return predicted(rows.value, curve_variance(self, rows) if se else None, rows.labels)

    def simulate(
        self,
        n: int = 1,
        *,
        newdata: object = None,
        params: Mapping[str, float] | None = None,
        seed: int | np.random.Generator | None = None,
        re_form: ReForm = "population",
        new_levels: NewLevels = "sample",
        weights: ArrayLike | None = None,
    ) -> pd.DataFrame:
        """Draw new responses from the fitted model, on the rows of the fit or on those of another frame.

        Parameters
        ----------
        n : int
            Number of replicates.
        newdata : frame, optional
            Rows to draw responses for, with the curve's covariates and the grouping factors, whose levels may be new;
            the rows of the fit by default.
        params : None
            Other values of parameters cannot be stated of nonlinear models.
        seed : int, Generator or None
        re_form : None, str, False or sequence of str
            Random terms to hold at their modes; all others are drawn anew.
        new_levels : {"sample", "zero"}
            What the effects of a level are that the fit never saw, where `re_form` holds its term: drawn, or zero.
        weights : array_like, shape (m,) or (), optional
            Prior weights of the new rows; from the column that the fit had them from by default.

        Returns
        -------
        DataFrame, shape (m, n)
            Columns ``sim_1``, ``sim_2``, ...
        """
        check_count("n", n)
        if params is not None:
            raise ParameterError("Parameters cannot be stated of a nonlinear model, only estimated from data.")
        rng = np.random.default_rng(seed)
        names = [f"sim_{i + 1}" for i in range(n)]
        if newdata is None:
            stacked, curve, index = draw_predictors(self, n, re_form, rng), self.model.curve, self._index
            prior = curve_weights(self, None)
        else:
            columns = Columns(newdata, "new data")
            frame, curve, index = self.model.stack.frame(columns), self.model.stack.curve(columns), columns.index
            stacked = draw_new_predictors(self, frame, n, re_form=re_form, new_levels=new_levels, rng=rng).eta
            prior = curve_weights(self, newdata, weights)
        phi = stacked.reshape(len(self.model.parameters), len(index), n)
        return pd.DataFrame(add_noise(curve.values(phi), self.sigma, prior, rng), index=index, columns=names)
