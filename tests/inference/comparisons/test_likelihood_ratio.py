from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

import mixfit
from mixfit.covariance.structure import Containment
from mixfit.errors import ComparisonError
from mixfit.inference.comparisons.candidates import candidate, contains_term, nested_structure, on_boundary
from mixfit.inference.comparisons.likelihood_ratio import check_nested
from tests.inference.cases import REFERENCE, assert_column, data, fitted, generalized

HERDS = "cbind(incidence, size - incidence) ~ {} + (1 | herd)"
SLEEP = "Reaction ~ Days + (Days | Subject)"
COLUMNS = ["npar", "AIC", "BIC", "logLik", "-2*log(L)", "Chisq", "Df", "Pr(>Chisq)"]


@pytest.mark.parametrize("name", [name for name, case in REFERENCE.items() if "lrt_ml" in case])
@pytest.mark.parametrize("reml", [False, True])
def test_agrees_with_lme4(name: str, reml: bool):
    case = REFERENCE[name]
    table = mixfit.anova(fitted(case["data"], case["formula"], reml), fitted(case["data"], case["small"], reml))
    assert list(table.frame.columns) == COLUMNS
    assert list(table.frame.index) == ["m1", "m0"]
    for column in COLUMNS:
        assert_column(table[column], case["lrt_ml"][column])
    assert table.notes == (("refitting model(s) with ML (instead of REML)",) if reml else ())


def test_restricted_likelihoods_of_the_same_fixed_effects():
    m0, m1, m2 = (
        fitted("sleepstudy", f"Reaction ~ Days + ({t})") for t in ("1|Subject", "Days||Subject", "Days|Subject")
    )
    table = mixfit.anova(m2, m0, m1, refit=False, names=["full", "intercepts", "independent"])
    assert list(table.frame.index) == ["intercepts", "independent", "full"]
    # lme4 1.1-31, anova(refit = FALSE)
    assert_column(table["Chisq"], [None, 42.7957918134, 0.0410215])
    assert_column(table["AIC"], [1794.46508539, 1753.66929358, 1755.62827196])
    assert table.notes == ()


def test_prints_as_lme4_prints():
    m0, m1 = fitted("sleepstudy", "Reaction ~ 1 + (Days | Subject)"), fitted("sleepstudy", SLEEP)
    # lme4 1.1-31, whose column "deviance" later versions call "-2*log(L)"
    assert str(mixfit.anova(m0, m1)).splitlines() == [
        "Models:",
        "m0: Reaction ~ 1 + (Days | Subject)",
        "m1: Reaction ~ Days + (Days | Subject)",
        "   npar    AIC    BIC  logLik -2*log(L)  Chisq Df Pr(>Chisq)",
        "m0    5 1785.5 1801.4 -887.74    1775.5",
        "m1    6 1763.9 1783.1 -875.97    1751.9 23.537  1  1.226e-06 ***",
        "---",
        "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
        "refitting model(s) with ML (instead of REML)",
    ]


def test_generalized_fits_agree_with_lme4():
    fits = [generalized("cbpp", HERDS.format(x), "binomial") for x in ("1", "period")]
    table = mixfit.anova(*fits)
    # lme4 1.1-31 with tolPwrss = 1e-13: at its default the modes, and with them AIC, are off by 6e-4
    assert_column(table["AIC"], [213.662627188, 194.052563745])
    assert_column(table["BIC"], [217.713330569, 204.179322199])
    assert_column(table["Chisq"], [None, 25.6100634425])
    np.testing.assert_allclose(table["Pr(>Chisq)"].iloc[1], 1.15093669553e-05, rtol=1e-6)
    assert table["npar"].tolist() == [2, 5]


def test_quadrature_agrees_with_lme4():
    table = mixfit.anova(*(generalized("cbpp", HERDS.format(x), "binomial", 9) for x in ("1", "period")))
    # lme4 leaves constants out of its quadrature likelihoods: only their difference compares
    np.testing.assert_allclose(table["Chisq"].iloc[1], 25.5510234638, atol=1e-5)


def test_a_dispersion_counts_as_a_parameter():
    fits = [generalized("sleepstudy", f"Reaction ~ {x} + (1 | Subject)", "gamma(log)") for x in ("1", "Days")]
    assert mixfit.anova(*fits)["npar"].tolist() == [3, 4]


