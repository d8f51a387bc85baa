"""Means of a transformed response, on its scale and on that of what was measured."""

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError

SLEEP = mixfit.datasets.load("sleepstudy").assign(late=lambda d: d["Days"] > 4)

# R's emmeans of lmer(<response> ~ late + (1 | Subject), sleepstudy), type = "response".
THEIRS = {
    "log(Reaction)": [
        [269.152346, 8.63202629, 19.3318165, 251.697951, 287.817144],
        [319.853914, 10.25808410, 19.3318165, 299.111548, 342.034693],
    ],
    "sqrt(Reaction)": [
        [270.392927, 8.97981966, 19.5407831, 251.958480, 289.478151],
        [322.637890, 9.80906554, 19.5407831, 302.471057, 343.455501],
    ],
    "np.log10(Reaction)": [
        [269.152346, 8.63202629, 19.3318165, 251.697951, 287.817144],
        [319.853914, 10.25808410, 19.3318165, 299.111548, 342.034693],
    ],
    "np.log(Reaction + 1)": [
        [269.161643, 8.63385518, 19.3331875, 251.701589, 287.828074],
        [319.871833, 10.25445696, 19.3331875, 299.134473, 342.042012],
    ],
    "scale(Reaction)": [
        [271.630179, 9.40023901, 19.775933, 252.007371, 291.252986],
        [325.385604, 9.40023901, 19.775933, 305.762797, 345.008412],
    ],
}


def fitted(response, **options):
    return mixfit.mixed(f"{response} ~ late + (1 | Subject)", SLEEP, **options).fit()


@pytest.mark.parametrize("response", THEIRS)
def test_means_of_what_was_measured_are_emmeans(response):
    means = fitted(response).emmeans("late", type="response")
    columns = ["response", "SE", "df", "lower.CL", "upper.CL"]
    np.testing.assert_allclose(means.frame[columns], THEIRS[response], rtol=2e-6)
    assert "Intervals are back-transformed from the" in str(means)


@pytest.mark.parametrize(("response", "base"), [("log(Reaction)", np.e), ("np.log10(Reaction)", 10.0)])
def test_differences_of_logarithms_are_shown_as_ratios(response, base):
    fit = fitted(response)
    on_scale, ratios = fit.emmeans("late").pairs(), fit.emmeans("late", type="response").pairs()
    assert ratios["contrast"].tolist() == ["False / True"]
    np.testing.assert_allclose(ratios["ratio"], base ** on_scale["estimate"])
    np.testing.assert_allclose(ratios["SE"], ratios["ratio"] * np.log(base) * on_scale["SE"])
    limits, theirs = ratios.conf_int(), on_scale.conf_int()
    np.testing.assert_allclose(limits["upper.CL"], base ** theirs["upper.CL"])
    assert ratios["p.value"].tolist() == on_scale["p.value"].tolist()


@pytest.mark.parametrize(
    ("response", "scale"),
    [
        ("log(Reaction)", "log"),
        ("sqrt(Reaction)", "sqrt"),
        ("I(1 / Reaction)", "I(1 / Reaction)"),
        ("own(Reaction)",) * 2,
    ],
)
def test_means_say_that_they_are_on_the_scale_of_the_response(response, scale):
    means = fitted(response, context={"own": lambda y: 2 * y}).emmeans("late")
    assert f"Results are given on the {scale} (not the response) scale." in str(means)
    assert "Results are given on" not in str(fitted("Reaction").emmeans("late"))


def test_a_transformation_without_a_known_way_back_is_refused():
    fit = fitted("own(Reaction)", context={"own": lambda y: 2 * y})
    with pytest.raises(FitError, match=r"The response is own\(Reaction\), and how to go back"):
        fit.emmeans("late", type="response")
    with pytest.raises(FitError, match=r"The response is own\(Reaction\), and how to go back"):
        fit.predict(type="response")


def test_predictions_are_named_by_their_scale():
    fit = fitted("log(Reaction)")
    new = SLEEP.head(3)
    assert fit.predict(new).name == fit.predict().name == "log(Reaction)"
    assert fit.predict(new, se=True).columns.name == "log(Reaction)"
    assert fit.get_prediction(new).summary_frame().columns.name == "log(Reaction)"
    assert "log(Reaction)" in repr(fit.get_prediction(new))
    assert fitted("Reaction").predict(new).name is None


def test_predictions_of_what_was_measured():
    fit, plain = fitted("sqrt(Reaction)"), fitted("Reaction")
    new = SLEEP.head(3)
    on_scale, back = fit.predict(new, se=True), fit.predict(new, se=True, type="response")
    np.testing.assert_allclose(back["mean"], on_scale["mean"] ** 2)
    np.testing.assert_allclose(back["mean_se"], 2.0 * on_scale["mean"] * on_scale["mean_se"])
    pd.testing.assert_series_equal(plain.predict(new, type="response"), plain.predict(new))
    with pytest.raises(FitError, match="types 'response' and 'link'"):
        plain.predict(new, type="mean")


def test_means_of_a_generalized_model_name_an_expression():
    data = SLEEP.assign(thousands=SLEEP["Reaction"])
    fit = mixfit.mixed("I(thousands / 1000) ~ late + (1 | Subject)", data, family="gamma(log)").fit()
    assert "The response is I(thousands / 1000)" in str(fit.emmeans("late", type="response"))
