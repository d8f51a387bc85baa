"""Fitted means, residuals and deviance of generalized fits, given the modes, as methods of a result."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.results import conditional
from mixfit.results.dispersion import Dispersion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.results.conditional import GeneralizedResidualKind, Overdispersion

    Array = NDArray[np.float64]

__all__ = ["GeneralizedResiduals"]


class GeneralizedResiduals(Dispersion):
    """The part of a generalized result that says how far each row is from its mean."""

    @cached_property
    def _prior(self) -> Array:
        weights = self.model.design.weights
        return np.ones(self.nobs) if weights is None else weights

    @property
    def deviance(self) -> float:
        """Sum of squared deviance residuals, given the modes, as lme4's ``deviance``; not ``-2 llf``.

        A FitError for the beta and beta-binomial families, which have none.
        """
        return float(self.residuals("deviance").pow(2).sum())

    @cached_property
    def linear_predictor(self) -> pd.Series[float]:
        """Linear predictor at the modes, offset included, on the rows used."""
        return pd.Series(self.estimate.eta, index=self.model.design.index)

    @cached_property
    def fittedvalues(self) -> pd.Series[float]:
        """Fitted means at the modes, on the rows used."""
        return pd.Series(self.model.family.link.mean(self.estimate.eta), index=self.model.design.index)

    @property
    def resid(self) -> pd.Series[float]:
        """Response less fitted means."""
        return self.residuals("response")

    def residuals(self, kind: GeneralizedResidualKind = "deviance") -> pd.Series[float]:
        """Return residuals, given the modes of the random effects.

        Parameters
        ----------
        kind : {"deviance", "pearson", "response", "working", "scaled"}
            Signed square roots of what each row adds to the deviance; response residuals over the
            square root of the variance function, times that of the prior weights; response less
            mean; that over the slope of the inverse link; Pearson residuals over `sigma`. The
            variance function of nbinom2, beta and beta-binomial contains their dispersion.

        Returns
        -------
        Series, shape (n,)

        Raises
        ------
        FitError
            For deviance residuals of a family without a deviance (beta, beta-binomial).

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.residuals("pearson").head(2).round(3).tolist()
        [-1.34, 1.075]
        """
        return pd.Series(self._residuals(kind), index=self.model.design.index)

    def _residuals(self, kind: GeneralizedResidualKind) -> Array:
        family, y, e = self.model.family, self.model.design.y, self.estimate
        return conditional.residuals(family, y, self._prior, e.eta, e.phi, kind)

    def _scaled_residuals(self) -> Array:
        return self._residuals("scaled")

    def overdispersion(self) -> Overdispersion:
        """Compare the sum of squared Pearson residuals with `df_resid`, as the GLMM FAQ of Bolker et al.

        Rough: the residuals are taken at the modes, whose freedom `df_resid` does not count, and
        for 0/1 responses or small means the sum has no chi-square distribution. A ratio well above 1
        in counts or proportions asks for nbinom2, beta-binomial or a random effect of each row. Where
        a dispersion is estimated it is in the variances, and the ratio is near 1 or below of itself.

        Returns
        -------
        Overdispersion
            ``chisq``, ``ratio``, ``df`` and ``pvalue``.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> round(fit.overdispersion().ratio, 2)
        1.24
        """
        return conditional.overdispersion_test(self._residuals("scaled"), self.df_resid)
