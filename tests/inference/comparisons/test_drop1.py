from __future__ import annotations

import numpy as np
import pytest

import mixfit
from mixfit.errors import ComparisonError, FitError
from mixfit.inference.comparisons.drop1 import term_contrasts
from tests.inference.cases import REFERENCE, assert_column, data, fitted, generalized


@pytest.mark.parametrize("name", [name for name, case in REFERENCE.items() if "drop1" in case])
@pytest.mark.parametrize("reml", [False, True])
def test_agrees_with_lme4(name: str, reml: bool):
    case = REFERENCE[name]
    table = fitted(case["data"], case["formula"], reml).drop1()
    assert list(table.frame.index) == case["drop1"]["rows"]
    for column in ("npar", "AIC", "LRT", "Pr(Chi)"):
        assert_column(table[column], case["drop1"][column])
    assert table.notes == (("REML fit: all models were refitted by ML",) if reml else ())


# drop1(lmer(..., REML = FALSE), test = "Chisq") of lme4 1.1-31 on the cake data, temperature unordered: what is left
# of a model is the space of its formula, however the whole model codes it.
CODINGS = {
    "0 + recipe + temperature": (["recipe", "temperature"], [2, 5], [0.52998559952, 86.10612236708]),
    "recipe + temp + recipe:temp": (["recipe:temp"], [2], [0.0844958438327]),
    "0 + recipe + temperature + recipe:temp": (
        ["temperature", "recipe:temp"],
        [4, 2],
        [6.5780104245907, 0.0870021107448],
    ),
}


@pytest.mark.parametrize("fixed", CODINGS)
def test_what_is_left_is_the_formula_without_the_term(fixed: str):
    rows, npar, lrt = CODINGS[fixed]
    table = fitted("cake", f"angle ~ {fixed} + (1 | recipe:replicate)").drop1()
    assert list(table.frame.index) == ["<none>", *rows]
    assert_column(table["npar"], [None, *npar])
    assert_column(table["LRT"], [None, *lrt])


@pytest.mark.parametrize(
    "fixed", ["0 + recipe + temperature + temp:recipe", "recipe * temperature", "0 + temp + recipe"]
)
def test_agrees_with_models_read_from_the_shorter_formula(fixed: str):
    fit = fitted("cake", f"angle ~ {fixed} + (1 | recipe:replicate)", False)
    table = fit.drop1()
    for term in table.frame.index[1:]:
        shorter = mixfit.mixed(f"angle ~ {fixed} - {term} + (1 | recipe:replicate)", data("cake")).fit(reml=False)
        assert_column(table["LRT"].loc[[term]], [2.0 * (fit.llf - shorter.llf)])
        assert_column(table["AIC"].loc[[term]], [shorter.aic])


def test_weights_offset_and_powers_agree_with_lme4():
    sleep = data("sleepstudy")
    weights = 1.0 + sleep["Days"].to_numpy() % 3
    formula = "Reaction ~ Days + I(Days**2) + (1 | Subject)"
    table = mixfit.mixed(formula, sleep, weights=weights, offset="5 * Days").fit().drop1()
    # lme4 1.1-31
    assert_column(table["LRT"], [None, 1.10902101783, 0.51557149678])
    assert_column(table["AIC"], [1805.24146828, 1804.35048929, 1803.75703977])


@pytest.mark.parametrize(("n_agq", "lrt"), [(1, 25.6100634425), (9, 25.5510234275)])
def test_generalized_fits_agree_with_lme4(n_agq: int, lrt: float):
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    table = generalized("cbpp", formula, "binomial", n_agq).drop1()
    # lme4 1.1-31 with tolPwrss = 1e-13
    np.testing.assert_allclose(table["LRT"].iloc[1], lrt, atol=1e-6)
    assert table["npar"].iloc[1] == 3
    assert table.notes == ()


def test_generalized_fits_of_several_terms_agree_with_lme4():
    table = generalized("grouseticks", "TICKS ~ YEAR + scale(HEIGHT) + (1 | BROOD)", "poisson").drop1()
    # lme4 1.1-31, bobyqa
    np.testing.assert_allclose(table["LRT"].iloc[1:], [60.3990396505, 52.5120514046], atol=1e-4)
    np.testing.assert_allclose(table["AIC"], [1988.07549212, 2044.47453177, 2038.58754353], atol=1e-4)