def test_least_squares_stand_for_models_without_random_effects():
    pulp = data("pulp")
    table = mixfit.anova(smf.ols("bright ~ 1", pulp).fit(), fitted("pulp", "bright ~ 1 + (1|operator)", False))
    # Faraway (2016), Extending the Linear Model with R, section 10.2
    assert_column(table["Chisq"], [None, 2.568371364753])
    assert_column(table["Pr(>Chisq)"], [None, 0.10902], rtol=1e-4)
    assert table["npar"].tolist() == [2, 3]


def test_models_of_one_size_have_no_test():
    a, b = fitted("sleepstudy", SLEEP), fitted("sleepstudy", "Reaction ~ I(Days - 5) + (I(Days / 2) | Subject)")
    table = mixfit.anova(a, b)
    assert_column(table["Chisq"], [None, 0.0])
    assert_column(table["Pr(>Chisq)"], [None, None])


NESTED = [
    ("(1 | Subject)", "(Days | Subject)"),
    ("(Days || Subject)", "(Days | Subject)"),
    ("(1 | Subject) + (0 + Days | Subject)", "(Days || Subject)"),
    ("(0 + I(Days - 4) | Subject)", "(Days | Subject)"),
    ("(1 | Subject)", "(1 | Subject) + (1 | late:Subject)"),
    ("(1 | Subject) + (1 | late:Subject)", "(0 + late | Subject)"),
    ("(1 | late:Subject)", "(0 + late || Subject)"),
    ("(1 | late:Subject)", "(late | Subject)"),
]


@pytest.mark.parametrize(("small", "large"), NESTED)
def test_nested_random_terms(small: str, large: str):
    sleep = data("sleepstudy").assign(late=lambda d: np.where(d["Days"] > 4, "yes", "no"))
    fits = [mixfit.mixed(f"Reaction ~ Days + {terms}", sleep).fit(reml=False) for terms in (small, large)]
    small_model, large_model = (candidate(f"m{i}", fit) for i, fit in enumerate(fits))
    if small_model.npar < large_model.npar:
        with pytest.raises(ComparisonError, match="m1 is not nested in m0"):
            check_nested(large_model, small_model)
    table = mixfit.anova(*fits)
    assert fits[1].llf >= fits[0].llf - 1e-7
    assert len(table) == 2


NOT_NESTED = [
    ("Days + (1 | Subject)", "1 + (Days | Subject)", "its fixed effects 'Days' are no combinations"),
    (
        "Days + (0 + Days | Subject)",
        "Days + (1 | Subject) + (1 | late:Subject)",
        r"not contained in one of m1: \(0 \+ Days \| Subject\)",
    ),
    (
        "Days + (0 + I(Days**2) | Subject)",
        "Days + (Days | Subject)",
        r"not contained in one of m1: \(0 \+ I\(Days\*\*2\) \| Subject\)",
    ),
    ("Days + (0 + I(Days - 4) | Subject)", "Days + (Days || Subject)", "not contained in one of m1"),
    ("Days + (1 | late:Subject)", "Days + (Days | Subject)", r"not contained in one of m1: \(1 \| late:Subject\)"),
    ("Days + (1 | Subject)", "Days + late + (1 | late)", r"not contained in one of m1: \(1 \| Subject\)"),
]


@pytest.mark.parametrize(("small", "large", "message"), NOT_NESTED)
def test_models_that_are_not_nested_are_refused(small: str, large: str, message: str):
    sleep = data("sleepstudy").assign(late=lambda d: np.where(d["Days"] > 4, "yes", "no"))
    fits = [mixfit.mixed(f"Reaction ~ {terms}", sleep).fit(reml=False) for terms in (small, large)]
    with pytest.raises(ComparisonError, match=message) as caught:
        mixfit.anova(*fits)
    assert "m0 is not nested in m1" in str(caught.value)


def _sleep(frame=None, formula="Reaction ~ Days + (1 | Subject)", **options):
    return mixfit.mixed(formula, data("sleepstudy") if frame is None else frame, **options).fit(reml=False)


