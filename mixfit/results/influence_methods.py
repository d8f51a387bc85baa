"""Leverage and influence, as methods of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mixfit.inference.diagnostics.influence import Influence

__all__ = ["InfluenceMethods"]


class InfluenceMethods(MixedResults):
    """The part of a result that says what single rows and groups do to it."""

    def hatvalues(self) -> pd.Series[float]:
        """Return the leverages: the diagonal of the hat matrix of the fitted values, random effects included.

        Computed at the estimated theta as lme4's ``hatvalues``, prior weights included; their sum is the
        effective number of parameters. A generalized model's are those of its last scoring step, with the
        expected weights at the conditional modes; lme4 takes the prior weights there, warns that the result
        may not make sense, and can exceed 1.

        Returns
        -------
        Series, shape (nobs,)
            Between 0 and 1.

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> fit.hatvalues().head(2).round(4).tolist()
        [0.1643, 0.1643]
        """
        from mixfit.lmm.working import leverages

        return pd.Series(leverages(self.model.working_model(self.estimate)), index=self.model.design.index)

    def cooks_distance(self, by: str | ArrayLike = "observation", refit: bool = False) -> pd.Series[float]:
        """Return Cook's distances of observations or of the groups of a grouping factor.

        Parameters
        ----------
        by : str or array_like, shape (nobs,)
            ``"observation"``: ``(r / (1 - h))**2 h / p`` from scaled Pearson residuals and `hatvalues`, as lme4's
            ``cooks.distance(model)``. A grouping factor (or a label for every row): the distance that the fixed
            effects move when the group's rows are left out, ``dfbeta' Cov^-1 dfbeta / p``, with the covariance of
            all rows (Cook 1977; Nieuwenhuis, te Grotenhuis & Pelzer 2012). lme4's ``cooks.distance(influence(...))``
            multiplies this by (q - p) / q for q groups.
        refit : bool
            Whether the model is fitted anew without each group (or each observation, and then by the second
            formula). By default theta is held, which makes the deletion exact and immediate.

        Returns
        -------
        Series, shape (nobs,) or (q,)

        Raises
        ------
        DataError
            For a `by` that is no grouping factor.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.cooks_distance().head(2).round(4).tolist()
        [0.005, 0.0402]
        >>> fit.cooks_distance(by="Subject").idxmax()
        '309'
        """
        from mixfit.inference.diagnostics.influence import cooks_distances

        if isinstance(by, str) and by == "observation" and not refit:
            leverages = self.hatvalues()
            distances = cooks_distances(self._scaled_residuals(), np.asarray(leverages), len(self.params))
            return pd.Series(distances, index=leverages.index)
        return self.influence(by, refit).cooks

    def dfbeta(self, by: str | ArrayLike = "observation", refit: bool = False) -> pd.DataFrame:
        """Return how the fixed effects move when each group is left out: those without it less those with it.

        Parameters
        ----------
        by, refit
            As of `influence`.

        Returns
        -------
        DataFrame, shape (q, p)
            The sign is that of lme4's ``dfbeta(influence(...))``.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.dfbeta("Subject").head(2).round(3)
             Intercept   Days
        308      0.424 -0.665
        309      2.726  0.483
        """
        return self.influence(by, refit).dfbeta

    def influence(self, by: str | ArrayLike, refit: bool = False) -> Influence:
        """Leave out each group of rows in turn, as lme4's ``influence(model, groups=)``.

        Parameters
        ----------
        by : str or array_like, shape (nobs,)
            A grouping factor, ``"observation"``, or a label for every row used: any partition of the rows.
        refit : bool
            Whether the model is estimated anew without each group. By default theta is held: then the fixed
            effects without a group are exactly those of generalized least squares on the other rows, for all
            groups from one factorization. For a generalized model that is one step of the working linear model
            at the modes, the working weights held too.

        Returns
        -------
        Influence
            Frames of DFBETA and DFBETAS, Cook's distances and sigma; with `refit` theta and convergence.

        Raises
        ------
        DataError
            For a `by` that is no grouping factor.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.influence("Subject").dfbeta.shape
        (18, 2)
        """
        from mixfit.inference.diagnostics.influence import influence

        return influence(self, by, refit)
