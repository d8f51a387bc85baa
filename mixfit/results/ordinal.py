"""What a user holds after fitting a model of ordered categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn

import pandas as pd

from mixfit import wald
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.ordinal import FittedOrdinal
from mixfit.inference.fixed_effects.denominator import parse_ddf
from mixfit.inference.means.ordered import refuse_nominal
from mixfit.inference.profiles.intervals import conf_int
from mixfit.inference.robust.covariance import refuse_cluster
from mixfit.results.generalized import GeneralizedResults
from mixfit.results.means import effects, emmeans, emtrends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from mixfit.results.means import Effects, MarginalMeans

__all__ = ["OrdinalResults"]


class OrdinalResults(FittedOrdinal, GeneralizedResults):
    """Estimates of a mixed model of ordered categories.

    `params` has the thresholds first. Tests, marginal means and profiles are of the coefficients of location, on the
    scale of the latent variable. Responses in residuals and in ``predict(what="mean")`` are the categories' numbers,
    from 1 on.

    Parameters
    ----------
    model : OrdinalMixedModel
        The model that was fitted.
    estimate : GeneralizedEstimate
        Its estimates as arrays.

    Examples
    --------
    >>> import mixfit
    >>> wine = mixfit.datasets.load("wine")
    >>> fit = mixfit.mixed("rating ~ temp + contact + (1 | judge)", wine, family="cumulative").fit()
    >>> fit.params.round(3).to_dict()  # doctest: +NORMALIZE_WHITESPACE
    {'1|2': -1.624, '2|3': 1.513, '3|4': 4.229, '4|5': 6.089, 'temp[T.warm]': 3.063, 'contact[T.yes]': 1.835}
    >>> fit.predict(wine.tail(2), what="class").tolist()
    ['3', '3']
    """

    def __repr__(self) -> str:
        return f"<OrdinalResults: {self.model.formula_text}, {self.model.family!r}, {self.nobs} observations>"

    def cov_params(
        self, kind: str | None = None, *, cluster: str | ArrayLike | None = None, conditional: bool = False
    ) -> pd.DataFrame:
        """Return the covariance matrix of the parameters, thresholds included: the model's own, or one by clusters.

        Parameters
        ----------
        kind : {"CR0", "CR1"}, optional
            A sandwich of the Hessian of all parameters about the scores of clusters, as merDeriv's and glmmTMB's; times
            J / (J - 1) for J clusters. By default the inverse of the Hessian, the covariance of the model.
        cluster : str or array_like, shape (nobs,), optional
            As of linear models: by default the coarsest grouping factor.
        conditional : bool
            There is none of these models.

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

    def conf_int(
        self,
        level: float | None = None,
        *,
        method: Literal["wald", "profile", "bootstrap"] = "wald",
        which: str | Sequence[str] | None = None,
        ddf: str | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """Compute confidence intervals.

        Parameters
        ----------
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.
        method : {"wald", "profile", "bootstrap"}
            As of other models. Thresholds have Wald intervals only.
        which : str or sequence of str, optional
            ``"thresholds"``, names of `params`, or as of other models. By default all of `params` for Wald intervals.
        ddf : {"auto", "z"}, optional
            As of other models; there are no degrees of freedom.
        **options
            Arguments of `bootstrap`, for that method.

        Returns
        -------
        DataFrame
            Columns 0 and 1 are the lower and upper limits; a row a parameter.

        Examples
        --------
        >>> import mixfit
        >>> wine = mixfit.datasets.load("wine")
        >>> fit = mixfit.mixed("rating ~ temp + (1 | judge)", wine, family="cumulative").fit()
        >>> fit.conf_int().round(2).loc["temp[T.warm]"].tolist()
        [1.58, 3.75]
        """
        alpha = 1.0 - coverage(level)
        names = list(self.params.index)
        asked = [which] if isinstance(which, str) else which
        if asked == ["thresholds"]:
            asked = list(self.model.threshold_names)
        if options and method != "bootstrap":
            raise FitError(
                f"conf_int of ordered categories has no argument {next(iter(options))!r}: parameters are named by "
                "which=, and params_of('dispersion') with bse_of('dispersion') has the scale effects."
            )
        parse_ddf(self, ddf)
        if method == "wald" and (asked is None or set(asked) <= set(names)):
            limits = wald.interval(self._coefficients, self._errors, alpha)
            return pd.DataFrame(limits, index=names).loc[names if asked is None else list(asked)]
        return conf_int(self, level, method=method, which=which, **options)

    def emmeans(
        self,
        specs: str | Sequence[str],
        **options: Any,
    ) -> MarginalMeans:
        """Estimate marginal means of the latent variable, of the categories' numbers, or of their probabilities.

        Parameters
        ----------
        specs : str or sequence of str
        **options
            As of the marginal means of other models, and ``mode``, as emmeans of `clmm` has it: ``"latent"``, from the
            mean of the thresholds, ``"mean.class"`` or ``"prob"``.

        Returns
        -------
        MarginalMeans

        Raises
        ------
        FitError
            For a model with nominal effects, which have no one location.

        Examples
        --------
        >>> import mixfit
        >>> wine = mixfit.datasets.load("wine")
        >>> fit = mixfit.mixed("rating ~ temp + contact + (1 | judge)", wine, family="cumulative").fit()
        >>> fit.emmeans("temp")["emmean"].round(3).tolist()
        [-1.634, 1.429]
        >>> fit.emmeans("temp", mode="mean.class")["mean.class"].round(3).tolist()
        [2.34, 3.48]
        """
        return emmeans(self, specs, **options)

    def emtrends(self, specs: str | Sequence[str] = "~ 1", **options: Any) -> MarginalMeans:
        """Estimate marginal slopes of the latent variable.

        Parameters
        ----------
        specs : str or sequence of str
        **options
            As of the slopes of other models.

        Returns
        -------
        MarginalMeans

        Raises
        ------
        FitError
            As `emmeans`.
        """
        return emtrends(self, specs, **self._of_location(options))

    def effects(self, x: str, **options: Any) -> Effects:
        """Estimate means of the latent variable along a variable, from a location of zero.

        Parameters
        ----------
        x : str
        **options
            As of the effects of other models; there is the scale of the predictor alone.

        Returns
        -------
        Effects

        Raises
        ------
        FitError
            As `emmeans`.
        """
        return effects(self, x, **self._of_location(options) | {"type": "link"})

    def _of_location(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options of marginal means, where these are of location."""
        refuse_nominal(self)
        if options.get("re_form", "population") != "population" or options.get("type", "link") != "link":
            raise FitError(
                "Marginal means of ordered categories are of the latent variable: avg_predictions(by=...) has "
                "probabilities, and predict(newdata, re_form='marginal') those over the population of groups."
            )
        return options

    def get_prediction(self, newdata: object = None, **options: Any) -> NoReturn:
        """There is no one mean: see `predict`.

        Parameters
        ----------
        newdata : frame, optional
        **options

        Raises
        ------
        FitError
            Always.
        """
        raise FitError(
            "get_prediction gives intervals of a mean, which ordered categories have none of: use "
            "predict(re_form='population', se=True), or predict(what='link', se=True)."
        )