def test_different_data_are_refused():
    whole, sleep = _sleep(), data("sleepstudy")
    with pytest.raises(ComparisonError, match=r"different rows \(180 and 179\)"):
        mixfit.anova(whole, _sleep(sleep.iloc[1:]))
    with pytest.raises(ComparisonError, match="different responses"):
        mixfit.anova(whole, _sleep(formula="log(Reaction) ~ Days + (1 | Subject)"))
    with pytest.raises(ComparisonError, match="another order"):
        mixfit.anova(whole, _sleep(sleep.iloc[::-1]))
    with pytest.raises(ComparisonError, match="rows of different labels"):
        mixfit.anova(whole, _sleep(sleep.set_index(np.arange(180) + 7)))
    with pytest.raises(ComparisonError, match="different weights"):
        mixfit.anova(whole, _sleep(weights=1.0 + sleep["Days"].to_numpy()))
    with pytest.raises(ComparisonError, match="different offsets"):
        mixfit.anova(whole, _sleep(offset="Days"))


def test_weights_of_one_are_no_weights():
    table = mixfit.anova(_sleep(weights=np.ones(180)), _sleep(formula=SLEEP))
    assert_column(table["Chisq"], [None, 42.1392985])


def test_different_families_are_refused():
    ticks = "TICKS ~ {} + (1 | BROOD)"
    poisson, bell = (generalized("grouseticks", ticks.format("YEAR"), f) for f in ("poisson", "bell"))
    with pytest.raises(ComparisonError, match=r"poisson\(log\), bell\(log\)"):
        mixfit.anova(poisson, bell)
    with pytest.raises(ComparisonError, match=r"different families \(linear, poisson\(log\)\)"):
        mixfit.anova(mixfit.mixed(ticks.format(1), data("grouseticks")).fit(), poisson)
    with pytest.raises(ComparisonError, match=r"linear, gaussian\(log\)"):
        mixfit.anova(
            fitted("sleepstudy", SLEEP), generalized("sleepstudy", "Reaction ~ Days + (1 | Subject)", "gaussian(log)")
        )
    probit = generalized("cbpp", HERDS.format("period"), "binomial(probit)")
    with pytest.raises(ComparisonError, match=r"binomial\(logit\), binomial\(probit\)"):
        mixfit.anova(generalized("cbpp", HERDS.format("1"), "binomial"), probit)


def test_different_quadrature_is_refused():
    with pytest.raises(ComparisonError, match="n_agq = 1 and 9"):
        mixfit.anova(
            generalized("cbpp", HERDS.format("1"), "binomial"),
            generalized("cbpp", HERDS.format("period"), "binomial", 9),
        )


def test_restricted_likelihoods_that_do_not_compare_are_refused():
    reml = fitted("sleepstudy", SLEEP)
    with pytest.raises(ComparisonError, match="different fixed effects"):
        mixfit.anova(fitted("sleepstudy", "Reaction ~ 1 + (Days | Subject)"), reml, refit=False)
    with pytest.raises(ComparisonError, match="fitted by REML and the other is not"):
        mixfit.anova(fitted("sleepstudy", "Reaction ~ Days + (1|Subject)", False), reml, refit=False)
    with pytest.raises(ComparisonError, match="differently"):
        mixfit.anova(fitted("sleepstudy", "Reaction ~ I(Days / 2) + (1 | Subject)"), reml, refit=False)


def test_bad_arguments_are_refused():
    fit = fitted("sleepstudy", SLEEP)
    with pytest.raises(ComparisonError, match="two fits or more"):
        mixfit.anova(fit)
    with pytest.raises(ComparisonError, match="2 different names"):
        mixfit.anova(fit, fit, names=["a", "a"])
    with pytest.raises(ComparisonError, match="m1 is no fit but str"):
        mixfit.anova(fit, "Reaction ~ Days")
    with pytest.raises(ComparisonError, match="m1 is a fit of GLM"):
        mixfit.anova(fit, sm.GLM(data("pulp")["bright"], np.ones(20)).fit())


