"""The result of a Gaussian fit: it only brings arrays, names and functions together."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.results.bootstrap_methods import Bootstrapped
from mixfit.results.deletions import Deletions, RandomDeletions
from mixfit.results.descriptive_methods import Descriptive
from mixfit.results.emmeans_methods import MarginalMeans
from mixfit.results.fixed_tests import LinearTests
from mixfit.results.influence_methods import InfluenceMethods
from mixfit.results.intervals import Intervals
from mixfit.results.plot_methods import PlotMethods
from mixfit.results.predict import predicted
from mixfit.results.prediction_methods import LinearPredictions
from mixfit.results.re_form import select
from mixfit.results.residual_methods import ResidualMethods
from mixfit.results.residuals import scale_residuals
from mixfit.results.simulate import add_noise
from mixfit.results.simulation_methods import Simulation
from mixfit.results.spherical_methods import Spherical
from mixfit.results.summary import Heading
from mixfit.results.tidy_methods import TidyMethods

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.lmm.types import LinearEstimate
    from mixfit.results.protocol import LinearModel
    from mixfit.results.re_form import ReForm
    from mixfit.results.residuals import ResidualKind

__all__ = ["LinearResults"]


class LinearResults(
    Simulation,
    Descriptive,
    InfluenceMethods,
    ResidualMethods,
    TidyMethods,
    Deletions,
    RandomDeletions,
    LinearTests,
    Bootstrapped,
    Intervals,
    MarginalMeans,
    PlotMethods,
    LinearPredictions,
    Spherical,
):
    """Estimates of a linear mixed model.

    Nothing is computed before it is asked for. Pickles without what it has computed.

    Parameters
    ----------
    model : LinearModel
        The model that was fitted.
    estimate : LinearEstimate
        Its estimates as arrays.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.params.round(2).tolist()
    [251.41, 10.47]
    >>> fit.varcorr().to_frame()["sdcor"].round(2).tolist()
    [24.74, 5.92, 0.07, 25.59]
    >>> fit.ranef()["Subject"].shape
    (18, 2)
    >>> fit.predict(sleep.head(2), re_form="population").round(2).tolist()
    [251.41, 261.87]
    """

    model: LinearModel
    estimate: LinearEstimate

    def __repr__(self) -> str:
        method = "REML" if self.reml else "ML"
        return f"<LinearResults: {self.model.formula_text}, {method}, {self.nobs} observations>"

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
    def _unit(self) -> float:
        return self.estimate.sigma

    @property
    def _residual_sd(self) -> float | None:
        return self.estimate.sigma

    @cached_property
    def fittedvalues(self) -> pd.Series[float]:
        """Fitted values, random effects included, on the rows used."""
        return pd.Series(self._training_predictor(select(None, self._random)), index=self.model.design.index)

    @property
    def resid(self) -> pd.Series[float]:
        """Response less fitted values."""
        return self.residuals("response")

    def residuals(self, kind: ResidualKind = "response") -> pd.Series[float]:
        """Return residuals.

        Parameters
        ----------
        kind : {"response", "pearson", "scaled"}
            Response less fitted values; times the square root of the weights; that divided by
            sigma.

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
        return pd.Series(scale_residuals(response, design.weights, self.sigma, kind), index=design.index)

    def _scaled_residuals(self) -> NDArray[np.float64]:
        return np.asarray(self.residuals("scaled"), dtype=np.float64)

    def predict(
        self,
        newdata: object = None,
        re_form: ReForm = None,
        allow_new_levels: bool = False,
        se: bool = False,
    ) -> pd.Series[float] | pd.DataFrame:
        """Predict the mean response, offset included.

        Parameters
        ----------
        newdata : frame, optional
            Rows to predict, with the columns of the formula; the rows of the fit by default. A
            row with a missing value gives NaN.
        re_form : None, str, False or sequence of str
            Random effects to include: all of them (None), none (``"population"``, ``False``,
            ``"~0"``), those of a formula such as ``"~(1 | Subject)"``, or those of the named
            grouping factors.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with a random effect of zero.
        se : bool
            Whether to give standard errors: those of the fixed part, jointly with those of the
            included random effects, at the estimated theta. An unseen level's own effect and
            the residual add nothing to them; `get_prediction` has intervals that count both.

        Returns
        -------
        Series, shape (m,), or DataFrame
            With `se`, the columns ``mean`` and ``mean_se``.

        Raises
        ------
        NewLevelError
            For an unseen level, naming factor and level, unless `allow_new_levels`.
        FormulaError
            For a `re_form` with a term that the model does not have.

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
        """
        return predicted(*self._predict(newdata, re_form, allow_new_levels, se))

    def _draw_responses(self, predictors: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        return add_noise(predictors, self.sigma, self.model.design.weights, rng)

    def refit(self, y: ArrayLike) -> LinearResults:
        """Fit the same model to another response.

        Parameters
        ----------
        y : array_like, shape (nobs,)
            In the order of the rows used; the index of a Series is not looked at.

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

    def _heading(self) -> Heading:
        criteria = {"REML": self.estimate.criterion} if self.reml else self.information_criteria()
        method = "REML" if self.reml else "maximum likelihood"
        return Heading(
            title=f"Linear mixed model fit by {method}",
            family=None,
            criteria=criteria,
            tests={"t value": self.tvalues},
            dispersion=None,
        )
