"""Formulas that can be read, and what they mean."""

import pickle

import pytest

from mixfit.covariance import registry
from mixfit.covariance.unstructured import Unstructured
from mixfit.formula import parse


def terms(formula):
    return [repr(term) for term in formula.fixed]


def random(text):
    return [
        ([repr(column) for column in term.terms], term.group, term.structure) for term in parse(f"y ~ {text}").random
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(1|g)", [(["1"], "g", "us")]),
        ("(x|g)", [(["1", "x"], "g", "us")]),
        ("(1 + x | g)", [(["1", "x"], "g", "us")]),
        ("(0+x|g)", [(["x"], "g", "us")]),
        ("(x + 0|g)", [(["x"], "g", "us")]),
        ("(-1+x|g)", [(["x"], "g", "us")]),
        ("(x - 1|g)", [(["x"], "g", "us")]),
        ("(x||g)", [(["1", "x"], "g", "diag")]),
        ("(0 + f || g)", [(["f"], "g", "diag")]),
        ("(1|g1/g2)", [(["1"], "g1", "us"), (["1"], "g1:g2", "us")]),
        ("(1|a/b/c)", [(["1"], "a", "us"), (["1"], "a:b", "us"), (["1"], "a:b:c", "us")]),
        ("us(x | g)", [(["1", "x"], "g", "us")]),
        ("diag(0 + f | a/b)", [(["f"], "a", "diag"), (["f"], "a:b", "diag")]),
        ("us(0 + exp(x) | `a b`)", [(["exp(x)"], "a b", "us")]),
        ("us(x | g) + (1|us)", [(["1", "x"], "g", "us"), (["1"], "us", "us")]),
        ("(x||a/b)", [(["1", "x"], "a", "diag"), (["1", "x"], "a:b", "diag")]),
        ("(1|g1:g2)", [(["1"], "g1:g2", "us")]),
        ("(1|g1:g2:g3)", [(["1"], "g1:g2:g3", "us")]),
        ("(1 + f*x | g)", [(["1", "f", "x", "f:x"], "g", "us")]),
        ("(f:x + x | g)", [(["1", "x", "f:x"], "g", "us")]),
        ("(poly(x, 2) | g)", [(["1", "poly(x, 2)"], "g", "us")]),
        ("(1|factor(g))", [(["1"], "factor(g)", "us")]),
        ("(1|`a group`)", [(["1"], "a group", "us")]),
        ("((x|g))", [(["1", "x"], "g", "us")]),
        ("(1|a) + (0 + x|a) + (1|b)", [(["1"], "a", "us"), (["x"], "a", "us"), (["1"], "b", "us")]),
    ],
)
def test_random_terms(text, expected):
    assert random(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y ~ (1|g)", ["1"]),
        ("y ~ 1 + (1|g)", ["1"]),
        ("y ~ x + (1|g)", ["1", "x"]),
        ("y ~ (1|g) + x", ["1", "x"]),
        ("y ~ 0 + x + (1|g)", ["x"]),
        ("y ~ -1 + x + (1|g)", ["x"]),
        ("y ~ x - 1 + (1|g)", ["x"]),
        ("y~-1+x+(1|g)", ["x"]),
        ("y ~ a*b + (1|g)", ["1", "a", "b", "a:b"]),
        ("y ~ a:b + b + (1|g)", ["1", "b", "a:b"]),
        ("y ~ (a + b + c)^2 + (1|g)", ["1", "a", "b", "c", "a:b", "a:c", "b:c"]),
        ("y ~ a/b + (1|g)", ["1", "a", "a:b"]),
        ("y ~ log(x) + np.log(x) + (1|g)", ["1", "log(x)", "np.log(x)"]),
        ("y ~ C(x, contr.sum) + bs(z, df=4) + (1|g)", ["1", "C(x, contr.sum)", "bs(z, df=4)"]),
        ("y ~ my.x + (1|g)", ["1", "my.x"]),
    ],
)
def test_fixed_terms(text, expected):
    assert terms(parse(text)) == expected


def test_bar_in_a_python_call_is_no_random_term():
    formula = parse("y ~ I((a > 1) | (b > 2)) + (1|g)")
    assert terms(formula) == ["1", "I((a > 1) | (b > 2))"]
    assert len(formula.random) == 1


def test_power_sign_means_power_inside_calls_but_not_inside_quotes():
    formula = parse("y ~ I(x^2) + Q('a^b') + I(`c^d`^3) + (1|g)")
    assert terms(formula) == ["1", "I(x ** 2)", "Q('a^b')", "I(`c^d` ** 3)"]


