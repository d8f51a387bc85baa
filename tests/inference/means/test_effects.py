"""Effects: means along a variable, and the data behind them."""

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError

TEETH = mixfit.datasets.load("orthodont")
HERDS = mixfit.datasets.load("cbpp")


@pytest.fixture(scope="module")
def growth():
    return mixfit.mixed("distance ~ age * Sex + (age | Subject)", TEETH).fit()


@pytest.fixture(scope="module")
def herds():
    return mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", HERDS, family="binomial").fit()


def test_curves_are_population_predictions_from_end_to_end_of_the_data(growth):
    curves = growth.effects("age", by="Sex")
    assert (curves["age"].min(), curves["age"].max()) == (8.0, 14.0)
    expected = growth.predict(curves.frame[["age", "Sex"]], re_form="population")
    np.testing.assert_allclose(curves["emmean"], expected, rtol=1e-12)
    assert (curves["lower.CL"] < curves["emmean"]).all()
    assert (curves["emmean"] < curves["upper.CL"]).all()
    assert str(curves).count("Sex = ") == 2
    assert len(str(curves).splitlines()) < 30
    assert "<table" in curves._repr_html_()


def test_data_are_behind_on_the_scale_of_the_means(growth, herds):
    data = growth.effects("age", by="Sex").data
    pd.testing.assert_series_equal(data["response"], TEETH["distance"], check_names=False, check_dtype=False)
    assert list(data) == ["age", "Sex", "response"]
    shown = herds.effects("period")
    np.testing.assert_allclose(shown.data["response"], HERDS["incidence"] / HERDS["size"])
    assert shown.response == "proportion of incidence"
    assert not len(herds.effects("period", type="link").data)
    logs = mixfit.mixed("np.log(distance) ~ age + (1 | Subject)", TEETH).fit()
    np.testing.assert_allclose(logs.effects("age").data["response"], TEETH["distance"])
    np.testing.assert_allclose(logs.effects("age", type="link").data["response"], np.log(TEETH["distance"]))


def test_generalized_effects_are_on_the_scale_of_the_response(herds):
    shown = herds.effects("period")
    new = pd.DataFrame({"period": shown["period"]})
    np.testing.assert_allclose(shown["prob"], herds.predict(new, re_form="population", type="response"), rtol=1e-10)
    marginal = herds.effects("period", re_form="marginal")
    np.testing.assert_allclose(marginal["prob"], herds.predict(new, re_form="marginal"), rtol=1e-10)
    assert (marginal["prob"] > shown["prob"]).all()


def test_a_covariate_in_by_has_three_values_unless_told_otherwise(growth):
    shown = growth.effects("Sex", by="age")
    mean, sd = TEETH["age"].mean(), TEETH["age"].std()
    np.testing.assert_allclose(shown["age"].unique(), [mean - sd, mean, mean + sd])
    assert growth.effects("Sex", by="age", at={"age": [8, 14]})["age"].unique().tolist() == [8, 14]
    assert not shown.is_curve


def test_what_effects_refuse(growth):
    with pytest.raises(FitError, match="'height' is no variable"):
        growth.effects("height")
    with pytest.raises(FitError, match="cannot be in by= too"):
        growth.effects("age", by="age")


def test_means_of_effects_have_contrasts(growth):
    curves = growth.effects("age", by="Sex", at={"age": [8, 14]})
    pairs = curves.means.pairs(simple="Sex")
    expected = growth.emmeans("Sex", by="age", at={"age": [8, 14]}).pairs()
    pd.testing.assert_series_equal(pairs["p.value"], expected["p.value"])


def test_effects_of_ordered_categories_are_of_location():
    wine = mixfit.mixed("rating ~ temp + (1 | judge)", mixfit.datasets.load("wine"), family="cumulative").fit()
    shown = wine.effects("temp")
    assert shown["emmean"].tolist() == wine.emmeans("temp")["emmean"].tolist()
    assert shown.response == "location of rating"
    assert not len(shown.data)
    with pytest.raises(FitError, match="of the latent variable"):
        wine.effects("temp", re_form="marginal")
    nominal = mixfit.mixed(
        "rating ~ temp + (1 | judge)", mixfit.datasets.load("wine"), family="cumulative", nominal="~ contact"
    ).fit()
    for method in (nominal.effects, nominal.emtrends):
        with pytest.raises(FitError, match="nominal effects"):
            method("temp")


def test_effects_of_another_predictor_are_named_for_it():
    ticks = mixfit.datasets.load("grouseticks")
    fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson", zi="~ YEAR").fit()
    assert fit.effects("YEAR", predictor="zi").response == "zi"
    assert fit.effects("YEAR", predictor="zi", type="link").response == "zi (logit scale)"
    assert not len(fit.effects("YEAR", predictor="zi").data)
