"""Summaries of fits: they print as lme4's, and show as HTML in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.arguments import check_flag
from mixfit.inference.fixed_effects.denominator import denominator, parse_ddf
from mixfit.inference.fixed_effects.tables import t_table
from mixfit.report.facts import SummaryFacts, collect
from mixfit.report.html import summary_html
from mixfit.report.text import summary_text

if TYPE_CHECKING:
    from mixfit.fitted.protocols import Fit

__all__ = ["Summary", "summary"]


@dataclass(frozen=True, repr=False)
class Summary(SummaryFacts):
    """A summary of a fit; prints like lme4's ``summary``, shows as HTML in a notebook.

    Attributes
    ----------
    title : str
    family : str or None
    formula : str
    data_name : str or None
    criteria : dict of str to float
        ``REML``, or ``AIC``, ``BIC``, ``logLik``, ``-2*log(L)``, ``df.resid``; empty where there is no likelihood.
    quantiles : ndarray, shape (5,), or None
        Minimum, quartiles and maximum of the scaled residuals; None of rows in batches.
    varcorr : RandomCovariances
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
        return summary_html(self)

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.as_html()


def summary(fit: Fit, *, correlation: bool | None = None, ddf: str | None = None) -> Summary:
    """Summarize the fit as lme4's ``summary``, or with `ddf` as lmerTest's.

    Parameters
    ----------
    correlation : bool, optional
        Whether to show the correlation of the fixed effects; by default up to 12 of them.
    ddf : {"satterthwaite", "kenward-roger", "residual", "none"}, optional
        Adds t tests by this method (see `contest`), and z tests for ``"none"``. By default there are
        no p-values, as in lme4.

    Returns
    -------
    Summary
        Prints as text, shows as HTML in a notebook.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.summary(ddf="satterthwaite").coefficients.round(3)
               Estimate  Std. Error    df  t value  Pr(>|t|)
    Intercept   251.405       6.825  17.0   36.838       0.0
    Days         10.467       1.546  17.0    6.771       0.0
    """
    if correlation is not None:
        check_flag("correlation", correlation)
    facts = collect(fit, correlation)
    plain = Summary(**{field.name: getattr(facts, field.name) for field in fields(facts)})
    return plain if ddf is None else _with_tests(plain, fit, ddf)


def _with_tests(summary: Summary, fit: Fit, ddf: str) -> Summary:
    """The summary with a test of every fixed effect beside its estimate."""
    table = t_table(fit, np.eye(len(fit.fixef)), ddf)
    label = denominator(fit, ddf).label
    letter = "z" if parse_ddf(fit, ddf) == "none" else "t"
    return replace(
        summary,
        title=f"{summary.title}. {letter}-tests use {label}",
        coefficients=table.frame.set_axis(fit.fixef.index),
        notes=(*summary.notes, *table.notes),
    )