STRUCTURED = "ar1(0 + C(Days) | Subject)"
INSIDE = [
    ("us(0 + f | g)", "cs(0 + f | g)"),
    ("us(0 + f | g)", "ar1(0 + f | g)"),
    ("us(0 + f | g)", "toep(0 + f | g)"),
    ("homcs(0 + f | g)", "homcs(0 + f | g)"),
    ("cs(0 + f | g)", "homcs(0 + f | g)"),
    ("cs(0 + f | g)", "diag(0 + f | g)"),
    ("diag(0 + f | g)", "homdiag(0 + f | g)"),
    ("homcs(0 + f | g)", "homdiag(0 + f | g)"),
    ("ar1(0 + f | g)", "homdiag(0 + f | g)"),
    ("hetar1(0 + f | g)", "ar1(0 + f | g)"),
    ("homtoep(0 + f | g)", "ar1(0 + f | g)"),
    ("homtoep(0 + f | g)", "homcs(0 + f | g)"),
    ("toep(0 + f | g)", "cs(0 + f | g)"),
    ("toep(0 + f | g)", "hetar1(0 + f | g)"),
    ("mat(0 + x | g)", "exp(0 + x | g)"),
    ("exp(0 + x | g)", "ou(0 + x | g)"),
]
ON_BOUNDARY = [
    ("ar1(0 + f | g)", "(1 | g)"),
    ("homcs(0 + f | g)", "(1 | g)"),
    ("toep(0 + f | g)", "(1 | g)"),
    ("exp(0 + x | g)", "(1 | g)"),
    ("exp(0 + x | g)", "homdiag(0 + C(x) | g)"),
    ("mat(0 + x | g)", "gau(0 + x | g)"),
]
OUTSIDE = [
    ("cs(0 + f | g)", "us(0 + f | g)"),
    ("hetar1(0 + f | g)", "homcs(0 + f | g)"),
    ("homcs(0 + f | g)", "homcs(0 + f | h)"),
    ("homcs(0 + f | g)", "(1 | h)"),
    ("homcs(0 + f | g)", "ar1(0 + f | g)"),
    ("diag(0 + f | g)", "homcs(0 + f | g)"),
    ("diag(0 + f | g)", "(1 | g)"),
    ("gau(0 + x | g)", "mat(0 + x | g)"),
    ("exp(0 + x | g)", "exp(0 + x + z | g)"),
    ("exp(0 + x | g)", "exp(0 + x2 | g)"),
    ("ar1(0 + f | g)", "ar1(0 + shuffled | g)"),
]


@pytest.mark.parametrize(
    ("outer", "inner", "how"),
    [
        *((a, b, Containment.INSIDE) for a, b in INSIDE),
        *((a, b, Containment.BOUNDARY) for a, b in ON_BOUNDARY),
        *((a, b, None) for a, b in OUTSIDE),
    ],
)
def test_structures_that_contain_others(outer: str, inner: str, how: Containment | None) -> None:
    rows = np.arange(240)
    groups = {"g": (rows // 24).astype(str), "h": (rows // 30 % 7).astype(str)}
    data = pd.DataFrame({"f": list("abc") * 80, "y": np.sin(rows), **groups})
    data["shuffled"] = data["f"].map({"a": "b", "b": "a", "c": "c"})
    data["x"] = data["f"].map({"a": 0.5, "b": 1.5, "c": 4.0})
    data["x2"], data["z"] = 2.0 * data["x"], data["x"] ** 2
    larger, smaller = (mixfit.mixed(f"y ~ 1 + {term}", data).design.random[0] for term in (outer, inner))
    assert nested_structure(larger, smaller) is how
    assert contains_term(larger, smaller) == (how is not None)
    assert bool(on_boundary([larger], [smaller])) == (how is Containment.BOUNDARY)


def test_a_structure_s_likelihood_ratio_says_where_its_null_is_on_a_boundary() -> None:
    sleep = data("sleepstudy")
    fits = [mixfit.mixed(f"Reaction ~ Days + {t}", sleep).fit(reml=False) for t in ("(1 | Subject)", STRUCTURED)]
    table = mixfit.anova(*fits)
    assert table["Df"].tolist()[1] == 1
    (note,) = [note for note in table.notes if "boundary" in note]
    assert note.startswith("(1 | Subject) of m0 is on the boundary of m1's structures")
    both = mixfit.mixed(f"Reaction ~ Days + {STRUCTURED} + (1 | Subject)", sleep).design.random
    assert not on_boundary(both, fits[0].model.design.random)
