"""Tests of a result against the models within it: single-term deletions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.inference.comparisons.drop1 import DropTest
    from mixfit.results.table import Table

__all__ = ["Deletions", "RandomDeletions"]


class Deletions(MixedResults):
    """The part of a result that tests its fixed-effects terms one at a time."""

    def drop1(self, test: DropTest = "chisq", scope: Sequence[str] | None = None, ddf: str | None = None) -> Table:
        """Leave out one fixed-effects term at a time and test what is lost.

        Only terms that no other term contains are left out. The reduced models are fitted by maximum likelihood,
        and so is the model itself where it was fitted by REML, as lme4's ``drop1`` does.

        Parameters
        ----------
        test : {"chisq", "F", "none"}
            The likelihood-ratio test; for linear models, F tests of the same hypotheses in the fit itself, as
            lmerTest's ``drop1``; or no test.
        scope : sequence of str, optional
            Names of the terms to leave out; all that can be by default.
        ddf : str, optional
            Of the F tests, as in ``fit.anova``.

        Returns
        -------
        Table
            Rows ``<none>`` and the terms; columns ``npar`` (parameters lost), ``AIC``, ``LRT``, ``Pr(Chi)``. Of F
            tests the columns of ``fit.anova()``.

        Raises
        ------
        ComparisonError
            Where a term of `scope` is not in the model, or is contained in another one.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit(reml=False).drop1()
        Single term deletions
        <BLANKLINE>
        Model:
        Reaction ~ Days + (Days | Subject)
               npar    AIC    LRT   Pr(Chi)
        <none>      1763.9
        Days      1 1785.5 23.537 1.226e-06 ***
        ---
        Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
        """
        from mixfit.inference.comparisons.drop1 import drop1

        return drop1(self, test, scope, ddf)


class RandomDeletions(MixedResults):
    """The part of a linear result that tests its random terms one at a time."""

    def ranova(self, reduce_terms: bool = True) -> Table:
        r"""Leave out one random term, or one of its columns, at a time and test what is lost.

        As lmerTest's ``ranova``: fits by REML stay so, since the fixed effects are the same.

        Parameters
        ----------
        reduce_terms : bool
            Whether a term such as ``(x | g)`` loses x and stays ``(1 | g)``; otherwise whole terms are left out.
            Terms of independent columns, ``(x || g)``, are taken apart in any case, as lme4 takes them apart.

        Returns
        -------
        Table
            Rows ``<none>`` and ``(1 | g)`` or ``x in (x | g)``; columns ``npar``, ``logLik``, ``AIC``, ``LRT``,
            ``Df``, ``Pr(>mix)``, the p-value of the mixture below, and ``Pr(>Chisq)``, that of lmerTest.

        Notes
        -----
        A variance of zero lies on the boundary of the parameter space, and ``Pr(>Chisq)`` is too large. Where one
        column of a term of k is left out, the likelihood-ratio statistic is asymptotically distributed as
        0.5 chi2(k - 1) + 0.5 chi2(k), chi2(0) being zero for certain (Self & Liang 1987, case 6; Stram & Lee
        1994, Biometrics 50:1171); for a scalar term, k = 1, that halves the p-value. The mixture holds for many
        levels of the grouping factor, and where the variances that remain are positive; with few levels it is
        itself too large, and `mixfit.exact_rlrt` is exact for one variance. The weights have no such simple form
        where more than one column of an unstructured term is left out, and the p-value is then missing.

        Unlike lmerTest, a lone ``(0 + x | g)`` is left out whole: ``(1 | g)`` in its place would be no special
        case. A term such as ``(0 + f | g)`` of a factor f becomes ``(1 | g)``, which is.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> table = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().ranova()
        >>> table.frame["LRT"].round(3).tolist()
        [nan, 42.837]
        """
        from mixfit.inference.comparisons.ranova import ranova

        return ranova(self, reduce_terms)
