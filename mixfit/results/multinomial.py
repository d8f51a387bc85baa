"""What a user holds after fitting a model of unordered categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mixfit.fitted.multinomial import FittedMultinomial
from mixfit.helped import Helped
from mixfit.inference.bootstrap import bootstrap
from mixfit.inference.comparisons.drop1 import drop1
from mixfit.inference.fixed_effects.claims import t_test, wald_test
from mixfit.inference.means.emmeans import emmeans
from mixfit.inference.profiles.intervals import conf_int
from mixfit.inference.robust.covariance import refuse_cluster
from mixfit.plots.categories import category_probabilities
from mixfit.report.as_json import to_json
from mixfit.report.augment import augment, glance
from mixfit.report.summary import summary
from mixfit.report.tidy import tidy
from mixfit.report.varcorr import varcorr
from mixfit.results.profile import profile
from mixfit.results.robust import robust
from mixfit.results.update import update

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike

    from mixfit.results.profile import LikelihoodProfile

__all__ = ["CategoryPlots", "MultinomialResults"]


class CategoryPlots(Helped):
    """Figures of a model of unordered categories.

    Parameters
    ----------
    fit : MultinomialResults
    """

    def __init__(self, fit: MultinomialResults) -> None:
        self._fit = fit

    def category_probabilities(self, variable: str, **options: Any) -> Any:
        """Draw the probabilities of all categories along a variable, stacked, without random effects.

        Parameters
        ----------
        variable : str
        **options
            As of ordered categories: ``at=``, ``ax=``.

        Returns
        -------
        matplotlib Axes
        """
        return category_probabilities(self._fit, variable, **options)


class MultinomialResults(FittedMultinomial):
    """Estimates of a mixed model of unordered categories.

    `params` are named by category and column: ``"b:x"`` is the coefficient of x in the log odds of b against the
    baseline. The covariance of a random term is that of its columns in all categories together.

    Parameters
    ----------
    model : MultinomialMixedModel
        The model that was fitted.
    estimate : GeneralizedEstimate
        Its estimates as arrays.

    Examples
    --------
    >>> import mixfit
    >>> wine = mixfit.datasets.load("wine")
    >>> words = {"1": "poor", "2": "poor", "3": "fair", "4": "good", "5": "good"}
    >>> wine["taste"] = wine.rating.astype(str).map(words)
    >>> fit = mixfit.mixed("taste ~ temp + (1 | judge)", wine, family="multinomial(baseline='poor')").fit()
    >>> fit.params.round(1).to_dict()
    {'fair:Intercept': -0.5, 'fair:temp[T.warm]': 1.5, 'good:Intercept': -3.0, 'good:temp[T.warm]': 4.1}
    """

    def __repr__(self) -> str:
        return f"<MultinomialResults: {self.model.formula_text}, {self.model.family!r}, {self.nobs} observations>"

    def cov_params(
        self, kind: str | None = None, *, cluster: str | ArrayLike | None = None, conditional: bool = False
    ) -> pd.DataFrame:
        """Return the covariance matrix of the coefficients: the model's own, or one by clusters.

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
    summary = summary
    varcorr = varcorr
    glance = glance
    augment = augment
    tidy = tidy
    bootstrap = bootstrap
    drop1 = drop1
    emmeans = emmeans
    to_json = to_json
    t_test = t_test
    wald_test = wald_test
    update = update

    @property
    def plot(self) -> CategoryPlots:
        """Figures, as methods."""
        return CategoryPlots(self)

    def conf_int(
        self,
        level: float | None = None,
        *,
        method: Literal["wald", "profile", "bootstrap"] = "wald",
        which: str | Sequence[str] | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """Compute confidence intervals.

        Parameters
        ----------
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.
        method : {"wald", "profile", "bootstrap"}
            As of other models.
        which : str or sequence of str, optional
            Categories, whose coefficients they are, or as of other models. By default the coefficients for Wald
            intervals, and all parameters for the other methods.
        **options
            Arguments of `bootstrap`, for that method.

        Returns
        -------
        DataFrame
            Columns 0 and 1 are the lower and upper limits; a row a parameter.

        Raises
        ------
        FitError
            For names that there are not.
        """
        return conf_int(self, level, method=method, which=self._named(which), **options)

    def profile(
        self, which: str | Sequence[str] | None = None, *, level: float = 0.99, points: int = 8
    ) -> LikelihoodProfile:
        """Profile the likelihood, as of other models.

        Parameters
        ----------
        which : str or sequence of str, optional
            As for `conf_int`; all parameters by default.
        level, points
            As of other models.

        Returns
        -------
        LikelihoodProfile
        """
        return profile(self, self._named(which), level=level, points=points)

    def _named(self, which: str | Sequence[str] | None) -> str | list[str] | None:
        """Names of parameters, where categories stand for those of their coefficients."""
        if which is None:
            return None
        own = {c: [f"{c}:{column}" for column in self.model.column_names] for c in self.model.categories[1:]}
        if isinstance(which, str):
            return own.get(which, which)
        return [each for name in which for each in own.get(name, [name])]
