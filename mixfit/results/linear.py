"""What a user holds after fitting a linear mixed model: its facts, and inference and reports as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.bayes.sample import sample
from mixfit.fitted.linear import FittedLinear
from mixfit.inference.bootstrap import bootstrap
from mixfit.inference.collinearity import collinearity
from mixfit.inference.comparisons.drop1 import drop1
from mixfit.inference.comparisons.families import compare_families
from mixfit.inference.comparisons.ranova import ranova
from mixfit.inference.comparisons.step import step
from mixfit.inference.conditional_aic import caic
from mixfit.inference.effect_sizes import cohens_d, epsilon_squared, eta_squared, omega_squared
from mixfit.inference.fixed_effects.claims import statement_tests, t_test, wald_test
from mixfit.inference.fixed_effects.tables import anova, contest, p_values, ttest, vcov_kr
from mixfit.inference.heritability import heritability
from mixfit.inference.icc_intervals import icc_interval
from mixfit.inference.influence import cooks_distance, dfbeta, hatvalues, influence
from mixfit.inference.loadings import loadings
from mixfit.inference.means.avg_comparisons import avg_comparisons
from mixfit.inference.means.avg_predictions import avg_predictions
from mixfit.inference.means.avg_slopes import avg_slopes
from mixfit.inference.means.joint_tests import joint_tests
from mixfit.inference.prediction import predict_observations
from mixfit.inference.predictors import bse_of, params_of
from mixfit.inference.profiles.intervals import conf_int
from mixfit.inference.quantile import quantile_residuals, residual_tests
from mixfit.inference.r2 import icc, r2
from mixfit.inference.re_pca import re_pca
from mixfit.inference.robust.covariance import cov_params
from mixfit.inference.standardize import standardize
from mixfit.plots.accessor import Plots
from mixfit.report.as_json import to_json
from mixfit.report.augment import augment, glance
from mixfit.report.summary import summary
from mixfit.report.tidy import tidy
from mixfit.report.varcorr import varcorr
from mixfit.report.variogram import variogram
from mixfit.results.check_model import check_model
from mixfit.results.means import effects, emmeans, emtrends
from mixfit.results.planned import with_params
from mixfit.results.profile import profile
from mixfit.results.robust import robust
from mixfit.results.update import update

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from mixfit.fitted.re_form import ReForm
    from mixfit.inference.prediction_results import PredictionResults

__all__ = ["LinearResults"]


class LinearResults(FittedLinear):
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

    def __repr__(self) -> str:
        method = "REML" if self.reml else "ML"
        return f"<LinearResults: {self.model.description}, {method}, {self.nobs} observations>"

    # Functions of a fit, as methods: each is documented where it is defined.
    cov_params = cov_params
    robust = robust
    params_of = params_of
    bse_of = bse_of
    summary = summary
    varcorr = varcorr
    tidy = tidy
    glance = glance
    augment = augment
    to_json = to_json

    anova = anova
    contest = contest
    ttest = ttest
    test = statement_tests
    t_test = t_test
    wald_test = wald_test
    drop1 = drop1
    step = step
    compare_families = compare_families
    effects = effects
    emmeans = emmeans
    emtrends = emtrends
    joint_tests = joint_tests
    avg_predictions = avg_predictions
    avg_comparisons = avg_comparisons
    avg_slopes = avg_slopes
    conf_int = conf_int
    profile = profile
    update = update
    bootstrap = bootstrap
    with_params = with_params

    eta_squared = eta_squared
    omega_squared = omega_squared
    epsilon_squared = epsilon_squared
    cohens_d = cohens_d

    standardize = standardize
    icc = icc
    icc_interval = icc_interval
    r2 = r2
    collinearity = collinearity
    re_pca = re_pca
    heritability = heritability
    variogram = variogram
    loadings = loadings
    hatvalues = hatvalues
    cooks_distance = cooks_distance
    dfbeta = dfbeta
    influence = influence
    quantile_residuals = quantile_residuals
    check_model = check_model
    residual_tests = residual_tests
    sample = sample
    ranova = ranova
    caic = caic
    vcov_kr = vcov_kr

    @property
    def pvalues(self) -> pd.Series[float]:
        """Two-sided p-values of the fixed effects: those of ``summary()``, with its degrees of freedom."""
        return p_values(self)

    @property
    def plot(self) -> Plots:
        """Plots of the fit: ``fit.plot.caterpillar()`` is ``mixfit.plots.caterpillar(fit)``, and so on.

        They need matplotlib: ``pip install 'mixfit[plots]'``.
        """
        return Plots(self)

    def get_prediction(
        self,
        newdata: object = None,
        *,
        re_form: ReForm = None,
        allow_new_levels: bool = False,
        weights: ArrayLike | None = None,
        ddf: str | None = None,
    ) -> PredictionResults:
        r"""Predict means and new observations, with standard errors and intervals.

        Parameters
        ----------
        newdata : frame, optional
            Rows to predict, with the columns of the formula; the rows of the fit by default. A
            row with a missing value gives NaN.
        re_form : None, str, False or sequence of str
            Random effects to include, as in `predict`.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with a random effect of zero.
        weights : array_like, shape (m,) or (), optional
            Prior weights w of the new observations, whose residual variance is sigma**2 / w. By default those of
            the fit for the rows of the fit, and 1 for new data: a column of weights is not looked up there.
        ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
            Degrees of freedom with ``re_form="population"``, as in `contest`. Predictions with random effects in them
            have none: their intervals are normal by default, and other methods are refused.

        Returns
        -------
        PredictionResults
            ``summary_frame(level)``, ``conf_int(obs, level)``, ``predicted_mean``, ``se_mean``, ``se_obs``. It prints
            as its summary frame.

        Raises
        ------
        NewLevelError
            For an unseen level, naming factor and level, unless `allow_new_levels`.
        FormulaError
            For a `re_form` with a term that the model does not have.
        DataError
            For weights that are not positive numbers, one a row.

        See Also
        --------
        predict : The means alone.

        Notes
        -----
        The interval of the mean is for the mean at the random effects that are included: with
        ``re_form="population"`` and for an unseen level it is that of the fixed part, the mean over all levels. An
        observation adds its residual, and the effects that are not predicted, as those of levels that the fit never
        saw. With z_u the random columns of a row

        - of all terms, for ``re_form="population"``: an observation of new levels, whatever the row's own are;
        - of terms (or columns of a term) that `re_form` leaves out: their effects are those of other, new levels;
        - of terms whose level is unseen, all their columns,

        its variance about the prediction is ``se_mean**2`` + sum_t z_u'Sigma_t z_u + sigma**2 / w. The first part
        is that of the error of the best linear unbiased predictor, x'(beta^ - beta) + z'(b~ - b) (Henderson 1975,
        Biometrics 31, 423-447). With ``re_form="population"`` quantiles are t's, with the degrees of freedom
        of `ddf`: of an observation 2 T**2 / Var(T), T being its estimated variance about the prediction. All others are
        normal, and theta and sigma are taken as known; with few levels those intervals are too narrow for that.

        Examples
        --------
        The next sheet of operator d, and one of an operator whom nobody has seen:

        >>> import mixfit, pandas as pd
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> new = pd.DataFrame({"operator": ["d", "e"]}, index=["d", "e"])
        >>> frame = fit.get_prediction(new, allow_new_levels=True).summary_frame(level=0.95)
        >>> frame[["mean", "mean_ci_lower", "mean_ci_upper"]].round(2)
            mean  mean_ci_lower  mean_ci_upper
        d  60.61          60.35          60.87
        e  60.40          60.11          60.69
        >>> frame[["obs_ci_lower", "obs_ci_upper"]].round(2)
           obs_ci_lower  obs_ci_upper
        d         59.92         61.30
        e         59.53         61.27
        """
        return predict_observations(self, newdata, re_form, allow_new_levels, weights, ddf)
