"""The page on formulas: every claim about what a formula makes, and every number in its prose."""

from __future__ import annotations

import re

import numpy as np
import pytest

import mixfit
from mixfit.errors import DataError, FormulaError
from tests.docs.pages import run

PAGE = "formula.md"

# fixef of lme4 1.1-31 (R 4.2.2): lmer(Reaction ~ stage + (1 | Subject), sleepstudy, contrasts = list(stage = ...)).
LME4_CONTRASTS = {
    "contr.treatment": [262.169820, 31.216809, 67.432571],
    "contr.SAS": [329.602392, -67.432571, -36.215762],
    "contr.sum": [295.0529472, -32.8831269, -1.6663176],
    "contr.helmert": [295.052947, 15.608405, 17.274722],
    "contr.poly": [295.0529472, 47.6820284, 2.0408139],
}


def test_contrasts_are_lme4s() -> None:
    coded = run(PAGE).names["coded"]
    for coding, expected in LME4_CONTRASTS.items():
        np.testing.assert_allclose(coded[coding].params, expected, rtol=3e-8)
    deviances = [fit.deviance for fit in coded.values()]
    np.testing.assert_allclose(deviances, deviances[0], rtol=0, atol=1e-7)
    steps = coded["contr.diff"].params.to_numpy()
    np.testing.assert_allclose(steps[1:], np.diff([0, *coded["contr.treatment"].params[1:]]))


@pytest.mark.parametrize(
    ("coding", "like"),
    [
        ("Treatment", "contr.treatment"),
        ("Treatment('late')", "contr.treatment('late')"),
        ("Sum", "contr.sum"),
        ("Helmert", "contr.helmert"),
        ("Poly", "contr.poly"),
        ("Diff", "contr.diff"),
        ("[[0, 0], [1, 0], [0, 1]]", "contr.treatment"),
    ],
)
def test_names_of_patsy_and_matrices(coding: str, like: str) -> None:
    names = run(PAGE).names
    fit = mixfit.mixed(f"Reaction ~ C(stage, {coding}) + (1 | Subject)", names["sleep"]).fit(reml=False)
    np.testing.assert_allclose(fit.params, names["coded"][like].params, rtol=1e-9)


def test_the_response() -> None:
    page = run(PAGE)
    intercept, slope = page.names["speed"].params
    assert round(intercept) == 4
    page.says(f"lose {-slope:.2f} of one each day")
    counts, proportions, animals = page.names["forms"].values()
    np.testing.assert_allclose(proportions.params, counts.params, rtol=1e-10)
    np.testing.assert_allclose(animals.params, counts.params, rtol=1e-7)
    assert counts.llf == pytest.approx(proportions.llf, abs=1e-9)
    from scipy.special import gammaln

    cbpp = page.names["cbpp"]
    n, y = cbpp["size"], cbpp["incidence"]
    constant = float((gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)).sum())
    assert counts.llf - animals.llf == pytest.approx(constant, abs=1e-7)


def test_columns() -> None:
    columns = run(PAGE).names["columns"]
    assert columns("Days + Days**2") == columns("Days")
    assert columns("Days * parity") == columns("Days + parity + Days:parity")
    assert columns("parity / Days") == columns("parity + parity:Days") == columns("Days %in% parity")
    assert columns("0 + stage") == columns("stage - 1") == ["stage[early]", "stage[middle]", "stage[late]"]
    assert columns("factor(Days)")[1] == "factor(Days)[T.1]"
    every = columns(".", run(PAGE).names["sleep"][["Reaction", "Days", "Subject", "parity"]])
    assert every == ["Intercept", "Days", "parity[T.odd]"]
    # Table of differences: text sorted by code point, ordered factors by treatment contrasts.
    assert run(PAGE).names["sleep"]["stage"].cat.ordered
    text = run(PAGE).names["sleep"].assign(t=["b", "B"] * 90)
    assert columns("t", text) == ["Intercept", "t[T.b]"]


def test_natural_splines_are_those_of_r() -> None:
    sleep = run(PAGE).names["sleep"]
    fit = mixfit.mixed("Reaction ~ cr(Days, df=3, constraints='center') + (1 | Subject)", sleep).fit(reml=False)
    # deviance(lmer(Reaction ~ ns(Days, df = 3) + (1 | Subject), sleepstudy, REML = FALSE)), lme4 1.1-31
    assert fit.deviance == pytest.approx(1793.029692, abs=1e-6)


