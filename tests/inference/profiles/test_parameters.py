"""Names and values of parameters on the scale of standard deviations and correlations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from mixfit.inference.profiles.parameters import parameter_array, parameter_names, parameter_values, parameters, select


def test_terms_come_by_levels_with_deviations_before_correlations() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    sleep["half"] = np.where(sleep["Days"] < 5, "a", "b")
    model = mixfit.mixed("Reaction ~ Days + (1 | half) + (Days + I(Days**2) | Subject)", sleep)
    assert parameter_names(model) == [
        "sd((Intercept)|Subject)",
        "sd(Days|Subject)",
        "sd(I(Days ** 2)|Subject)",
        "cor((Intercept),Days|Subject)",
        "cor((Intercept),I(Days ** 2)|Subject)",
        "cor(Days,I(Days ** 2)|Subject)",
        "sd((Intercept)|half)",
        "sigma",
        "Intercept",
        "Days",
    ]


def test_repeated_factors_and_taken_names_are_told_apart() -> None:
    sleep = mixfit.datasets.load("sleepstudy").rename(columns={"Days": "sigma"})
    model = mixfit.mixed("Reaction ~ sigma + (1 | Subject) + (0 + sigma | Subject)", sleep)
    names = parameter_names(model)
    assert names == ["sd((Intercept)|Subject)", "sd(sigma|Subject.1)", ".sigma", "Intercept", "sigma"]
    fit = model.fit()
    assert parameter_values(fit)[".sigma"] == fit.sigma
    assert fit.conf_int(which=["sigma"]).iloc[0].mean() == pytest.approx(fit.params["sigma"])


def test_values_are_those_of_the_fit() -> None:
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()
    values = parameter_values(fit)
    assert values.index.tolist() == parameter_names(fit.model)
    assert_allclose(values.iloc[:4], fit.varcorr().to_frame()["sdcor"].iloc[[0, 1, 2, 3]])
    assert_allclose(values.iloc[4:], fit.params)


@pytest.mark.parametrize(("family", "scale"), [("binomial", []), ("betabinomial", ["phi"])])
def test_generalized_models_have_a_dispersion_where_they_estimate_one(family: str, scale: list[str]) -> None:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family=family).fit()
    values = parameter_values(fit)
    assert values.index.tolist() == ["sd((Intercept)|herd)", *scale, *fit.params.index]
    if scale:
        assert values["phi"] == fit.dispersion


def test_select_takes_groups_names_and_lists() -> None:
    known = parameters(mixfit.mixed("Reaction ~ Days + (1 | Subject)", mixfit.datasets.load("sleepstudy")))
    random, fixed = ["sd((Intercept)|Subject)", "sigma"], ["Intercept", "Days"]

    def names(which: str | list[str] | None, default: str = "all") -> list[str]:
        return [p.name for p in select(known, which, default)]

    assert names(None) == names("all") == random + fixed
    assert names(None, "fixed") == names("fixed") == names("beta_") == fixed
    assert names("random") == names("theta") == names("theta_") == random
    assert names("Days") == names(["Days"]) == ["Days"]
    assert names(["sigma", "Intercept"]) == ["sigma", "Intercept"]
    with pytest.raises(FitError, match=r"no parameter 'day'.*'Days'"):
        names("day")


def test_many_sets_at_once_and_correlations_with_nothing_are_undefined() -> None:
    model = mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy"))
    theta = np.array([[1.0, 0.0, 0.0], [3.0, 2.0, 2.0]])
    unit = np.array([10.0, 1.0])
    values = parameter_array(model, np.zeros((2, 2)), [theta], unit, unit)
    np.testing.assert_allclose(
        values[:, :4], [[10.0, 0.0, np.nan, 10.0], [3.0, np.sqrt(8.0), np.sqrt(0.5), 1.0]], rtol=1e-12
    )
