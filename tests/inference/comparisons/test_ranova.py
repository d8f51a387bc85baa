from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixfit
from mixfit.inference.comparisons.ranova import mixture_tail
from tests.inference.cases import REFERENCE, assert_column, data, fitted

COLUMNS = ["npar", "logLik", "AIC", "LRT", "Df", "Pr(>Chisq)"]


@pytest.mark.parametrize("name", REFERENCE)
def test_agrees_with_lmertest(name: str):
    case = REFERENCE[name]
    table = fitted(case["data"], case["formula"]).ranova()
    # R spells spaces around the bar, and batch:cask from the inside out
    rows = [row.replace("cask:batch", "batch:cask") for row in case["ranova"]["rows"]]
    own = {row.replace("(1|", "(1 |"): row for row in table.frame.index}
    assert set(own) == set(rows)
    frame = table.frame.loc[[own[row] for row in rows]]
    for column in COLUMNS:
        assert_column(frame[column], case["ranova"][column])


def sleep():
    return data("sleepstudy").assign(
        D2=lambda d: d["Days"] ** 2 / 10.0,
        f=lambda d: np.where(d["Days"] > 4, "late", "early"),
        w=lambda d: 1.0 + d["Days"] % 3,
        o=lambda d: 5.0 * d["Days"],
    )


# ranova(lmer(Reaction ~ Days + ..., sleepstudy)) of lmerTest 3.1-3: rows, Df, LRT
TERMS = {
    "(Days + D2 | Subject)": (
        ["Days in (Days + D2 | Subject)", "D2 in (Days + D2 | Subject)"],
        [3, 3],
        [18.0702212248, 13.6205865636],
    ),
    "(Days || Subject)": (["(1 | Subject)", "Days in (0 + Days | Subject)"], [1, 1], [22.8557339041, 42.7957918134]),
    "(0 + f | Subject)": (["f in (0 + f | Subject)"], [2], [36.7615717542]),
    "(f | Subject)": (["f in (f | Subject)"], [2], [36.7615717542]),
}


@pytest.mark.parametrize("term", TERMS)
def test_parts_of_terms_agree_with_lmertest(term: str):
    rows, df, lrt = TERMS[term]
    table = mixfit.mixed(f"Reaction ~ Days + {term}", sleep()).fit().ranova()
    assert list(table.frame.index) == ["<none>", *rows]
    assert_column(table["Df"], [None, *df])
    # lme4 stops within 1e-5 of its own minimum
    np.testing.assert_allclose(table["LRT"].iloc[1:], lrt, atol=2e-5)


def test_weights_and_offset_agree_with_lmertest():
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep(), weights="w", offset="o").fit()
    assert_column(fit.ranova()["logLik"], [-866.771773233, -894.058534147])
    # without any random term: least squares, with the constants of the restricted likelihood
    assert_column(fit.ranova(reduce_terms=False)["logLik"], [-866.771773233, -953.244416477])
    assert_column(fit.ranova(reduce_terms=False)["npar"], [6, 3])


def test_maximum_likelihood_stays():
    table = fitted("sleepstudy", "Reaction ~ Days + (Days | Subject)", False).ranova()
    assert_column(table["logLik"], [-875.969672232, -897.039321503])


MODELS = [
    ("(Days | Subject) + (1 | f)", True),
    ("(0 + f + Days | Subject)", True),
    ("(1 | Subject) + (1 | f:Subject)", True),
    ("(D2 + Days || Subject) + (1 | f:Subject)", True),
    ("(Days | Subject) + (1 | f:Subject)", False),
]
# What is left after each deletion, in the order of the rows.
LEFT = [
    ["(1 | Subject) + (1 | f)", "(Days | Subject)"],
    ["(0 + Days | Subject)", "(0 + f | Subject)"],
    ["(1 | f:Subject)", "(1 | Subject)"],
    [
        "(0 + D2 + Days || Subject) + (1 | f:Subject)",
        "(Days || Subject) + (1 | f:Subject)",
        "(D2 || Subject) + (1 | f:Subject)",
        "(D2 + Days || Subject)",
    ],
    ["(1 | f:Subject)", "(Days | Subject)"],
]


