"""The parametric bootstrap: what the estimates do over again when the fitted model is true."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.arguments import check_callable, check_count
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.inference.refit import (
    Refits,
    Refitter,
    simulated_blocks,
    statistic_values,
)
from mixfit.progress import progress_bar
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.fitted.re_form import ReForm

    Array = NDArray[np.float64]

__all__ = ["BootstrapResult", "bootstrap", "interpolated_quantiles"]

IntervalKind = Literal["percentile", "basic", "normal"]


@dataclass(frozen=True, eq=False)
class BootstrapResult:
    """Estimates of simulated responses beside those of the data.

    Attributes
    ----------
    replicates : DataFrame, shape (n, m)
        A row a replicate, a column a statistic. Failed replicates are rows of NaN; a correlation is NaN where one of
        its standard deviations is zero.
    estimates : Series
        The same statistics of the fit itself.
    failures : dict of str to int
        Reasons of failed refits, with their counts.
    n_singular : int
        Refits on the boundary of the parameter space, as `is_singular` tells; they do count.
    formula : str

    Examples
    --------
    >>> import mixfit
    >>> penicillin = mixfit.datasets.load("penicillin")
    >>> fit = mixfit.mixed("yield ~ treat + (1|blend)", penicillin).fit()
    >>> boot = fit.bootstrap(lambda refit: refit.sigma, n=100, seed=1)
    >>> boot.estimates.round(2).to_dict(), boot.n_failed
    ({'statistic': 4.34}, 0)
    """

    replicates: pd.DataFrame
    estimates: pd.Series[float]
    failures: dict[str, int]
    n_singular: int
    formula: str

    @property
    def n(self) -> int:
        """Replicates asked for."""
        return len(self.replicates)

    @property
    def n_failed(self) -> int:
        """Replicates without estimates; `failures` has the reasons."""
        return sum(self.failures.values())

    @property
    def bias(self) -> pd.Series[float]:
        """Mean of the replicates less the estimates."""
        return self.replicates.mean() - self.estimates

    @property
    def bse(self) -> pd.Series[float]:
        """Standard deviations of the replicates: bootstrap standard errors."""
        return self.replicates.std()

    def conf_int(self, level: float | None = None, *, kind: IntervalKind = "percentile") -> pd.DataFrame:
        """Compute bootstrap intervals, as R's ``boot.ci``.

        Parameters
        ----------
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.
        kind : {"percentile", "basic", "normal"}
            Quantiles of the replicates; twice the estimate less these, in reverse; or estimate less bias, plus and
            minus standard errors times a normal quantile (Davison & Hinkley 1997, Bootstrap Methods and their
            Application, sections 5.2 and 5.3).

        Returns
        -------
        DataFrame, shape (m, 2)
            Columns 0 and 1 are the lower and upper limits.

        Raises
        ------
        FitError
            For another `kind`, or a `level` that is none.

        Examples
        --------
        >>> import mixfit
        >>> penicillin = mixfit.datasets.load("penicillin")
        >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
        >>> boot = fit.bootstrap(n=100, seed=1, progress=False)
        >>> boot.conf_int(kind="basic").round(1)
                                  0     1
        sd((Intercept)|blend)   0.7   6.9
        sigma                   2.1   6.1
        Intercept              79.6  89.7
        treat[T.B]             -4.7   7.1
        treat[T.C]             -1.1  10.3
        treat[T.D]             -4.1   7.7
        """
        alpha = 1.0 - coverage(level)
        if kind not in ("percentile", "basic", "normal"):
            raise FitError(f"conf_int has the kinds 'percentile', 'basic' and 'normal', not {kind!r}.")
        estimates = self.estimates.to_numpy()[:, None]
        if kind == "normal":
            from scipy.special import ndtri

            half = -float(ndtri(alpha / 2.0)) * self.bse.to_numpy()[:, None]
            limits = estimates - self.bias.to_numpy()[:, None] + np.hstack([-half, half])
        else:
            limits = np.array(
                [
                    interpolated_quantiles(self.replicates[name].to_numpy(), np.array([alpha / 2.0, 1.0 - alpha / 2.0]))
                    for name in self.replicates
                ]
            )
            if kind == "basic":
                limits = 2.0 * estimates - limits[:, ::-1]
        return pd.DataFrame(limits, index=self.estimates.index, columns=[0, 1])

    def summary(self) -> Table:
        """Return estimates, bias and standard errors as R's ``boot`` prints them, with what failed.

        Returns
        -------
        Table

        Examples
        --------
        >>> import mixfit
        >>> penicillin = mixfit.datasets.load("penicillin")
        >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
        >>> boot = fit.bootstrap(n=100, seed=1, progress=False)
        >>> list(boot.summary().to_frame())
        ['original', 'bias', 'std. error']
        """
        frame = pd.DataFrame({"original": self.estimates, "bias": self.bias, "std. error": self.bse})
        return Table(
            frame,
            heading=(f"Parametric bootstrap, {self.n} replicates", f"Formula: {self.formula}", ""),
            notes=tuple(self._notes()),
        )

    def _notes(self) -> list[str]:
        notes = []
        if self.n_singular:
            notes.append(f"{self.n_singular} refits are singular.")
        if self.n_failed:
            notes.append(f"{self.n_failed} refits failed and are left out:")
            notes += [f"  {count} x {reason}" for reason, count in self.failures.items()]
        missing = self.replicates.isna().sum() - self.n_failed
        notes += [f"{name} is undefined in {count} replicates." for name, count in missing.items() if count > 0]
        return notes

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary().as_html()


def bootstrap(
    fit: Fit,
    statistic: Callable[[Any], Any] | None = None,
    *,
    n: int = 1000,
    seed: int | np.random.Generator | None = None,
    progress: bool = True,
    n_jobs: int | None = 1,
    type: Literal["parametric"] = "parametric",  # noqa: A002
    re_form: ReForm = "population",
) -> BootstrapResult:
    """Simulate from the fit and fit each simulation again, as lme4's ``bootMer``.

    Parameters
    ----------
    statistic : callable, optional
        Of a refitted result: a number, array, mapping or Series, such as ``lambda fit: fit.params``. By
        default all parameters: fixed effects, standard deviations and correlations of the random effects,
        residual standard deviation or dispersion (see `mixfit.inference.profiles.parameters.parameter_names`), and
        after them those of ``zi=`` and ``dispersion=``, and further ones of the distribution.
    n : int
        Number of replicates.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it. Replicates do not depend on `n_jobs`.
    progress : bool
        Whether a bar is shown once the refits have taken two seconds.
    n_jobs : int or None
        Processes, as joblib counts them; with ``joblib.parallel_config(backend="dask")`` or ``"ray"`` they are
        those of the cluster. Linear models with one grouping factor are refitted together, as one array
        operation in this process, unless there is a `statistic`.
    type : {"parametric"}
    re_form : None, str, False or sequence of str
        Random terms to hold at their modes in the simulations, as in `simulate`; by default all are drawn anew.

    Returns
    -------
    BootstrapResult
        ``.replicates``, ``.bias``, ``.bse``, ``.conf_int()``, and how many refits failed and why.

    Raises
    ------
    FitError
        Where `n` is not positive, `type` is another, or every refit failed.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("bright ~ 1 + (1|operator)", mixfit.datasets.load("pulp")).fit()
    >>> boot = fit.bootstrap(n=200, seed=1)
    >>> boot.replicates.shape, boot.n_failed
    ((200, 3), 0)
    >>> boot.conf_int().loc["sigma"].round(2).tolist()
    [0.21, 0.44]
    """
    if type != "parametric":
        raise FitError(f"bootstrap has the type 'parametric', not {type!r}.")
    check_callable("statistic", statistic)
    check_count("n", n)
    estimates = statistic_values(statistic, fit)
    refit = Refitter(fit, statistic, n_jobs)
    rng = np.random.default_rng(seed)
    with progress_bar(n, progress=progress) as bar:
        done = Refits.join([refit(y, bar.update) for y in simulated_blocks(fit, n, rng, re_form, refit.block)])
    failures = Counter(reason for reason in done.failures if reason)
    if sum(failures.values()) == n:
        raise FitError(f"All {n} refits failed, most of them so: {failures.most_common(1)[0][0]}")
    return BootstrapResult(
        replicates=pd.DataFrame(done.values, columns=estimates.index),
        estimates=estimates,
        failures=dict(failures.most_common()),
        n_singular=int(np.count_nonzero(done.singular)),
        formula=fit.model.description,
    )


def interpolated_quantiles(sample: Array, levels: Array) -> Array:
    """Quantiles from order statistics, interpolated on the normal scale (Davison & Hinkley 1997, eq. 5.8).

    The r-th of R order statistics is the quantile of level r / (R + 1); beyond the first and last, these.

    Parameters
    ----------
    sample : ndarray, shape (R,)
        NaN is left out.
    levels : ndarray, shape (m,)

    Returns
    -------
    ndarray, shape (m,)
        NaN for an empty sample.

    Examples
    --------
    >>> interpolated_quantiles(np.arange(1.0, 100.0), np.array([0.025, 0.5])).round(4).tolist()
    [2.5422, 50.0]
    """
    from scipy.special import ndtri

    ordered = np.sort(sample[~np.isnan(sample)])
    if not len(ordered):
        return np.full(len(levels), np.nan)
    places = np.arange(1, len(ordered) + 1) / (len(ordered) + 1)
    return np.interp(ndtri(levels), ndtri(places), ordered)
