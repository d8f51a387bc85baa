"""Statements on the fixed effects as text: what they are read as, and that tests are those of contrasts."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

import mixfit
from mixfit.errors import FitError, FormulaError
from mixfit.inference.fixed_effects.statements import read_statements
from tests.inference.fits import herds

NAMES = ["Intercept", "Days", "a[T.x, y]", "a[T.x, y]:Days", "day", "poly(x, 2)[1]"]


@cache
def sleep() -> Any:
    return mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()


@pytest.mark.parametrize(
    ("text", "row", "value", "sign"),
    [
        ("Days", [0, 1, 0, 0, 0, 0], 0.0, 0),
        ("Days == 10", [0, 1, 0, 0, 0, 0], 10.0, 0),
        ("Days = -10", [0, 1, 0, 0, 0, 0], -10.0, 0),
        ("(Intercept) > 2e2", [1, 0, 0, 0, 0, 0], 200.0, 1),
        ("2 * Days - day/4 < 1 + .5", [0, 2, 0, 0, -0.25, 0], 1.5, -1),
        ("a[T.x, y]:Days = a[T.x, y]", [0, 0, -1, 1, 0, 0], 0.0, 0),
        ("`a[T.x, y]` - 1e-3 * `poly(x, 2)[1]` = 0", [0, 0, 1, 0, 0, -0.001], 0.0, 0),
        ("(Days + day) / 2 = 3 - Intercept", [1, 0.5, 0, 0, 0.5, 0], 3.0, 0),
        ("0 = Days", [0, -1, 0, 0, 0, 0], 0.0, 0),
    ],
)
def test_what_is_read(text: str, row: list[float], value: float, sign: int) -> None:
    (one,) = read_statements(text, NAMES)
    np.testing.assert_allclose(one.row, row)
    assert (one.value, one.sign) == (pytest.approx(value), sign)


@pytest.mark.parametrize("written", ["I(x**2)", "I( x ** 2 )", "`I(x**2)`", "I(x ** 2)"])
def test_names_are_found_whatever_their_spaces(written: str) -> None:
    names = ["Intercept", "x", "I(x ** 2)", "city[T.New York]"]
    (read,) = read_statements(f"{written} - city[T.New York] = 2*x", names)
    assert read.row.tolist() == [0.0, -2.0, 1.0, -1.0]
    with pytest.raises(FormulaError):
        read_statements("city[T.NewYork] = 0", names)


def test_several_statements_are_separated_by_commas_outside_of_names() -> None:
    read = read_statements(["Days = 1, a[T.x, y] > poly(x, 2)[1]", "day < 0"], NAMES)
    assert [s.text for s in read] == ["Days = 1", "a[T.x, y] > poly(x, 2)[1]", "day < 0"]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("Dys = 1", FormulaError, "no fixed effect 'Dys'.*Did you mean 'Days'"),
        ("Days = 1 = 2", FormulaError, "two statements"),
        ("Days * day = 1", FormulaError, "cannot be read"),
        ("Days = = 1", FormulaError, "two statements"),
        ("Days = ", FormulaError, "cannot be read"),
        ("Days = 'a'", FormulaError, "cannot be read"),
        ("", FormulaError, "no statement"),
        ("1 = 1", FitError, "none of the fixed effects"),
        ("Days <= 1", FitError, "Write what is claimed"),
        ("Days != 1", FitError, "Write what is claimed"),
    ],
)
def test_what_is_refused(text: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        read_statements(text, NAMES)


@pytest.mark.parametrize("ddf", [None, "kenward-roger", "z"])
def test_equalities_are_the_joint_contrast(ddf: str | None) -> None:
    tests = sleep().test("Days = 10, Intercept = 250", ddf=ddf)
    wanted = sleep().contest(np.eye(2)[::-1], rhs=[10.0, 250.0], ddf=ddf)
    np.testing.assert_allclose(tests.equalities.frame, wanted.frame)
    assert tests.equalities.frame.index.tolist() == ["Days = 10, Intercept = 250"]
    assert tests.inequalities is None
    assert tests.pvalue == wanted.frame.iloc[0, -1]
    np.testing.assert_allclose(sleep().wald_test("Days = 10, Intercept = 250", ddf=ddf).frame, wanted.frame)


def test_inequalities_are_one_sided_tests_of_the_claim() -> None:
    tests = sleep().test("Days > 8, Days < 8, 2 * Days > 16")
    table = tests.inequalities.frame
    single = sleep().contest([0, 1], rhs=8.0, joint=False).frame.iloc[0]
    above = stats.t.sf(single["t value"], single["df"])
    np.testing.assert_allclose(table["Pr"], [above, 1.0 - above, above])
    with pytest.raises(FitError, match="several p-values"):
        _ = tests.pvalue


def test_asymptotic_claims() -> None:
    table = herds().test("period[T.2] < 0").inequalities.frame
    assert list(table.columns) == ["Estimate", "Std. Error", "z value", "Pr"]
    assert table["Pr"].iloc[0] == pytest.approx(stats.norm.cdf(table["z value"].iloc[0]))


def test_it_prints_both_tables() -> None:
    tests = sleep().test("Days = 10, Intercept > 200")
    assert str(tests) == f"{tests.equalities}\n\n{tests.inequalities}"
    assert tests._repr_html_().count("<table") == 2


def test_contradictions_are_refused() -> None:
    with pytest.raises(FitError, match="contradict"):
        sleep().test("Days = 10, Days = 11")


def test_statsmodels_names() -> None:
    by_text = sleep().t_test("Days = 10, Intercept = 250").frame
    by_rows = sleep().t_test((np.eye(2)[::-1], [10.0, 250.0])).frame
    np.testing.assert_allclose(by_text, by_rows)
    assert by_text.index.tolist() == ["Days = 10", "Intercept = 250"]
    np.testing.assert_allclose(sleep().t_test(np.eye(2)).frame.iloc[:, -1], sleep().pvalues)
    assert sleep().wald_test([0, 1], ddf="z")["Chisq"].iloc[0] == pytest.approx(sleep().tvalues.iloc[1] ** 2)
    with pytest.raises(FitError, match="inequalities are tested by"):
        sleep().t_test("Days > 1")
    with pytest.raises(AttributeError, match=r"contest\(\)"):
        _ = sleep().f_test
