"""The result of an empirical Bayes fit of rates: it only brings arrays, names and functions together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FitError
from mixfit.rates import posterior
from mixfit.results import criteria, wald

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixfit.families.overdispersed import BetaBinomial
    from mixfit.rates.estimate import Estimate
    from mixfit.rates.read import UnitData
    from mixfit.rates.summary import BetaBinomialSummary
    from mixfit.rates.units import Units

    Array = NDArray[np.float64]

__all__ = ["BetaBinomialResults"]

_LOG_PRECISION = "log(precision)"


@dataclass(frozen=True, eq=False, repr=False)
class BetaBinomialResults:
    """Rates of units that are beta distributed: their mean and precision, and what follows for each unit.

    Attributes
    ----------
    estimate : Estimate
        Parameters as arrays.
    data : UnitData
        Units with their counts and covariates.
    family : BetaBinomial
        With the link of the mean.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.beta_binomial([22, 34, 27, 48, 29, 49, 23, 45, 17, 34], 100)
    >>> round(fit.mean, 4), round(fit.precision, 2)
    (0.3281, 23.14)
    >>> fit.rates()["mean"].round(3).tolist()[:4]
    [0.24, 0.338, 0.281, 0.451]
    >>> round(fit.compare(3, 0), 4)
    0.9998
    """

    estimate: Estimate
    data: UnitData
    family: BetaBinomial

    def __repr__(self) -> str:
        kind = {"marginal": "marginal likelihood", "joint": "joint likelihood", "moments": "moments"}
        return f"<BetaBinomialResults: {self.nobs} units, {kind[self.method]}, precision {self.precision:.4g}>"

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
        return criteria.aic(self.llf, len(self.estimate.covariance))

    @property
    def bic(self) -> float:
        """Schwarz's criterion with the number of units; a FitError unless the marginal likelihood was maximized."""
        self._require_marginal("A BIC")
        return criteria.bic(self.llf, len(self.estimate.covariance), self.nobs)

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
        """Return the covariance matrix of `params`."""
        return pd.DataFrame(self.estimate.covariance.copy(), index=self._working_names, columns=self._working_names)

    def estimates(self) -> pd.DataFrame:
        """Return mean and precision as they are, with standard errors by the delta method.

        Returns
        -------
        DataFrame
            Rows ``mean`` (with covariates: the coefficients) and ``precision``; columns ``estimate`` and ``se``.
        """
        values, errors = self._natural
        return pd.DataFrame({"estimate": values, "se": errors}, index=self._natural_names)

    def conf_int(
        self,
        alpha: float = 0.05,
        method: Literal["profile", "wald"] = "profile",
        scale: Literal["natural", "working"] = "natural",
    ) -> pd.DataFrame:
        """Compute confidence intervals of the parameters.

        Parameters
        ----------
        alpha : float
            One less the coverage.
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
        """
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
        return pd.DataFrame(self._to_natural(limits) if natural else limits, index=names, columns=[0, 1])

    def rates(self, alpha: float = 0.05) -> pd.DataFrame:
        """Estimate the rate of every unit.

        The posterior distribution of a rate is Beta(successes + alpha, failures + beta), mean and precision taken
        as known.

        Parameters
        ----------
        alpha : float
            One less the probability of the credible intervals.

        Returns
        -------
        DataFrame
            A row a unit: ``successes``, ``trials``; ``raw``, their ratio (NaN without trials); ``mode``, the peak of
            the posterior density (the conditional mode, which is 0 or 1 where it rises up to there), with ``mode_se``
            from its curvature and ``mode_se_total``, which adds the uncertainty of mean and precision to first order
            (both NaN at 0 and 1); ``mean`` and ``sd`` of the posterior; ``lower`` and ``upper``, its central
            interval of probability ``1 - alpha``.
        """
        if not 0.0 < alpha < 1.0:
            raise FitError(f"alpha must lie between 0 and 1, not {alpha!r}.")
        units, m, s = self.units, self._means, self.precision
        with np.errstate(invalid="ignore", divide="ignore"):
            raw = units.y / units.n
        if np.isinf(s):
            covariance = self.estimate.covariance[:-1, :-1]
            J = self.family.link.slope(self._eta)[:, None] * units.X
            given = np.zeros(len(m))
            mode, total, mean, sd, lower, upper = m, np.einsum("ij,jk,ik->i", J, covariance, J), m, given, m, m
        else:
            a, b = self._shapes
            mode = posterior.modes(a, b)
            slope = self.family.link.slope(self._eta)
            given, total = posterior.mode_variance(mode, units.n, m, s, slope, units.X, self.estimate.covariance)
            mean, sd = posterior.mean_and_sd(a, b)
            lower, upper = posterior.quantiles(a, b, alpha / 2.0), posterior.quantiles(a, b, 1.0 - alpha / 2.0)
        columns = {"successes": units.y.astype(np.int64), "trials": units.n.astype(np.int64), "raw": raw}
        columns |= {"mode": mode, "mode_se": np.sqrt(given), "mode_se_total": np.sqrt(total)}
        columns |= {"mean": mean, "sd": sd, "lower": lower, "upper": upper}
        return pd.DataFrame(columns, index=units.labels)

    def compare(self, first: Any, second: Any = None, *, threshold: float | None = None) -> float:
        """Posterior probability that one unit's rate is above another's, or above a threshold.

        Mean and precision are taken as known; the rates are independent given them.

        Parameters
        ----------
        first, second : label of a unit
        threshold : float, optional
            In place of `second`.

        Returns
        -------
        float

        Raises
        ------
        DataError
            For a unit that there is not.
        FitError
            Where both or neither of `second` and `threshold` are given, or the precision is infinite: the rates are
            then known as far as their means are, and no posterior distribution is left.
        """
        if (second is None) == (threshold is None):
            raise FitError("Compare a unit with another, or with threshold=.")
        a, b = self._posterior_shapes()
        i = self._place(first)
        if threshold is not None:
            if not 0.0 <= threshold <= 1.0:
                raise FitError(f"The threshold is a rate between 0 and 1, not {threshold!r}.")
            return float(posterior.exceedance(a[i], b[i], threshold))
        j = self._place(second)
        if i == j:
            raise FitError(f"{first!r} is compared with itself.")
        return posterior.greater((float(a[i]), float(b[i])), (float(a[j]), float(b[j])))

    def summary(self, alpha: float = 0.05) -> BetaBinomialSummary:
        """Summarize parameters and rates: prints as tables, shows as HTML in a notebook.

        Parameters
        ----------
        alpha : float
            One less the coverage of the intervals: profile intervals of a marginal fit, else Wald intervals on the
            working scale carried over to mean and precision.

        Returns
        -------
        BetaBinomialSummary
        """
        from mixfit.rates.summary import summarize

        return summarize(self, alpha)

    def plot(self, ax: Axes | None = None, alpha: float = 0.05, sort: bool = False) -> Axes:
        """Draw how the raw rates shrink towards their means, with credible intervals.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure's by default. Nothing is shown.
        alpha : float
            One less the probability of the intervals.
        sort : bool
            Whether the units stand in the order of their posterior means instead of their own.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        MissingLibraryError
            Without matplotlib.
        """
        from mixfit.rates.plot import shrinkage_plot

        return shrinkage_plot(self.rates(alpha), self.means, self.has_one_mean, 1.0 - alpha, ax, sort)

    @cached_property
    def _eta(self) -> Array:
        return self.units.X @ self.estimate.coefficients + self.units.offset

    @cached_property
    def _means(self) -> Array:
        return self.family.link.mean(self._eta)

    @property
    def _shapes(self) -> tuple[Array, Array]:
        units, m, s = self.units, self._means, self.precision
        return units.y + m * s, units.n - units.y + (1.0 - m) * s

    def _posterior_shapes(self) -> tuple[Array, Array]:
        if np.isinf(self.precision):
            raise FitError(
                "The rates vary no more than binomial counts do: the precision is estimated as infinite, every rate as "
                "its mean, and there is nothing to compare."
            )
        return self._shapes

    def _place(self, label: Any) -> int:
        place = int(self.units.labels.get_indexer(pd.Index([label]))[0])
        if place < 0:
            shown = ", ".join(repr(name) for name in self.units.labels[:5])
            more = ", ..." if self.nobs > 5 else ""
            raise DataError(f"There is no unit {label!r}; the units are {shown}{more}.")
        return place

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
        return self._to_natural(self._working[:, None])[:, 0], slopes * self._working_errors

    def _to_natural(self, values: Array) -> Array:
        out = values.copy()
        out[-1] = np.exp(values[-1])
        if self.has_one_mean:
            out[0] = self.family.link.mean(values[0])
        return out

    def _profile_limits(self, alpha: float) -> Array:
        from mixfit.rates.profile import profile_interval

        if not 0.0 < alpha < 1.0:
            raise FitError(f"alpha must lie between 0 and 1, not {alpha!r}.")
        parts = (self.units, self.family.link, self.estimate)
        return np.array([profile_interval(*parts, which, alpha) for which in range(len(self._working))])

    def _require_marginal(self, what: str, instead: str = "") -> None:
        if self.method != "marginal":
            raise FitError(
                f"{what} is for method='marginal': {self.method!r} maximizes no likelihood of the parameters alone."
                + (f" {instead}." if instead else "")
            )
