"""Frames of estimates, fits and observations, as methods of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from mixfit.results.generalized import GeneralizedResults
    from mixfit.results.linear import LinearResults

__all__ = ["TidyMethods"]


class TidyMethods(MixedResults):
    """The part of a result that lays itself out as broom.mixed does."""

    def tidy(
        self,
        effects: str | Sequence[str] = ("fixed", "ran_pars"),
        conf_int: bool = False,
        conf_level: float = 0.95,
        scales: str | Sequence[str | None] | None = None,
        *,
        exponentiate: bool = False,
        ran_prefix: tuple[str, str] | None = None,
        ddf: str | None = None,
    ) -> pd.DataFrame:
        """Return estimates as a frame with a row each, as broom.mixed's ``tidy``, in full precision.

        Parameters
        ----------
        effects : str or sequence of str
            ``"fixed"``; ``"ran_pars"``, standard deviations and correlations (terms ``sd__(Intercept)``,
            ``cor__(Intercept).Days``, ``sd__Observation``); ``"ran_vals"``, the conditional modes; ``"ran_coefs"``,
            fixed plus random effects of every level.
        conf_int : bool
            Whether to add ``conf.low`` and ``conf.high``: Wald intervals of fixed effects and modes, NaN for the
            others, as lme4's Wald method.
        conf_level : float
            Coverage.
        scales : {"sdcor", "vcov"}, or a sequence of these and None along `effects`, optional
            Standard deviations and correlations (the default) or variances and covariances in ``ran_pars``.
        exponentiate : bool
            Whether fixed effects and their limits are exponentiated, and standard errors brought to that scale.
        ran_prefix : tuple of str, length 2, optional
            Other prefixes than ``sd`` and ``cor`` (``var`` and ``cov``).
        ddf : str, optional
            Method of the denominator degrees of freedom of t tests of the fixed effects, ``"satterthwaite"`` or
            ``"kenward-roger"``. By default a linear model has no ``p.value``, as in lme4, and a generalized one
            that of its z tests.

        Returns
        -------
        DataFrame
            Of the columns ``effect``, ``group``, ``level``, ``term``, ``estimate``, ``std.error``, ``statistic``,
            ``df``, ``p.value``, ``conf.low``, ``conf.high`` those that something has.

        Raises
        ------
        FitError
            For effects or scales that there are not.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.tidy()["term"].tolist()
        ['(Intercept)', 'Days', 'sd__(Intercept)', 'sd__Days', 'cor__(Intercept).Days', 'sd__Observation']
        """
        from mixfit.inference.description.tidy import tidy_frame

        return tidy_frame(self, effects, conf_int, conf_level, scales, exponentiate, ran_prefix, ddf)

    def glance(self) -> pd.DataFrame:
        """Return one row of figures for the fit, as broom.mixed's ``glance``.

        Returns
        -------
        DataFrame
            Columns ``nobs``, ``sigma``, ``logLik``, ``AIC``, ``BIC``, ``deviance`` (``REMLcrit`` of a REML fit; NaN
            for a family without a deviance) and ``df.residual``.

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> fit.glance()["REMLcrit"].round(3).tolist()
        [18.626]
        """
        from mixfit.inference.description.augment import glance

        return glance(cast("LinearResults | GeneralizedResults", self))

    def augment(self, data: object = None) -> pd.DataFrame:
        """Return the rows used with fitted values, residuals and influence, as broom.mixed's ``augment``.

        Parameters
        ----------
        data : frame, optional
            The data of the fit, whose columns are to be kept. By default the response, the columns of the design
            and the grouping factors.

        Returns
        -------
        DataFrame, shape (nobs, ...)
            Added are ``.fitted`` (of a generalized model: the linear predictor), ``.resid`` (deviance residuals of a
            generalized model, Pearson's where its family has no deviance), ``.hat`` and ``.cooksd`` (`hatvalues`,
            `cooks_distance`), ``.fixed`` (predictor without random effects), and what lme4's response module
            holds: the mean ``.mu``, ``.offset``, ``.sqrtXwt`` (square root of the working weight), ``.sqrtrwt``
            (of the residual weight), prior ``.weights``, ``.wtres`` (weighted residual) and, of a generalized model,
            ``.eta``.

        Raises
        ------
        DataError
            For data in which the rows used cannot be found.

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> fit.augment(pulp)[["operator", ".hat"]].shape
        (20, 2)
        """
        from mixfit.inference.description.augment import augment

        return augment(cast("LinearResults | GeneralizedResults", self), data)
