"""What a printed summary says, as numbers and names; text and HTML are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.results.varcorr import term_order

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.results.base import MixedResults
    from mixfit.results.varcorr import VarCorr

__all__ = ["MAX_CORRELATED", "Heading", "Summary", "build_summary"]

# lme4's option "lme4.summary.cor.max"
MAX_CORRELATED = 12


@dataclass(frozen=True)
class Heading:
    """What each kind of model says of itself in a summary.

    Attributes
    ----------
    title : str
    family : str or None
        ``binomial  ( logit )``, as R prints a family; None for Gaussian models.
    criteria : dict of str to float
    tests : dict of str to Series
        Columns of the table of fixed effects after the standard errors; one named ``Pr(>|z|)`` holds
        p-values.
    dispersion : str or None
        A line on the dispersion where one is estimated.
    """

    title: str
    family: str | None
    criteria: dict[str, float]
    tests: dict[str, pd.Series[float]]
    dispersion: str | None


@dataclass(frozen=True)
class Summary:
    """A summary of a fit; prints like lme4's ``summary``, shows as HTML in a notebook.

    Attributes
    ----------
    title : str
    family : str or None
    formula : str
    data_name : str or None
    criteria : dict of str to float
        ``REML``, or ``AIC``, ``BIC``, ``logLik``, ``-2*log(L)``, ``df.resid``; empty where there is no likelihood.
    quantiles : ndarray, shape (5,)
        Minimum, quartiles and maximum of the scaled residuals.
    varcorr : VarCorr
    nobs : int
    n_dropped : int
        Rows left out for missing values.
    groups : dict of str to int
        Number of levels of every grouping factor.
    coefficients : DataFrame, shape (p, 3), (p, 4) or (p, 5)
        Columns ``Estimate``, ``Std. Error``, ``t value`` or ``z value``, and ``Pr(>|z|)`` with the latter;
        where degrees of freedom were asked for, ``df`` before ``t value`` and ``Pr(>|t|)`` after it.
    dispersion : str or None
        A line on the dispersion where one is estimated.
    correlation : ndarray, shape (p, p), or None
        Of the fixed effects; None where it is not shown.
    notes : tuple of str
        What a reader must know before trusting the numbers.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> summary = fit.summary()
    >>> summary.groups, summary.nobs
    ({'Subject': 18}, 180)
    >>> summary.coefficients.round(2)
               Estimate  Std. Error  t value
    Intercept    251.41        6.82    36.84
    Days          10.47        1.55     6.77
    """

    title: str
    family: str | None
    formula: str
    data_name: str | None
    criteria: dict[str, float]
    quantiles: NDArray[np.float64]
    varcorr: VarCorr
    nobs: int
    n_dropped: int
    groups: dict[str, int]
    coefficients: pd.DataFrame
    dispersion: str | None
    correlation: NDArray[np.float64] | None
    notes: tuple[str, ...]

    def as_text(self) -> str:
        """Return the summary as lme4 lays it out.

        Returns
        -------
        str

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> print(fit.summary().as_text().splitlines()[0])
        Linear mixed model fit by REML
        """
        from mixfit.results.text import summary_text

        return summary_text(self)

    def as_html(self) -> str:
        """Return the summary as HTML tables.

        Returns
        -------
        str

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> fit.summary().as_html().count("<table")
        4
        """
        from mixfit.results.html import summary_html

        return summary_html(self)

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.as_html()


def build_summary(
    results: MixedResults, heading: Heading, residuals: NDArray[np.float64], correlation: bool | None = None
) -> Summary:
    """Collect what a summary shows.

    Parameters
    ----------
    results : MixedResults
    heading : Heading
    residuals : ndarray, shape (n,)
        Scaled residuals.
    correlation : bool, optional
        Whether to show the correlation of the fixed effects; by default up to 12 of them.

    Returns
    -------
    Summary
    """
    import pandas as pd

    from mixfit.results.wald import correlation as scale

    model, estimate = results.model, results.estimate
    random = model.design.random
    p = len(estimate.beta)
    show = p <= MAX_CORRELATED if correlation is None else correlation
    return Summary(
        title=heading.title,
        family=heading.family,
        formula=model.formula_text,
        data_name=model.data_name,
        criteria=heading.criteria,
        quantiles=np.quantile(residuals, [0.0, 0.25, 0.5, 0.75, 1.0]),
        varcorr=results.varcorr(),
        nobs=results.nobs,
        n_dropped=model.design.n_dropped,
        groups={random[t].grouping.name: random[t].grouping.n_levels for t in term_order(random)},
        coefficients=pd.DataFrame({"Estimate": results.params, "Std. Error": results.bse, **heading.tests}),
        dispersion=heading.dispersion,
        correlation=scale(estimate.cov_beta) if show and p > 1 else None,
        notes=_notes(results, hidden=correlation is None and not show),
    )


def _notes(results: MixedResults, *, hidden: bool) -> tuple[str, ...]:
    notes = []
    if hidden:
        notes.append(
            f"Correlation of fixed effects not shown, as p = {len(results.estimate.beta)} > "
            f"{MAX_CORRELATED}: use summary(correlation=True) or cov_params()"
        )
    aliased = results.model.aliased
    if aliased:
        plural = "columns / coefficients" if len(aliased) > 1 else "column / coefficient"
        notes.append(
            f"fixed-effect model matrix is rank deficient so dropping {len(aliased)} {plural}: " + ", ".join(aliased)
        )
    if not results.converged:
        certificate = results.certificate
        notes.append(
            f"not converged: {certificate.message} (projected gradient "
            f"{certificate.projected_gradient:.2g}, predicted decrease {certificate.predicted_decrease:.2g})"
        )
    if results.is_singular:
        notes.append("boundary (singular) fit: a random effect has no variance, or is determined by the others")
    return tuple(notes)
