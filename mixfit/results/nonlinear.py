"""What a user holds after fitting a nonlinear mixed model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.fitted.nonlinear import FittedNonlinear
from mixfit.inference.bootstrap import bootstrap
from mixfit.inference.fixed_effects.claims import statement_tests, t_test, wald_test
from mixfit.inference.fixed_effects.tables import contest, ttest
from mixfit.inference.influence import cooks_distance, dfbeta, hatvalues, influence
from mixfit.inference.prediction import predict_curves
from mixfit.inference.profiles.intervals import conf_int
from mixfit.inference.quantile import quantile_residuals, residual_tests
from mixfit.inference.re_pca import re_pca
from mixfit.plots.accessor import Plots
from mixfit.report.as_json import to_json
from mixfit.report.augment import augment, glance
from mixfit.report.summary import summary
from mixfit.report.tidy import tidy
from mixfit.report.varcorr import varcorr
from mixfit.results.profile import profile
from mixfit.results.update import update

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mixfit.fitted.re_form import ReForm
    from mixfit.inference.prediction_results import PredictionResults

__all__ = ["NonlinearResults"]


class NonlinearResults(FittedNonlinear):
    """Estimates of a nonlinear mixed model.

    Parameters
    ----------
    model : NonlinearMixedModel
    estimate : NonlinearEstimate

    Examples
    --------
    >>> import mixfit, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> t, g = np.tile(np.arange(1.0, 9.0), 6), np.repeat(list("abcdef"), 8)
    >>> rate = 0.5 + np.repeat(rng.normal(0.0, 0.1, 6), 8)
    >>> data = pd.DataFrame({"t": t, "g": g, "y": 5.0 * np.exp(-rate * t) + rng.normal(0.0, 0.05, 48)})
    >>> fit = mixfit.nonlinear("y ~ a * exp(-k * t) ~ k | g", data, start={"a": 4.0, "k": 0.4}).fit()
    >>> fit.params.round(2).to_dict()
    {'a': 5.08, 'k': 0.53}
    >>> fit.predict(data.head(2), re_form="population").round(2).tolist()
    [2.98, 1.74]
    """

    def __repr__(self) -> str:
        return f"<NonlinearResults: {self.model.description}, {self.nobs} observations>"

    # Functions of a fit, as methods: each is documented where it is defined.
    summary = summary
    varcorr = varcorr
    tidy = tidy
    glance = glance
    augment = augment
    to_json = to_json

    contest = contest
    ttest = ttest
    test = statement_tests
    t_test = t_test
    wald_test = wald_test
    conf_int = conf_int
    profile = profile
    update = update
    bootstrap = bootstrap

    re_pca = re_pca
    hatvalues = hatvalues
    cooks_distance = cooks_distance
    dfbeta = dfbeta
    influence = influence
    quantile_residuals = quantile_residuals
    residual_tests = residual_tests

    @property
    def plot(self) -> Plots:
        """Plots of the fit: ``fit.plot.fitted_lines("age")`` is ``mixfit.plots.fitted_lines(fit, "age")``, and so on.

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
    ) -> PredictionResults:
        """Predict the curve and new observations, with standard errors and intervals.

        Parameters
        ----------
        newdata : frame, optional
            Rows to predict, with the curve's covariates; the rows of the fit by default.
        re_form : None, str, False or sequence of str
            Random effects to include, as in `predict`.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with random effects of zero.
        weights : array_like, shape (m,) or (), optional
            Prior weights of the new observations.

        Returns
        -------
        PredictionResults
            ``summary_frame(level)``, ``conf_int(obs, level)``, ``predicted_mean``, ``se_mean``, ``se_obs``. It prints
            as its summary frame.

        Raises
        ------
        NewLevelError
            For an unseen level, naming factor and level, unless `allow_new_levels`.

        Notes
        -----
        Errors are by the delta method, through the slopes of the curve. Those of observations have the variance of the
        effects that are not predicted, an unseen level's among them, and the residual's. Intervals are normal.

        Examples
        --------
        >>> import mixfit, numpy as np, pandas as pd
        >>> rng = np.random.default_rng(1)
        >>> t, g = np.tile(np.arange(1.0, 9.0), 6), np.repeat(list("abcdef"), 8)
        >>> rate = 0.5 + np.repeat(rng.normal(0.0, 0.1, 6), 8)
        >>> data = pd.DataFrame({"t": t, "g": g, "y": 5.0 * np.exp(-rate * t) + rng.normal(0.0, 0.05, 48)})
        >>> fit = mixfit.nonlinear("y ~ a * exp(-k * t) ~ k | g", data, start={"a": 4.0, "k": 0.4}).fit()
        >>> prediction = fit.get_prediction(data.head(1), re_form="population")
        >>> prediction.se_mean.round(3).tolist(), prediction.se_obs.round(3).tolist()
        ([0.095], [0.252])
        """
        return predict_curves(self, newdata, re_form, allow_new_levels, weights)
