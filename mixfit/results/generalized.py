"""The result of a generalized fit: it only brings arrays, names and functions together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.results.bootstrap_methods import Bootstrapped
from mixfit.results.deletions import Deletions
from mixfit.results.descriptive_methods import Descriptive
from mixfit.results.emmeans_methods import MarginalMeans
from mixfit.results.fixed_tests import FixedTests
from mixfit.results.generalized_residuals import GeneralizedResiduals
from mixfit.results.influence_methods import InfluenceMethods
from mixfit.results.intervals import Intervals
from mixfit.results.numbers import format_common
from mixfit.results.plot_methods import PlotMethods
from mixfit.results.predict import predicted
from mixfit.results.prediction_methods import GeneralizedPredictions
from mixfit.results.pvalues import P_HEADER
from mixfit.results.residual_methods import ResidualMethods
from mixfit.results.simulation_methods import Simulation
from mixfit.results.spherical_methods import Spherical
from mixfit.results.summary import Heading
from mixfit.results.tidy_methods import TidyMethods

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.results.re_form import ReForm

    Array = NDArray[np.float64]

__all__ = ["GeneralizedResults"]


class GeneralizedResults(
    GeneralizedResiduals,
    Simulation,
    Descriptive,
    InfluenceMethods,
    ResidualMethods,
    TidyMethods,
    Deletions,
    FixedTests,
    Bootstrapped,
    Intervals,
    MarginalMeans,
    PlotMethods,
    GeneralizedPredictions,
    Spherical,
):
    """Estimates of a generalized linear mixed model.

    Nothing is computed before it is asked for. Pickles without what it has computed. A binomial
    response is a proportion throughout: in fitted values, residuals and simulations.

    Parameters
    ----------
    model : GeneralizedModel
        The model that was fitted.
    estimate : GeneralizedEstimate
        Its estimates as arrays.

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
    >>> fit.params.round(3).tolist()
    [-1.399, -0.992, -1.129, -1.58]
    >>> fit.varcorr()
     Groups Name        Std.Dev.
     herd   (Intercept) 0.64226
    >>> round(fit.deviance, 3), round(-2 * fit.llf, 3)
    (73.472, 184.053)
    >>> fit.predict(herds.head(2), type="response").round(3).tolist()
    [0.308, 0.142]
    """

    def __repr__(self) -> str:
        return f"<GeneralizedResults: {self.model.formula_text}, {self.model.family!r}, {self.nobs} observations>"

    @property
    def _is_quasi(self) -> bool:
        return self.estimate.method == "pql"

    @property
    def llf(self) -> float:
        """Log-likelihood, as lme4's ``logLik``; a FitError for a fit by penalized quasi-likelihood.

        Of a fit with ``n_agq=0`` the Laplace approximation at its estimates, at most that of ``n_agq=1``.
        """
        if self._is_quasi:
            raise FitError(
                "A fit by penalized quasi-likelihood has no log-likelihood, and so no AIC, BIC or likelihood ratio: "
                "what it maximizes is a linear model's likelihood of a working response, which changes with the fit. "
                "Use method='ml'."
            )
        return super().llf

    @property
    def zvalues(self) -> pd.Series[float]:
        """Ratio of `params` to `bse`; the same as `tvalues`."""
        return self.tvalues

    def cov_params(self, conditional: bool = False) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        conditional : bool
            Whether theta and the dispersion count as known; by default their uncertainty is
            included, through the Hessian of all parameters.

        Returns
        -------
        DataFrame, shape (p, p)

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> given_theta = fit.cov_params(conditional=True).to_numpy().diagonal()
        >>> (fit.bse**2 / given_theta).round(3).tolist()
        [1.029, 1.01, 1.008, 1.006]
        """
        if not conditional:
            return super().cov_params()
        return pd.DataFrame(self.estimate.cov_beta_conditional.copy(), index=self._names, columns=self._names)

    @property
    def bse_theta(self) -> Array:
        """Standard errors of `theta`, shape (m,); NaN on the boundary."""
        return self.estimate.theta_errors

    def predict(
        self,
        newdata: object = None,
        type: Literal["response", "link"] = "response",  # noqa: A002
        re_form: ReForm = None,
        allow_new_levels: bool = False,
        se: bool = False,
    ) -> pd.Series[float] | pd.DataFrame:
        """Predict the mean response or the linear predictor, offset included.

        Parameters
        ----------
        newdata : frame, optional
            Rows to predict, with the columns of the formula; the rows of the fit by default. A
            row with a missing value gives NaN.
        type : {"response", "link"}
            The mean at the linear predictor, or that itself. With ``re_form="population"`` the mean
            is that of a level whose random effects are zero, not the average over levels.
        re_form : None, str, False or sequence of str
            Random effects to include: all of them (None), none (``"population"``, ``False``,
            ``"~0"``), those of a formula such as ``"~(1 | herd)"``, or those of the named
            grouping factors.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with a random effect of zero.
        se : bool
            Whether to give standard errors. Those of the linear predictor are that of the fixed
            part (`cov_params`) jointly with those of the included modes, in the Gaussian
            approximation at the mode: Var(b | y) at the estimated theta, and the modes moving with
            beta. The uncertainty of theta enters through `cov_params` alone, and an unseen level's
            own effect adds nothing. Those of the mean follow by the delta method.

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
        FitError
            For another `type`.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.predict(herds.head(2)).round(3).tolist()
        [0.308, 0.142]
        >>> fit.predict(herds.head(2), type="link", re_form="population", se=True).round(3)
            mean  mean_se
        0 -1.399    0.232
        1 -2.391    0.310
        """
        if type not in ("response", "link"):
            raise FitError(f"predict has the types 'response' and 'link', not {type!r}")
        prediction = self._predict(newdata, re_form, allow_new_levels, se)
        return predicted(*prediction, None if type == "link" else self.model.family.link)

    def _draw_responses(self, predictors: Array, rng: np.random.Generator) -> Array:
        family = self.model.family
        # Replicates as rows, since prior weights broadcast on the last axis.
        return family.simulate(family.link.mean(predictors).T, self._prior, self.dispersion, rng).T

    def refit(self, y: ArrayLike) -> GeneralizedResults:
        """Fit the same model to another response, by the same method with as many quadrature points.

        Parameters
        ----------
        y : array_like, shape (nobs,)
            In the order of the rows used; the index of a Series is not looked at. Proportions of
            the same numbers of trials for a binomial model.

        Returns
        -------
        GeneralizedResults

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.refit(fit.simulate(seed=1)["sim_1"]).converged
        True
        """
        model = self.model.with_response(np.asarray(y, dtype=np.float64))
        return model.fit(n_agq=self.estimate.n_agq, method="pql" if self._is_quasi else "ml")

    def _heading(self) -> Heading:
        family = self.model.family
        method = "maximum likelihood (Laplace Approximation)"
        if self._is_quasi:
            method = "penalized quasi-likelihood (PQL)"
        elif self.estimate.n_agq != 1:
            method = f"maximum likelihood (Adaptive Gauss-Hermite Quadrature, nAGQ = {self.estimate.n_agq})"
        dispersion = None
        if family.has_dispersion:
            value = format_common([self.dispersion], 3)[0]
            dispersion = f"Dispersion parameter for {family.name} family (phi): {value}"
        return Heading(
            title=f"Generalized linear mixed model fit by {method}",
            family=f"{family.name}  ( {family.link.name} )",
            criteria={} if self._is_quasi else self.information_criteria(),
            tests={"z value": self.zvalues, P_HEADER: self.pvalues},
            dispersion=dispersion,
        )
