"""What a user holds after fitting a generalized mixed model: its facts, and inference and reports as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.bayes.sample import sample
from mixfit.fitted.generalized import FittedGeneralized
from mixfit.inference.binned import binned_residuals
from mixfit.inference.bootstrap import bootstrap
from mixfit.inference.collinearity import collinearity
from mixfit.inference.comparisons.drop1 import drop1
from mixfit.inference.comparisons.families import compare_families
from mixfit.inference.comparisons.step import step
from mixfit.inference.fixed_effects.claims import statement_tests, t_test, wald_test
from mixfit.inference.fixed_effects.tables import anova, contest, ttest
from mixfit.inference.frequencies import frequencies
from mixfit.inference.heritability import heritability
from mixfit.inference.icc_intervals import icc_interval
from mixfit.inference.influence import cooks_distance, dfbeta, hatvalues, influence
from mixfit.inference.loadings import loadings
from mixfit.inference.means.avg_comparisons import avg_comparisons
from mixfit.inference.means.avg_predictions import avg_predictions
from mixfit.inference.means.avg_slopes import avg_slopes
from mixfit.inference.means.joint_tests import joint_tests
from mixfit.inference.prediction import predict_means
from mixfit.inference.predictors import bse_of, params_of
from mixfit.inference.profiles.intervals import conf_int
from mixfit.inference.quantile import quantile_residuals, residual_tests
from mixfit.inference.r2 import icc, r2
from mixfit.inference.re_pca import re_pca
from mixfit.inference.robust.covariance import refuse_cluster
from mixfit.inference.standardize import standardize
from mixfit.plots.accessor import Plots
from mixfit.report.as_json import to_json
from mixfit.report.augment import augment, glance
from mixfit.report.summary import summary
from mixfit.report.tidy import tidy
from mixfit.report.varcorr import varcorr
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
    from mixfit.inference.prediction_results import PredictionResultsMean

__all__ = ["GeneralizedResults"]


class GeneralizedResults(FittedGeneralized):
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

    def cov_params(
        self, kind: str | None = None, *, cluster: str | ArrayLike | None = None, conditional: bool = False
    ) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects: the model's own, or one by clusters.

        Parameters
        ----------
        kind : {"CR0", "CR1"}, optional
            A sandwich of the Hessian of all parameters about the scores of clusters, as merDeriv's and glmmTMB's; times
            J / (J - 1) for J clusters. By default the inverse of the Hessian, the covariance of the model.
        cluster : str or array_like, shape (nobs,), optional
            As of linear models: by default the coarsest grouping factor.
        conditional : bool
            Whether theta and the dispersion count as known; by default their uncertainty is included.

        Returns
        -------
        DataFrame, shape (p, p)

        Raises
        ------
        FitError
            For another kind, and clusters that are not independent in the model.

        See Also
        --------
        robust : The fit with such a covariance, in its tests, intervals and marginal means.
        """
        if kind is None:
            refuse_cluster(cluster)
            return super().cov_params(conditional=conditional)
        return self.robust(kind, cluster=cluster).cov_params(conditional=conditional)

    # Functions of a fit, as methods: each is documented where it is defined.
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

    standardize = standardize
    icc = icc
    icc_interval = icc_interval
    r2 = r2
    collinearity = collinearity
    re_pca = re_pca
    heritability = heritability
    loadings = loadings
    hatvalues = hatvalues
    cooks_distance = cooks_distance
    dfbeta = dfbeta
    influence = influence
    sample = sample
    quantile_residuals = quantile_residuals
    binned_residuals = binned_residuals
    check_model = check_model
    frequencies = frequencies
    residual_tests = residual_tests

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
        ddf: str | None = None,
    ) -> PredictionResultsMean:
        """Predict means, with standard errors and intervals.

        Parameters
        ----------
        newdata : frame, optional
            Rows to predict, with the columns of the formula; the rows of the fit by default. A
            row with a missing value gives NaN.
        re_form : None, str, False or sequence of str
            Random effects to include, as in `predict`.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with a random effect of zero.
        ddf : {"auto", "z"}, optional
            As of linear models; there are no degrees of freedom.

        Returns
        -------
        PredictionResultsMean
            ``summary_frame(level)``, ``conf_int(level)``, ``predicted_mean``, ``se_mean``, ``linpred``,
            ``se_linpred``. It prints as its summary frame.

        Raises
        ------
        NewLevelError
            For an unseen level, naming factor and level, unless `allow_new_levels`.
        FormulaError
            For a `re_form` with a term that the model does not have.

        See Also
        --------
        predict : The means alone, or the linear predictors.

        Notes
        -----
        Errors of the linear predictor are those of `predict`. The interval is theirs, with normal quantiles,
        transformed by the inverse link; the standard error of the mean is by the delta method. With
        ``re_form="population"`` and for an unseen level the mean is that at random effects of zero: it is not the
        average over levels, which ``re_form="marginal"`` gives, and how levels differ is in none of these. As in
        statsmodels' generalized linear models there are no intervals for new observations.

        Examples
        --------
        >>> import mixfit
        >>> cbpp = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, cbpp, family="binomial").fit()
        >>> fit.get_prediction(cbpp.head(2), re_form="population").summary_frame().round(3)
            mean  mean_se  mean_ci_lower  mean_ci_upper
        0  0.198    0.037          0.135          0.280
        1  0.084    0.024          0.047          0.144
        """
        return predict_means(self, newdata, re_form, allow_new_levels, ddf)
