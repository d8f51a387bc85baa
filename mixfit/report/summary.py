"""Summaries of fits: they print as lme4's, and show as HTML in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.arguments import check_flag
from mixfit.defaults import PLAIN, options, read_ddf
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.inference.fixed_effects.denominator import denominator, fewest_groups, parse_ddf, robust_notes
from mixfit.inference.fixed_effects.tables import t_table
from mixfit.report.facts import SummaryFacts, collect
from mixfit.report.html import summary_html
from mixfit.report.text import summary_text

if TYPE_CHECKING:
    from mixfit.fitted.protocols import Fit

__all__ = ["Summary", "summary"]

# With fewer groups z tests are said to be doubtful: a contrast between 20 groups has about 18 degrees of freedom, with
# which 5 % of the normal distribution are 6.6 %; with 10 groups they are 8.6 %, with 5 groups 14 %.
_FEW_FOR_Z = 20
_DOUBTFUL = "few groups ({name}, {groups}): z tests reject too often"
_SIMULATED = ", see mixfit.pb_modcomp"


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
        Columns ``Estimate``, ``Std. Error``, ``df``, ``t value`` and ``Pr(>|t|)``; or ``z value`` and ``Pr(>|z|)``
        instead of the last three; with ``ddf="none"`` neither ``df`` nor p-values of a linear model.
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
               Estimate  Std. Error    df  t value  Pr(>|t|)
    Intercept    251.41        6.82  17.0    36.84       0.0
    Days          10.47        1.55  17.0     6.77       0.0
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
        Linear mixed model fit by REML. t-tests use Kenward-Roger's method
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
    """Summarize the fit, as lmerTest's ``summary`` of a linear model and lme4's of a generalized one.

    Parameters
    ----------
    correlation : bool, optional
        Whether to show the correlation of the fixed effects; by default up to 12 of them.
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z", "none"}, optional
        Degrees of freedom of the t tests of a linear model, as in `contest`; by default
        ``mixfit.options.ddf``, which is ``"auto"`` at first. ``"none"`` (or ``"lme4"``, as in lmerTest)
        prints lme4's table, which has no p-values for linear models. A note below the table says where
        the usual method cannot be had.

    Returns
    -------
    Summary
        Prints as text, shows as HTML in a notebook.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.summary().coefficients.round(3)
               Estimate  Std. Error    df  t value  Pr(>|t|)
    Intercept   251.405       6.825  17.0   36.838       0.0
    Days         10.467       1.546  17.0    6.771       0.0
    >>> fit.summary(ddf="none").coefficients.round(3)
               Estimate  Std. Error  t value
    Intercept   251.405       6.825   36.838
    Days         10.467       1.546    6.771
    """
    if correlation is not None:
        check_flag("correlation", correlation)
    name = options.ddf if ddf is None else read_ddf(ddf, PLAIN)
    facts = collect(fit, correlation)
    plain = Summary(**{field.name: getattr(facts, field.name) for field in fields(facts)})
    if name in PLAIN or not len(fit.fixef):
        return plain
    if is_generalized(fit):
        # The table of a generalized model has its z tests already.
        parse_ddf(fit, ddf)
        return replace(plain, notes=(*plain.notes, *robust_notes(fit), *_doubts(fit, plain)))
    return _with_tests(plain, fit, ddf)


def _doubts(fit: Fit, summary: Summary) -> tuple[str, ...]:
    """What is to be said of z tests where groups are few."""
    groups = fewest_groups(fit)
    if groups is None or groups >= _FEW_FOR_Z:
        return ()
    # Random effects of the mean's predictor are among all of them.
    name = next(name for name, levels in summary.groups.items() if levels == groups)
    # Parameters of unordered categories cannot be stated, and so nothing is simulated under a null model's.
    simulated = is_generalized(fit) and fit.family.kind != "multinomial"
    return (_DOUBTFUL.format(groups=groups, name=name) + _SIMULATED * simulated,)


def _with_tests(summary: Summary, fit: Fit, ddf: str | None) -> Summary:
    """The summary with a test of every fixed effect beside its estimate."""
    table = t_table(fit, np.eye(len(fit.fixef)), ddf)
    label = denominator(fit, ddf).label
    letter = "z" if parse_ddf(fit, ddf) == "z" else "t"
    doubts = () if is_linear(fit) else _doubts(fit, summary)
    return replace(
        summary,
        title=f"{summary.title}. {letter}-tests use {label}",
        coefficients=table.frame.set_axis(fit.fixef.index),
        notes=(*summary.notes, *table.notes, *doubts),
    )
