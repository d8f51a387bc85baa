"""Models and fits made again with changes, rows chosen, and results padded to the rows of the data."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixfit
from mixfit.errors import ArgumentError, DataError, FitError, FormulaError

FORMULA = "Reaction ~ Days + (Days | Subject)"


@cache
def sleep() -> pd.DataFrame:
    return mixfit.datasets.load("sleepstudy")


@cache
def gaps() -> pd.DataFrame:
    data = sleep().copy()
    data.loc[data.index[[3, 77]], "Reaction"] = np.nan
    data.loc[data.index[100], "Days"] = np.nan
    data.index = pd.Index([f"row {i // 2}" for i in range(180)])
    return data


def test_a_fit_is_fitted_as_it_was() -> None:
    fit = mixfit.mixed(FORMULA, sleep(), weights="Days + 1").fit(reml=False)
    found = fit.update(". ~ . - (Days | Subject) + (1 | Subject)")
    wanted = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep(), weights="Days + 1").fit(reml=False)
    assert found.llf == pytest.approx(wanted.llf, rel=1e-12)
    assert not found.reml
    assert fit.update(reml=True).reml
    assert fit.update(weights=None).llf == pytest.approx(mixfit.mixed(FORMULA, sleep()).fit(reml=False).llf)


def test_a_generalized_fit_keeps_its_family_and_quadrature() -> None:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial").fit(n_agq=5)
    found = fit.update(". ~ . - period")
    assert found.estimate.n_agq == 5
    assert found.model.formula_text == "cbind(incidence, size - incidence) ~ 1 + (1 | herd)"
    assert mixfit.anova(found, fit).frame["Df"].iloc[1] == 3
    assert fit.update(family="binomial(probit)").model.family.link.name == "probit"


def test_updates_of_updates() -> None:
    fit = mixfit.mixed(FORMULA, sleep(), subset="Days > 1").fit()
    found = fit.update(". ~ . + I(Days**2)").update("log(.) ~ .")
    assert found.model.formula_text == "log(Reaction) ~ Days + I(Days ** 2) + (Days | Subject)"
    assert found.nobs == 144


@pytest.mark.parametrize("make", [lambda d: d, pl.from_pandas, dict], ids=["pandas", "polars", "mapping"])
def test_rows_are_chosen_by_an_expression(make) -> None:
    some = sleep()[sleep()["Days"] >= 3]
    weights = 1.0 + np.arange(180) % 3
    wanted = mixfit.mixed(FORMULA, some, weights=weights[sleep()["Days"] >= 3]).fit()
    data = make(sleep())
    for subset in ("Days >= 3", (sleep()["Days"] >= 3).to_numpy()):
        found = mixfit.mixed(FORMULA, data, weights=weights, subset=subset).fit()
        assert found.llf == pytest.approx(wanted.llf, rel=1e-12)


def test_missing_truth_leaves_a_row_out_and_levels_without_rows_are_gone() -> None:
    # A missing day is no day before the fifth.
    assert gaps()["Days"].lt(5).sum() == 89
    model = mixfit.mixed("Reaction ~ 1 + (1 | Subject)", gaps(), subset="Days < 5", na_action="exclude")
    assert model.fit().fittedvalues.shape == (89,)
    fewer = mixfit.mixed(FORMULA, sleep(), subset=sleep()["Subject"].isin(["308", "309", "310"]))
    assert fewer.groups["Subject"].n_levels == 3


@pytest.mark.parametrize(
    ("subset", "error", "message"),
    [
        ("Days > 99", DataError, "'Days > 99' holds in no row"),
        ("Days", DataError, "truth value"),
        (np.ones(3, dtype=bool), DataError, "truth value for each of the 180 rows"),
        ("Dys > 1", FormulaError, "Dys"),
        (pd.Series(True, index=range(1, 181)), DataError, "index of subset="),
    ],
)
def test_what_chooses_no_rows_is_refused(subset: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mixfit.mixed(FORMULA, sleep(), subset=subset)  # type: ignore[arg-type]


def test_excluded_rows_are_missing_in_what_has_a_value_a_row() -> None:
    fit = mixfit.mixed(FORMULA, gaps(), na_action="exclude").fit()
    plain = mixfit.mixed(FORMULA, gaps()).fit()
    out = np.zeros(180, dtype=bool)
    out[[3, 77, 100]] = True
    pairs = [
        (fit.fittedvalues, plain.fittedvalues),
        (fit.resid, plain.resid),
        (fit.residuals("scaled"), plain.residuals("scaled")),
        (fit.hatvalues(), plain.hatvalues()),
        (fit.cooks_distance(), plain.cooks_distance()),
        (fit.predict(re_form="population"), plain.predict(re_form="population")),
        (fit.predict(se=True)["mean_se"], plain.predict(se=True)["mean_se"]),
        (fit.quantile_residuals(20, seed=1), plain.quantile_residuals(20, seed=1)),
    ]
    for padded, used in pairs:
        assert padded.index.equals(gaps().index)
        assert padded[out].isna().all()
        np.testing.assert_array_equal(padded[~out], used)
    assert isinstance(fit, type(plain))
    assert fit.llf == plain.llf
    assert str(fit.summary()) == str(plain.summary())
    assert len(fit.predict(sleep().head(3))) == 3
    assert list(fit.cooks_distance(by="Subject").index) == list(plain.cooks_distance(by="Subject").index)
    assert fit.refit(plain.model.endog + 1.0).fittedvalues.shape == (180,)
    again = pickle.loads(pickle.dumps(fit))
    pd.testing.assert_series_equal(again.fittedvalues, fit.fittedvalues)


def test_what_was_simulated_and_what_was_padded_is_refitted() -> None:
    data = mixfit.datasets.load("sleepstudy")
    data.loc[[3, 20], "Reaction"] = np.nan
    formula = "Reaction ~ Days + (Days | Subject)"
    plain, padded = (mixfit.mixed(formula, data, na_action=action).fit() for action in ("drop", "exclude"))
    drawn = plain.simulate(seed=1)
    expected = plain.refit(drawn["sim_1"]).params
    np.testing.assert_array_equal(plain.refit(drawn).params, expected)
    np.testing.assert_array_equal(padded.refit(drawn).params, expected)
    # With a value for each row of the data, as its fitted values have.
    long, short = (fit.fittedvalues + fit.resid.abs() for fit in (padded, plain))
    assert (len(long), len(short)) == (180, 178)
    np.testing.assert_array_equal(padded.refit(long).params, plain.refit(short).params)
    with pytest.raises(DataError, match=r"shape \(178, 2\)"):
        plain.refit(plain.simulate(2, seed=1))


def test_excluded_rows_of_generalized_fits() -> None:
    data = mixfit.datasets.load("wine")
    data.loc[data.index[5], "temp"] = None
    for family, response in (("cumulative", "rating"), ("binomial", "I(rating == '3')")):
        fit = mixfit.mixed(f"{response} ~ temp + (1 | judge)", data, family=family, na_action="exclude").fit()
        assert fit.fittedvalues.shape == (72,)
        assert np.flatnonzero(fit.fittedvalues.isna()).tolist() == [5]
        assert pickle.loads(pickle.dumps(fit)).llf == fit.llf


def test_without_missing_rows_nothing_is_padded() -> None:
    fit = mixfit.mixed(FORMULA, sleep(), na_action="exclude").fit()
    assert type(fit).__name__ == "LinearResults"


def test_two_columns_are_refitted_as_events_and_others() -> None:
    data = mixfit.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = mixfit.mixed(formula, data, family="binomial").fit()
    events = np.column_stack([np.minimum(data["incidence"] + 1, data["size"]), np.full(len(data), 7)])
    wanted = mixfit.mixed(
        "cbind(a, b) ~ period + (1 | herd)", data.assign(a=events[:, 0], b=7), family="binomial"
    ).fit()
    found = fit.refit(events)
    assert found.llf == pytest.approx(wanted.llf, rel=1e-10)
    np.testing.assert_allclose(found.params, wanted.params, rtol=1e-6)
    np.testing.assert_allclose(fit.refit(pd.DataFrame(events)).params, found.params)
    with pytest.raises(DataError, match="no trials"):
        fit.refit(np.zeros((len(data), 2)))


def test_what_cannot_be_updated_is_refused() -> None:
    fit = mixfit.mixed(FORMULA, sleep()).fit()
    with pytest.raises(ArgumentError, match="'weight'"):
        fit.update(weight="Days")
    again = pickle.loads(pickle.dumps(fit))
    with pytest.raises(FitError, match=r"pickle.*data="):
        again.update(". ~ . - Days")
    assert again.update(". ~ . - Days", data=sleep()).llf == fit.update(". ~ . - Days").llf
    other = fit.refit(fit.model.endog + 1.0)
    with pytest.raises(FitError, match="other than those of its data"):
        other.update(". ~ . - Days")


def test_nonlinear_models_take_whole_formulas() -> None:
    orange = pd.read_csv(Path(__file__).parents[1] / "data" / "Orange.csv")
    formula = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ {} | Tree"
    fit = mixfit.nonlinear(formula.format("Asym"), orange).fit()
    wanted = mixfit.nonlinear(formula.format("xmid"), orange).fit()
    assert fit.update(formula.format("xmid")).llf == pytest.approx(wanted.llf)
    assert fit.update(data=orange[orange["age"] > 200]).nobs == 30
    with pytest.raises(FormulaError, match="three parts"):
        fit.update(". ~ . ~ xmid | Tree")


@pytest.mark.parametrize("family", [None, "gamma(log)"])
def test_predictions_with_intervals_and_new_responses_have_a_row_each(family: str | None) -> None:
    data = gaps()
    plain, padded = (
        mixfit.mixed(FORMULA, data, family=family, na_action=action).fit() for action in ("drop", "exclude")
    )
    used = np.ones(180, dtype=bool)
    used[[3, 77, 100]] = False
    for made in (
        lambda fit: fit.get_prediction().summary_frame(),
        lambda fit: fit.get_prediction(re_form="population").summary_frame(),
        lambda fit: fit.simulate(2, seed=1),
    ):
        whole, own = made(padded), made(plain)
        assert whole.index.equals(data.index)
        assert whole[~used].isna().all(axis=None)
        np.testing.assert_allclose(whole[used], own)
    new = data.dropna().head(3)
    assert len(padded.get_prediction(new).summary_frame()) == len(padded.simulate(1, newdata=new)) == 3
