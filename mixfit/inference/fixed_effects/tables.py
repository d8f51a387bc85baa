"""Tables of tests of the fixed effects, under the names that lmerTest, car and pbkrtest print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.linalg import cholesky

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.inference.fixed_effects import hypotheses
from mixfit.inference.fixed_effects.cells import cell_space
from mixfit.inference.fixed_effects.contrasts import contrast_matrix, contrast_tests, joint_test
from mixfit.inference.fixed_effects.denominator import denominator, parse_ddf
from mixfit.inference.predictors import seen_from
from mixfit.matrices.types import MEAN
from mixfit.tables.table import Table
from mixfit.wald import f_tail, ratios, t_quantile, t_tails

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit, LinearFit
    from mixfit.inference.fixed_effects.kenward_roger import ScaledF
    from mixfit.matrices.types import FixedStructure

    Array = NDArray[np.float64]

__all__ = [
    "anova",
    "contest",
    "deletion_f_table",
    "p_values",
    "t_table",
    "ttest",
    "vcov_kr",
]

_F_COLUMNS = ["Sum Sq", "Mean Sq", "NumDF", "DenDF", "F value", "Pr(>F)"]
_CHISQ_COLUMNS = ["Chisq", "Df", "Pr(>Chisq)"]
_ROMAN = {1: "I", 2: "II", 3: "III"}


def t_table(fit: Fit, L: Any, ddf: str | None, rhs: object = 0.0, level: float | None = None) -> Table:
    """Test every row of L by itself; with `level`, give intervals of that coverage."""
    rows, names = contrast_matrix(fit, L)
    method = denominator(fit, ddf)
    tests = contrast_tests(fit, rows, ddf)
    values = _right_side(rhs, len(rows))
    statistics = ratios(tests.estimate - values, tests.se)
    letter = "z" if np.isinf(tests.df).all() else "t"
    columns = {"Estimate": tests.estimate, "Std. Error": tests.se}
    if letter == "t":
        columns["df"] = tests.df
    columns[f"{letter} value"] = statistics
    if level is not None:
        half = t_quantile(0.5 + 0.5 * level, tests.df) * tests.se
        columns |= {"lower": tests.estimate - half, "upper": tests.estimate + half}
    p_column = f"Pr(>|{letter}|)"
    columns[p_column] = t_tails(statistics, tests.df)
    return Table(pd.DataFrame(columns, index=names), notes=method.notes, p_column=p_column)


def _right_side(rhs: object, q: int) -> Array:
    values = np.asarray(rhs, dtype=float)
    if values.ndim > 1 or values.size not in (1, q) or not np.isfinite(values).all():
        raise FitError(f"rhs must be one finite number, or one for each of the {q} rows of L.")
    return np.broadcast_to(values.ravel(), (q,)).astype(float)


def contest(
    fit: Fit,
    L: Any,
    *,
    ddf: str | None = None,
    rhs: ArrayLike = 0.0,
    joint: bool = True,
    level: float | None = None,
    predictor: str = MEAN,
) -> Table:
    """Test L beta = rhs, as lmerTest's ``contest``.

    Parameters
    ----------
    L : array_like, shape (q, p) or (p,), mapping of str to float, or DataFrame
        Coefficients of the fixed effects: in the order of `params`, or by name (those not named are
        zero; a row a contrast in a frame).
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
        Denominator degrees of freedom. Satterthwaite's from the exact Hessian in (theta, sigma); Kenward
        and Roger's (1997) with the adjusted covariance, for which a fit by maximum likelihood is refitted
        by REML; the observations less the rank of X; or ``"z"`` for normal and chi-square tests, which
        generalized models always have. ``"auto"`` is Kenward and Roger's for a REML fit where a grouping
        factor has fewer than 10 levels, the normal distribution where degrees of freedom would take long
        or cannot be had (the table then says so), and Satterthwaite's for all other linear models. By
        default it is ``mixfit.options.ddf``, which is ``"auto"`` at first.
    rhs : array_like, shape (q,) or a number
    joint : bool
        Whether all rows are tested together by one F test (rows that depend on each other count
        once), or each by a t test with an interval.
    level : float, optional
        Coverage of the intervals; by default ``mixfit.options.level``, 0.95 at first.
    predictor : {"mean", "zi", "dispersion"}
        Whose coefficients these are; tests of others than the mean's are asymptotic.

    Returns
    -------
    Table
        Columns ``Sum Sq``, ``Mean Sq``, ``NumDF``, ``DenDF``, ``F value``, ``Pr(>F)``, or
        ``Chisq``, ``Df``, ``Pr(>Chisq)``; not jointly ``Estimate``, ``Std. Error``, ``df``,
        ``t value``, ``lower``, ``upper``, ``Pr(>|t|)``.

    Raises
    ------
    FitError
        Where L, rhs or `ddf` do not suit the model.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.contest({"Days": 1}, ddf="kenward-roger")
      Sum Sq Mean Sq NumDF DenDF F value    Pr(>F)
    1  30031   30031     1    17  45.853 3.264e-06 ***
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    """
    fit = seen_from(fit, predictor)
    if not joint:
        return t_table(fit, L, ddf, rhs, coverage(level))
    rows, _ = contrast_matrix(fit, L)
    method = denominator(fit, ddf)
    test = joint_test(method, rows, _right_side(rhs, len(rows)))
    if test is None:
        raise FitError("L is zero: there is nothing to test.")
    return _joint_table({"1": test}, method.sigma, chisq=np.isinf(test.ddf), notes=method.notes)


def _joint_table(
    tests: dict[str, ScaledF | None],
    sigma: float,
    *,
    chisq: bool,
    heading: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Table:
    columns = _CHISQ_COLUMNS if chisq else _F_COLUMNS
    row = _chisq_row if chisq else _f_row
    values = [[np.nan] * len(columns) if test is None else row(test, sigma) for test in tests.values()]
    frame = pd.DataFrame(np.array(values, dtype=float).reshape(-1, len(columns)), list(tests), columns)
    return Table(frame, tuple(heading), tuple(notes), p_column=columns[-1])


def _f_row(test: ScaledF, sigma: float) -> list[float]:
    """Sums of squares are what gives the unscaled F over sigma^2, as in lmerTest."""
    mean_square = test.statistic * sigma**2
    value = test.statistic * test.scale
    return [mean_square * test.ndf, mean_square, test.ndf, test.ddf, value, f_tail(value, test.ndf, test.ddf)]


def _chisq_row(test: ScaledF, sigma: float) -> list[float]:
    return [test.statistic * test.ndf, test.ndf, f_tail(test.statistic, test.ndf, np.inf)]


def anova(
    fit: Fit,
    type: int | str = 3,  # noqa: A002
    *,
    ddf: str | None = None,
    predictor: str = MEAN,
) -> Table:
    """Test every term of the fixed part, as lmerTest's ``anova``.

    Parameters
    ----------
    type : {3, 2, 1, "III", "II", "I"}
        Type III: hypotheses on marginal means. Type II: each term given all that do not contain it.
        Type I: each given those before it. Hypotheses depend on the column space of X alone, not on the
        coding of the factors; types II and III of ``0 + a * b`` are those of ``a * b``, so that `a` has
        a degree of freedom less than it has columns. A term contains another when it has all its
        variables and further factors, but no other covariates, as SAS defines it; lmerTest overlooks
        that where a margin is missing (``a`` in ``a / b``), and then tests a hypothesis that depends on
        the coding. One hypothesis has one Satterthwaite denominator whichever type names it: that of
        its reduced echelon rows under treatment coding, which lmerTest's type III has.
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
        As in `contest`. With ``"z"``, and for generalized models, the tests are Wald chi-squares of
        type II or III as those of car's ``Anova``, type II by the information at the estimate.
    predictor : {"mean", "zi", "dispersion"}
        Whose coefficients these are; tests of others than the mean's are asymptotic.

    Returns
    -------
    Table
        A row a term, NaN for one whose columns are all aliased. Columns as in `contest`.

    Raises
    ------
    FitError
        For another type or `ddf`, and for chi-square tests of type I.

    Examples
    --------
    >>> import mixfit
    >>> cake = mixfit.datasets.load("cake")
    >>> formula = "angle ~ recipe * temperature + (1 | recipe:replicate)"
    >>> fit = mixfit.mixed(formula, cake).fit()
    >>> fit.anova(type=2)["F value"].round(3).tolist()
    [0.249, 20.52, 1.006]
    """
    fit = seen_from(fit, predictor)
    number, name = hypotheses.parse_type(type), parse_ddf(fit, ddf)
    method = denominator(fit, ddf)
    chisq = name == "z"
    tests = {
        term: joint_test(method, L, np.zeros(len(L))) if len(L) else None
        for term, L in _hypotheses(fit, number, asymptotic=chisq).items()
    }
    roman = _ROMAN[number]
    heading = [f"Type {roman} Analysis of Variance Table with {method.label}"]
    if chisq:
        heading = [
            f"Analysis of Deviance Table (Type {roman} Wald chisquare tests)",
            "",
            f"Response: {fit.model.design.endog_name}",
        ]
    return _joint_table(tests, method.sigma, chisq=chisq, heading=heading, notes=method.notes)


def deletion_f_table(fit: Fit, contrasts: dict[str, Array], ddf: str | None) -> Table:
    """Test what each deletion sets to zero."""
    if parse_ddf(fit, ddf) == "z":
        raise FitError("F tests need denominator degrees of freedom: use drop1(test='chisq').")
    X = fit.model.design.representatives.X
    method, space = denominator(fit, ddf), cell_space(_structure(fit), X, fit.model.kept)
    tests = {name: joint_test(method, space.canonical(L), np.zeros(len(L))) for name, L in contrasts.items()}
    heading = (f"Single term deletions using {method.label}", "", "Model:", fit.model.formula_text)
    return _joint_table(tests, method.sigma, chisq=False, heading=heading, notes=method.notes)


def _structure(fit: Fit) -> FixedStructure:
    structure = fit.model.design.representatives.fixed
    if structure is None:
        raise FitError("The design does not say which term each fixed effect belongs to.")
    return structure


def _hypotheses(fit: Fit, number: int, *, asymptotic: bool) -> dict[str, Array]:
    structure = _structure(fit)
    if asymptotic and number == 1:
        raise FitError("Wald tests are of type 2 or 3; for sequential tests, compare nested fits.")
    X, kept, constant = fit.model.design.representatives.X, fit.model.kept, fit.model.constant
    if constant is not None:
        X, kept = X.copy(), np.sort(np.append(kept, constant))
        X[:, constant] = 1.0
    space = cell_space(structure, X, kept)
    if number == 3:
        return _without_constant(hypotheses.marginal_hypotheses(structure, space), kept, constant)
    # Asymptotically, given the other terms by the information at the estimate: the Wald tests of car's Anova.
    root = cholesky(np.linalg.inv(fit.estimate.cov_beta)) if asymptotic else fit.model.design.triangle(fit.model.kept)
    if constant is not None:
        # The information on what is left of the columns given the thresholds, of which the constant is one.
        place = int(np.searchsorted(kept, constant))
        root = np.insert(np.insert(root, place, 0.0, axis=0), place, 0.0, axis=1)
        root[place, place] = 1.0
    find = hypotheses.sequential_hypotheses if number == 1 else hypotheses.partial_hypotheses
    return _without_constant(find(structure, space, root), kept, constant)


def _without_constant(found: dict[str, Array], kept: Array, constant: int | None) -> dict[str, Array]:
    """Rows on the fixed effects alone: contrasts have no share of a constant that is none of them."""
    if constant is None:
        return found
    place = int(np.searchsorted(kept, constant))
    return {name: np.delete(L, place, axis=1) for name, L in found.items()}


def ttest(fit: Fit, *, ddf: str | None = None, predictor: str = MEAN) -> Table:
    """Test every fixed effect by itself.

    Parameters
    ----------
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
        As in `contest`.
    predictor : {"mean", "zi", "dispersion"}
        Whose coefficients these are; tests of others than the mean's are asymptotic.

    Returns
    -------
    Table
        Columns ``Estimate``, ``Std. Error``, ``df``, ``t value``, ``Pr(>|t|)``; with ``"z"`` and
        for generalized models ``z value`` and ``Pr(>|z|)``.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.ttest()
              Estimate Std. Error df t value  Pr(>|t|)
    Intercept  251.405     6.8246 17  36.838   < 2e-16 ***
    Days        10.467     1.5458 17   6.771 3.264e-06 ***
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    """
    fit = seen_from(fit, predictor)
    names = fit.fixef.index
    return t_table(fit, pd.DataFrame(np.eye(len(names)), index=names, columns=names), ddf)


def p_values(fit: Fit) -> pd.Series[float]:
    """Two-sided p-values of the fixed effects, those that ``fit.summary()`` and ``fit.ttest()`` print.

    Returns
    -------
    Series, shape (p,)
    """
    if not len(fit.fixef):
        return pd.Series(dtype=float)
    table = t_table(fit, np.eye(len(fit.fixef)), None).frame
    return pd.Series(table.iloc[:, -1].to_numpy(dtype=float), index=fit.fixef.index)


def vcov_kr(fit: LinearFit) -> pd.DataFrame:
    """Return Kenward and Roger's adjusted covariance of the fixed effects, as pbkrtest's ``vcovAdj``.

    It allows for the variance parameters being estimated. Of a fit by maximum likelihood it is that of
    the REML refit. At a singular fit the covariances' entries count as parameters, as in pbkrtest, so
    that a variance of zero is no special case.

    Returns
    -------
    DataFrame, shape (p, p)

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.vcov_kr().round(3)
               Intercept   Days
    Intercept     46.575 -1.451
    Days          -1.451  2.389
    """
    names = fit.fixef.index
    return pd.DataFrame(denominator(fit, "kenward-roger").cov, index=names, columns=names)
