"""Mean and precision of a fit of rates, on their two scales, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.helped import Helped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.proportions import BetaBinomial
    from mixfit.rates.estimate import RateEstimate
    from mixfit.rates.read import UnitData
    from mixfit.rates.units import Units

    Array = NDArray[np.float64]

__all__ = ["BetaBinomialParameters"]

_LOG_PRECISION = "log(precision)"


@dataclass(frozen=True, eq=False, repr=False)
class BetaBinomialParameters(Helped):
    """The parameters' part of a result.

    The working scale is that of the estimation: coefficients of the mean under the link, and the log of the
    precision. The natural scale is that of mean and precision themselves.

    Attributes
    ----------
    estimate : RateEstimate
        Parameters as arrays.
    data : UnitData
        Units with their counts and covariates.
    family : BetaBinomial
        With the link of the mean.
    """

    estimate: RateEstimate
    data: UnitData
    family: BetaBinomial

    @property
    def units(self) -> Units:
        """Counts and covariates of the units."""
        return self.data.units

    @property
    def method(self) -> str:
        """How the parameters were estimated: ``"marginal"``, ``"joint"`` or ``"moments"``."""
        return self.estimate.method

    @property
    def nobs(self) -> int:
        """Number of units."""
        return len(self.units)

    @property
    def aliased(self) -> tuple[str, ...]:
        """Covariates left out because earlier ones determine them."""
        return self.data.aliased

    @property
    def has_one_mean(self) -> bool:
        """Whether all units have the same mean: no covariates, no offset."""
        return self.units.exog_names == ("Intercept",) and not self.units.offset.any()

    @cached_property
    def means(self) -> pd.Series[float]:
        """Mean m of the distribution that each unit's rate comes from."""
        return pd.Series(self._means, index=self.units.labels)

    @property
    def mean(self) -> float:
        """Mean m of the rates; a FitError where covariates give each unit its own (`means`)."""
        if not self.has_one_mean:
            raise FitError("With covariates each unit has a mean of its own: see means.")
        return float(self._means[0])

    @property
    def precision(self) -> float:
        """Precision s = alpha + beta; infinite where the rates vary no more than binomial counts do."""
        return self.estimate.s

    @property
    def alpha(self) -> float:
        """First shape of the rates' distribution, m s."""
        return self.mean * self.precision

    @property
    def beta(self) -> float:
        """Second shape of the rates' distribution, (1 - m) s."""
        return (1.0 - self.mean) * self.precision

    @property
    def llf(self) -> float:
        """Log-likelihood of the beta-binomial, with all constants, at the estimates of whatever method."""
        return self.estimate.llf

    @property
    def aic(self) -> float:
        """Akaike's criterion; a FitError unless the marginal likelihood was maximized."""
        self._require_marginal("An AIC")
        return wald.aic(self.llf, len(self.estimate.covariance))

    @property
    def bic(self) -> float:
        """Schwarz's criterion with the number of units; a FitError unless the marginal likelihood was maximized."""
        self._require_marginal("A BIC")
        return wald.bic(self.llf, len(self.estimate.covariance), self.nobs)

    @property
    def params(self) -> pd.Series[float]:
        """Working parameters: coefficients of the mean on the scale of the link, and the log of the precision."""
        return pd.Series(self._working, index=self._working_names)

    @property
    def bse(self) -> pd.Series[float]:
        """Standard errors of `params`; NaN for the log of an infinite precision.

        From the observed information of the likelihood that was maximized; of moments, from a sandwich, which is too
        small where units are few.
        """
        return pd.Series(self._working_errors, index=self._working_names)

    def cov_params(self) -> pd.DataFrame:
        """Return the covariance matrix of `params`.

        Returns
        -------
        DataFrame, shape (p + 1, p + 1)

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> fit = mixfit.beta_binomial("incidence", "size", herds, by="herd")
        >>> fit.cov_params().round(3)
                        Intercept  log(precision)
        Intercept           0.050          -0.046
        log(precision)     -0.046           0.238
        """
        return pd.DataFrame(self.estimate.covariance.copy(), index=self._working_names, columns=self._working_names)

    def estimates(self) -> pd.DataFrame:
        """Return mean and precision as they are, with standard errors by the delta method.

        Returns
        -------
        DataFrame
            Rows ``mean`` (with covariates: the coefficients) and ``precision``; columns ``estimate`` and ``se``.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> fit = mixfit.beta_binomial("incidence", "size", herds, by="herd")
        >>> fit.estimates().round(3)
                   estimate     se
        mean          0.140  0.027
        precision    13.946  6.808
        """
        values, errors = self._natural
        return pd.DataFrame({"estimate": values, "se": errors}, index=self._natural_names)

    def conf_int(
        self,
        level: float | None = None,
        *,
        method: Literal["profile", "wald"] = "profile",
        scale: Literal["natural", "working"] = "natural",
    ) -> pd.DataFrame:
        """Compute confidence intervals of the parameters.

        Parameters
        ----------
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.
        method : {"profile", "wald"}
            From the profile of the marginal likelihood, or estimate and standard error on the chosen scale.
        scale : {"natural", "working"}
            Of mean and precision, or of the coefficients and the log precision. A profile interval is the same
            on both; a Wald interval of the precision may go below zero on the natural one. Coefficients of
            covariates have only the scale of the link.

        Returns
        -------
        DataFrame
            Columns 0 and 1: lower and upper limits.

        Raises
        ------
        FitError
            For a profile of a fit by joint likelihood or moments, which maximizes no likelihood of the parameters.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> fit = mixfit.beta_binomial("incidence", "size", herds, by="herd")
        >>> fit.conf_int().round(2)
                      0      1
        mean       0.10   0.21
        precision  5.18  37.25
        """
        alpha = 1.0 - coverage(level)
        if method not in ("profile", "wald") or scale not in ("natural", "working"):
            raise FitError(
                f"Intervals are 'profile' or 'wald', on the 'natural' or 'working' scale; not {method!r}, {scale!r}."
            )
        natural = scale == "natural"
        names = self._natural_names if natural else self._working_names
        if method == "wald":
            values, errors = self._natural if natural else (self._working, self._working_errors)
            return pd.DataFrame(wald.interval(values, errors, alpha), index=names, columns=[0, 1])
        self._require_marginal("A profile interval", "method='wald' gives intervals from standard errors")
        limits = self._profile_limits(alpha)
        return pd.DataFrame(self.to_natural(limits) if natural else limits, index=names, columns=[0, 1])

    @cached_property
    def _eta(self) -> Array:
        return self.units.X @ self.estimate.coefficients + self.units.offset

    @cached_property
    def _means(self) -> Array:
        return self.family.link.mean(self._eta)

    @property
    def _working(self) -> Array:
        return np.append(self.estimate.coefficients, np.log(self.precision))

    @property
    def _working_errors(self) -> Array:
        return np.sqrt(np.diagonal(self.estimate.covariance))

    @property
    def _working_names(self) -> pd.Index:
        return pd.Index([*self.units.exog_names, _LOG_PRECISION], dtype=object)

    @property
    def _natural_names(self) -> pd.Index:
        names = ("mean",) if self.has_one_mean else self.units.exog_names
        return pd.Index([*names, "precision"], dtype=object)

    @property
    def _natural(self) -> tuple[Array, Array]:
        """Estimates and standard errors on the natural scale, by the delta method."""
        slopes = np.ones(len(self._working))
        slopes[-1] = self.precision
        if self.has_one_mean:
            slopes[0] = self.family.link.slope(self._working[:1])[0]
        return self.to_natural(self._working[:, None])[:, 0], slopes * self._working_errors

    def to_natural(self, values: Array) -> Array:
        """Carry working parameters to the natural scale.

        Parameters
        ----------
        values : ndarray, shape (p + 1, k)

        Returns
        -------
        ndarray, shape (p + 1, k)
        """
        out = values.copy()
        out[-1] = np.exp(values[-1])
        if self.has_one_mean:
            out[0] = self.family.link.mean(values[0])
        return out

    def _profile_limits(self, alpha: float) -> Array:
        from mixfit.rates.profile import profile_interval

        parts = (self.units, self.family.link, self.estimate)
        return np.array([profile_interval(*parts, which, alpha) for which in range(len(self._working))])

    def _require_marginal(self, what: str, instead: str = "") -> None:
        if self.method != "marginal":
            raise FitError(
                f"{what} is for method='marginal': {self.method!r} maximizes no likelihood of the parameters alone."
                + (f" {instead}." if instead else "")
            )
