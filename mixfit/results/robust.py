"""A linear fit seen with a robust covariance of its fixed effects: the inference that is made from one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast, overload

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.generalized import FittedGeneralized
from mixfit.fitted.linear import FittedLinear
from mixfit.fitted.protocols import is_generalized
from mixfit.inference.fixed_effects import claims, tables
from mixfit.inference.means.avg_comparisons import avg_comparisons
from mixfit.inference.means.avg_predictions import avg_predictions
from mixfit.inference.means.avg_slopes import avg_slopes
from mixfit.inference.means.joint_tests import joint_tests
from mixfit.inference.robust.covariance import robust_covariance, robust_denominator
from mixfit.inference.robust.generalized import robust_estimate
from mixfit.report.summary import summary
from mixfit.report.tidy import tidy
from mixfit.report.varcorr import varcorr
from mixfit.results.means import effects, emmeans, emtrends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from mixfit.fitted.protocols import LinearFit
    from mixfit.inference.fixed_effects.denominator import Denominator
    from mixfit.inference.robust.covariance import RobustCovariance
    from mixfit.report.summary import Summary
    from mixfit.tables.table import Table

__all__ = ["RobustResults", "robust"]

AnyFit = TypeVar("AnyFit", bound=FittedGeneralized)

_Tests = Literal["auto", "satterthwaite", "z"]


@dataclass(frozen=True, eq=False, repr=False)
class RobustResults(FittedLinear):
    """A linear fit with a robust covariance of its fixed effects in the place of the model's own.

    Estimates, fitted values and likelihoods are those of the fit. Standard errors, tests, intervals and marginal means
    are by the robust covariance, with Bell and McCaffrey's degrees of freedom (``ddf="z"`` for the normal
    distribution). What is not about the covariance of the fixed effects is to be had from ``plain``.

    Attributes
    ----------
    plain : LinearResults
        The fit as it was.
    robust : RobustCovariance
        The covariance, its kind and its clusters.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    >>> fit.bse.round(3).tolist(), fit.robust("CR2").bse.round(3).tolist()
    ([9.747, 0.804], [6.825, 1.546])
    """

    plain: Any
    robust: RobustCovariance

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "estimate": self.estimate, "plain": self.plain, "robust": self.robust}

    def __repr__(self) -> str:
        return f"<RobustResults: {self.model.description}, {self.robust.kind} by {self.robust.clusters.name}>"

    def own_denominator(self, ddf: str) -> Denominator:
        """What tests by the robust covariance need.

        Parameters
        ----------
        ddf : str

        Returns
        -------
        Denominator
        """
        return robust_denominator(self.plain, self.robust, ddf)

    varcorr = varcorr
    emmeans = emmeans
    emtrends = emtrends
    joint_tests = joint_tests
    effects = effects
    avg_predictions = avg_predictions
    avg_comparisons = avg_comparisons
    avg_slopes = avg_slopes

    @cached_property
    def pvalues(self) -> pd.Series[float]:
        """Two-sided p-values of the t tests with Bell and McCaffrey's degrees of freedom."""
        return pd.Series(self.ttest()["Pr(>|t|)"].to_numpy(), index=self.params.index)

    def summary(self, *, correlation: bool | None = None, ddf: _Tests = "satterthwaite") -> Summary:
        """Summarize the fit, with robust standard errors and tests.

        Parameters
        ----------
        correlation : bool, optional
        ddf : {"auto", "satterthwaite", "z"}

        Returns
        -------
        Summary

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> fit.robust().summary().notes
        ('Robust standard errors, CR2, by the 18 clusters of Subject.',)
        """
        return summary(self, correlation=correlation, ddf=ddf)

    def tidy(self, effects: str | Sequence[str] = ("fixed", "ran_pars"), **options: Any) -> pd.DataFrame:
        """Return estimates as a frame with a row each, as of other fits, fixed effects with robust tests.

        Parameters
        ----------
        effects : str or sequence of str
        **options
            As of ``tidy`` of other fits.

        Returns
        -------
        DataFrame
        """
        return tidy(self, effects, **{"ddf": "satterthwaite", **options})

    def ttest(self, *, ddf: _Tests = "satterthwaite") -> Table:
        """Test every fixed effect by itself.

        Parameters
        ----------
        ddf : {"auto", "satterthwaite", "z"}

        Returns
        -------
        Table

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> fit.robust("CR1").ttest()
                  Estimate Std. Error df t value  Pr(>|t|)
        Intercept  251.405     6.8246 17  36.838   < 2e-16 ***
        Days        10.467     1.5458 17   6.771 3.264e-06 ***
        ---
        Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
        Robust standard errors, CR1, by the 18 clusters of Subject.
        """
        return tables.ttest(self, ddf=ddf)

    def contest(
        self,
        L: Any,
        *,
        ddf: _Tests = "satterthwaite",
        rhs: ArrayLike = 0.0,
        joint: bool = True,
        level: float | None = None,
    ) -> Table:
        """Test L beta = rhs: jointly by Hotelling's T^2 with approximate degrees of freedom (HTZ), or row by row.

        Parameters
        ----------
        L, rhs, joint, level
            As of ``contest`` of other fits.
        ddf : {"auto", "satterthwaite", "z"}

        Returns
        -------
        Table

        Raises
        ------
        FitError
            For more contrasts than the clusters tell.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> fit.robust("CR2").contest({"Days": 1})["DenDF"].round(3).tolist()
        [17.0]
        """
        return _without_squares(tables.contest(self, L, ddf=ddf, rhs=rhs, joint=joint, level=level))

    def test(self, hypotheses: str | Sequence[str], *, ddf: _Tests = "satterthwaite") -> claims.StatementTests:
        """Test statements on the fixed effects that are written as text, by the robust covariance.

        Parameters
        ----------
        hypotheses : str or sequence of str
            As of ``test`` of other fits.
        ddf : {"auto", "satterthwaite", "z"}

        Returns
        -------
        StatementTests

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> round(fit.robust("CR2").test("Days > 8").pvalue, 4)
        0.0644
        """
        found = claims.statement_tests(self, hypotheses, ddf=ddf)
        return found if found.equalities is None else replace(found, equalities=_without_squares(found.equalities))

    def anova(self, type: int | str = 3) -> Table:  # noqa: A002
        """Test every term of the fixed part, as `contest` tests several rows together.

        Parameters
        ----------
        type : {3, 2, 1, "III", "II", "I"}

        Returns
        -------
        Table
            Columns ``NumDF``, ``DenDF``, ``F value``, ``Pr(>F)``.
        """
        return _without_squares(tables.anova(self, type, ddf="satterthwaite"))

    def conf_int(self, *, level: float | None = None, ddf: _Tests = "satterthwaite") -> pd.DataFrame:
        """Compute confidence intervals of the fixed effects.

        Parameters
        ----------
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.
        ddf : {"auto", "satterthwaite", "z"}

        Returns
        -------
        DataFrame
            Columns 0 and 1.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> fit.robust("CR2").conf_int().round(2).to_numpy().tolist()
        [[237.01, 265.8], [7.21, 13.73]]
        """
        frame = tables.t_table(self, np.eye(len(self.params)), ddf, level=coverage(level))
        limits = np.column_stack([frame["lower"], frame["upper"]])
        return pd.DataFrame(limits, index=self.params.index)

    def predict(self, newdata: object = None, **options: Any) -> Any:
        """Predict as the fit does; standard errors of predictions are the model's own, by ``plain.predict``.

        Parameters
        ----------
        newdata : frame, optional
        **options

        Returns
        -------
        Series, shape (m,)

        Raises
        ------
        FitError
            For standard errors.
        """
        if options.get("se"):
            raise FitError(
                "Predictions have no robust standard errors: use emmeans() or contest(), or plain.predict()."
            )
        return self.plain.predict(newdata, **options)

    def refit(self, y: ArrayLike) -> NoReturn:
        """There is no refit of a view: see ``plain.refit``.

        Parameters
        ----------
        y : array_like

        Raises
        ------
        FitError
            Always.
        """
        raise FitError("refit() is of the fit itself: use plain.refit(y).robust(...).")


