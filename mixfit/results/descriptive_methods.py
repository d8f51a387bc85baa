"""Variances explained and principal components, as methods of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from mixfit.inference.description.r2 import ICC, R2
    from mixfit.inference.description.re_pca import REPCA
    from mixfit.results.table import Table

__all__ = ["Descriptive"]


class Descriptive(MixedResults):
    """The part of a result that says how much its effects explain."""

    @overload
    def icc(self, by_group: Literal[False] = False, *, per_trial: bool = False) -> ICC: ...
    @overload
    def icc(self, by_group: Literal[True], *, per_trial: bool = False) -> Table: ...
    @overload
    def icc(self, by_group: bool, *, per_trial: bool = False) -> ICC | Table: ...

    def icc(self, by_group: bool = False, *, per_trial: bool = False) -> ICC | Table:
        """Compute intraclass correlations, as ``performance::icc`` (Nakagawa, Johnson & Schielzeth 2017).

        The variance of the random effects is the mean over the rows of z'Sigma z (Johnson 2014). The residual
        variance of a linear model is sigma squared (of an observation of weight 1); of a generalized one it is, on the
        scale of the link,

        - binomial: pi**2 / 3 (logit), 1 (probit) or pi**2 / 6 (cloglog), over the mean number of trials;
        - Poisson, log link: log(1 + 1 / m); nbinom2: log(1 + 1 / m + 1 / phi), the lognormal approximation, with
          m = exp(beta_0 + tau / 2) of the model refitted with an intercept alone for fixed effects, tau its
          random-effects variance; Poisson, square-root link: 1/4;
        - Gamma, log link: log(1 + phi).

        Random effects of single observations count as residual variance, and for nothing in m.

        Parameters
        ----------
        by_group : bool
            Whether to split the adjusted correlation by grouping factor. With random slopes performance takes
            the variance of the intercepts alone, and warns; here it is the mean variance, so that the parts
            add up.
        per_trial : bool
            Whether the correlation is that of single trials of a binomial response, on the latent scale: then
            the variance is not divided by the mean number of trials.

        Returns
        -------
        ICC or Table
            `by_group` gives a table with the columns ``Group`` and ``ICC``. A singular random effect counts as
            the zero that it is estimated to be, and the result says so (performance gives NA).

        Raises
        ------
        FitError
            For a family and link whose variance is none of these.

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> fit.icc()
        # Intraclass Correlation Coefficient
        <BLANKLINE>
            Adjusted ICC: 0.391
          Unadjusted ICC: 0.391
        """
        from mixfit.inference.description import r2
        from mixfit.inference.description.variances import variance_components

        variances = variance_components(self, per_trial)
        return r2.icc_by_group(variances) if by_group else r2.icc(variances)

    def r2(self, *, per_trial: bool = False) -> R2:
        """Compute marginal and conditional R2, as ``performance::r2_nakagawa``.

        The variances are those of `icc`.

        Parameters
        ----------
        per_trial : bool
            As of `icc`.

        Returns
        -------
        R2

        Raises
        ------
        FitError
            For a family and link without a known variance.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().r2()
        # R2 for Mixed Models
        <BLANKLINE>
          Conditional R2: 0.799
             Marginal R2: 0.279
        """
        from mixfit.inference.description import r2
        from mixfit.inference.description.variances import variance_components

        return r2.r2(variance_components(self, per_trial))

    def re_pca(self) -> REPCA:
        """Find the principal components of the random effects of every grouping factor, as lme4's ``rePCA``.

        Returns
        -------
        REPCA
            Prints as ``summary(rePCA(m))``. Standard deviations are relative to sigma, or on the scale of the
            linear predictor where there is none; components of about zero are what a singular fit can do without.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().re_pca()
        $Subject
        Importance of components:
                                 [,1]    [,2]
        Standard deviation     0.9669 0.23088
        Proportion of Variance 0.9460 0.05395
        Cumulative Proportion  0.9460 1.00000
        """
        from mixfit.inference.description.re_pca import re_pca

        return re_pca(self._random, self.estimate.templates)
