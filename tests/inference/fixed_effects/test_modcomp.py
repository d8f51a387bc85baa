"""Comparisons of fixed parts: restriction matrices, notes and refusals."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.inference.fixed_effects.modcomp import restriction_matrix

DATA = pd.read_csv(Path(__file__).parents[1] / "reference" / "unbalanced.csv")
COMPARISONS = (mixfit.kr_modcomp, mixfit.sat_modcomp)


@cache
def fitted(fixed: str, random: str = "(1 | g)", reml: bool = True, **options: Any) -> Any:
    return mixfit.mixed(f"y ~ {fixed} + {random}", DATA, **options).fit(reml=reml)


def test_a_matrix_or_mapping_restricts_as_a_fit_does() -> None:
    large, small = fitted("a * b + x"), fitted("a * b")
    names = list(large.params.index)
    row = [float(name == "x") for name in names]
    for compare in COMPARISONS:
        wanted = compare(large, small).frame
        for restriction in (row, [row], {"x": 1}, {"x": -3.0}):
            np.testing.assert_allclose(compare(large, restriction).frame, wanted, rtol=1e-9)


def test_any_coding_of_the_smaller_model_will_do() -> None:
    large = fitted("a * b + x")
    one = mixfit.kr_modcomp(large, fitted("a + b + x")).frame
    other = mixfit.kr_modcomp(large, fitted("C(a, contr.sum) + C(b, contr.poly) + x")).frame
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_rows_of_the_restriction() -> None:
    X = np.random.default_rng(0).normal(size=(30, 5))
    X0 = X @ np.random.default_rng(1).normal(size=(5, 3))
    L = restriction_matrix(X, X0)
    np.testing.assert_allclose(L @ L.T, np.eye(2), atol=1e-12)
    inside = np.linalg.lstsq(X, X0, rcond=None)[0]
    np.testing.assert_allclose(L @ inside, 0.0, atol=1e-10)


def test_fits_by_maximum_likelihood_are_refitted_and_the_table_says_so() -> None:
    large, small = fitted("a + x", reml=False), fitted("a", reml=False)
    for compare in COMPARISONS:
        table = compare(large, small)
        assert any("refitted by REML" in note for note in table.notes)
        assert len(table.notes) == 1
        reml = compare(fitted("a + x"), fitted("a"))
        np.testing.assert_allclose(table.frame, reml.frame, rtol=1e-6)
        assert not reml.notes


def test_tables_print_the_formulas() -> None:
    text = str(mixfit.kr_modcomp(fitted("a + x"), fitted("a")))
    assert text.splitlines()[:3] == [
        "large : y ~ a + x + (1 | g)",
        "small : y ~ a + (1 | g)",
        text.splitlines()[2],
    ]
    assert text.splitlines()[2].split() == ["stat", "ndf", "ddf", "F.scaling", "p.value"]
    assert "L =" in str(mixfit.sat_modcomp(fitted("a + x"), {"x": 1}))


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (lambda: fitted("a"), lambda: fitted("x"), "not nested"),
        (lambda: fitted("a + x"), lambda: fitted("b + z + w"), "not nested"),
        (lambda: fitted("a"), lambda: fitted("C(a, contr.sum)"), "same fixed effects"),
        (lambda: fitted("a"), lambda: fitted("1", "(x | g)"), "random terms"),
        (lambda: fitted("a"), lambda: fitted("1", "(1 | h)"), "random terms"),
        (lambda: fitted("a"), lambda: fitted("1", weights="w"), "weights"),
        (lambda: fitted("a"), lambda: fitted("1", offset="x"), "offset"),
        (lambda: fitted("a"), lambda: mixfit.mixed("y ~ 1 + (1 | g)", DATA[5:]).fit(), "rows"),
        (lambda: fitted("a"), lambda: mixfit.mixed("z ~ 1 + (1 | g)", DATA).fit(), "responses"),
        (lambda: fitted("a"), lambda: mixfit.mixed("y ~ 1 + (1 | g)", DATA[::-1]).fit(), "rows"),
        (lambda: fitted("a"), lambda: {"b": 1}, "no fixed effect"),
        (lambda: fitted("a"), lambda: [0, 0, 0], "nothing to test"),
    ],
)
def test_what_cannot_be_compared(compare: Any, first: Any, second: Any, message: str) -> None:
    with pytest.raises(FitError, match=message):
        compare(first(), second())


def test_generalized_fits_are_refused() -> None:
    herds = mixfit.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = mixfit.mixed(formula, herds, family="binomial").fit()
    with pytest.raises(FitError, match="GeneralizedResults"):
        mixfit.kr_modcomp(fit, [0, 1, 0, 0])
    with pytest.raises(FitError, match="GeneralizedResults"):
        mixfit.kr_modcomp(fitted("a"), fit)
