"""Methods of results that test the fixed effects: what they print, accept and refuse."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixfit
from mixfit import wald
from mixfit.errors import FitError
from mixfit.inference.fixed_effects.contrasts import contrast_tests
from tests.inference.fits import herds

DDFS = ("satterthwaite", "kenward-roger", "residual", "z")


@cache
def sleep(reml: bool = True) -> Any:
    data = mixfit.datasets.load("sleepstudy")
    return mixfit.mixed("Reaction ~ Days + (Days | Subject)", data).fit(reml=reml)


@cache
def cake() -> Any:
    return mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", mixfit.datasets.load("cake")).fit()


def table_lines(text: str, first: str) -> list[str]:
    found = text.splitlines()
    start = next(i for i, line in enumerate(found) if line.startswith(first))
    return [line.rstrip() for line in found[start : start + 6]]


def test_summary_reads_as_lmertests() -> None:
    text = str(sleep().summary(ddf="Satterthwaite"))
    assert text.splitlines()[0] == "Linear mixed model fit by REML. t-tests use Satterthwaite's method"
    assert table_lines(text, "Fixed effects:") == [
        "Fixed effects:",
        "            Estimate Std. Error      df t value Pr(>|t|)",
        "(Intercept)  251.405      6.825  17.000  36.838  < 2e-16 ***",
        "Days          10.467      1.546  17.000   6.771 3.26e-06 ***",
        "---",
        "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
    ]
    assert "Pr(&gt;|t|)" in sleep().summary(ddf="kenward-roger").as_html()


@pytest.mark.parametrize("ddf", ["none", "lme4"])
def test_summary_without_degrees_of_freedom_is_lme4s(ddf: str) -> None:
    plain = sleep().summary(ddf=ddf)
    assert list(plain.coefficients.columns) == ["Estimate", "Std. Error", "t value"]
    assert "t-tests" not in str(plain)
    assert str(herds().summary(ddf=ddf)) == str(herds().summary()).split("\n\nfew groups")[0]


def test_summary_by_the_normal_distribution() -> None:
    table = sleep().summary(ddf="z").coefficients
    assert list(table.columns) == ["Estimate", "Std. Error", "z value", "Pr(>|z|)"]
    np.testing.assert_allclose(table["Pr(>|z|)"], wald.p_values(sleep().tvalues.to_numpy()))


def test_anova_reads_as_lmertests() -> None:
    assert str(sleep().anova()).splitlines() == [
        "Type III Analysis of Variance Table with Satterthwaite's method",
        "     Sum Sq Mean Sq NumDF DenDF F value    Pr(>F)",
        "Days  30031   30031     1    17  45.853 3.264e-06 ***",
        "---",
        "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
    ]


def test_deviance_table_reads_as_cars() -> None:
    assert str(herds().anova(type="II")).splitlines()[:4] == [
        "Analysis of Deviance Table (Type II Wald chisquare tests)",
        "",
        "Response: cbind(incidence, size - incidence)",
        "        Chisq Df Pr(>Chisq)",
    ]
    L = np.eye(4)[1:]
    cov, beta = herds().cov_params().to_numpy(), herds().params.to_numpy()
    wanted = L @ beta @ np.linalg.solve(L @ cov @ L.T, L @ beta)
    for kind in (2, 3):
        table = herds().anova(type=kind)
        assert table["Chisq"]["period"] == pytest.approx(wanted)
        assert table["Pr(>Chisq)"]["period"] == pytest.approx(stats.chi2.sf(wanted, 3))


def test_a_model_of_the_mean_alone_has_no_rows() -> None:
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
    assert len(fit.anova()) == 0
    assert "F value" in str(fit.anova())


@pytest.mark.parametrize("ddf", DDFS)
def test_one_row_is_a_squared_t_test(ddf: str) -> None:
    L = np.zeros(len(cake().params))
    L[[1, 8]] = 1.0, 0.5
    joint = cake().contest(L, ddf=ddf, rhs=0.3).frame.iloc[0]
    single = cake().contest(L, ddf=ddf, rhs=0.3, joint=False, level=0.9).frame.iloc[0]
    letter = "z" if ddf == "z" else "t"
    assert joint["Chisq" if ddf == "z" else "F value"] == pytest.approx(single[f"{letter} value"] ** 2)
    assert joint.iloc[-1] == pytest.approx(single[f"Pr(>|{letter}|)"])
    if ddf != "z":
        assert joint["DenDF"] == pytest.approx(single["df"])
        half = stats.t.ppf(0.95, single["df"]) * single["Std. Error"]
        assert single["upper"] - single["Estimate"] == pytest.approx(half)


def test_residual_degrees_of_freedom() -> None:
    assert cake().ttest(ddf="residual")["df"].tolist() == [270 - 18] * 18


def test_contrasts_at_once_are_those_one_by_one() -> None:
    L = np.random.default_rng(1).normal(size=(5, len(cake().params)))
    for ddf in DDFS:
        many = contrast_tests(cake(), L, ddf)
        for i, row in enumerate(L):
            one = contrast_tests(cake(), row, ddf)
            np.testing.assert_allclose(
                [many.estimate[i], many.se[i], many.df[i]], [one.estimate[0], one.se[0], one.df[0]], rtol=1e-12
            )
    assert np.isinf(contrast_tests(herds(), np.eye(4)).df).all()


@pytest.mark.parametrize("ddf", DDFS)
def test_dependent_rows_count_once(ddf: str) -> None:
    L = np.zeros((3, len(cake().params)))
    L[0, 1], L[1, 2], L[2, 1:3] = 1.0, 1.0, 1.0
    three, two = cake().contest(L, ddf=ddf), cake().contest(L[:2], ddf=ddf)
    assert three.frame.iloc[0, -1] == pytest.approx(two.frame.iloc[0, -1], rel=1e-6)
    with pytest.raises(FitError, match="contradict"):
        cake().contest(L, ddf=ddf, rhs=[1.0, 1.0, 3.0])
    assert len(cake().contest(L, ddf=ddf, rhs=[1.0, 1.0, 2.0])) == 1


@pytest.mark.parametrize("ddf", DDFS)
def test_units_of_the_columns_do_not_matter(ddf: str) -> None:
    """A covariate in units a million times as large: F and df of a joint test with the intercept stay."""
    data = mixfit.datasets.load("sleepstudy")
    scaled = mixfit.mixed("Reaction ~ Days + (Days | Subject)", data.assign(Days=data["Days"] * 1e6)).fit()
    one = sleep().contest(np.eye(2), ddf="kenward-roger" if ddf == "satterthwaite" else ddf)
    other = scaled.contest(np.diag([1.0, 1e6]), ddf="kenward-roger" if ddf == "satterthwaite" else ddf)
    np.testing.assert_allclose(one.frame, other.frame, rtol=1e-6)
    np.testing.assert_allclose(
        sleep().ttest(ddf=ddf).frame.iloc[:, 2:], scaled.ttest(ddf=ddf).frame.iloc[:, 2:], rtol=1e-6
    )


def test_contrasts_by_name() -> None:
    for L in ({"(Intercept)": 1, "Days": 9}, pd.Series({"Days": 9.0, "Intercept": 1.0}), [1, 9], [[1, 9]]):
        assert sleep().contest(L, joint=False)["Estimate"].tolist() == pytest.approx([251.405 + 9 * 10.467], rel=1e-5)
    frame = pd.DataFrame({"Days": [0.0, 9.0], "Intercept": [1.0, 1.0]}, index=["first", "last"])
    assert sleep().contest(frame, joint=False).frame.index.tolist() == ["first", "last"]


@pytest.mark.parametrize(
    ("L", "message"),
    [
        ({"Dayz": 1}, "no fixed effect 'Dayz'"),
        ([1, 2, 3], "2 fixed effects"),
        ([np.nan, 1], "finite"),
        (["a", "b"], "numbers"),
        ([0, 0], "nothing to test"),
    ],
)
def test_contrasts_that_are_none(L: Any, message: str) -> None:
    with pytest.raises(FitError, match=message):
        sleep().contest(L)


def test_aliased_effects_have_no_contrasts() -> None:
    data = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + D2 + (1 | Subject)", data.assign(D2=2 * data["Days"])).fit()
    with pytest.raises(FitError, match="aliased"):
        fit.contest({"D2": 1})
    assert fit.contest({"Days": 1, "D2": 0})["NumDF"].tolist() == [1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sleep().contest([0, 1], ddf="welch"), "ddf is one of"),
        (lambda: sleep().contest([0, 1], rhs=[1, 2]), "rhs"),
        (lambda: sleep().contest([0, 1], joint=False, level=95), "level"),
        (lambda: sleep().anova(type=4), "types of analysis of variance"),
        (lambda: sleep().anova(type=1, ddf="z"), "compare nested fits"),
        (lambda: herds().anova(ddf="satterthwaite"), "for linear mixed models"),
        (lambda: herds().ttest(ddf="kenward-roger"), "for linear mixed models"),
    ],
)
def test_options_that_do_not_suit(call: Any, message: str) -> None:
    with pytest.raises(FitError, match=message):
        call()


def test_a_model_without_fixed_effects() -> None:
    data = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ 0 + (1 | Subject)", data).fit()
    assert fit.variance_information.slopes.shape == (2, 0, 0)
    with pytest.raises(FitError, match="no fixed effects"):
        fit.anova()


def test_maximum_likelihood_is_refitted_for_kenward_roger() -> None:
    np.testing.assert_allclose(sleep(False).vcov_kr(), sleep().vcov_kr(), rtol=1e-6)
    for table in (sleep(False).anova(ddf="kenward-roger"), sleep(False).contest([0, 1], ddf="kenward-roger")):
        assert any("REML refit" in note for note in table.notes)
        np.testing.assert_allclose(table.frame, sleep().anova(ddf="kenward-roger").frame, rtol=1e-6)
    assert any("REML refit" in note for note in sleep(False).summary(ddf="kenward-roger").notes)
    assert not sleep().anova(ddf="kenward-roger").notes
    assert not sleep(False).anova().notes


def test_balanced_singular_fits_are_those_of_the_smaller_model() -> None:
    """Dyestuff2: the batches have no variance, and Satterthwaite's df are those of independent rows."""
    fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff2")).fit()
    assert fit.is_singular
    assert fit.ttest(ddf="satterthwaite")["df"].tolist() == pytest.approx([29.0])
    # With the entries of the covariance as parameters the variance of the batches counts as estimated: 5 df
    assert fit.ttest(ddf="kenward-roger")["df"].tolist() == pytest.approx([5.0])


