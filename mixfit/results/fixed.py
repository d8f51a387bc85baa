"""Estimates and tests of the fixed effects, as statsmodels names them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.results import wald

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.results.protocol import Estimate, FittedModel

__all__ = ["FixedEffects"]


class FixedEffects:
    """The fixed-effects part of a result.

    Parameters
    ----------
    model : FittedModel
    estimate : Estimate
    """

    model: FittedModel
    estimate: Estimate

    def __init__(self, model: FittedModel, estimate: Estimate) -> None:
        self.model = model
        self.estimate = estimate

    def _series(self, values: object) -> pd.Series[float]:
        return pd.Series(np.asarray(values, dtype=np.float64), index=self._names)

    @property
    def _names(self) -> pd.Index:
        return pd.Index(self.model.exog_names, dtype=object)

    @property
    def _errors(self) -> NDArray[np.float64]:
        return np.sqrt(np.diagonal(self.estimate.cov_beta))

    @cached_property
    def params(self) -> pd.Series[float]:
        """Fixed effects, named as formulaic names columns; aliased columns are left out."""
        return self._series(self.estimate.beta)

    @property
    def fixef(self) -> pd.Series[float]:
        """The same as `params`, under lme4's name."""
        return self.params

    @cached_property
    def bse(self) -> pd.Series[float]:
        """Standard errors of `params`: the square roots of the diagonal of `cov_params`."""
        return self._series(self._errors)

    @cached_property
    def tvalues(self) -> pd.Series[float]:
        """Ratio of `params` to `bse`."""
        return self._series(wald.ratios(self.estimate.beta, self._errors))

    @cached_property
    def pvalues(self) -> pd.Series[float]:
        """Two-sided p-values of `tvalues` as standard normal variables.

        That is what statsmodels' MixedLM and lme4's ``summary(glmer(...))`` report, and too small
        where groups are few: for Gaussian models see ``ttest``, which has degrees of freedom.
        """
        return self._series(wald.p_values(wald.ratios(self.estimate.beta, self._errors)))

    def conf_int(self, alpha: float = 0.05) -> pd.DataFrame:
        """Compute Wald intervals of the fixed effects, from the normal distribution.

        Parameters
        ----------
        alpha : float
            One less the coverage.

        Returns
        -------
        DataFrame, shape (p, 2)
            Columns 0 and 1 are the lower and upper limits, as in statsmodels.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.conf_int().round(2)
                        0       1
        Intercept  238.03  264.78
        Days         7.44   13.50
        """
        limits = wald.interval(self.estimate.beta, self._errors, alpha)
        return pd.DataFrame(limits, index=self._names, columns=[0, 1])

    def cov_params(self) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects, at the estimated theta.

        Returns
        -------
        DataFrame, shape (p, p)

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.cov_params().round(3)
                   Intercept   Days
        Intercept     46.575 -1.451
        Days          -1.451  2.389
        """
        return pd.DataFrame(self.estimate.cov_beta.copy(), index=self._names, columns=self._names)