@pytest.mark.parametrize(("model", "left"), list(zip(MODELS, LEFT, strict=True)))
def test_agrees_with_models_read_from_the_shorter_formula(model: tuple[str, bool], left: list[str]):
    terms, reduce_terms = model
    table = mixfit.mixed(f"Reaction ~ Days + {terms}", sleep()).fit().ranova(reduce_terms=reduce_terms)
    shorter = [mixfit.mixed(f"Reaction ~ Days + {terms}", sleep()).fit() for terms in left]
    assert_column(table["logLik"].iloc[1:], [fit.llf for fit in shorter])
    assert_column(table["npar"].iloc[1:], [fit.npar for fit in shorter])


def test_a_term_beside_a_constant_one_goes_whole():
    """A full factor without its levels is (1 | g), which here is a term of the model already."""
    table = mixfit.mixed("Reaction ~ Days + (1 | Subject) + (0 + f | Subject)", sleep()).fit().ranova()
    shorter = fitted("sleepstudy", "Reaction ~ Days + (1 | Subject)")
    assert_column(table["logLik"].iloc[[2]], [shorter.llf])
    assert_column(table["Df"], [None, 1, 3])
    assert_column(table["Pr(>mix)"].iloc[[2]], [None])
    assert table.notes[-1] == "(blank where a hypothesis sets several variances of one term to zero)"


def test_a_lone_slope_goes_whole():
    table = mixfit.mixed("Reaction ~ Days + (0 + Days | Subject)", sleep()).fit().ranova()
    assert list(table.frame.index) == ["<none>", "Days in (0 + Days | Subject)"]
    assert_column(table["Df"], [None, 1])


def test_boundary_corrected_p_values():
    table = fitted("sleepstudy", "Reaction ~ Days + (Days | Subject)").ranova()
    x = table["LRT"].iloc[1]
    assert_column(table["Pr(>mix)"], [None, 0.5 * stats.chi2.sf(x, 1) + 0.5 * stats.chi2.sf(x, 2)])
    table = fitted("pulp", "bright ~ 1 + (1|operator)").ranova()
    assert_column(table["Pr(>mix)"], [None, 0.5 * stats.chi2.sf(table["LRT"].iloc[1], 1)])
    whole = fitted("sleepstudy", "Reaction ~ Days + (Days | Subject)").ranova(reduce_terms=False)
    assert np.isnan(whole["Pr(>mix)"].iloc[1])


def test_mixture_tail():
    assert mixture_tail(0.0, 1) == mixture_tail(0.0, 3) == 1.0
    np.testing.assert_allclose(mixture_tail(stats.chi2.isf(0.1, 1), 1), 0.05)
    # Stram & Lee (1994): the 5% point of 0.5 chi2(1) + 0.5 chi2(2) is 5.14
    np.testing.assert_allclose(mixture_tail(5.14, 2), 0.05, atol=5e-5)
    assert np.isnan(mixture_tail(1.0, None))


@pytest.mark.slow
def test_the_mixture_is_the_distribution_of_a_lost_slope():
    """Statistics of 400 simulated responses without random slopes, against the tail of the mixture."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(40), 5)
    x = np.tile(np.arange(5.0), 40) - 2.0
    frame = pd.DataFrame({"g": g.astype(str), "x": x, "y": rng.standard_normal(200)})
    model = mixfit.mixed("y ~ x + (x | g)", frame)
    p = []
    for _ in range(400):
        y = rng.standard_normal(40)[g] + rng.standard_normal(200)
        table = model.with_response(y).fit().ranova()
        p.append(table["Pr(>mix)"].iloc[1])
    share = np.mean(np.array(p) < 0.2)
    assert abs(share - 0.2) < 4.0 * np.sqrt(0.2 * 0.8 / 400)


def test_prints_as_lmertest_prints():
    table = fitted("sleepstudy", "Reaction ~ Days + (Days | Subject)").ranova()
    assert str(table).splitlines() == [
        "ANOVA-like table for random-effects: Single term deletions",
        "",
        "Model:",
        "Reaction ~ Days + (Days | Subject)",
        "                         npar  logLik    AIC    LRT Df  Pr(>mix) Pr(>Chisq)",
        "<none>                      6 -871.81 1755.6",
        "Days in (Days | Subject)    4 -893.23 1794.5 42.837  2 2.793e-10   4.99e-10 ***",
        "---",
        "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
        "Pr(>mix): of 0.5 chi2(Df - 1) + 0.5 chi2(Df), since a variance is zero under the hypothesis",
    ]