def test_results_pickle_with_and_without_what_was_computed() -> None:
    fit = cake()
    table = fit.anova()
    again = pickle.loads(pickle.dumps(fit))
    pd.testing.assert_frame_equal(again.anova().to_frame(), table.to_frame())


def test_names_of_contrasts_and_plans_are_found_whatever_their_spaces() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + I(Days**2) + (1 | Subject)"
    fit = mixfit.mixed(formula, sleep).fit()
    assert fit.contest({"I(Days**2)": 1}).frame.equals(fit.contest({"I(Days ** 2)": 1}).frame)
    fixed = {"Intercept": 250.0, "Days": 10.0, "I(Days**2)": 0.5}
    plan = mixfit.design(formula, sleep, fixed=fixed, sd={"Subject": 30.0}, sigma=25.0)
    assert plan.params["I(Days ** 2)"] == 0.5
    powers = [plan.power(name, n_sim=2, seed=1).frame for name in ("I(Days**2)", "I(Days ** 2)")]
    assert powers[0].drop(columns="test").equals(powers[1].drop(columns="test"))


def test_kenward_rogers_degrees_of_freedom_by_the_observed_information_are_satterthwaites() -> None:
    fit = sleep()
    observed, expected = fit.ttest(ddf="kenward-roger-observed"), fit.ttest(ddf="kenward-roger-expected")
    np.testing.assert_allclose(observed["df"], fit.ttest(ddf="satterthwaite")["df"], rtol=1e-6)
    np.testing.assert_allclose(expected.frame, fit.ttest(ddf="kenward-roger").frame, rtol=1e-12)
    # V is linear in the entries of unstructured covariances.
    second = fit.ttest(ddf="kenward-roger-second-order")
    np.testing.assert_allclose(second.frame, expected.frame, rtol=1e-12)


def test_second_derivatives_of_a_structured_term_are_refused() -> None:
    data = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + ar1(0 + Days | Subject)", data).fit()
    with pytest.raises(FitError, match="ddf='kenward-roger' goes without"):
        fit.ttest(ddf="kenward-roger-second-order")