def test_prints_as_lme4_prints():
    table = fitted("sleepstudy", "Reaction ~ Days + (Days | Subject)").drop1()
    assert str(table).splitlines() == [
        "Single term deletions",
        "",
        "Model:",
        "Reaction ~ Days + (Days | Subject)",
        "       npar    AIC    LRT   Pr(Chi)",
        "<none>      1763.9",
        "Days      1 1785.5 23.537 1.226e-06 ***",
        "---",
        "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
        "REML fit: all models were refitted by ML",
    ]


def test_without_a_test_there_are_no_p_values():
    table = fitted("sleepstudy", "Reaction ~ Days + (Days | Subject)").drop1(test="none")
    assert list(table.frame.columns) == ["npar", "AIC"]


def test_the_last_fixed_effect_can_go():
    sleep = data("sleepstudy")
    table = mixfit.mixed("Reaction ~ 0 + Days + (1 | Subject)", sleep).fit(reml=False).drop1()
    shorter = mixfit.mixed("Reaction ~ 0 + (1 | Subject)", sleep).fit(reml=False)
    assert_column(table["AIC"].iloc[[1]], [shorter.aic])


def test_a_term_that_others_determine_loses_nothing():
    sleep = data("sleepstudy").assign(double=lambda d: 2.0 * d["Days"])
    table = mixfit.mixed("Reaction ~ Days + double + (1 | Subject)", sleep).fit().drop1()
    assert_column(table["npar"], [None, 0, 0])
    assert_column(table["LRT"], [None, 0.0, 0.0])
    assert_column(table["Pr(Chi)"], [None, None, None])


def test_contrasts_are_zero_just_where_the_term_is_not_needed():
    fit = fitted("cake", "angle ~ 0 + recipe + temperature + (1 | recipe:replicate)")
    L = term_contrasts(fit)
    assert {name: len(rows) for name, rows in L.items()} == {"recipe": 2, "temperature": 5}
    # the same mean for all recipes: columns recipe[A], recipe[B], recipe[C] with one coefficient
    np.testing.assert_allclose(L["recipe"] @ np.array([2.0, 2.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0]), 0.0, atol=1e-10)
    assert np.abs(L["recipe"] @ np.array([2.0, 2.0, 1.0, 0, 0, 0, 0, 0])).max() > 0.1
    np.testing.assert_allclose(L["temperature"] @ np.array([3.0, 1.0, 2.0, 0, 0, 0, 0, 0]), 0.0, atol=1e-10)


def test_scope():
    fit = fitted("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)")
    assert list(fit.drop1(scope="recipe:temperature").frame.index) == ["<none>", "recipe:temperature"]
    with pytest.raises(ComparisonError, match="'recipe' cannot be dropped: recipe:temperature contains it"):
        fit.drop1(scope=["recipe"])
    with pytest.raises(ComparisonError, match=r"no such term.*Terms that can: recipe:temperature"):
        fit.drop1(scope=["oven"])


def test_other_tests_are_refused():
    with pytest.raises(ComparisonError, match="not 'LR'"):
        fitted("sleepstudy", "Reaction ~ Days + (Days | Subject)").drop1(test="LR")  # type: ignore[arg-type]


def test_f_tests_are_those_of_the_same_hypotheses() -> None:
    fit = fitted("penicillin", "yield ~ treat + (1|blend)")
    table = fit.drop1(test="F", ddf="kenward-roger")
    assert table.heading[0] == "Single term deletions using Kenward-Roger's method"
    row = table.frame.loc["treat"]
    found = row[["NumDF", "DenDF", "F value", "Pr(>F)"]].tolist()
    # As printed, with four decimals.
    np.testing.assert_allclose(found, [3, 12, 1.2389, 0.3387], rtol=0, atol=5.1e-5)
    additive = fitted("cake", "angle ~ recipe + temperature + (1|recipe:replicate)")
    np.testing.assert_allclose(additive.drop1(test="F").frame, additive.anova(type=2).frame, rtol=1e-6)
    interaction = fitted("cake", "angle ~ recipe * temperature + (1|recipe:replicate)")
    assert interaction.drop1(test="F").frame.index.tolist() == ["recipe:temperature"]
    with pytest.raises(ComparisonError, match="no denominator"):
        fit.drop1(ddf="satterthwaite")
    with pytest.raises(FitError, match="chisq"):
        fit.drop1(test="F", ddf="z")
