"""Linear models with known fixed effects, against offsets made by hand."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import ArgumentError, ComparisonError, FitError, FormulaError, ParameterError

if TYPE_CHECKING:
    import pandas as pd

HELD = "Reaction ~ arm + Days + (Days | Subject)"
BY_HAND = "Reaction ~ arm + offset(8.0 * Days) + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    frame = mixfit.datasets.load("sleepstudy")
    number = frame["Subject"].astype(int)
    return frame.assign(arm=np.where(number % 2, "a", "b"), w=1.0 + number % 3)


@pytest.fixture(scope="module")
def pair(sleep: pd.DataFrame):
    return mixfit.mixed(HELD, sleep, fixed={"Days": 8}).fit(), mixfit.mixed(BY_HAND, sleep).fit()


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("reml", [True, False])
def test_a_known_slope_is_an_offset(sleep: pd.DataFrame, reml: bool, weights: str | None) -> None:
    held = mixfit.mixed(HELD, sleep, weights=weights, fixed={"Days": 8}).fit(reml=reml)
    by_hand = mixfit.mixed(BY_HAND, sleep, weights=weights).fit(reml=reml)
    numbers = [[f.llf, f.npar, f.df_resid, f.aic, f.bic, f.sigma] for f in (held, by_hand)]
    assert_allclose(*numbers, rtol=1e-9)
    assert_allclose(held.theta, by_hand.theta, rtol=1e-6)
    assert_allclose(held.params.drop("Days"), by_hand.params, rtol=1e-8)
    assert_allclose(held.cov_params().drop("Days").drop(columns="Days"), by_hand.cov_params(), rtol=1e-6)
    assert held.params["Days"] == 8.0
    assert held.bse["Days"] == 0.0
    assert_allclose(held.fittedvalues, by_hand.fittedvalues)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "z"])
def test_its_tests_are_those_of_the_offset(pair, ddf: str) -> None:
    held, by_hand = pair
    L = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0]])
    assert_allclose(held.contest(L, ddf=ddf).frame, by_hand.contest(L[:, :2], ddf=ddf).frame, rtol=1e-5)
    assert_allclose(held.conf_int(ddf=ddf).drop("Days"), by_hand.conf_int(ddf=ddf), rtol=1e-5)
    assert_allclose(held.conf_int(ddf=ddf).loc["Days"], 8.0)
    terms = held.anova(ddf=ddf).frame
    assert_allclose(terms.loc["arm"], by_hand.anova(ddf=ddf).frame.loc["arm"], rtol=1e-5)
    assert terms.loc["Days"].isna().all()


def test_what_follows_is_that_of_the_offset(sleep: pd.DataFrame, pair) -> None:
    held, by_hand = pair
    new = sleep.head(4)
    assert_allclose(held.predict(new, se=True), by_hand.predict(new, se=True), rtol=1e-6)
    assert_allclose(held.get_prediction(new).summary_frame(), by_hand.get_prediction(new).summary_frame(), rtol=1e-5)
    assert_allclose(held.simulate(2, seed=1), by_hand.simulate(2, seed=1), rtol=1e-6)
    assert_allclose(held.caic().caic, by_hand.caic().caic, rtol=1e-6)
    columns = [".hat", ".cooksd"]
    assert_allclose(held.augment()[columns], by_hand.augment()[columns], rtol=1e-4)
    assert_allclose(held.ranova()["LRT"], by_hand.ranova()["LRT"], rtol=1e-5)
    refits = [fit.bootstrap(lambda f: f.params[["Intercept", "arm[T.b]"]], n=2, seed=1).replicates for fit in pair]
    assert_allclose(*refits, rtol=1e-5)


def test_models_made_of_it_hold_it_too(sleep: pd.DataFrame, pair) -> None:
    held, _ = pair
    y = sleep["Reaction"].to_numpy() + np.arange(180) % 7
    again = held.refit(y)
    assert_allclose(again.llf, mixfit.mixed(BY_HAND, sleep.assign(Reaction=y)).fit().llf)
    assert again.params["Days"] == 8.0
    some = np.arange(180) < 150
    assert_allclose(held.model.of_rows(some).fit().llf, mixfit.mixed(BY_HAND, sleep[some]).fit().llf)
    assert_allclose(held.model.with_data(sleep[some]).fit().llf, mixfit.mixed(BY_HAND, sleep[some]).fit().llf)
    assert held.model.with_family("t").fit().params["Days"] == 8.0
    assert_allclose(pickle.loads(pickle.dumps(held)).conf_int(), held.conf_int(), rtol=1e-6)
    assert "fixed = Days 8" in str(held.summary())


def test_likelihood_ratio_against_the_free_model(sleep: pd.DataFrame, pair) -> None:
    held, _ = pair
    free = mixfit.mixed(HELD, sleep).fit()
    by_hand = mixfit.mixed(BY_HAND, sleep).fit(reml=False)
    table = mixfit.anova(held, free)
    assert table["Df"].iloc[1] == 1
    assert_allclose(table["Chisq"].iloc[1], 2.0 * (free.model.fit(reml=False).llf - by_hand.llf), rtol=1e-6)
    with pytest.raises(ComparisonError, match="different fixed effects"):
        mixfit.anova(held, free, refit=False)
    without = mixfit.mixed("Reaction ~ 1 + (Days | Subject)", sleep).fit()
    with pytest.raises(ComparisonError, match="not nested in m1, where fixed= holds 'Days'"):
        mixfit.anova(without, held)


def test_all_fixed_effects_may_be_known(sleep: pd.DataFrame) -> None:
    held = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep, fixed={"Intercept": 250, "mean:Days": 10}).fit()
    by_hand = mixfit.mixed("Reaction ~ 0 + offset(250 + 10 * Days) + (1 | Subject)", sleep).fit()
    assert_allclose([held.llf, held.npar, held.sigma], [by_hand.llf, by_hand.npar, by_hand.sigma])


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda fit: fit.drop1(), ComparisonError, "fixed= holds coefficients"),
        (lambda fit: fit.profile(), FitError, "fixed= holds some of these"),
        (lambda fit: fit.influence("Subject"), FitError, r"influence\(refit=True\)"),
        (lambda fit: fit.robust("CR2").bse, FitError, "fixed= holds some of these"),
        (lambda fit: fit.sample(), FitError, "give them priors instead"),
        (lambda fit: fit.model.fit(priors="blme"), FitError, "leave fixed= out"),
        (lambda fit: fit.with_params(fixed={"Days": 3}), ParameterError, "leave it out"),
        (lambda fit: fit.standardize(), FitError, "method='basic'"),
    ],
)
def test_what_moves_every_coefficient_is_refused(pair, ask, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ask(pair[0])


@pytest.mark.parametrize(
    ("fixed", "error", "message"),
    [
        ({"q": 1.0}, FormulaError, "names 'q', and can hold the fixed effects Intercept, Days"),
        ({"twice": 1.0}, FormulaError, "names 'twice'"),
        ({"Days": 1.0, "mean:Days": 1.0}, FormulaError, "twice"),
        ({"Days": np.nan}, FitError, "no finite number"),
        (3.0, ArgumentError, "by name"),
    ],
)
def test_what_cannot_be_known_is_refused(sleep: pd.DataFrame, fixed, error: type[Exception], message: str) -> None:
    d = sleep.assign(twice=2.0 * sleep["Days"])
    with pytest.raises(error, match=message):
        mixfit.mixed("Reaction ~ Days + twice + (1 | Subject)", d, fixed=fixed)
