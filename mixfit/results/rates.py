"""The result of an empirical Bayes fit of rates: it only brings arrays, names and functions together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import DataError, FitError
from mixfit.rates import posterior
from mixfit.rates.parameters import BetaBinomialParameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixfit.report.rates import BetaBinomialSummary

    Array = NDArray[np.float64]

__all__ = ["BetaBinomialResults"]


@dataclass(frozen=True, eq=False, repr=False)
class BetaBinomialResults(BetaBinomialParameters):
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

    def __repr__(self) -> str:
        kind = {"marginal": "marginal likelihood", "joint": "joint likelihood", "moments": "moments"}
        return f"<BetaBinomialResults: {self.nobs} units, {kind[self.method]}, precision {self.precision:.4g}>"

    def rates(self, level: float | None = None) -> pd.DataFrame:
        """Estimate the rate of every unit.

        The posterior distribution of a rate is Beta(successes + alpha, failures + beta), mean and precision taken
        as known.

        Parameters
        ----------
        level : float, optional
            Probability of the credible intervals; by default ``mixfit.options.level``, 0.95 at first.

        Returns
        -------
        DataFrame
            A row a unit: ``successes``, ``trials``; ``raw``, their ratio (NaN without trials); ``mode``, the peak of
            the posterior density (the conditional mode, which is 0 or 1 where it rises up to there), with ``mode_se``
            from its curvature and ``mode_se_total``, which adds the uncertainty of mean and precision to first order
            (both NaN at 0 and 1); ``mean`` and ``sd`` of the posterior; ``lower`` and ``upper``, its central
            interval of probability `level`.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> fit = mixfit.beta_binomial("incidence", "size", herds, by="herd")
        >>> fit.rates().loc["1", ["raw", "mean", "lower", "upper"]].round(3).tolist()
        [0.225, 0.203, 0.108, 0.319]
        """
        alpha = 1.0 - coverage(level)
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

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> fit = mixfit.beta_binomial("incidence", "size", herds, by="herd")
        >>> round(fit.compare("1", "2"), 3), round(fit.compare("1", threshold=0.1), 3)
        (0.963, 0.985)
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

    def summary(self, level: float | None = None) -> BetaBinomialSummary:
        """Summarize parameters and rates: prints as tables, shows as HTML in a notebook.

        Parameters
        ----------
        level : float, optional
            Coverage of the intervals: profile intervals of a marginal fit, else Wald intervals on the working scale
            carried over to mean and precision. By default ``mixfit.options.level``, 0.95 at first.

        Returns
        -------
        BetaBinomialSummary

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> fit = mixfit.beta_binomial("incidence", "size", herds, by="herd")
        >>> print(str(fit.summary()).splitlines()[0])
        Beta-binomial rates fit by maximum (marginal) likelihood
        """
        from mixfit.report.rates import summarize

        return summarize(self, self.rates(level), 1.0 - coverage(level))

    def plot(self, ax: Axes | None = None, *, level: float | None = None, sort: bool = False) -> Axes:
        """Draw how the raw rates shrink towards their means, with credible intervals.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure's by default. Nothing is shown.
        level : float, optional
            Probability of the intervals; by default ``mixfit.options.level``, 0.95 at first.
        sort : bool
            Whether the units stand in the order of their posterior means instead of their own.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        MissingPackageError
            Without matplotlib.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> fit = mixfit.beta_binomial("incidence", "size", herds, by="herd")
        >>> axes = fit.plot(sort=True)
        >>> axes.get_xlabel()
        'rate'
        """
        from mixfit.plots.rates import shrinkage_plot

        return shrinkage_plot(self.rates(level), self.means, self.has_one_mean, coverage(level), ax, sort)

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
        places = self.units.labels.get_indexer_for(pd.Index([label]))
        if len(places) > 1:
            raise DataError(f"{len(places)} units are called {label!r}: rename levels in the columns of by=.")
        if places[0] < 0:
            shown = ", ".join(repr(name) for name in self.units.labels[:5])
            more = ", ..." if self.nobs > 5 else ""
            raise DataError(f"There is no unit {label!r}; the units are {shown}{more}.")
        return int(places[0])
