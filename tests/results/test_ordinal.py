"""All that a result of ordered categories does."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

import mixfit
from mixfit.errors import ComparisonError, DataError, FitError

if TYPE_CHECKING:
    from mixfit.results.ordinal import OrdinalResults

WINE = mixfit.datasets.load("wine")
FORMULA = "rating ~ temp * contact + (1 | judge)"


@pytest.fixture(scope="module")
def fit() -> OrdinalResults:
    return mixfit.mixed(FORMULA, WINE, "cumulative").fit()


@pytest.fixture(scope="module")
def rich() -> OrdinalResults:
    """With nominal and scale effects."""
    return mixfit.mixed(
        "rating ~ temp + (1 | judge)", WINE, "cumulative", nominal="~ contact", dispersion="~ temp"
    ).fit()


def test_parameters_have_the_thresholds_first(fit: OrdinalResults, rich: OrdinalResults) -> None:
    assert fit.params.index.tolist()[:5] == ["1|2", "2|3", "3|4", "4|5", "temp[T.warm]"]
    assert fit.fixef.index.tolist() == list(fit.model.exog_names)
    assert rich.params.index.tolist()[3:6] == ["4|5.(Intercept)", "1|2.contact[T.yes]", "2|3.contact[T.yes]"]
    assert rich.params_of("dispersion").index.tolist() == ["temp[T.warm]"]
    assert_allclose(rich.params_of("mean"), rich.params)
    assert rich.npar == 8 + 1 + 1 + 1
    with pytest.raises(FitError, match="none called 'zi'"):
        rich.params_of("zi")


def test_covariances_are_of_all_parameters(fit: OrdinalResults) -> None:
    cov = fit.cov_params()
    assert cov.index.equals(fit.params.index)
    assert_allclose(np.sqrt(np.diagonal(cov)), fit.bse)
    assert_allclose(cov, cov.T)
    assert np.linalg.eigvalsh(cov).min() > 0.0
    with pytest.raises(FitError, match="conditional"):
        fit.cov_params(conditional=True)


def test_another_baseline_moves_the_thresholds() -> None:
    plain = mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative").fit()
    turned = WINE.assign(temp=WINE["temp"].cat.reorder_categories(["warm", "cold"]))
    other = mixfit.mixed("rating ~ temp + (1 | judge)", turned, "cumulative").fit()
    warm = float(plain.params["temp[T.warm]"])
    assert_allclose(other.params.iloc[:4], plain.params.iloc[:4] - warm, atol=1e-3)
    # Var(tau - beta) from the covariances of thresholds with location.
    cov = plain.cov_params().to_numpy()
    assert_allclose(other.bse.iloc[0] ** 2, cov[0, 0] + cov[-1, -1] - 2.0 * cov[0, -1], rtol=1e-2)


def test_a_summary_has_a_table_of_thresholds(rich: OrdinalResults) -> None:
    text = str(rich.summary())
    assert "cumulative  ( logit )" in text
    assert "Threshold coefficients:" in text
    assert "Log-scale coefficients:" in text
    assert "nominal: contact[T.yes]; scale: temp[T.warm]" in text
    assert "Threshold coefficients" in rich.summary().as_html()
    assert rich.summary().coefficients.index.tolist() == ["temp[T.warm]"]


def test_a_model_without_covariates_has_thresholds_alone() -> None:
    fit = mixfit.mixed("rating ~ 1 + (1 | judge)", WINE, "cumulative(probit)").fit()
    assert fit.params.index.tolist() == ["1|2", "2|3", "3|4", "4|5"]
    assert "Threshold coefficients:" in str(fit.summary())


def test_predictions_are_of_probabilities(fit: OrdinalResults) -> None:
    p = fit.predict()
    assert p.columns.tolist() == list("12345")
    assert_allclose(p.sum(axis=1), 1.0)
    eta = fit.predict(what="link")
    assert_allclose(p["1"], expit(fit.params["1|2"] - eta))
    assert_allclose(fit.predict(what="cumulative")["4"], 1.0 - p["5"])
    assert_allclose(fit.predict(what="mean"), p.to_numpy() @ np.arange(1.0, 6.0))
    assert_allclose(fit.fittedvalues, fit.predict(what="mean"))
    classes = fit.predict(what="class")
    assert classes.cat.ordered
    assert classes.tolist() == [str(k + 1) for k in np.argmax(p.to_numpy(), axis=1)]
    with pytest.raises(FitError, match="predict of ordered categories gives"):
        fit.predict(what="zero")


def test_new_rows_are_read_as_those_of_the_fit(fit: OrdinalResults, rich: OrdinalResults) -> None:
    for own in (fit, rich):
        some = WINE.iloc[[3, 40, 60]]
        assert_allclose(own.predict(some), own.predict().iloc[[3, 40, 60]])
        population = own.predict(some, re_form="population")
        assert_allclose(population, own.predict(re_form="population").iloc[[3, 40, 60]])
        new = some.assign(judge="10")
        assert_allclose(own.predict(new, allow_new_levels=True), population)
    missing = WINE.head(2).assign(temp=[None, "warm"])
    found = fit.predict(missing)
    assert np.isnan(found.iloc[0]).all()
    assert np.isfinite(found.iloc[1]).all()
    assert fit.predict(missing, what="class").isna().tolist() == [True, False]


@pytest.mark.parametrize("name", ["fit", "rich"])
def test_errors_of_probabilities_are_by_the_delta_method(name: str, request: pytest.FixtureRequest) -> None:
    own = request.getfixturevalue(name)
    rows = WINE.iloc[[0, 20, 70]]
    found = own.predict(rows, re_form="population", se=True)
    assert_allclose(found["mean"], own.predict(rows, re_form="population"))
    estimate, rng = own.estimate, np.random.default_rng(1)
    every = np.block([[estimate.cov_beta, estimate.cov_beta_shape], [estimate.cov_beta_shape.T, estimate.cov_shape]])
    # A hundredth of the spread, in which the probabilities are linear.
    draws = 0.01 * rng.multivariate_normal(np.zeros(len(every)), every, 4000)
    X, family, p = own.model.exog[[0, 20, 70]], own.family_of(rows), len(estimate.beta)
    spread = np.std(
        [family.at(estimate.shape + d[p:]).probabilities(X @ (estimate.beta + d[:p])) for d in draws], axis=0
    )
    assert_allclose(100.0 * spread.T, found["mean_se"], rtol=0.08)
    with pytest.raises(FitError, match="without random effects"):
        own.predict(rows, se=True)
    assert own.predict(rows, what="link", se=True).shape == (3, 2)


@pytest.mark.parametrize("name", ["fit", "rich"])
def test_marginal_probabilities_average_over_the_random_effects(name: str, request: pytest.FixtureRequest) -> None:
    own = request.getfixturevalue(name)
    rows = WINE.iloc[[0, 20, 70]]
    found = own.predict(rows, re_form="marginal")
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    sd = float(own.estimate.templates[0][0, 0])
    eta = own.predict(rows, re_form="population", what="link").to_numpy()
    p = own.family_of(rows).probabilities(eta + sd * nodes[:, None])
    assert_allclose(found, np.einsum("krm,r->mk", p, weights / weights.sum()), rtol=1e-6)
    assert_allclose(own.predict(re_form="marginal").iloc[[0, 20, 70]], found)


@pytest.mark.slow
def test_responses_of_new_rows_have_their_probabilities(rich: OrdinalResults) -> None:
    rows = WINE.iloc[[0, 20, 70]].assign(judge="new")
    drawn = rich.simulate(4000, newdata=rows, seed=1)
    shares = pd.DataFrame({k: (drawn.astype(str) == k).mean(axis=1) for k in "12345"})
    p = rich.predict(rows, re_form="marginal")
    # Four standard errors of 4,000 draws.
    assert (np.abs(shares - p) < 4.0 * np.sqrt(p * (1.0 - p) / 4000.0) + 1e-9).all(axis=None)
    missing = rich.simulate(1, newdata=rows.assign(contact=[None, "no", "yes"]), seed=1)
    assert missing["sim_1"].isna().tolist() == [True, False, False]


def test_simulations_are_categories_and_lead_to_refits(fit: OrdinalResults) -> None:
    drawn = fit.simulate(3, seed=1)
    assert drawn.columns.tolist() == ["sim_1", "sim_2", "sim_3"]
    assert drawn["sim_1"].dtype == WINE["rating"].dtype
    assert_allclose(fit.refit(WINE["rating"]).llf, fit.llf, atol=1e-6)
    assert_allclose(fit.model.with_response(fit.model.endog).fit().llf, fit.llf, atol=1e-6)
    with pytest.raises(FitError, match="from 1 to 5"):
        fit.model.with_response(fit.model.endog - 1.0)


def test_residuals_are_of_the_numbers(fit: OrdinalResults) -> None:
    p = fit.predict().to_numpy()
    numbers = np.arange(1.0, 6.0)
    y, mean = fit.model.endog, p @ numbers
    assert_allclose(fit.residuals("response"), y - mean)
    assert_allclose(fit.residuals("pearson"), (y - mean) / np.sqrt(p @ numbers**2 - mean**2))
    observed = p[np.arange(len(y)), y.astype(int) - 1]
    assert_allclose(fit.residuals("deviance"), np.sign(y - mean) * np.sqrt(-2.0 * np.log(observed)))
    assert np.isfinite(fit.residuals("working")).all()
    assert fit.quantile_residuals(seed=1).between(0.0, 1.0).all()
    assert fit.residual_tests(seed=1)["p.value"].gt(0.001).all()


def test_tests_are_of_location(fit: OrdinalResults) -> None:
    table = fit.anova(type=3)
    assert table["Df"].tolist() == [1, 1, 1]
    # The interaction's test is its z.
    assert_allclose(table["Chisq"].iloc[2], fit.tvalues["temp[T.warm]:contact[T.yes]"] ** 2, rtol=1e-6)
    second = mixfit.mixed("rating ~ temp + contact + (1 | judge)", WINE, "cumulative").fit()
    assert_allclose(second.anova()["Chisq"], second.anova(type=3)["Chisq"], rtol=1e-6)
    assert_allclose(second.anova()["Chisq"], second.tvalues.iloc[4:] ** 2, rtol=1e-6)
    dropped = second.drop1()
    without = mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative").fit()
    assert_allclose(dropped["LRT"].iloc[2], 2.0 * (second.llf - without.llf), atol=1e-4)
    assert_allclose(fit.contest({"temp[T.warm]": 1.0})["Chisq"], fit.tvalues["temp[T.warm]"] ** 2)
    assert fit.ttest().to_frame().index.tolist() == list(fit.model.exog_names)


def test_type_three_does_not_depend_on_the_coding(fit: OrdinalResults) -> None:
    sums = "rating ~ C(temp, contr.sum) * C(contact, contr.sum) + (1 | judge)"
    other = mixfit.mixed(sums, WINE, "cumulative").fit()
    assert_allclose(other.anova(type=3)["Chisq"], fit.anova(type=3)["Chisq"], rtol=1e-3)
    assert_allclose(other.anova(type=2)["Chisq"], fit.anova(type=2)["Chisq"], rtol=1e-3)


# emmeans 1.8.4 of ordinal's clmm, rating ~ temp * contact + (1 | judge): means and standard errors.
LATENT = {"emmean": [-2.4984511, 0.4482509, -0.7810188, 2.3972139], "SE": [0.6765348, 0.6147799, 0.6232993, 0.6562234]}
MEAN_CLASS = {"mean.class": [2.338286, 3.480877], "SE": [0.16746937, 0.20063156]}
PROBABILITIES = {
    "prob": [
        0.0961569,
        0.0056376,
        0.5243962,
        0.1007264,
        0.332154,
        0.442767,
        0.0395891,
        0.3088595,
        0.0077037,
        0.1420096,
    ],
    "SE": [0.0559396, 0.0050751, 0.0927225, 0.0520284, 0.08864, 0.0830454, 0.0254314, 0.0809596, 0.006478, 0.0695923],
}
ASKED = (("latent", "~ temp | contact", LATENT), ("mean.class", "temp", MEAN_CLASS), ("prob", "temp", PROBABILITIES))


def test_marginal_means_are_those_of_emmeans(fit: OrdinalResults) -> None:
    for mode, specs, wanted in ASKED:
        frame = fit.emmeans(specs, mode=mode).to_frame()
        for column, values in wanted.items():
            assert_allclose(frame[column], values, rtol=3e-4)
    pairs = fit.emmeans("temp", mode="mean.class").pairs().to_frame()
    assert_allclose(pairs[["estimate", "SE"]], [[-1.1425905, 0.17287861]], rtol=3e-4)
    assert fit.emmeans("temp", type="response").to_frame().equals(fit.emmeans("temp", mode="prob").to_frame())
    within = fit.emmeans("temp", mode="prob").pairs().to_frame()
    assert within["rating"].tolist() == list(fit.model.categories)


def test_differences_of_latent_means_have_no_thresholds(fit: OrdinalResults) -> None:
    pairs, b = fit.emmeans("temp").pairs().to_frame(), fit.params
    names = ["temp[T.warm]", "temp[T.warm]:contact[T.yes]"]
    weights = np.array([-1.0, -0.5])
    assert_allclose(pairs["estimate"], weights @ b[names])
    assert_allclose(pairs["SE"], np.sqrt(weights @ fit.cov_params().loc[names, names] @ weights))


def test_means_of_what_the_grid_does_not_hold_are_refused(rich: OrdinalResults) -> None:
    with pytest.raises(FitError, match="nominal effects"):
        rich.emmeans("temp", mode="prob")
    other = mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative", dispersion="~ contact").fit()
    with pytest.raises(FitError, match="the scale has others"):
        other.emmeans("temp", mode="prob")


def test_probabilities_of_a_scale_add_up() -> None:
    scaled = mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative", dispersion="~ temp").fit()
    frame = scaled.emmeans("temp", mode="prob").to_frame()
    wanted = scaled.predict(pd.DataFrame({"temp": ["cold", "warm"]}), re_form="population", se=True)
    assert_allclose(frame["prob"], wanted["mean"].to_numpy().T.ravel())
    assert_allclose(frame["SE"], wanted["mean_se"].to_numpy().T.ravel())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"re_form": "marginal"}, "random effects of zero"), ({"mode": "exc.prob"}, "mode is 'latent'")],
)
def test_other_marginal_means_are_refused(fit: OrdinalResults, options: dict[str, str], message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit.emmeans("temp", **options)


def test_intervals_are_of_thresholds_too(fit: OrdinalResults) -> None:
    wald = fit.conf_int()
    assert wald.index.equals(fit.params.index)
    assert_allclose(wald.mean(axis=1), fit.params)
    assert fit.conf_int(which="thresholds").index.tolist() == ["1|2", "2|3", "3|4", "4|5"]
    assert fit.conf_int(which="random").shape == (1, 2)
    profile = fit.conf_int(method="profile", which="contact[T.yes]")
    # As the Wald interval, for a likelihood that is nearly quadratic.
    assert_allclose(profile.loc["contact[T.yes]"], wald.loc["contact[T.yes]"], atol=0.25)


def test_nested_models_are_compared(fit: OrdinalResults) -> None:
    plain = mixfit.mixed("rating ~ temp + contact + (1 | judge)", WINE, "cumulative").fit()
    even = mixfit.mixed("rating ~ temp + contact + (1 | judge)", WINE, "cumulative(thresholds='equidistant')").fit()
    nominal = mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative", nominal="~ contact").fit()
    scaled = mixfit.mixed("rating ~ temp + contact + (1 | judge)", WINE, "cumulative", dispersion="~ temp").fit()
    assert mixfit.anova(even, plain)["Df"].tolist()[1:] == [2]
    assert mixfit.anova(plain, nominal)["Df"].tolist()[1:] == [3]
    assert mixfit.anova(plain, scaled)["Df"].tolist()[1:] == [1]
    with pytest.raises(ComparisonError, match="not nested"):
        mixfit.anova(scaled, nominal)
    with pytest.raises(ComparisonError, match="different families"):
        mixfit.anova(plain, mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative(probit)").fit())


def test_shares_of_variance_are_on_the_latent_scale(fit: OrdinalResults, rich: OrdinalResults) -> None:
    sd = float(fit.estimate.templates[0][0, 0])
    assert_allclose(fit.icc().adjusted, sd**2 / (sd**2 + np.pi**2 / 3.0))
    with pytest.raises(FitError, match="No distribution-specific variance"):
        rich.icc()


def test_what_has_no_meaning_is_refused(fit: OrdinalResults) -> None:
    with pytest.raises(FitError, match="n_agq=0"):
        fit.model.fit(n_agq=0)
    with pytest.raises(FitError, match="Penalized quasi-likelihood"):
        fit.model.fit(method="pql")
    with pytest.raises(FitError, match="influence"):
        fit.hatvalues()
    with pytest.raises(FitError, match="get_prediction"):
        fit.get_prediction()


def test_the_rest_does_what_it_does_elsewhere(fit: OrdinalResults) -> None:
    assert_allclose(fit.deviance, np.sum(fit.residuals("deviance") ** 2))
    assert fit.tidy()["term"].tolist()[:2] == ["1|2", "2|3"]
    assert fit.glance()["nobs"].tolist() == [72]
    assert ".eta" in fit.augment(WINE)
    assert fit.ranef(condsd=True)["judge"].shape == (9, 2)
    assert fit.coef()["judge"].shape == (9, 4)
    assert fit.influence("judge", refit=True).dfbeta.shape == (9, 3)
    again = pickle.loads(pickle.dumps(fit))
    assert_allclose(again.predict(WINE.head(3)), fit.predict(WINE.head(3)))
    assert_allclose(again.params, fit.params)
    deviations = (own.ranef(condsd=True)["judge"]["sd"] for own in (again, fit))
    assert_allclose(*deviations, rtol=1e-6)
    assert repr(again) == f"<OrdinalResults: {FORMULA}, cumulative(logit), 72 observations>"


def test_weights_count_rows() -> None:
    twice = pd.concat([WINE, WINE], ignore_index=True)
    weighted = mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative", weights=np.full(72, 2.0)).fit()
    assert_allclose(weighted.llf, mixfit.mixed("rating ~ temp + (1 | judge)", twice, "cumulative").fit().llf, atol=1e-6)


def test_an_offset_is_a_coefficient_of_one() -> None:
    data = WINE.assign(x=np.arange(72) / 40.0)
    free = mixfit.mixed("rating ~ x + temp + (1 | judge)", data, "cumulative").fit()
    held = data.assign(known=free.params["x"] * data["x"])
    other = mixfit.mixed("rating ~ temp + offset(known) + (1 | judge)", held, "cumulative").fit()
    assert_allclose(other.llf, free.llf, atol=1e-5)
    assert_allclose(other.params["temp[T.warm]"], free.params["temp[T.warm]"], atol=1e-3)


def lacking(category: str) -> pd.DataFrame:
    """The wines without those of contact "no" that have a rating."""
    return WINE[~((WINE.rating.astype(str) == category) & (WINE.contact == "no"))]


def test_a_middle_category_that_a_nominal_level_lacks_is_refused_by_name() -> None:
    message = "No row with contact = 'no' has the category '3' of 'rating'.* thresholds 2.3 and 3.4 are the same"
    with pytest.raises(DataError, match=message):
        mixfit.mixed("rating ~ temp + (1 | judge)", lacking("3"), family="cumulative", nominal="~ contact")


def test_a_category_that_a_level_lacks_is_no_matter_where_thresholds_are_shared() -> None:
    data = lacking("3")
    assert mixfit.mixed("rating ~ temp + (1 | judge)", data, family="cumulative").fit().converged
    ends = {"family": "cumulative(thresholds='equidistant')", "nominal": "~ contact"}
    assert mixfit.mixed("rating ~ temp + (1 | judge)", data, **ends).fit().converged


def test_a_category_that_lacks_at_an_end_is_separation() -> None:
    with pytest.raises(FitError, match="separates the response"):
        mixfit.mixed("rating ~ temp + (1 | judge)", lacking("5"), family="cumulative", nominal="~ contact").fit()
