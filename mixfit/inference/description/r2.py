"""Intraclass correlation and the coefficients of determination of Nakagawa et al."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from mixfit.results.table import Table

if TYPE_CHECKING:
    from mixfit.inference.description.variances import VarianceComponents

__all__ = ["ICC", "R2", "icc", "icc_by_group", "r2"]

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
        notes = [_SINGULAR] if self.variances.singular else []
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


def icc(variances: VarianceComponents) -> ICC:
    """Compute intraclass correlations (Nakagawa, Johnson & Schielzeth 2017, eqs. 3.3 and 3.4).

    Parameters
    ----------
    variances : VarianceComponents

    Returns
    -------
    ICC

    Examples
    --------
    >>> from mixfit.inference.description.variances import VarianceComponents
    >>> icc(VarianceComponents(1.0, 1.0, {"g": 1.0}, 2.0, 0.0, False))
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


def r2(variances: VarianceComponents) -> R2:
    """Compute marginal and conditional R2 (Nakagawa, Johnson & Schielzeth 2017, eqs. 2.4 and 2.5).

    Parameters
    ----------
    variances : VarianceComponents

    Returns
    -------
    R2

    Examples
    --------
    >>> from mixfit.inference.description.variances import VarianceComponents
    >>> r2(VarianceComponents(1.0, 1.0, {"g": 1.0}, 2.0, 0.0, False))
    # R2 for Mixed Models
    <BLANKLINE>
      Conditional R2: 0.500
         Marginal R2: 0.250
    """
    marginal = variances.fixed / variances.total
    return R2(marginal, (variances.fixed + variances.random) / variances.total, variances)
