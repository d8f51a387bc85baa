"""Profiles and confidence intervals of a fit's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from mixfit.inference.profiles.profile_result import LikelihoodProfile

__all__ = ["Intervals"]


class Intervals(MixedResults):
    """The part of a result that says between what limits its parameters lie."""

    def conf_int(
        self,
        alpha: float = 0.05,
        method: Literal["wald", "profile", "bootstrap"] = "wald",
        which: str | Sequence[str] | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """Compute confidence intervals.

        Parameters
        ----------
        alpha : float
            One less the coverage.
        method : {"wald", "profile", "bootstrap"}
            Wald intervals are from the normal distribution: of fixed effects about ``params`` with ``bse``; of
            standard deviations, sigma and phi on the log scale and of correlations on that of atanh, with standard
            errors from the observed Hessian of the fit's own criterion (lme4 gives NA for these). They are rough
            where groups are few or a variance is near zero, and NaN for a term on its boundary. Profile
            intervals invert the likelihood-ratio test, and are those of the maximum-likelihood fit
            also where this fit is by REML, as lme4's. Bootstrap intervals come from `bootstrap`.
        which : str or sequence of str, optional
            ``"fixed"``, ``"random"`` or ``"theta"`` (standard deviations, correlations, sigma or phi), ``"all"``, a
            name such as ``"sd((Intercept)|Subject)"``, or several names. By default the fixed effects for
            Wald intervals, and all parameters for the other methods.
        **options
            Arguments of `bootstrap`, for that method.

        Returns
        -------
        DataFrame
            Columns 0 and 1 are the lower and upper limits, as in statsmodels; a row a parameter. A profile
            interval ends at 0, or at -1 or 1, where the likelihood does not exclude the bound.

        Raises
        ------
        FitError
            For an unknown method or parameter.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> fit.conf_int().round(2).to_numpy().tolist()
        [[232.3, 270.51], [8.89, 12.04]]
        >>> fit.conf_int(method="profile", which="random").round(2).to_numpy().tolist()
        [[26.01, 52.94], [27.81, 34.59]]
        """
        from mixfit.inference.profiles.intervals import intervals

        return intervals(self, alpha, method, which, options)

    def profile(
        self, which: str | Sequence[str] | None = None, alpha_max: float = 0.01, points: int = 8
    ) -> LikelihoodProfile:
        """Profile the likelihood.

        For values of one parameter the likelihood is maximized over all others; zeta is the signed square root of
        what this adds to the deviance, and near a straight line where Wald intervals are good. The
        deviance is that of maximum likelihood, also for a REML fit, as in lme4.

        Parameters
        ----------
        which : str or sequence of str, optional
            As for `conf_int`; all parameters by default.
        alpha_max : float
            The curves go to the absolute zeta whose square is the chi-square quantile of 1 - `alpha_max` with as
            many degrees of freedom as the model has parameters.
        points : int
            About how many points a curve has on each side.

        Returns
        -------
        LikelihoodProfile
            With ``frame``, ``conf_int(alpha)``, ``curve(parameter)``, ``zeta(parameter, values)``.

        Raises
        ------
        FitError
            For a parameter that the model does not have.

        Warns
        -----
        ConvergenceWarning
            Where a constrained maximum lies above the fit: the profile is then that of the better optimum.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> profile = fit.profile(which="sigma")
        >>> profile.conf_int(alpha=0.1).round(2)
                  0      1
        sigma  23.3  28.29
        """
        from mixfit.inference.profiles.profile import profile

        return profile(self, which, alpha_max, points)
