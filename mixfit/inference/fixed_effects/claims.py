"""Tests of statements that are written as text: equalities together, inequalities each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.inference.fixed_effects.contrasts import contrast_tests
from mixfit.inference.fixed_effects.denominator import denominator
from mixfit.inference.fixed_effects.statements import read_statements
from mixfit.inference.fixed_effects.tables import contest
from mixfit.inference.predictors import seen_from
from mixfit.matrices.types import MEAN
from mixfit.tables.table import Table
from mixfit.wald import ratios, t_upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.fixed_effects.statements import Statement

__all__ = ["StatementTests", "statement_tests", "t_test", "wald_test"]


@dataclass(frozen=True, repr=False)
class StatementTests:
    """Tests of statements on the fixed effects; prints as its tables.

    Attributes
    ----------
    equalities : Table or None
        The test of all equalities together, as of `contest`.
    inequalities : Table or None
        A row an inequality: ``Estimate``, ``Std. Error``, ``df``, ``t value`` and the one-sided ``Pr``.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> round(fit.test("Days > 8").pvalue, 4)
    0.0644
    """

    equalities: Table | None
    inequalities: Table | None

    @property
    def pvalue(self) -> float:
        """The p-value, where there is one.

        Raises
        ------
        FitError
            Where there are several.
        """
        values = [float(p) for t in (self.equalities, self.inequalities) if t is not None for p in t.frame.iloc[:, -1]]
        if len(values) > 1:
            raise FitError("There are several p-values: see equalities and inequalities.")
        return values[0]

    def as_text(self) -> str:
        """Return the tables as R lays them out.

        Returns
        -------
        str
        """
        return "\n\n".join(str(table) for table in (self.equalities, self.inequalities) if table is not None)

    __str__ = as_text
    __repr__ = as_text

    def _repr_html_(self) -> str:
        return "\n".join(table.as_html() for table in (self.equalities, self.inequalities) if table is not None)


def statement_tests(
    fit: Fit, hypotheses: str | Sequence[str], *, ddf: str | None = None, predictor: str = MEAN
) -> StatementTests:
    """Test statements on the fixed effects that are written as text.

    Equalities are hypotheses, tested together by one F test (or chi-square with ``ddf="z"``). An inequality is a claim,
    tested by itself against its opposite: a small p-value of ``"Days > 8"`` says that the slope is larger than 8. Both
    sides are linear in the fixed effects: ``"Days - 2 * x = 0"``, ``"recipe[T.B] = recipe[T.C]"``. A name that is more
    than letters may stand in backquotes.

    Parameters
    ----------
    hypotheses : str or sequence of str
        Statements, separated by commas.
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
        As in `contest`.
    predictor : {"mean", "zi", "dispersion"}
        Whose coefficients these are; tests of others than the mean's are asymptotic.

    Returns
    -------
    StatementTests

    Raises
    ------
    FormulaError
        For what cannot be read, and a name that is no fixed effect.
    FitError
        For equalities that contradict one another, and for ``<=`` and ``>=``, which a test cannot show.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.test("Days = 10, Intercept > 200")
              Sum Sq Mean Sq NumDF DenDF  F value Pr(>F)
    Days = 10  59.85   59.85     1    17 0.091383 0.7661
    <BLANKLINE>
                    Estimate Std. Error df t value        Pr
    Intercept > 200   251.41     6.8246 17  7.5324 4.103e-07 ***
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    """
    fit = seen_from(fit, predictor)
    statements = read_statements(hypotheses, [str(name) for name in fit.fixef.index])
    equal = [s for s in statements if s.sign == 0]
    unequal = [s for s in statements if s.sign]
    return StatementTests(
        _together(fit, equal, ddf) if equal else None, _one_sided(fit, unequal, ddf) if unequal else None
    )


def _together(fit: Fit, statements: Sequence[Statement], ddf: str | None) -> Table:
    L, rhs = np.array([s.row for s in statements]), np.array([s.value for s in statements])
    found = contest(fit, L, ddf=ddf, rhs=rhs)
    frame = found.frame.set_axis([", ".join(s.text for s in statements)])
    return Table(frame, found.heading, found.notes, p_column=found.p_column)


def _one_sided(fit: Fit, statements: Sequence[Statement], ddf: str | None) -> Table:
    L, signs = np.array([s.row for s in statements]), np.array([s.sign for s in statements])
    tests = contrast_tests(fit, L, ddf)
    statistics = ratios(tests.estimate - np.array([s.value for s in statements]), tests.se)
    columns = {"Estimate": tests.estimate, "Std. Error": tests.se, "df": tests.df, "t value": statistics}
    if np.isinf(tests.df).all():
        del columns["df"]
        columns["z value"] = columns.pop("t value")
    columns["Pr"] = t_upper(signs * statistics, tests.df)
    frame = pd.DataFrame(columns, index=[s.text for s in statements])
    return Table(frame, (), denominator(fit, ddf).notes, p_column="Pr")


def t_test(fit: Fit, hypotheses: Any, *, ddf: str | None = None, level: float | None = None) -> Table:
    """Test linear functions of the fixed effects each by itself, under statsmodels' name.

    Parameters
    ----------
    hypotheses : str, array_like of shape (q, p) or (p,), mapping, DataFrame, or tuple of an array and its values
        Equalities as text, ``"Days = 10"``, or L as `contest` takes it; with its right-hand sides in a tuple.
    ddf, level
        As of `contest`.

    Returns
    -------
    Table
        Columns ``Estimate``, ``Std. Error``, ``df``, ``t value``, ``lower``, ``upper``, ``Pr(>|t|)``.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.t_test("Days = 10").frame.round(3).iloc[0].tolist()
    [10.467, 1.546, 17.0, 0.302, 7.206, 13.729, 0.766]
    """
    L, rhs = _rows(fit, hypotheses)
    return contest(fit, L, ddf=ddf, rhs=rhs, joint=False, level=level)


def wald_test(fit: Fit, hypotheses: Any, *, ddf: str | None = None) -> Table:
    """Test linear functions of the fixed effects together, under statsmodels' name.

    Parameters
    ----------
    hypotheses : str, array_like of shape (q, p) or (p,), mapping, DataFrame, or tuple of an array and its values
        As of `t_test`.
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
        As of `contest`; ``"z"`` is the chi-square test of statsmodels.

    Returns
    -------
    Table
        As of `contest`.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.wald_test("Days = 10, Intercept = 250", ddf="z").frame.round(3).iloc[0].tolist()
    [0.154, 2.0, 0.926]
    """
    L, rhs = _rows(fit, hypotheses)
    return contest(fit, L, ddf=ddf, rhs=rhs)


def _rows(fit: Fit, hypotheses: Any) -> tuple[Any, Any]:
    """L and its right-hand sides: text becomes a frame whose rows have its statements for names."""
    if isinstance(hypotheses, tuple) and len(hypotheses) == 2:
        return hypotheses
    if not isinstance(hypotheses, str):
        return hypotheses, 0.0
    names = [str(name) for name in fit.fixef.index]
    statements = read_statements(hypotheses, names)
    if any(s.sign for s in statements):
        raise FitError("t_test and wald_test are of equalities: inequalities are tested by fit.test('Days > 8').")
    frame = pd.DataFrame([s.row for s in statements], [s.text for s in statements], names)
    return frame, np.array([s.value for s in statements])
