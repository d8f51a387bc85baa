"""Models of times to an event: ``censored(time, event)`` from formula to result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad

import mixfit
from mixfit.errors import DataError, FitError, FormulaError, MixfitError

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "survival.json").read_text())
ROWS = pd.DataFrame(REFERENCE["rows"])
FORMULA = "censored(time, event) ~ x + (1 | g)"
FAMILY = {"weibull": "weibull", "exponential": "exponential", "lognormal": "lognormal_aft"}


def simulated(name: str = "weibull", groups: int = 60, each: int = 15, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), each)
    x = rng.normal(size=len(g))
    eta = 1.0 + 0.5 * x + 0.6 * rng.normal(size=groups)[g]
    family = mixfit.mixed("y ~ 1 + (1 | g)", pd.DataFrame({"y": x**2 + 0.1, "g": g}), family=name).family
    t = family.simulate(np.exp(eta), np.ones(len(g)), 1.0 if name == "exponential" else 0.7, rng)
    limit = rng.uniform(0.5, 12.0, len(g))
    return pd.DataFrame({"time": np.minimum(t, limit), "event": (t <= limit).astype(int), "x": x, "g": g})


@pytest.mark.parametrize("wanted", REFERENCE["fits"], ids=lambda w: f"{w['dist']}-{w['weighted']}")
def test_without_variance_between_groups_a_fit_is_survregs(wanted: dict[str, Any]) -> None:
    weights = "w" if wanted["weighted"] else None
    fit = mixfit.mixed(FORMULA, ROWS, family=FAMILY[wanted["dist"]], weights=weights).fit()
    assert fit.is_singular
    assert_allclose(fit.llf, wanted["llf"], rtol=1e-9)
    assert_allclose(fit.params, wanted["coef"], rtol=1e-5)
    assert_allclose(fit.dispersion, wanted["scale"], rtol=1e-5)
    assert_allclose(fit.bse, wanted["se"], rtol=1e-3)


@pytest.mark.parametrize("wanted", REFERENCE["strata"], ids=lambda w: str(w["dist"]))
def test_a_predictor_of_the_scale_is_survregs_strata(wanted: dict[str, Any]) -> None:
    fit = mixfit.mixed(FORMULA, ROWS, family=FAMILY[wanted["dist"]], dispersion="~ z").fit()
    assert_allclose(fit.llf, wanted["llf"], rtol=1e-9)
    assert_allclose(fit.params, wanted["coef"], rtol=1e-5)
    assert_allclose(np.exp(np.cumsum(fit.params_of("dispersion"))), wanted["scale"], rtol=1e-5)


@pytest.mark.parametrize("name", ["weibull", "exponential", "lognormal_aft"])
def test_a_fit_finds_what_its_data_are_drawn_from(name: str) -> None:
    fit = mixfit.mixed(FORMULA, simulated(name), family=name).fit()
    assert fit.converged
    assert (np.abs(fit.params - [1.0, 0.5]) < 3.0 * fit.bse).all()
    assert_allclose(fit.theta, 0.6, atol=0.2)
    if name != "exponential":
        assert_allclose(fit.dispersion, 0.7, atol=0.1)


@pytest.mark.parametrize("name", ["weibull", "lognormal_aft"])
def test_the_likelihood_is_an_integral_over_the_effects_of_each_group(name: str) -> None:
    rows = simulated(name, groups=12, each=5)
    fit = mixfit.mixed(FORMULA, rows, family=name).fit(n_agq=25)
    fixed, sd = fit.params.to_numpy(), float(fit.theta[0])
    total = 0.0
    for _, own in rows.groupby("g"):
        t, seen = own["time"].to_numpy(), own["event"].to_numpy() == 1

        def joint(u: float, own: pd.DataFrame = own, t: Any = t, seen: Any = seen) -> float:
            z = (np.log(t) - fixed[0] - fixed[1] * own["x"].to_numpy() - sd * u) / fit.dispersion
            if name == "weibull":
                rows = np.where(seen, z - np.log(fit.dispersion * t), 0.0) - np.exp(z)
            else:
                from scipy.stats import norm

                rows = np.where(seen, norm.logpdf(z) - np.log(fit.dispersion * t), norm.logsf(z))
            return float(np.exp(rows.sum() - 0.5 * u**2) / np.sqrt(2.0 * np.pi))

        total += np.log(quad(joint, -9.0, 9.0, epsabs=0.0, epsrel=1e-11, limit=200)[0])
    assert_allclose(fit.llf, total, rtol=1e-8)


def test_events_may_be_booleans_and_times_expressions() -> None:
    fit = mixfit.mixed(FORMULA, ROWS, family="weibull").fit()
    rows = ROWS.assign(event=ROWS["event"] == 1)
    again = mixfit.mixed("censored(time * 7, event) ~ x + (1 | g)", rows, family="weibull").fit()
    assert_allclose(again.params - [np.log(7.0), 0.0], fit.params, rtol=1e-6)
    assert_array_equal(np.sign(again.model.endog), np.where(ROWS["event"] == 1, 1.0, -1.0))


def test_rows_of_which_time_or_event_is_missing_are_left_out() -> None:
    rows = ROWS.assign(event=ROWS["event"].astype(float))
    rows.loc[3, "time"], rows.loc[5, "event"] = np.nan, np.nan
    fit = mixfit.mixed(FORMULA, rows, family="weibull").fit()
    wanted = mixfit.mixed(FORMULA, ROWS.drop(index=[3, 5]), family="weibull").fit()
    assert fit.model.design.n_dropped == 2
    assert_allclose(fit.llf, wanted.llf, rtol=1e-10)


def test_times_without_censoring_are_a_plain_response() -> None:
    plain = mixfit.mixed("time ~ x + (1 | g)", ROWS, family="weibull").fit()
    seen = mixfit.mixed(FORMULA, ROWS.assign(event=1), family="weibull").fit()
    assert_allclose(plain.llf, seen.llf, rtol=1e-12)
    assert_allclose(seen.residuals("pearson"), plain.residuals("pearson"), rtol=1e-10)


def test_censoring_travels_through_subsets_updates_and_new_data() -> None:
    fit = mixfit.mixed(FORMULA, ROWS, family="weibull", subset="z == 0").fit()
    half = ROWS[ROWS["z"] == 0]
    assert_array_equal(fit.model.endog, np.where(half["event"] == 1, half["time"], -half["time"]))
    smaller = fit.update(". ~ . - x")
    assert_array_equal(smaller.model.endog, fit.model.endog)
    assert_array_equal(fit.model.with_data(half).endog, fit.model.endog)
    assert_allclose(fit.refit(fit.model.endog).llf, fit.llf, rtol=1e-10)


def test_a_fit_is_written_and_read_again(tmp_path: Path) -> None:
    fit = mixfit.mixed(FORMULA, ROWS, family="weibull").fit()
    fit.save(tmp_path / "times.mixfit")
    again = mixfit.load(tmp_path / "times.mixfit")
    assert_array_equal(again.model.endog, fit.model.endog)
    assert json.loads(again.to_json())["family"].startswith("weibull")


def test_predictions_are_mean_times() -> None:
    fit = mixfit.mixed(FORMULA, ROWS, family="lognormal_aft").fit()
    wanted = np.exp(fit.linear_predictor + 0.5 * fit.dispersion**2)
    assert_allclose(fit.fittedvalues, wanted)
    assert_allclose(fit.predict(ROWS), wanted)


def test_quantile_residuals_of_censored_rows_are_drawn_above_their_time() -> None:
    fit = mixfit.mixed(FORMULA, simulated(), family="weibull").fit()
    residuals = fit.quantile_residuals(n=400, seed=1)
    later = fit.model.endog < 0.0
    survival = fit.family.loglik(-np.abs(fit.model.endog), fit.prior, fit.estimate.eta, fit.dispersion)
    given = fit.quantile_residuals(n=2000, seed=1, re_form=None)
    assert (given[later] > 1.0 - np.exp(survival[later]) - 0.05).all()
    tests = fit.residual_tests(seed=2).frame
    assert list(tests.index) == ["uniformity", "outliers"]
    assert tests.loc["uniformity", "p.value"] > 0.01
    assert residuals.between(0.0, 1.0).all()


def test_a_wrong_distribution_shows_in_quantile_residuals() -> None:
    rows = simulated(groups=80)
    fit = mixfit.mixed(FORMULA, rows, family="exponential").fit()
    assert fit.residual_tests(seed=2).frame.loc["uniformity", "p.value"] < 1e-3


def test_a_summary_counts_events_and_censored_rows() -> None:
    summary = str(mixfit.mixed(FORMULA, ROWS, family="weibull").fit().summary())
    assert "97 events; 23 rows are censored" in summary
    assert "Scale of log times for weibull family (phi)" in summary


@pytest.mark.parametrize(
    "what",
    [
        lambda fit: fit.residuals("pearson"),
        lambda fit: fit.augment(),
        lambda fit: fit.check_model(n=10),
        lambda fit: fit.bootstrap(n=3, progress=False),
        lambda fit: mixfit.cross_validate(fit, "g"),
    ],
    ids=["residuals", "augment", "check_model", "bootstrap", "cross_validate"],
)
def test_what_takes_responses_for_events_is_refused(what: Any) -> None:
    fit = mixfit.mixed(FORMULA, ROWS, family="weibull").fit()
    with pytest.raises(FitError, match="has times at which rows are censored"):
        what(fit)


@pytest.mark.parametrize(
    ("rows", "formula", "family", "error", "message"),
    [
        (ROWS.assign(time=ROWS["time"] - 5.0), FORMULA, "weibull", DataError, "must hold times, positive and finite; "),
        (ROWS.assign(event=ROWS["event"] + 1), FORMULA, "weibull", DataError, "must be 1 .True. where the event is"),
        (ROWS.assign(event="yes"), FORMULA, "weibull", DataError, "'event' in .* must be numeric"),
        (ROWS.assign(event=0), FORMULA, "weibull", DataError, "all 120 rows are censored, and no event is seen"),
        (ROWS, FORMULA, "gamma", DataError, r"families of times to an event \(weibull, exponential, lognormal_aft\)"),
        (ROWS, FORMULA, "lognormal", DataError, "families of times to an event"),
        (ROWS, FORMULA, "binomial", DataError, "families of times to an event"),
        (ROWS, FORMULA, None, DataError, "is a response for times to an event; this model needs one number a row"),
        (ROWS, FORMULA, "cumulative", DataError, "for times to an event; this one is a column of"),
        (ROWS.assign(time=-ROWS["time"]), "time ~ x + (1 | g)", "weibull", DataError, "is a time, and negative in 120"),
        (ROWS, "censored(time) ~ x + (1 | g)", "weibull", FormulaError, r"two columns: censored\(time, event\)"),
        (ROWS, "cbind(time, event) ~ x + (1 | g)", "weibull", DataError, "is a response for binomial models"),
    ],
)
def test_what_no_model_of_times_can_be_made_of_is_refused(
    rows: pd.DataFrame, formula: str, family: str | None, error: type[MixfitError], message: str
) -> None:
    with pytest.raises(error, match=message):
        mixfit.mixed(formula, rows, family=family)


@pytest.mark.parametrize("family", ["weibull", "exponential", "lognormal_aft"])
def test_a_level_without_any_event_has_no_finite_estimate(family: str) -> None:
    rows = ROWS.assign(event=np.where(ROWS["z"] == 1, 0, ROWS["event"]))
    with pytest.raises(FitError, match=r"'C\(z\)\[T.1\]' separates the response"):
        mixfit.mixed("censored(time, event) ~ x + C(z) + (1 | g)", rows, family=family).fit()


def test_a_group_without_any_event_is_fitted() -> None:
    rows = simulated(groups=20)
    before = mixfit.mixed(FORMULA, rows, family="weibull").fit()
    rows.loc[rows["g"] == 4, "event"] = 0
    fit = mixfit.mixed(FORMULA, rows, family="weibull").fit()
    assert fit.converged
    assert fit.ranef()["g"].iloc[4, 0] > before.ranef()["g"].iloc[4, 0] + 0.1


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_estimates_follow_the_unit_of_time(unit: float) -> None:
    own = mixfit.mixed(FORMULA, ROWS, family="weibull").fit()
    fit = mixfit.mixed(FORMULA, ROWS.assign(time=unit * ROWS["time"]), family="weibull").fit()
    assert_allclose(fit.params - [np.log(unit), 0.0], own.params, rtol=1e-6)
    assert_allclose(fit.llf + ROWS["event"].sum() * np.log(unit), own.llf, rtol=1e-9)


@pytest.mark.parametrize("name", ["spaghetti", "predictive_check", "fitted_lines"])
def test_figures_of_responses_are_refused(name: str) -> None:
    pytest.importorskip("matplotlib")
    fit = mixfit.mixed(FORMULA, ROWS, family="weibull").fit()
    with pytest.raises(FitError, match="has times at which rows are censored"):
        getattr(fit.plot, name)(*([] if name == "predictive_check" else ["x"]))


def test_comparisons_leave_errors_of_prediction_blank() -> None:
    small, large = (mixfit.mixed(f, ROWS, family="weibull").fit() for f in (FORMULA, FORMULA.replace("x", "x + z")))
    frame = mixfit.compare(small, large).frame
    assert frame["RMSE"].isna().all()
    assert frame["R2m"].notna().all()


def test_marginal_means_are_named_for_what_they_are() -> None:
    fit = mixfit.mixed("censored(time, event) ~ C(z) + (1 | g)", ROWS, family="weibull").fit()
    assert "scale" in fit.emmeans("z", type="response").to_frame()


def test_posteriors_take_censored_times() -> None:
    fit = mixfit.mixed(FORMULA, simulated("exponential", groups=20, each=6), family="exponential").fit()
    drawn = fit.sample(draws=150, chains=2, seed=1, priors="brms").summary()
    assert_allclose(drawn.loc[["Intercept", "x"], "mean"], fit.params, atol=2.0 * fit.bse.max())


def test_families_without_a_survival_function_are_no_candidates() -> None:
    fit = mixfit.mixed(FORMULA, ROWS, family="weibull").fit()
    table = fit.compare_families(["lognormal_aft", "gamma"])
    assert table.frame["AIC"].notna().sum() == 2
    assert any("families of times to an event" in note for note in table.notes)