def _without_squares(table: Table) -> Table:
    """A table without sums of squares, which robust tests do not come from."""
    return replace(table, frame=table.frame.drop(columns=["Sum Sq", "Mean Sq"], errors="ignore"))


@overload
def robust(fit: LinearFit, kind: str | None = None, *, cluster: str | ArrayLike | None = None) -> RobustResults: ...


@overload
def robust(fit: AnyFit, kind: str | None = None, *, cluster: str | ArrayLike | None = None) -> AnyFit: ...


def robust(
    fit: LinearFit | FittedGeneralized, kind: str | None = None, *, cluster: str | ArrayLike | None = None
) -> RobustResults | FittedGeneralized:
    """See the fit with a robust covariance of its estimates, by clusters.

    Where the covariance of the rows within clusters is another than the model's, its own standard errors are wrong,
    and these are right for many clusters. Of linear models they are those of R's clubSandwich: Bell and McCaffrey's
    adjustment (``"CR2"``) and degrees of freedom make tests hold their size with few. Of generalized models they are by
    the scores of the marginal likelihood, as merDeriv's and glmmTMB's are, and cover all parameters, those of ``zi=``
    and ``dispersion=``, thresholds and theta too; tests are by the normal distribution.

    Parameters
    ----------
    kind : {"CR0", "CR1", "CR2", "CR3", "HC3"}, optional
        As of `cov_params`; of generalized models ``"CR0"`` and ``"CR1"``. By default ``"CR2"`` of linear models and
        ``"CR1"`` of generalized ones.
    cluster : str or array_like, shape (nobs,), optional
        A grouping factor, a column of the formula, or a label for each row used. By default the coarsest grouping
        factor. Clusters must hold every level of the random effects whole.

    Returns
    -------
    RobustResults
        With ``summary``, ``ttest``, ``contest``, ``test``, ``anova``, ``conf_int``, ``tidy``, ``emmeans``,
        ``emtrends``, ``joint_tests``, ``effects``, ``avg_predictions``, ``avg_comparisons`` and ``avg_slopes``.
        Of a generalized model results of the same kind, whose covariances are those by clusters: what compares
        likelihoods (`mixfit.anova` of two fits, profiles) is as it was.

    Raises
    ------
    FitError
        For another kind, and clusters that are not independent in the model.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    >>> fit.robust("CR2").ttest()["Std. Error"].round(3).tolist()
    [6.825, 1.546]
    >>> cbpp = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> herds = mixfit.mixed(formula, cbpp, family="binomial").fit()
    >>> herds.bse.round(3).tolist(), herds.robust().bse.round(3).tolist()
    ([0.232, 0.307, 0.327, 0.427], [0.296, 0.47, 0.531, 0.375])
    """
    if is_generalized(fit):
        return type(cast("FittedGeneralized", fit))(
            fit.model, robust_estimate(fit, "CR1" if kind is None else kind, cluster)
        )
    plain = cast("LinearFit", fit)
    found = robust_covariance(plain, "CR2" if kind is None else kind, cluster)
    return RobustResults(plain.model, replace(plain.estimate, cov_beta=found.cov), plain, found)
