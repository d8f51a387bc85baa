"""Changes of formulas, as those of R's update.formula (terms in R 4, random terms as lme4's update keeps them)."""

from __future__ import annotations

import pytest

from mixfit.errors import FormulaError
from mixfit.formula import parse
from mixfit.formula.update import update_formula

OLD = "y ~ a * b + offset(e) + (a | g) + (1 | h/k)"

CHANGES = [
    (". ~ .", "y ~ a + b + a:b + offset(e) + (a | g) + (1 | h) + (1 | h:k)"),
    ("~ .", "y ~ a + b + a:b + offset(e) + (a | g) + (1 | h) + (1 | h:k)"),
    (". ~ . - a:b", "y ~ a + b + offset(e) + (a | g) + (1 | h) + (1 | h:k)"),
    (". ~ . - a*b", "y ~ offset(e) + (a | g) + (1 | h) + (1 | h:k)"),
    (". ~ . + log(c) - offset(e)", "y ~ a + b + log(c) + a:b + (a | g) + (1 | h) + (1 | h:k)"),
    ("log(.) ~ . - 1", "log(y) ~ 0 + a + b + a:b + offset(e) + (a | g) + (1 | h) + (1 | h:k)"),
    ("z ~ . - (1 | h/k)", "z ~ a + b + a:b + offset(e) + (a | g)"),
    (". ~ . - (1 + a | g) + (1 | g)", "y ~ a + b + a:b + offset(e) + (1 | h) + (1 | h:k) + (1 | g)"),
    (". ~ . - (1 | k:h) - (1 | h) - (a | g) + ar1(0 + t | g)", "y ~ a + b + a:b + offset(e) + ar1(0 + t | g)"),
    (". ~ a + (1 | g)", "y ~ a + (1 | g)"),
    (". ~ . + `my x` - a - b - a:b - offset(e)", "y ~ `my x` + (a | g) + (1 | h) + (1 | h:k)"),
]


@pytest.mark.parametrize(("change", "wanted"), CHANGES)
def test_change(change: str, wanted: str) -> None:
    found = update_formula(OLD, change)
    assert found == wanted
    assert parse(found, random=None) == parse(wanted, random=None)


def test_the_dot_within_a_product() -> None:
    assert update_formula("y ~ a + b + (1 | g)", ". ~ . * c") == "y ~ a + b + c + a:c + b:c + (1 | g)"
    assert update_formula("y ~ a + b + (1 | g)", ". ~ (. + c)**2 - c") == "y ~ a + b + a:b + a:c + b:c + (1 | g)"


def test_numbers_and_exponents_have_signs_of_their_own() -> None:
    assert update_formula("y ~ a + (1 | g)", ". ~ . + I(b**-1) + I(1e-3 * c)").startswith("y ~ a + I(")


def test_no_constant_stays_none_until_it_is_added() -> None:
    assert update_formula("y ~ 0 + a + (1 | g)", ". ~ . + b") == "y ~ 0 + a + b + (1 | g)"
    assert update_formula("y ~ 0 + a + (1 | g)", ". ~ . + 1") == "y ~ a + (1 | g)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("- a", "is no change"),
        (". ~ . - c", r"c cannot be taken away: the fixed terms are 1, a, b, a:b, offset\(e\)"),
        (". ~ . - (1 | g)", r"\(1 \| g\) cannot be taken away: the random terms are \(a \| g\), "),
        (". ~ . + (a |", "."),
    ],
)
def test_what_cannot_be_changed_is_refused(change: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        update_formula(OLD, change)


def test_a_dot_for_columns_is_not_taken_for_terms() -> None:
    with pytest.raises(FormulaError, match="all other columns"):
        update_formula("y ~ . + (1 | g)", ". ~ . - a")
