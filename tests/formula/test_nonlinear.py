"""The three parts of a nonlinear formula."""

from __future__ import annotations

import pytest

from mixfit.errors import FormulaError
from mixfit.formula.nonlinear import fixed_terms, parse_nonlinear


@pytest.mark.parametrize(
    ("effects", "random"),
    [
        ("Asym | Tree", ("(0 + Asym | Tree)",)),
        ("(Asym + xmid | Tree)", ("(0 + Asym + xmid | Tree)",)),
        ("(0 + Asym | g/h) + (xmid | k)", ("(0 + Asym | g/h)", "(0 + xmid | k)")),
        ("(Asym + xmid || Tree)", ("(1 | Tree)", "(0 + Asym | Tree)", "(0 + xmid | Tree)")),
        ("(0 + Asym + xmid || Tree)", ("(0 + Asym | Tree)", "(0 + xmid | Tree)")),
        ("diag(Asym + xmid | Tree)", ("diag(0 + Asym + xmid | Tree)",)),
        ("(1 | Tree)", ("(1 | Tree)",)),
    ],
)
def test_random_terms_are_of_parameters(effects: str, random: tuple[str, ...]) -> None:
    assert parse_nonlinear(f"y ~ SSlogis(x, Asym, xmid, scal) ~ {effects}").random == random


def test_names_of_the_curve_leave_functions_out() -> None:
    parsed = parse_nonlinear("log(y) ~ a * np.exp(-k * f(t)) ~ 0 + a + k + (a | g)")
    assert (parsed.names, parsed.fixed, parsed.response) == (("a", "k", "t"), "0 + a + k", "log(y)")


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ x + (1 | g)", "three parts"),
        ("y ~ a * ~ a | g", "no expression"),
        ("y ~ a * t ~ a", "no random term"),
        ("y ~ a * t ~ (0 | g)", "not a list of parameters"),
        ("y ~ a * t ~ (a + | g)", "not a list of parameters"),
        (3, "string"),
    ],
)
def test_what_cannot_be_read_is_said(formula: object, words: str) -> None:
    with pytest.raises(FormulaError, match=words):
        parse_nonlinear(formula)  # type: ignore[arg-type]


def test_formulas_of_parameters() -> None:
    names = ["Asym", "xmid", "scal"]
    assert fixed_terms([], names) == "Asym + xmid + scal"
    assert fixed_terms(["Asym + xmid ~ x"], names) == "Asym + Asym:(x) + xmid + xmid:(x) + scal"
    assert fixed_terms(["Asym ~ 1"], names) == "Asym + xmid + scal"
    for wrong in ("Asyn ~ x", "x", "Asym ~ x ~ y"):
        with pytest.raises(FormulaError, match="one a parameter among Asym"):
            fixed_terms([wrong], names)
    with pytest.raises(FormulaError, match="one a parameter"):
        fixed_terms(["Asym ~ x", "Asym ~ z"], names)
