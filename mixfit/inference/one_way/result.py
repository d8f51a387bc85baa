"""The result of the ANOVA estimator, printed as a table of tests with the variances beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixfit.results.numbers import format_common
from mixfit.results.table import Table

__all__ = ["AnovaEstimate"]


@dataclass(frozen=True, eq=False, repr=False)
class AnovaEstimate:
    """Variance components of a balanced one-way layout by the ANOVA estimator; see `mixfit.anova_estimator`.

    Attributes
    ----------
    formula : str
    group : str
        The grouping factor.
    n_groups : int
    n_per_group : int
        Observations in every group.
    mean : float
        Estimate of the mean, which is that of all observations.
    mean_se : float
        Its standard error, sqrt(mean square between groups / nobs), with n_groups - 1 degrees of freedom.
    sigma2_alpha : float
        Variance of the effects of groups. It may be negative, and then it is left so.
    sigma2 : float
        Residual variance: the mean square within groups.
    table : Table
        Analysis of variance: a row for the groups and one for the residual, with the columns ``Df``, ``Sum Sq``,
        ``Mean Sq``, ``F value`` and ``Pr(>F)``. The F test that groups do not differ is exact.
    n_dropped : int
        Rows left out because something was missing.
    """

    formula: str
    group: str
    n_groups: int
    n_per_group: int
    mean: float
    mean_se: float
    sigma2_alpha: float
    sigma2: float
    table: Table
    n_dropped: int

    @property
    def nobs(self) -> int:
        """Number of observations used."""
        return self.n_groups * self.n_per_group

    @property
    def icc(self) -> float:
        """Intraclass correlation, sigma2_alpha / (sigma2_alpha + sigma2); negative where sigma2_alpha is."""
        return self.sigma2_alpha / (self.sigma2_alpha + self.sigma2)

    @property
    def is_negative(self) -> bool:
        """Whether the variance of the groups is estimated below zero."""
        return self.sigma2_alpha < 0.0

    def summary(self) -> Table:
        """Return the analysis of variance with the variances that it estimates.

        Returns
        -------
        Table
            The columns of `table`, then ``Variance`` and ``Std.Dev.``, which is blank for a negative variance. A note
            says so where the variance of the groups is negative.
        """
        variances = np.array([self.sigma2_alpha, self.sigma2])
        deviations = np.sqrt(np.where(variances < 0.0, np.nan, variances))
        frame = self.table.frame.assign(**{"Variance": variances, "Std.Dev.": deviations})
        missing = f" ({self.n_dropped} deleted due to missingness)" if self.n_dropped else ""
        heading = (
            "Balanced one-way layout, variances by the ANOVA estimator",
            f"Formula: {self.formula}",
            f"Number of obs: {self.nobs}{missing}, groups: {self.group}, {self.n_groups} of {self.n_per_group} each",
            "",
        )
        mean, error, icc = (format_common([value], 5)[0] for value in (self.mean, self.mean_se, self.icc))
        notes = [f"Mean: {mean}, standard error {error}", f"Intraclass correlation: {icc}"]
        if self.is_negative:
            notes += [
                f"The variance of {self.group} is estimated as negative:",
                "its means scatter less than residuals alone would make them.",
                "It is not truncated; the REML estimate would be 0.",
            ]
        return Table(frame, heading=heading, notes=tuple(notes), p_column="Pr(>F)", significance=False)

    def __str__(self) -> str:
        return self.summary().as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary().as_html()
