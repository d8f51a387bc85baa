"""Predictions of a result with their intervals, in statsmodels' manner."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mixfit.results.generalized import GeneralizedResults
    from mixfit.results.linear import LinearResults
    from mixfit.results.prediction import PredictionResults, PredictionResultsMean
    from mixfit.results.re_form import ReForm

__all__ = ["GeneralizedPredictions", "LinearPredictions"]


class LinearPredictions(MixedResults):
    """The part of a linear result that predicts means and new observations."""

    def get_prediction(
        self,
        newdata: object = None,
        re_form: ReForm = None,
        allow_new_levels: bool = False,
        weights: ArrayLike | None = None,
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

        Returns
        -------
        PredictionResults
            ``summary_frame(alpha)``, ``conf_int(obs, alpha)``, ``predicted_mean``, ``se_mean``, ``se_obs``. It prints
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
        Biometrics 31, 423-447). Quantiles are normal, and theta and sigma are taken as known; with few levels the
        intervals are too narrow for that.

        Examples
        --------
        The next sheet of operator d, and one of an operator whom nobody has seen:

        >>> import mixfit, pandas as pd
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> new = pd.DataFrame({"operator": ["d", "e"]}, index=["d", "e"])
        >>> frame = fit.get_prediction(new, allow_new_levels=True).summary_frame(alpha=0.05)
        >>> frame[["mean", "mean_ci_lower", "mean_ci_upper"]].round(2)
            mean  mean_ci_lower  mean_ci_upper
        d  60.61          60.35          60.87
        e  60.40          60.11          60.69
        >>> frame[["obs_ci_lower", "obs_ci_upper"]].round(2)
           obs_ci_lower  obs_ci_upper
        d         59.92         61.30
        e         59.53         61.27
        """
        from mixfit.inference.prediction import predict_observations

        return predict_observations(cast("LinearResults", self), newdata, re_form, allow_new_levels, weights)


class GeneralizedPredictions(MixedResults):
    """The part of a generalized result that predicts means with intervals."""

    def get_prediction(
        self,
        newdata: object = None,
        re_form: ReForm = None,
        allow_new_levels: bool = False,
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

        Returns
        -------
        PredictionResultsMean
            ``summary_frame(alpha)``, ``conf_int(alpha)``, ``predicted_mean``, ``se_mean``, ``linpred``,
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
        average over levels, and how levels differ is in none of these. As in statsmodels' generalized linear models
        there are no intervals for new observations.

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
        from mixfit.inference.prediction import predict_means

        return predict_means(cast("GeneralizedResults", self), newdata, re_form, allow_new_levels)
