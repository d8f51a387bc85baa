"""Intraclass correlation and the coefficients of determination of Nakagawa et al., from the variances of a fit.

Nakagawa, Johnson & Schielzeth (2017, J. R. Soc. Interface 14: 20170213), with the mean random-effects variance
of Johnson (2014, Methods Ecol. Evol. 5: 944-946) for random slopes: mean over the rows of z'Sigma z.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal, overload

import pandas as pd

from mixfit.arguments import check_flag
from mixfit.errors import FitError
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.variances import variance_components
from mixfit.tables.table import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.variances import VarianceComponents

    Array = NDArray[np.float64]

__all__ = [
    "ICC",
    "R2",
    "icc",
    "icc_by_group",
    "icc_of",
    "r2",
    "r2_of",
]

_TRIALS = "(of proportions of {:.4g} trials on average; per_trial=True has those of single trials)"
_SINGULAR = "(singular fit: a random effect of no variance counts as zero)"


class _Printed:
    """Prints its title and its numbers to three decimals."""

    _title = ""
    variances: VarianceComponents

    def _numbers(self) -> list[tuple[str, float]]:
        raise NotImplementedError

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self._numbers()) + 2
        lines = [f"{name.rjust(width)}: {value:.3f}" for name, value in self._numbers()]
        notes = [_TRIALS.format(self.variances.trials)] if self.variances.trials > 1.0 else []
        notes += [_SINGULAR] if self.variances.singular else []
        return "\n".join([self._title, "", *lines, *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


@dataclass(frozen=True, repr=False)
class ICC(_Printed):
    """Intraclass correlations, as ``performance::icc``.

    Attributes
    ----------
    adjusted : float
        Random-effects variance over itself and the residual variance.
    unadjusted : float
        The same with the variance of the fixed effects in the denominator.
    variances : VarianceComponents

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> round(fit.icc().adjusted, 3)
    0.722
    """

    adjusted: float
    unadjusted: float
    variances: VarianceComponents

    _title = "# Intraclass Correlation Coefficient"

    def _numbers(self) -> list[tuple[str, float]]:
        return [("Adjusted ICC", self.adjusted), ("Unadjusted ICC", self.unadjusted)]


@dataclass(frozen=True, repr=False)
class R2(_Printed):
    """Coefficients of determination, as ``performance::r2_nakagawa``.

    Attributes
    ----------
    marginal : float
        Share of the fixed effects in the total variance.
    conditional : float
        Share of fixed and random effects together.
    variances : VarianceComponents

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> round(fit.r2().marginal, 3), round(fit.r2().conditional, 3)
    (0.279, 0.799)
    """

    marginal: float
    conditional: float
    variances: VarianceComponents

    _title = "# R2 for Mixed Models"

    def _numbers(self) -> list[tuple[str, float]]:
        return [("Conditional R2", self.conditional), ("Marginal R2", self.marginal)]


def icc_of(variances: VarianceComponents) -> ICC:
    """Compute intraclass correlations (Nakagawa, Johnson & Schielzeth 2017, eqs. 3.3 and 3.4).

    Parameters
    ----------
    variances : VarianceComponents

    Returns
    -------
    ICC

    Examples
    --------
    >>> from mixfit.inference.variances import VarianceComponents
    >>> icc_of(VarianceComponents(1.0, 1.0, {"g": 1.0}, 2.0, 0.0, False))
    # Intraclass Correlation Coefficient
    <BLANKLINE>
        Adjusted ICC: 0.333
      Unadjusted ICC: 0.250
    """
    adjusted = variances.random / (variances.random + variances.residual)
    return ICC(adjusted, variances.random / variances.total, variances)


def icc_by_group(variances: VarianceComponents) -> Table:
    """Split the adjusted intraclass correlation by grouping factor.

    Parameters
    ----------
    variances : VarianceComponents

    Returns
    -------
    Table
        Columns ``Group`` and ``ICC``; the latter add up to the adjusted one.
    """
    base = variances.random + variances.residual
    frame = pd.DataFrame(
        {
            "Group": list(variances.by_group),
            "ICC": pd.Series([value / base for value in variances.by_group.values()], dtype=float),
        }
    )
    notes = (_SINGULAR,) if variances.singular else ()
    return Table(frame, heading=("# ICC by Group", ""), notes=notes, decimals={"ICC": 3}, show_index=False)


def r2_of(variances: VarianceComponents) -> R2:
    """Compute marginal and conditional R2 (Nakagawa, Johnson & Schielzeth 2017, eqs. 2.4 and 2.5).

    Parameters
    ----------
    variances : VarianceComponents

    Returns
    -------
    R2

    Examples
    --------
    >>> from mixfit.inference.variances import VarianceComponents
    >>> r2_of(VarianceComponents(1.0, 1.0, {"g": 1.0}, 2.0, 0.0, False))
    # R2 for Mixed Models
    <BLANKLINE>
      Conditional R2: 0.500
         Marginal R2: 0.250
    """
    marginal = variances.fixed / variances.total
    return R2(marginal, (variances.fixed + variances.random) / variances.total, variances)


@overload
def icc(fit: Fit, *, by_group: Literal[False] = False, per_trial: bool = False) -> ICC: ...
@overload
def icc(fit: Fit, *, by_group: Literal[True], per_trial: bool = False) -> Table: ...
@overload
def icc(fit: Fit, *, by_group: bool, per_trial: bool = False) -> ICC | Table: ...


def icc(fit: Fit, *, by_group: bool = False, per_trial: bool = False) -> ICC | Table:
    """Compute intraclass correlations, as ``performance::icc`` (Nakagawa, Johnson & Schielzeth 2017).

    The variance of the random effects is the mean over the rows of z'Sigma z (Johnson 2014). The residual
    variance of a linear model is sigma squared (of an observation of weight 1); of a generalized one it is, on the
    scale of the link,

    - binomial: pi**2 / 3 (logit), 1 (probit) or pi**2 / 6 (cloglog), over the mean number of trials;
    - Poisson, log link: log(1 + 1 / m); nbinom2: log(1 + 1 / m + 1 / phi), the lognormal approximation, with
      m = exp(beta_0 + tau / 2) of the model refitted with an intercept alone for fixed effects, tau its
      random-effects variance; Poisson, square-root link: 1/4;
    - Gamma, log link: log(1 + phi).

    Random effects of single observations count as residual variance, and for nothing in m.

    Parameters
    ----------
    by_group : bool
        Whether to split the adjusted correlation by grouping factor. With random slopes performance takes
        the variance of the intercepts alone, and warns; here it is the mean variance, so that the parts
        add up.
    per_trial : bool
        Whether the correlation is that of single trials of a binomial response, on the latent scale: then
        the variance is not divided by the mean number of trials.

    Returns
    -------
    ICC or Table
        `by_group` gives a table with the columns ``Group`` and ``ICC``. A singular random effect counts as
        the zero that it is estimated to be, and the result says so (performance gives NA).

    Raises
    ------
    FitError
        For a family and link whose variance is none of these, and for correlated residuals: two rows of a level then
        have a correlation that depends on their places.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> fit.icc()
    # Intraclass Correlation Coefficient
    <BLANKLINE>
        Adjusted ICC: 0.391
      Unadjusted ICC: 0.391
    """
    if is_structured(fit) and fit.model.residual.blocks is not None:
        raise FitError(
            f"The residuals are correlated by {fit.model.residual.text}, so that rows of one level have no single "
            "correlation: that of residuals is in varcorr(), and R2 in r2()."
        )
    variances = variance_components(fit, per_trial)
    check_flag("by_group", by_group)
    return icc_by_group(variances) if by_group else icc_of(variances)


def r2(fit: Fit, *, per_trial: bool = False) -> R2:
    """Compute marginal and conditional R2, as ``performance::r2_nakagawa``.

    The variances are those of `icc`.

    Parameters
    ----------
    per_trial : bool
        As of `icc`.

    Returns
    -------
    R2

    Raises
    ------
    FitError
        For a family and link without a known variance.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().r2()
    # R2 for Mixed Models
    <BLANKLINE>
      Conditional R2: 0.799
         Marginal R2: 0.279
    """
    return r2_of(variance_components(fit, per_trial))
