"""Tables of tests of the fixed effects, under the names that lmerTest, car and pbkrtest print."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.linalg import cholesky

from mixfit.errors import FitError
from mixfit.inference.fixed_effects import hypotheses
from mixfit.inference.fixed_effects.contrasts import contrast_matrix, contrast_tests, joint_test
from mixfit.inference.fixed_effects.denominator import denominator, parse_ddf
from mixfit.inference.fixed_effects.tails import f_tail, t_quantile, t_tails
from mixfit.results.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.inference.fixed_effects.kenward_roger import ScaledF
    from mixfit.results.base import MixedResults
    from mixfit.results.summary import Summary

    Array = NDArray[np.float64]

__all__ = ["anova_table", "contest_table", "deletion_f_table", "summary_with_tests", "t_table"]

_F_COLUMNS = ["Sum Sq", "Mean Sq", "NumDF", "DenDF", "F value", "Pr(>F)"]
_CHISQ_COLUMNS = ["Chisq", "Df", "Pr(>Chisq)"]
_ROMAN = {1: "I", 2: "II", 3: "III"}


def t_table(fit: MixedResults, L: Any, ddf: str | None, rhs: object = 0.0, level: float | None = None) -> Table:
    """Test every row of L by itself; with `level`, give intervals of that coverage."""
    rows, names = contrast_matrix(fit, L)
    method = denominator(fit, ddf)
    tests = contrast_tests(fit, rows, ddf)
    values = _right_side(rhs, len(rows))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = (tests.estimate - values) / tests.se
    letter = "z" if np.isinf(tests.df).all() else "t"
    columns = {"Estimate": tests.estimate, "Std. Error": tests.se}
    if letter == "t":
        columns["df"] = tests.df
    columns[f"{letter} value"] = statistics
    if level is not None:
        if not 0.0 < level < 1.0:
            raise FitError(f"level must lie between 0 and 1, not {level!r}.")
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


def contest_table(fit: MixedResults, L: Any, ddf: str | None, rhs: object = 0.0) -> Table:
    """Test all rows of L together."""
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


def anova_table(fit: MixedResults, kind: object, ddf: str | None) -> Table:
    """Test the terms of the fixed part, one a row."""
    number, name = hypotheses.parse_type(kind), parse_ddf(fit, ddf)
    method = denominator(fit, ddf)
    chisq = name == "none"
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


def deletion_f_table(fit: MixedResults, contrasts: dict[str, Array], ddf: str | None) -> Table:
    """Test what each deletion sets to zero."""
    if parse_ddf(fit, ddf) == "none":
        raise FitError("F tests need denominator degrees of freedom: use drop1(test='chisq').")
    method = denominator(fit, ddf)
    tests = {name: joint_test(method, L, np.zeros(len(L))) for name, L in contrasts.items()}
    heading = (f"Single term deletions using {method.label}", "", "Model:", fit.model.formula_text)
    return _joint_table(tests, method.sigma, chisq=False, heading=heading, notes=method.notes)


def _hypotheses(fit: MixedResults, number: int, *, asymptotic: bool) -> dict[str, Array]:
    design, kept = fit.model.design, fit.model.kept
    structure = design.fixed
    if structure is None:
        raise FitError("The design does not say which term each fixed effect belongs to.")
    if number == 3:
        return hypotheses.type3_hypotheses(structure, kept, design.X)
    if asymptotic and number == 1:
        raise FitError("Wald tests are of type 2 or 3; for sequential tests, compare nested fits.")
    # Asymptotically, given the other terms by the information at the estimate: the Wald tests of car's Anova.
    root = cholesky(np.linalg.inv(fit.estimate.cov_beta)) if asymptotic else np.linalg.qr(fit.model.exog)[1]
    find = hypotheses.sequential_hypotheses if number == 1 else hypotheses.type2_hypotheses
    return find(structure, kept, root)


def summary_with_tests(summary: Summary, fit: MixedResults, ddf: str) -> Summary:
    """The summary with a test of every fixed effect beside its estimate."""
    table = t_table(fit, np.eye(len(fit.params)), ddf)
    label = denominator(fit, ddf).label
    letter = "z" if parse_ddf(fit, ddf) == "none" else "t"
    return replace(
        summary,
        title=f"{summary.title}. {letter}-tests use {label}",
        coefficients=table.frame.set_axis(fit.params.index),
        notes=(*summary.notes, *table.notes),
    )
