"""The result of a generalized fit: it only brings arrays, names and functions together."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.results import conditional
from mixfit.results.bootstrap_methods import Bootstrapped
from mixfit.results.deletions import Deletions
from mixfit.results.descriptive_methods import Descriptive
from mixfit.results.dispersion import Dispersion
from mixfit.results.emmeans_methods import MarginalMeans
from mixfit.results.fixed_tests import FixedTests
from mixfit.results.influence_methods import InfluenceMethods
from mixfit.results.intervals import Intervals
from mixfit.results.numbers import format_common
from mixfit.results.plot_methods import PlotMethods
from mixfit.results.pvalues import P_HEADER
from mixfit.results.residual_methods import ResidualMethods
from mixfit.results.spherical_methods import Spherical
from mixfit.results.summary import Heading
from mixfit.results.tidy_methods import TidyMethods

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.results.conditional import GeneralizedResidualKind, Overdispersion
    from mixfit.results.re_form import ReForm

    Array = NDArray[np.float64]

__all__ = ["GeneralizedResults"]


class GeneralizedResults(
    Dispersion,
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

    @cached_property
    def _prior(self) -> Array:
        weights = self.model.design.weights
        return np.ones(self.nobs) if weights is None else weights

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
    def deviance(self) -> float:
        """Sum of squared deviance residuals, given the modes, as lme4's ``deviance``; not ``-2 llf``.

        A FitError for the beta and beta-binomial families, which have none.
        """
        return float(self.residuals("deviance").pow(2).sum())

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

    @cached_property
    def linear_predictor(self) -> pd.Series[float]:
        """Linear predictor at the modes, offset included, on the rows used."""
        return pd.Series(self.estimate.eta, index=self.model.design.index)

    @cached_property
    def fittedvalues(self) -> pd.Series[float]:
        """Fitted means at the modes, on the rows used."""
        return pd.Series(self.model.family.link.mean(self.estimate.eta), index=self.model.design.index)

    @property
    def resid(self) -> pd.Series[float]:
        """Response less fitted means."""
        return self.residuals("response")

    def residuals(self, kind: GeneralizedResidualKind = "deviance") -> pd.Series[float]:
        """Return residuals, given the modes of the random effects.

        Parameters
        ----------
        kind : {"deviance", "pearson", "response", "working", "scaled"}
            Signed square roots of what each row adds to the deviance; response residuals over the
            square root of the variance function, times that of the prior weights; response less
            mean; that over the slope of the inverse link; Pearson residuals over `sigma`. The
            variance function of nbinom2, beta and beta-binomial contains their dispersion.

        Returns
        -------
        Series, shape (n,)

        Raises
        ------
        FitError
            For deviance residuals of a family without a deviance (beta, beta-binomial).

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.residuals("pearson").head(2).round(3).tolist()
        [-1.34, 1.075]
        """
        return pd.Series(self._residuals(kind), index=self.model.design.index)

    def _residuals(self, kind: GeneralizedResidualKind) -> Array:
        family, y, e = self.model.family, self.model.design.y, self.estimate
        return conditional.residuals(family, y, self._prior, e.eta, e.phi, kind)

    def _scaled_residuals(self) -> Array:
        return self._residuals("scaled")

    def overdispersion(self) -> Overdispersion:
        """Compare the sum of squared Pearson residuals with `df_resid`, as the GLMM FAQ of Bolker et al.

        Rough: the residuals are taken at the modes, whose freedom `df_resid` does not count, and
        for 0/1 responses or small means the sum has no chi-square distribution. A ratio well above 1
        in counts or proportions asks for nbinom2, beta-binomial or a random effect of each row. Where
        a dispersion is estimated it is in the variances, and the ratio is near 1 or below of itself.

        Returns
        -------
        Overdispersion
            ``chisq``, ``ratio``, ``df`` and ``pvalue``.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> round(fit.overdispersion().ratio, 2)
        1.24
        """
        return conditional.overdispersion_test(self._residuals("scaled"), self.df_resid)

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
        eta, variance, index = self._predict(newdata, re_form, allow_new_levels, se)
        link = self.model.family.link
        mean = eta if type == "link" else link.mean(eta)
        if variance is None:
            return pd.Series(mean, index=index)
        error = np.sqrt(variance)
        if type == "response":
            error = error * np.abs(link.slope(eta))
        return pd.DataFrame({"mean": mean, "mean_se": error}, index=index)

    def simulate(
        self,
        n: int = 1,
        seed: int | np.random.Generator | None = None,
        re_form: ReForm = "population",
    ) -> pd.DataFrame:
        """Draw new responses from the fitted model, on the rows of the fit.

        Parameters
        ----------
        n : int
            Number of replicates.
        seed : int, Generator or None
            As ``numpy.random.default_rng`` takes it.
        re_form : None, str, False or sequence of str
            Random terms to hold at their modes; all others are drawn anew. None holds all.

        Returns
        -------
        DataFrame, shape (nobs, n)
            Columns ``sim_1``, ``sim_2``, ...: proportions for a binomial model, as `refit` takes them.

        Raises
        ------
        FitError
            Where `n` is not positive, or `re_form` holds only some columns of a term.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.simulate(2, seed=1).head(2).round(3)
           sim_1  sim_2
        0  0.071  0.143
        1  0.083  0.083
        """
        family, rng = self.model.family, np.random.default_rng(seed)
        mu = family.link.mean(self._draw_predictors(n, re_form, rng))
        # replicates as rows, since prior weights broadcast on the last axis
        return self._simulated_frame(family.simulate(mu.T, self._prior, self.dispersion, rng).T)

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
