"""Results of unordered categories: names, predictions with errors, simulations, and what is refused."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mixfit
from mixfit.errors import ComparisonError, DataError, FitError, FormulaError, ParameterError, UnknownNameError
from tests.glmm.test_glmm_multinomial import choices


@pytest.fixture(scope="module")
def d() -> pd.DataFrame:
    return choices(groups=30)


@pytest.fixture(scope="module")
def fit(d: pd.DataFrame):
    return mixfit.mixed("choice ~ x + (1 | g)", d, family="multinomial").fit()


def test_names_are_of_categories_and_columns(fit) -> None:
    names = ["b:Intercept", "b:x", "c:Intercept", "c:x"]
    assert fit.params.index.tolist() == fit.bse.index.tolist() == names
    assert fit.cov_params().columns.tolist() == names
    assert fit.coefficients.loc["c", "x"] == fit.params["c:x"]
    assert fit.varcorr().to_frame().var1.tolist() == ["b:Intercept", "c:Intercept", "b:Intercept"]
    assert fit.npar == 7
    text = str(fit.summary())
    assert "Family: multinomial  ( logit )" in text
    assert "baseline = a" in text
    assert fit.ranef()["g"].columns.tolist() == ["b:Intercept", "c:Intercept"]
    level = fit.coef()["g"].loc["g03"]
    assert_allclose(level["c:Intercept"], fit.params["c:Intercept"] + fit.ranef()["g"].loc["g03", "c:Intercept"])
    assert repr(pickle.loads(pickle.dumps(fit))) == repr(fit)


def test_intervals_and_tests_are_of_coefficients(fit) -> None:
    limits = fit.conf_int(which="c")
    assert limits.index.tolist() == ["c:Intercept", "c:x"]
    assert_allclose(limits.mean(axis=1), fit.params[["c:Intercept", "c:x"]])
    assert_allclose(fit.tidy(effects="fixed")["p.value"], fit.pvalues)
    with pytest.raises(FitError, match="no parameter 'd'"):
        fit.conf_int(which="d")


def test_a_row_of_facts_and_the_name_of_a_figure_that_there_is_not(fit) -> None:
    facts = fit.glance().iloc[0]
    assert (facts["nobs"], facts["logLik"], facts["AIC"]) == (fit.nobs, fit.llf, fit.aic)
    with pytest.raises(UnknownNameError, match="CategoryPlots has no attribute 'caterpillar'"):
        fit.plot.caterpillar()


def test_predictions_of_the_fit_and_of_new_rows_agree(d: pd.DataFrame, fit) -> None:
    inside = fit.predict(se=True)
    outside = fit.predict(d.iloc[::20], se=True)
    for part in ("mean", "mean_se"):
        assert_allclose(outside[part], inside[part].iloc[::20], rtol=1e-8)
    assert_allclose(inside["mean"].sum(axis=1), 1.0)
    assert_allclose(fit.fittedvalues, [inside["mean"].loc[i, c] for i, c in d.choice.items()])
    eta = fit.predict(what="link")
    assert eta.columns.tolist() == ["b", "c"]
    assert_allclose(eta, fit.linear_predictor)
    assert_allclose(eta, np.log(inside["mean"][["b", "c"]].div(inside["mean"]["a"], axis=0)))
    assert_array_equal(fit.predict(what="class"), inside["mean"].idxmax(axis=1))
    assert fit.predict(d.head(1).assign(g="new"), allow_new_levels=True).equals(
        fit.predict(d.head(1), re_form="population")
    )


def test_errors_of_probabilities_are_by_the_delta_method(d: pd.DataFrame, fit) -> None:
    rows, h = d.iloc[:5], 1e-5
    errors = fit.predict(rows, re_form="population", se=True)["mean_se"].to_numpy()
    X = np.column_stack([np.ones(5), rows.x])

    def probabilities(beta: np.ndarray) -> np.ndarray:
        return fit.family.probabilities(beta.reshape(2, 2) @ X.T)

    beta = fit.params.to_numpy()
    slopes = np.stack([(probabilities(beta + h * e) - probabilities(beta - h * e)) / (2 * h) for e in np.eye(4)])
    variance = np.einsum("akn,ab,bkn->nk", slopes, fit.cov_params().to_numpy(), slopes)
    assert_allclose(errors, np.sqrt(variance), rtol=1e-6)


def test_simulations_have_the_shares_that_effects_make(d: pd.DataFrame, fit) -> None:
    held = fit.simulate(300, seed=1, re_form=None).to_numpy()
    shares = np.stack([(held == c).mean(axis=1) for c in "abc"], axis=1)
    assert_allclose(shares, fit.predict(), atol=0.13)
    new = fit.simulate(600, seed=2, newdata=d.head(2).assign(g=["n1", "n2"])).to_numpy()
    old = fit.simulate(600, seed=3)
    for c in "abc":
        assert_allclose((new[0] == c).mean(), (old.iloc[0] == c).mean(), atol=0.08)
    again = fit.refit(old["sim_1"])
    assert again.converged
    assert again.model.categories == fit.model.categories


def test_residuals_are_of_the_observed_category(fit) -> None:
    p = fit.fittedvalues
    assert_allclose(fit.residuals("deviance") ** 2, -2.0 * np.log(p))
    assert_allclose(fit.residuals("pearson"), np.sqrt((1.0 - p) / p))
    assert_allclose(fit.resid, 1.0 - p)
    assert_allclose(fit.deviance, -2.0 * np.log(p).sum())


def test_nested_models_are_compared(d: pd.DataFrame, fit) -> None:
    smaller = mixfit.mixed("choice ~ 1 + (1 | g)", d, family="multinomial").fit()
    assert mixfit.anova(smaller, fit)["Df"].iloc[1] == 2
    independent = fit.update(". ~ . - (1 | g) + (1 || g)")
    assert mixfit.anova(independent, fit)["Df"].iloc[1] == 1
    with pytest.raises(ComparisonError, match="not nested"):
        mixfit.anova(fit, independent.update(". ~ . + h"))
    slopes = fit.update(". ~ . - (1 | g) + (x | g)")
    assert mixfit.anova(fit, slopes)["Df"].iloc[1] == 7
    wider = fit.update(". ~ . + h")
    assert wider.npar == fit.npar + 6
    assert wider.llf > fit.llf


def test_some_terms_and_rows_left_out(d: pd.DataFrame) -> None:
    missing = d.assign(choice=d.choice.where(d.index > 4))
    fit = mixfit.mixed("choice ~ x + (x || g)", missing, family="multinomial", na_action="exclude").fit()
    assert fit.predict().isna().all(axis=1).sum() == 5
    assert fit.varcorr().to_frame().var1.tolist() == ["b:Intercept", "b:x", "c:Intercept", "c:x"]
    some = fit.predict(d.head(2), re_form="~(0 + x | g)", what="link")
    slopes = fit.ranef()["g"].loc["g00", ["b:x", "c:x"]].to_numpy()
    assert_allclose(some - fit.predict(d.head(2), re_form="population", what="link"), np.outer(d.x.head(2), slopes))


def test_areas_are_probabilities_without_random_effects(d: pd.DataFrame, fit) -> None:
    pytest.importorskip("matplotlib")
    axes = fit.plot.category_probabilities("x")
    assert len(axes.collections) == 3
    low = d.x.min()
    points = axes.collections[0].get_paths()[0].vertices
    p = fit.predict(d.head(1).assign(x=low), re_form="population")["a"].iloc[0]
    assert points[np.isclose(points[:, 0], low), 1].max() == pytest.approx(p)


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({"choice": "a"}, {}, DataError, "one category"),
        ({"choice": 1.5}, {}, DataError, "is in categories"),
        ({"ordered": True}, {}, DataError, "family='cumulative'"),
        ({}, {"family": "multinomial(baseline='z')"}, DataError, "no category 'z'"),
        ({}, {"zi": "~ 1"}, FormulaError, "zi= is not for"),
        ({}, {"formula": "choice ~ x + ar1(0 + h | g)"}, FormulaError, "ar1"),
        ({}, {"formula": "choice ~ x + (1 | a | g)"}, FormulaError, r"Write \(1 \| g\)"),
        ({}, {"family": "cumulative"}, DataError, "family='multinomial'"),
    ],
)
def test_bad_input_is_refused(
    change: dict[str, object], options: dict[str, str], error: type[Exception], message: str, d: pd.DataFrame
) -> None:
    if change.pop("ordered", False):
        change["choice"] = pd.Categorical(d.choice, list("abc"), ordered=True)
    asked = {"formula": "choice ~ x + (1 | g)", "family": "multinomial"} | options
    with pytest.raises(error, match=message):
        mixfit.mixed(data=d.assign(**change), **asked)


def test_separated_categories_are_said(d: pd.DataFrame) -> None:
    apart = d.assign(x=np.where(d.choice == "c", 1.0, -1.0) + 0.01 * d.x)
    with pytest.raises(FitError, match="separate"):
        mixfit.mixed("choice ~ x + (1 | g)", apart, family="multinomial").fit()


@pytest.mark.parametrize("absent", ["a", "c"])
def test_a_category_absent_at_a_level_is_said(d: pd.DataFrame, absent: str) -> None:
    level = np.random.default_rng(3).choice(["p", "q"], len(d))
    apart = d.assign(level=np.where(d.choice == absent, "p", level))
    with pytest.raises(FitError, match=r"'[bc]:level\[T.q\]'.* separate"):
        mixfit.mixed("choice ~ level + (1 | g)", apart, family="multinomial").fit()


@pytest.mark.parametrize(
    "function",
    [
        mixfit.joint_tests,
        lambda fit: mixfit.emtrends(fit, "1", var="x"),
        lambda fit: mixfit.pb_modcomp(fit, fit, n=2, progress=False),
        mixfit.marginaleffects_adapter,
    ],
)
def test_functions_of_one_predictor_say_what_to_do(fit, function) -> None:
    with pytest.raises(FitError, match=r"unordered categories.*anova\(m0, m1\)"):
        function(fit)
    with pytest.raises(FitError, match=r"compare others by AIC"):
        mixfit.cross_validate(fit, by="g")


def test_a_comparison_leaves_shares_of_variance_blank(d: pd.DataFrame, fit) -> None:
    small = mixfit.mixed("choice ~ 1 + (1 | g)", d, family="multinomial").fit()
    assert mixfit.compare(small, fit).to_frame()["R2m"].isna().all()


def test_what_has_no_meaning_is_refused(fit) -> None:
    with pytest.raises(FitError, match="without standard errors"):
        fit.predict(re_form="marginal", se=True)
    with pytest.raises(FitError, match="mode is 'prob', 'latent' of unordered"):
        fit.emmeans("x", mode="mean.class")
    with pytest.raises(FitError, match="leave re_form=, nuisance= and predictor= out"):
        fit.emmeans("x", re_form="marginal")
    with pytest.raises(FitError, match="no standard error"):
        fit.predict(what="class", se=True)
    with pytest.raises(ParameterError, match="params"):
        fit.simulate(params={"b:x": 0.0})
    with pytest.raises(FitError, match="n_agq=1"):
        fit.model.fit(n_agq=0)
    with pytest.raises(FitError, match="variances"):
        fit.overdispersion()
    with pytest.raises(UnknownNameError, match="emtrends"):
        fit.emtrends("x")


def test_json_has_the_estimates(fit) -> None:
    rows = json.loads(fit.to_json())["estimates"]
    assert {row["term"]: row["estimate"] for row in rows if row["effect"] == "fixed"} == fit.params.to_dict()
    assert sum(row["effect"] == "ran_pars" for row in rows) == 3


def test_few_groups_are_said_without_a_test_that_there_is_none_of() -> None:
    few = mixfit.mixed("choice ~ x + (1 | g)", choices(groups=8), family="multinomial").fit()
    (note,) = [n for n in few.summary().notes if n.startswith("few groups")]
    assert note.endswith("z tests reject too often")
