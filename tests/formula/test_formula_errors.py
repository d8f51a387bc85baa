"""Formulas that cannot be read: the message and the place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixfit.errors import FormulaError
from mixfit.formula import parse

BAD = [
    # formula, part of the message, what the carets stand under (None for the formula as a whole)
    ("y ~ x | g", "parentheses around random terms", "|"),
    ("y | z ~ (1|g)", "parentheses around random terms", "|"),
    ("y ~ x", "no random term", None),
    ("y ~", "no random term", None),
    ("", "no response", None),
    ("y + (1|g)", "no response", None),
    ("~ x + (1|g)", "no response", None),
    ("y + z ~ (1|g)", "one column or one expression", "y + z"),
    ("1 ~ (1|g)", "one column or one expression", "1"),
    ("y ~ x + (1|g", "matching parenthesis", "("),
    ("y ~ (1|g))", "matching parenthesis", ")"),
    ("y ~ x^.. + (1|g)", "not Python", None),
    ("y ~ [x] + (1|g)", "Square brackets", "["),
    ("y ~ (1|g]", "Square brackets", "]"),
    ("y ~ log(x + (1|g)", "before quote context was closed", "log(x + (1|g)"),
    ("y ~ x (1|g)", "Missing operator", "x ("),
    ("y ~ x ~ (1|g)", "mixfit.nonlinear", "~"),
    ("y ~ a * exp(-k * t) ~ a | g", "mixfit.nonlinear", "~"),
    ("y ~ SSlogis(t, A, m, s) ~ (A | g) + (m || g)", "mixfit.nonlinear", "~"),
    ("y ~ x * + (1|g)", "insufficient arguments", "* +"),
    ("y ~ x $ (1|g)", "Unknown operator '$'", "$"),
    ("y ~ f(x y) + (1|g)", "not a Python expression", "f(x y)"),
    ("y ~ as.factor(x) + (1|g)", "R's as.factor(x) is C(x) here", "as.factor(x)"),
    ("y ~ 2 + (1|g)", "Numeric literals", "2"),
    ("y ~ 'a' + (1|g)", "String literals", "'a'"),
    ("y ~ (1|g|h|i)", "Two bars", "|"),
    ("y ~ (|g)", "Nothing stands on the left", "|"),
    ("y ~ (1|)", "Nothing stands on the right", "|"),
    ("y ~ x + (1 ||| g)", "cannot be read", "|||"),
    ("y ~ (1|a+b)", "`+` cannot stand in a grouping factor", "+"),
    ("y ~ (1|a*b)", "`*` cannot stand in a grouping factor", "*"),
    ("y ~ (1|1)", "`1` cannot stand in a grouping factor", "1"),
    ("y ~ (1|'g')", "cannot stand in a grouping factor", "'g'"),
    ("y ~ (2|g)", "`2` cannot stand left of a bar", "(2|g)"),
    ("y ~ (0|g)", "No column is left", "(0|g)"),
    ("y ~ (offset(x)|g)", "offset(...) cannot stand left", "(offset(x)|g)"),
    ("y ~ ((1|a)|b)", "cannot stand left of a bar", "((1|a)|b)"),
    ("y ~ x*(1|g)", "can only be added", "g"),
    ("y ~ (1|g):x", "can only be added", "g"),
    ("y ~ x - (1|g)", "can only be added", "(1|g)"),
    ("y ~ (1|g) + (1|g)", "(1 | g) is said twice: (1 | g) is the same", "(1|g)"),
    ("y ~ (x|g) + (1 + x|g)", "(1 + x | g) is said twice: (x | g) is the same", "(1 + x|g)"),
    ("y ~ (1|h:g) + (1|g/h)", "(1 | g:h) is said twice: (1 | h:g) is the same", "(1|g/h)"),
    ("y ~ (1|g) + (1|g/h)", "(1 | g) is said twice: (1 | g) is the same", "(1|g/h)"),
    ("y ~ x:offset(z) + (1|g)", "offset is added on its own", "x"),
    ("y ~ offset(a, b) + (1|g)", "offset is added on its own", "offset(a, b)"),
    ("y ~ arr1(0 + time | g)", "Did you mean `ar1`? The structures are us,", "arr1(0 + time | g)"),
    ("y ~ x + Toep(time | g) + (1 | g)", "Did you mean `toep`?", "Toep(time | g)"),
    ("y ~ banded(0 + time | g)", "no covariance structure of this name. The structures", "banded(0 + time | g)"),
    ("cbind(a) ~ (1|g)", "cbind takes two columns", "cbind(a)"),
    ("censored(a) ~ (1|g)", "censored takes two columns: censored(time, event)", "censored(a)"),
]


@pytest.mark.parametrize(("formula", "message", "place"), BAD)
def test_message_and_place(formula, message, place):
    with pytest.raises(FormulaError) as caught:
        parse(formula)
    text = str(caught.value)
    assert message in text
    shown = text.split("\n\n")[1].split("\n")
    assert shown[0][4:] == formula
    if place is None:
        assert len(shown) == 1
    else:
        marked = "".join(char for char, mark in zip(shown[0], shown[1], strict=False) if mark == "^")
        assert marked == place


def test_no_random_term_points_to_statsmodels():
    with pytest.raises(FormulaError, match=r"statsmodels\.formula\.api\.ols"):
        parse("y ~ x")


def test_no_escape_codes_reach_the_user():
    with pytest.raises(FormulaError) as caught:
        parse("y ~ x $ (1|g)")
    assert "\x1b" not in str(caught.value)


def test_a_dot_that_stands_for_nothing():
    with pytest.raises(FormulaError, match=r"`\.` stands for no column"):
        parse("y ~ . + (1|g)", ())


def test_a_formula_is_a_string():
    with pytest.raises(FormulaError, match="not list"):
        parse(["y ~ (1|g)"])


def test_mistakes_are_reported_again_after_a_first_time():
    for _ in range(2):
        with pytest.raises(FormulaError, match="no random term"):
            parse("y ~ twice")


@given(st.text(alphabet="yxg01|()+-*:/~^ .`'", max_size=14))
def test_any_text_is_read_or_refused_with_a_formula_error(text):
    try:
        formula = parse(text)
    except FormulaError:
        return
    assert formula.random
    assert all(term.groups and term.terms for term in formula.random) or formula.uses_dot