def test_offset() -> None:
    names = run(PAGE).names
    assert names["beyond"].params["Days"] == pytest.approx(names["whole"].params["Days"] - 10, rel=1e-9)


def test_random_terms() -> None:
    page = run(PAGE)
    sizes = [(row["term"], row["levels"], row["variances"], row["correlations"]) for row in page.names["rows"]]
    assert sizes == [
        ("(1 | Subject)", 18, 1, 0),
        ("(Days | Subject)", 18, 2, 1),
        ("(0 + Days | Subject)", 18, 1, 0),
        ("(Days || Subject)", 18, 2, 0),
        ("(parity | Subject)", 18, 2, 1),
        ("(0 + parity | Subject)", 18, 2, 1),
        ("(parity || Subject)", 18, 2, 0),
        ("(Days + parity | Subject)", 18, 3, 3),
        ("(1 | batch/cask)", 10, 1, 0),
        ("(1 | batch/cask)", 30, 1, 0),
        ("(1 | batch:cask)", 30, 1, 0),
    ]
    assert page.names["model"].exog_re.shape[1] == 36
    page.says("one for each subject's slope, 36 in all")


def test_equal_models_have_equal_deviances() -> None:
    same = run(PAGE).names["same"]
    assert same["equal"].tolist() == [True] * 6 + [False] * 2
    apart = (same["deviance of one"] - same["deviance of other"]).abs()
    assert apart[:6].max() < 1e-7
    assert apart[6:].min() > 30


def test_what_is_refused_is_refused_with_advice() -> None:
    page = run(PAGE)
    for said in (
        "no column 'Dys'. Did you mean 'Days'?",
        "Put parentheses around random terms",
        "The formula has no random term",
        "'night' has one level (same)",
        "'row' has 180 levels for 180 observations",
        "`*` cannot stand in a grouping factor",
        "wrap arithmetic in I()",
        "there is no covariance structure of this name",
        "A natural cubic spline is cr(",
        "R's as.factor(x) is C(x) here",
        "Missing values (rows) in: Days (1).",
    ):
        assert " ".join(page.printed.split()).count(said) == 1
    assert page.printed.count("Error: ") == page.text.count('refused("') + 1
    assert page.names["twice"].aliased == ("I(2 * Days)",)


@pytest.mark.parametrize("name", ["banded"])
def test_names_of_no_structure_are_refused(name: str) -> None:
    with pytest.raises(FormulaError, match="there is no covariance structure of this name"):
        mixfit.mixed(f"Reaction ~ {name}(0 + Days | Subject)", run(PAGE).names["sleep"])


def test_an_effect_for_each_row_of_a_generalized_model() -> None:
    cbpp = run(PAGE).names["cbpp"].assign(row=range(56))
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd) + (1 | row)"
    assert mixfit.mixed(formula, cbpp, family="binomial").groups["row"].n_levels == 56


def test_attributes_of_the_table_exist() -> None:
    page = run(PAGE)
    model = page.names["model"]
    attributes = re.findall(r"^\| (`model\..*?) \|", page.text, flags=re.MULTILINE)
    assert len(attributes) == 8
    named = [name for cell in attributes for name in re.findall(r"`(?:model)?\.(\w+)(?:\.(\w+))?`", cell)]
    for first, second in named:
        owner = model if hasattr(model, first) else model.design
        assert hasattr(owner, first), first
        assert not second or hasattr(getattr(owner, first), second), second


def test_structures_of_the_page_are_fitted_as_it_says() -> None:
    page = run(PAGE)
    for shown in ("(ar1)", "(homtoep)", "rate ", "(ou)", "(exp)", "smoothness ", "(mat)"):
        assert shown in page.printed
    fit, logger = page.names["fit"], page.names["logger"]
    assert fit.converged
    far, near = fit.predict(page.names["pd"].DataFrame({"x": [500.0, 5.0], "y": [500.0, 5.0], "farm": "one"}), se=True)[
        "mean_se"
    ]
    assert far > near
    series = mixfit.mixed("flow ~ 1 + ar1(0 + hour | all)", logger.assign(all="one")).fit()
    assert series.converged
    with pytest.raises(DataError, match="Write ou"):
        mixfit.mixed("flow ~ 1 + ar1(0 + minute | tree)", logger)
