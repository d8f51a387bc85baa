"""Likelihood-ratio tests of nested mixed models by parametric bootstrap, as pbkrtest's ``PBmodcomp``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.arguments import check_count
from mixfit.errors import DesignError, FitError
from mixfit.helped import helped
from mixfit.inference.null_models import by_ml, null_model
from mixfit.inference.refit import Refits, Refitter
from mixfit.progress import progress_bar
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["PBModcomp", "pb_modcomp"]

# Criteria are minima to 1e-8: statistics closer than this are the same, above all the zeros of a boundary.
_SAME = 1e-7


@dataclass(frozen=True, eq=False)
class PBModcomp:
    """A bootstrap test of a smaller model against a larger one.

    Attributes
    ----------
    statistic : float
        Likelihood ratio statistic of the data, by maximum likelihood.
    df : int
        How many parameters the larger model has more.
    reference : ndarray, shape (n_used,)
        Statistics of the responses simulated from the smaller model.
    n : int
        Simulations asked for.
    failures : dict of str to int
        Reasons of failed refits, with their counts.
    large, small : str
        The models' formulas.
    refitted : bool
        Whether a fit by REML was refitted by maximum likelihood.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> large = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> test = mixfit.pb_modcomp(large, None, n=100, seed=1, progress=False)
    >>> round(test.statistic, 3), test.n_used, round(test.pvalue, 2)
    (2.568, 100, 0.03)
    """

    statistic: float
    df: int
    reference: Array
    n: int
    failures: dict[str, int]
    large: str
    small: str
    refitted: bool

    @property
    def n_used(self) -> int:
        """Simulations of which both refits succeeded."""
        return len(self.reference)

    @property
    def n_failed(self) -> int:
        """Simulations with a failed refit; `failures` has the reasons."""
        return self.n - self.n_used

    @property
    def n_extreme(self) -> int:
        """Simulations with a statistic as large as that of the data, or larger."""
        return int(np.count_nonzero(self.reference >= self.statistic - _SAME))

    @property
    def pvalue(self) -> float:
        """Bootstrap p-value, (1 + n_extreme) / (1 + n_used)."""
        return (1 + self.n_extreme) / (1 + self.n_used)

    @property
    def pvalue_se(self) -> float:
        """Monte-Carlo standard error of `pvalue`."""
        return float(np.sqrt(self.pvalue * (1.0 - self.pvalue) / self.n_used))

    @cached_property
    def table(self) -> Table:
        """The likelihood-ratio test by chi-square and by bootstrap."""
        return self._table(["LRT", "PBtest"], ["stat", "df", "p.value"])

    def summary(self) -> Table:
        """Return the tests with those that use only moments of the reference distribution.

        Returns
        -------
        Table
            ``Gamma``: a gamma distribution with the mean and variance of the reference. ``Bartlett``: the statistic
            scaled to have the mean of its chi-square distribution. ``F``: statistic / df as F with the denominator
            degrees of freedom that give the mean of the reference, E/df = ddf / (ddf - 2); blank where E <= df.
            (pbkrtest takes E for E/df there, which is the same for df = 1 only.)

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> large = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> test = mixfit.pb_modcomp(large, None, n=100, seed=1, progress=False)
        >>> test.summary().to_frame().index.tolist()
        ['LRT', 'PBtest', 'Gamma', 'Bartlett', 'F']
        """
        return self._table(["LRT", "PBtest", "Gamma", "Bartlett", "F"], ["stat", "df", "ddf", "p.value"])

    def _table(self, rows: list[str], columns: list[str]) -> Table:
        frame = pd.DataFrame({name: self._row(name) for name in rows}, index=["stat", "df", "ddf", "p.value"]).T
        return Table(frame[columns], heading=self._heading(), p_column="p.value", notes=tuple(self._notes()))

    def _row(self, name: str) -> tuple[float, float, float, float]:
        """Statistic, degrees of freedom and p-value of one test."""
        from scipy.special import chdtrc, fdtrc, gammaincc

        lrt, df = self.statistic, float(self.df)
        mean = float(self.reference.mean())
        variance = float(self.reference.var(ddof=1)) if self.n_used > 1 else np.nan
        nan = float("nan")
        if name == "LRT":
            return lrt, df, nan, float(chdtrc(df, lrt))
        if name == "PBtest":
            return lrt, nan, nan, self.pvalue
        if name == "Gamma":
            return lrt, nan, nan, float(gammaincc(mean**2 / variance, lrt * mean / variance)) if variance > 0 else nan
        if name == "Bartlett":
            scaled = df * lrt / mean if mean > 0 else nan
            return scaled, df, nan, float(chdtrc(df, scaled))
        ddf = 2.0 * mean / (mean - df) if mean > df else nan
        return lrt / df, df, ddf, float(fdtrc(df, ddf, lrt / df))

    def _heading(self) -> tuple[str, ...]:
        samples = f"Bootstrap test; samples: {self.n}; extremes: {self.n_extreme};"
        used = () if self.n_used == self.n else (f"Requested samples: {self.n} Used samples: {self.n_used}",)
        return (samples, *used, f"large : {self.large}", f"small : {self.small}")

    def _notes(self) -> list[str]:
        notes = [f"Monte-Carlo standard error of the bootstrap p-value: {self.pvalue_se:.4f}"]
        if self.refitted:
            notes.append("Fits by REML were refitted by maximum likelihood.")
        if self.failures:
            notes.append(f"{self.n_failed} simulations could not be refitted:")
            notes += [f"  {count} x {reason}" for reason, count in self.failures.items()]
        return notes

    def __str__(self) -> str:
        return str(self.table)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table.as_html()


@helped
def pb_modcomp(
    m1: Any,
    m0: Any,
    *,
    n: int = 1000,
    seed: int | np.random.Generator | None = None,
    progress: bool = True,
    n_jobs: int | None = 1,
) -> PBModcomp:
    """Test a smaller model against a larger one by parametric bootstrap, as pbkrtest's ``PBmodcomp``.

    Responses are simulated from the smaller model and both models are refitted to each by maximum likelihood; the
    p-value is the share of their likelihood-ratio statistics that are as large as that of the data, the data counted
    in (Halekoh & Hojsgaard 2014, JSS 59(9), section 5). Statistics of zero count as well, as they must where the
    smaller model lacks a random term and the larger one's variance is often estimated as zero: pbkrtest leaves out
    those that are not positive.

    Parameters
    ----------
    m1 : LinearResults or GeneralizedResults
        The larger model.
    m0 : LinearResults, GeneralizedResults, statsmodels OLS or WLS results, or None
        The smaller model; None is the linear model with the fixed effects of `m1` and no random effects.
    n : int
        Number of simulations.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.
    progress : bool
        Whether a bar is shown once the refits have taken two seconds.
    n_jobs : int or None
        Processes, as joblib counts them. Linear models with one grouping factor are refitted together, as one array
        operation in this process.

    Returns
    -------
    PBModcomp
        Prints as pbkrtest's; ``.pvalue``, ``.statistic``, ``.reference``, ``.summary()``.

    Raises
    ------
    DataError
        Where the models have different rows, responses, weights or offsets.
    DesignError
        Where `m0` is not a special case of `m1`.
    FitError
        Where `n` is not positive, the models are of different kinds, or every refit failed.

    Examples
    --------
    >>> import mixfit
    >>> data = mixfit.datasets.load("penicillin")
    >>> m1 = mixfit.mixed("yield ~ treat + (1|blend)", data).fit(reml=False)
    >>> m0 = mixfit.mixed("yield ~ 1 + (1|blend)", data).fit(reml=False)
    >>> test = mixfit.pb_modcomp(m1, m0, n=500, seed=1)
    >>> round(test.statistic, 4), test.df, round(test.pvalue, 1)
    (4.0474, 3, 0.3)
    """
    check_count("n", n)
    large = by_ml(m1)
    null = null_model(large, m0, n_jobs)
    df = int(large.npar) - null.n_parameters
    if df < 1:
        raise DesignError(
            f"The smaller model has {null.n_parameters} parameters and the larger one {large.npar}: there is nothing "
            "to test. Give the larger model first."
        )
    rng = np.random.default_rng(seed)
    refit = Refitter(large, None, n_jobs)
    values, reasons = [], []
    with progress_bar(n, progress=progress) as bar:
        for y in null.blocks(n, rng, refit.block):
            below, failed_below = null.refit(y)
            above: Refits = refit(y, bar.update)
            values.append(below - above.criterion)
            reasons += [a or b for a, b in zip(above.failures, failed_below, strict=True)]
    failures = Counter(reason for reason in reasons if reason)
    reference = np.concatenate(values)
    reference = reference[np.isfinite(reference)]
    if not len(reference):
        raise FitError(f"All {n} refits failed, most of them so: {failures.most_common(1)[0][0]}")
    return PBModcomp(
        statistic=null.criterion - large.estimate.criterion,
        df=df,
        reference=reference,
        n=n,
        failures=dict(failures.most_common()),
        large=large.model.formula_text,
        small=null.text,
        refitted=m1.reml or bool(getattr(m0, "reml", False)),
    )
