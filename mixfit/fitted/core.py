"""What linear and generalized fits have in common: frozen facts, computed when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.covariance.templates import expand
from mixfit.fitted.draws import independent
from mixfit.fitted.ranef import coef, ranef
from mixfit.fitted.saved import save
from mixfit.fitted.simulate import simulate
from mixfit.fitted.singular import any_singular, undetermined
from mixfit.helped import Helped
from mixfit.matrices.across import refuse_related

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from mixfit.factor.factor_plan import FactorPlan
    from mixfit.matrices.types import RandomDesign
    from mixfit.optimize.certificate import Certificate

    Array = NDArray[np.float64]

__all__ = ["Fitted"]


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(Helped):
    """Estimates of a mixed model. Pickles without what it has computed.

    Attributes
    ----------
    model : Model
        The model that was fitted.
    estimate : Estimate
        Its estimates as arrays.
    """

    model: Any
    estimate: Any

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "estimate": self.estimate}

    ranef = ranef
    coef = coef
    simulate = simulate
    save = save

    def _series(self, values: object) -> pd.Series[float]:
        return pd.Series(np.asarray(values, dtype=np.float64), index=self._names)

    @cached_property
    def _names(self) -> pd.Index:
        return pd.Index(np.array(self.model.exog_names, dtype=object), dtype=object)

    @property
    def _coefficients(self) -> Array:
        """What `params` has."""
        return np.asarray(self.estimate.beta)

    @property
    def _covariance(self) -> Array:
        """Of what `params` has."""
        return np.asarray(self.estimate.cov_beta)

    @property
    def _errors(self) -> Array:
        return np.sqrt(np.diagonal(self._covariance))

    @property
    def _n_scale(self) -> int:
        """Parameters of the conditional distribution that are estimated beside its mean."""
        return 1

    @property
    def plan(self) -> FactorPlan:
        """How the Cholesky factor of the random effects is computed: the model's `plan`."""
        plan: FactorPlan = self.model.plan
        return plan

    @cached_property
    def params(self) -> pd.Series[float]:
        """Fixed effects, named as formulaic names columns; aliased columns are left out."""
        return self._series(self._coefficients)

    @property
    def fixef(self) -> pd.Series[float]:
        """Coefficients of the columns of the model's ``exog``, under lme4's name: `params`, but for thresholds."""
        return pd.Series(np.asarray(self.estimate.beta), index=pd.Index(self.model.exog_names, dtype=object))

    @cached_property
    def bse(self) -> pd.Series[float]:
        """Standard errors of `params`: the square roots of the diagonal of `cov_params`."""
        return self._series(self._errors)

    @cached_property
    def tvalues(self) -> pd.Series[float]:
        """Ratio of `params` to `bse`."""
        return self._series(wald.ratios(self._coefficients, self._errors))

    @cached_property
    def pvalues(self) -> pd.Series[float]:
        """Two-sided p-values of `tvalues` as standard normal variables.

        That is what lme4's ``summary(glmer(...))`` reports, and too small where groups are few.
        """
        return self._series(wald.p_values(wald.ratios(self._coefficients, self._errors)))

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

    @property
    def reml(self) -> bool:
        """Whether the fit is by REML."""
        return self.estimate.reml

    @property
    def nobs(self) -> int:
        """Number of observations used."""
        return self.model.design.n_rows

    @property
    def npar(self) -> int:
        """Number of parameters: fixed effects, theta and, where one is estimated, the scale."""
        given = sum(term.structure.is_given for term in self.model.design.random)
        return wald.n_parameters(len(self.estimate.beta), len(self.estimate.theta) - given, self._n_scale)

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
        return wald.aic(self.llf, self.npar)

    @property
    def aicc(self) -> float:
        """Akaike's criterion corrected for few observations (Hurvich & Tsai 1989)."""
        return wald.aicc(self.llf, self.npar, self.nobs)

    @property
    def bic(self) -> float:
        """Schwarz's criterion, with the number of observations in the penalty."""
        return wald.bic(self.llf, self.npar, self.nobs)

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
        """Free entries of the relative covariance factors, in the order of lme4's ``getME(fit, "theta")``.

        Column by column of every term's lower triangle; terms by decreasing number of levels of their grouping
        factors, as lme4 sorts them. ``varcorr()`` has the terms in the order of the formula.
        """
        return self.estimate.theta[self.model.theta_order]

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
        random, templates = self._random_parts
        return any_singular(random, templates) or any(undetermined(term) for term in random)

    @property
    def _random_parts(self) -> tuple[Sequence[RandomDesign], Sequence[Array]]:
        """All random terms, and their factors."""
        return self.model.design.random, self.estimate.templates

    @cached_property
    def Lambda(self) -> csr_array:
        """Relative covariance factor at the estimates, shape (q, q), as lme4's ``getME(fit, "Lambda")``.

        Block diagonal; its rows and columns are the columns of the model's ``exog_re``.
        """
        refuse_related(self.model.design.random, "Lambda")
        return expand(self.estimate.templates, [r.grouping.n_levels for r in self.model.design.random])

    @cached_property
    def u(self) -> NDArray[np.float64]:
        """Conditional modes of the spherical random effects, shape (q,), as lme4's ``getME(fit, "u")``.

        The random effects are ``Lambda @ u``, in the order of the columns of the model's ``exog_re``; where a
        covariance is singular, u has nothing in the directions that it leaves out.
        """
        # u = Lambda'Z'(score of the predictor) is in the range of T': of all solutions of b = Tu the shortest.
        triples = zip(self.estimate.templates, self.estimate.modes, self.model.design.random, strict=True)
        parts = [independent(term.structure, b) @ np.linalg.pinv(t).T for t, b, term in triples]
        return np.concatenate([np.empty(0), *(part.ravel() for part in parts)])