@pytest.mark.parametrize("response", ["y", "log(y)", "np.log(y)", "I(a - b)", "poly(y, 2)"])
def test_response(response):
    parsed = parse(f"{response} ~ x + (1|g)").response
    assert parsed.text == response
    assert parsed.arguments is None


def test_backticked_response():
    assert parse("`my y` ~ (1|g)").response.text == "my y"


def test_cbind_keeps_its_arguments():
    response = parse("cbind(incidence, `herd size` - incidence) ~ period + (1|herd)").response
    assert response.arguments == ("incidence", "`herd size` - incidence")
    assert "cbind" not in parse("cbind(a, b) ~ (1|g)").variables


def test_censored_keeps_time_and_event():
    response = parse("censored(time, status == 2) ~ x + (1|g)").response
    assert response.function == "censored"
    assert response.arguments == ("time", "status == 2")
    assert "censored" not in parse("censored(time, event) ~ (1|g)").variables
    assert parse("log(y) ~ (1|g)").response.function is None


def test_offsets_are_taken_out_of_the_fixed_terms():
    formula = parse("y ~ offset(log(exposure)) + x + offset(`a b`) + (1|g)")
    assert formula.offsets == ("log(exposure)", "`a b`")
    assert terms(formula) == ["1", "x"]
    assert "exposure" in formula.variables
    assert "offset" not in formula.variables


def test_variables_are_all_the_names_that_data_must_have():
    formula = parse("log(y) ~ f*poly(`x x`, 2) + Q('q') + offset(o) + (z.fillna(0)|a/b)")
    functions = {"log", "poly", "Q"}
    assert set(formula.variables) - functions == {"y", "f", "x x", "q", "o", "z", "a", "b"}


def test_names_bound_inside_an_expression_are_not_variables():
    names = parse("y ~ I([v * k for v in x]) + I(x.map(lambda w: w + 1)) + (1|g)").variables
    assert set(names) - {"I"} == {"y", "k", "x", "g"}


def test_dot_needs_columns_to_mean_something():
    assert parse("y ~ . + (1|g)").uses_dot
    assert terms(parse("y ~ . + (1|g)")) == ["1"]
    assert terms(parse("y ~ . + (1|g)", ("a", "b"))) == ["1", "a", "b"]
    assert terms(parse("y ~ ./f + (.|g)")) == ["1"]
    assert terms(parse("y ~ ./f + (.|g)", ("a", "b"))) == ["1", "a", "b", "a:b:f"]
    assert random("(.|g)") == [(["1"], "g", "us")]
    assert random("(0 + .|g)") == [([], "g", "us")]
    assert "." not in parse("y ~ . + (.|g)").variables
    assert not parse("y ~ my.x + (1|g)").uses_dot


def test_text_of_a_term_is_as_written_with_one_group():
    assert [t.text for t in parse("y ~ x + ( 1+x |a/b)").random] == ["(1+x | a)", "(1+x | a:b)"]
    assert parse("y ~ (x||g)").random[0].text == "(x || g)"


def test_line_breaks_are_blanks():
    assert parse("y ~ x +\n\t(1 | g)").random == parse("y ~ x +  (1 | g)").random


def test_whitespace_changes_nothing():
    spaced, tight = parse("y  ~  x  +  ( x  |  g )"), parse("y~x+(x|g)")
    assert spaced.fixed == tight.fixed
    assert spaced.random[0].terms == tight.random[0].terms
    assert spaced.random[0].text == tight.random[0].text


def test_same_text_is_read_once():
    assert parse("y ~ x + (1 | cached)") is parse("y ~ x + (1 | cached)")


def test_a_structure_registered_later_is_seen(monkeypatch):
    text = "y ~ x + (1 | g) + latecomer(x | h)"
    assert len(parse(text).random) == 1
    monkeypatch.setattr(registry, "_STRUCTURES", {**registry._STRUCTURES, "latecomer": Unstructured})
    assert [term.structure for term in parse(text).random] == ["us", "latecomer"]


def test_formula_pickles():
    formula = parse("log(y) ~ a*b + offset(o) + (x||g/h)")
    assert pickle.loads(pickle.dumps(formula)) == formula


def test_a_bar_inside_a_function_is_pythons():
    formula = parse("y ~ C(a | b) + I(a | b) + union(a | b) + (1 | g)")
    assert [str(term) for term in formula.fixed] == ["1", "C(a | b)", "I(a | b)", "union(a | b)"]
