"""Likelihood, counts, scale and convergence of a fit."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mixfit.results import criteria
from mixfit.results.fixed import FixedEffects

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.optimize.certificate import Certificate

__all__ = ["Likelihood"]


class Likelihood(FixedEffects):
    """The part of a result that says how well it fits, and with how many parameters.

    Parameters
    ----------
    model : FittedModel
    estimate : Estimate
    """

    @property
    def _n_scale(self) -> int:
        """Parameters of the conditional distribution that are estimated beside its mean."""
        return 1

    @property
    def reml(self) -> bool:
        """Whether the fit is by REML."""
        return self.estimate.reml

    @property
    def nobs(self) -> int:
        """Number of observations used."""
        return len(self.model.design.y)

    @property
    def npar(self) -> int:
        """Number of parameters: fixed effects, theta and, where one is estimated, the scale."""
        return criteria.n_parameters(len(self.estimate.beta), len(self.estimate.theta), self._n_scale)

    @property
    def df_model(self) -> int:
        """The same as `npar`: lme4's degrees of freedom of the log-likelihood."""
        return self.npar

    @property
    def df_resid(self) -> int:
        """Observations less parameters, as lme4's ``df.residual``."""
        return self.nobs - self.npar

    @property
    def llf(self) -> float:
        """Log-likelihood; of a REML fit the restricted one, as lme4's ``logLik``."""
        return -0.5 * self.estimate.criterion

    @property
    def aic(self) -> float:
        """Akaike's criterion; compare REML fits only where they have the same fixed effects."""
        return criteria.aic(self.llf, self.npar)

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with the number of observations in the penalty."""
        return criteria.bic(self.llf, self.npar, self.nobs)

    def information_criteria(self) -> dict[str, float]:
        """Return the line of criteria that a summary by maximum likelihood shows, by name.

        Returns
        -------
        dict of str to float

        Examples
        --------
        >>> import mixfit
        >>> model = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp"))
        >>> criteria = model.fit(reml=False).information_criteria()
        >>> {name: round(value, 3) for name, value in criteria.items()}
        {'AIC': 22.512, 'BIC': 25.499, 'logLik': -8.256, '-2*log(L)': 16.512, 'df.resid': 17}
        """
        return {
            "AIC": self.aic,
            "BIC": self.bic,
            "logLik": self.llf,
            "-2*log(L)": self.estimate.criterion,
            "df.resid": self.df_resid,
        }

    @property
    def theta(self) -> NDArray[np.float64]:
        """Free entries of the relative covariance factors, column by column, term by term."""
        return self.estimate.theta

    @property
    def certificate(self) -> Certificate:
        """The optimality certificate of the fit."""
        return self.estimate.certificate

    @property
    def converged(self) -> bool:
        """Whether the certificate holds."""
        return self.estimate.certificate.converged

    @cached_property
    def is_singular(self) -> bool:
        """Whether a random effect has no variance, or is determined by the others.

        As lme4's ``isSingular`` (a diagonal entry of theta below 1e-4), for columns of unit mean square; and
        where a term's columns are proportional within every group, which leaves its effects undetermined.
        """
        random = self.model.design.random
        boundary = criteria.any_singular(self.estimate.templates, criteria.column_scales(random))
        return boundary or any(criteria.undetermined(term) for term in random)
