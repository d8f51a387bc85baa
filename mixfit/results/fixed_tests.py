"""Tests of the fixed effects, as methods of a result."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mixfit.lmm.information import VarianceInformation
    from mixfit.lmm.types import LinearEstimate
    from mixfit.results.linear import LinearResults
    from mixfit.results.protocol import LinearModel
    from mixfit.results.summary import Summary
    from mixfit.results.table import Table

__all__ = ["FixedTests", "LinearTests"]


class FixedTests(MixedResults):
    """Tests that linear and generalized results have in common."""

    def contest(
        self, L: Any, ddf: str | None = None, rhs: ArrayLike = 0.0, joint: bool = True, level: float = 0.95
    ) -> Table:
        """Test L beta = rhs, as lmerTest's ``contest``.

        Parameters
        ----------
        L : array_like, shape (q, p) or (p,), mapping of str to float, or DataFrame
            Coefficients of the fixed effects: in the order of `params`, or by name (those not named are
            zero; a row a contrast in a frame).
        ddf : {"satterthwaite", "kenward-roger", "residual", "none"}, optional
            Denominator degrees of freedom. Satterthwaite's from the exact Hessian in (theta, sigma), the
            default of linear models; Kenward and Roger's (1997) with the adjusted covariance, for which a
            fit by maximum likelihood is refitted by REML; the observations less the rank of X; or none, for
            chi-square and normal tests, which generalized models always have.
        rhs : array_like, shape (q,) or a number
        joint : bool
            Whether all rows are tested together by one F test (rows that depend on each other count
            once), or each by a t test with an interval.
        level : float
            Coverage of the intervals.

        Returns
        -------
        Table
            Columns ``Sum Sq``, ``Mean Sq``, ``NumDF``, ``DenDF``, ``F value``, ``Pr(>F)``, or
            ``Chisq``, ``Df``, ``Pr(>Chisq)``; not jointly ``Estimate``, ``Std. Error``, ``df``,
            ``t value``, ``lower``, ``upper``, ``Pr(>|t|)``.

        Raises
        ------
        FitError
            Where L, rhs or `ddf` do not suit the model.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.contest({"Days": 1}, ddf="kenward-roger")
          Sum Sq Mean Sq NumDF DenDF F value    Pr(>F)
        1  30031   30031     1    17  45.853 3.264e-06 ***
        ---
        Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
        """
        from mixfit.inference.fixed_effects.tables import contest_table, t_table

        return contest_table(self, L, ddf, rhs) if joint else t_table(self, L, ddf, rhs, level)

    def anova(self, type: int | str = 3, ddf: str | None = None) -> Table:  # noqa: A002
        """Test every term of the fixed part, as lmerTest's ``anova``.

        Parameters
        ----------
        type : {3, 2, 1, "III", "II", "I"}
            Type III: hypotheses on marginal means, whatever the coding of the factors. Type II: each term
            given all that do not contain it. Type I: each given those before it. A term contains another
            when it has all its variables and further factors, but no other covariates, as SAS defines it;
            lmerTest overlooks that where a margin is missing (``a`` in ``a / b``), and then tests a
            hypothesis that depends on the coding.
        ddf : {"satterthwaite", "kenward-roger", "residual", "none"}, optional
            As in `contest`. With ``"none"``, and for generalized models, the tests are Wald chi-squares of
            type II or III as those of car's ``Anova``, type II by the information at the estimate.

        Returns
        -------
        Table
            A row a term, NaN for one whose columns are all aliased. Columns as in `contest`.

        Raises
        ------
        FitError
            For another type or `ddf`, and for chi-square tests of type I.

        Examples
        --------
        >>> import mixfit
        >>> cake = mixfit.datasets.load("cake")
        >>> formula = "angle ~ recipe * temperature + (1 | recipe:replicate)"
        >>> fit = mixfit.mixed(formula, cake).fit()
        >>> fit.anova(type=2)["F value"].round(3).tolist()
        [0.249, 20.52, 1.006]
        """
        from mixfit.inference.fixed_effects.tables import anova_table

        return anova_table(self, type, ddf)

    def ttest(self, ddf: str | None = None) -> Table:
        """Test every fixed effect by itself.

        Parameters
        ----------
        ddf : {"satterthwaite", "kenward-roger", "residual", "none"}, optional
            As in `contest`.

        Returns
        -------
        Table
            Columns ``Estimate``, ``Std. Error``, ``df``, ``t value``, ``Pr(>|t|)``; with ``"none"`` and
            for generalized models ``z value`` and ``Pr(>|z|)``.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.ttest()
                  Estimate Std. Error df t value  Pr(>|t|)
        Intercept  251.405     6.8246 17  36.838   < 2e-16 ***
        Days        10.467     1.5458 17   6.771 3.264e-06 ***
        ---
        Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
        """
        import numpy as np

        from mixfit.inference.fixed_effects.tables import t_table

        names = self.params.index
        return t_table(self, pd.DataFrame(np.eye(len(names)), index=names, columns=names), ddf)


class LinearTests(FixedTests):
    """Tests that need a residual variance."""

    model: LinearModel
    estimate: LinearEstimate

    @cached_property
    def variance_information(self) -> VarianceInformation:
        """Derivatives of the model's moments in its variance parameters, at the estimate."""
        return self.model.variance_information(self.estimate)

    @cached_property
    def _reml_refit(self) -> LinearResults:
        return self.model.fit(reml=True)

    def vcov_kr(self) -> pd.DataFrame:
        """Return Kenward and Roger's adjusted covariance of the fixed effects, as pbkrtest's ``vcovAdj``.

        It allows for the variance parameters being estimated. Of a fit by maximum likelihood it is that of
        the REML refit. At a singular fit the covariances' entries count as parameters, as in pbkrtest, so
        that a variance of zero is no special case.

        Returns
        -------
        DataFrame, shape (p, p)

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.vcov_kr().round(3)
                   Intercept   Days
        Intercept     46.575 -1.451
        Days          -1.451  2.389
        """
        from mixfit.inference.fixed_effects.denominator import denominator

        return pd.DataFrame(denominator(self, "kenward-roger").cov, index=self._names, columns=self._names)

    def summary(self, correlation: bool | None = None, ddf: str | None = None) -> Summary:
        """Summarize the fit as lme4's ``summary``, or with `ddf` as lmerTest's.

        Parameters
        ----------
        correlation : bool, optional
            Whether to show the correlation of the fixed effects; by default up to 12 of them.
        ddf : {"satterthwaite", "kenward-roger", "residual", "none"}, optional
            Adds t tests by this method (see `contest`), and z tests for ``"none"``. By default there are
            no p-values, as in lme4.

        Returns
        -------
        Summary
            Prints as text, shows as HTML in a notebook.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.summary(ddf="satterthwaite").coefficients.round(3)
                   Estimate  Std. Error    df  t value  Pr(>|t|)
        Intercept   251.405       6.825  17.0   36.838       0.0
        Days         10.467       1.546  17.0    6.771       0.0
        """
        if ddf is None:
            return super().summary(correlation)
        from mixfit.inference.fixed_effects.tables import summary_with_tests

        return summary_with_tests(super().summary(correlation), self, ddf)
