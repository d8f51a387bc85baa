"""Standardized coefficients against R's standardize_parameters, and against fits to standardized columns."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError

REFERENCE = json.loads((Path(__file__).resolve().parents[1] / "reference" / "effect_sizes.json").read_text())
TEETH = mixfit.datasets.load("orthodont")
SLEEP = mixfit.datasets.load("sleepstudy")
HERDS = mixfit.datasets.load("cbpp").assign(late=lambda d: d["period"].astype(int))


@pytest.fixture(scope="module")
def fits():
    return {
        "growth": mixfit.mixed("distance ~ age * Sex + (1 | Subject)", TEETH).fit(),
        "sleep": mixfit.mixed("Reaction ~ Days + (Days | Subject)", SLEEP).fit(),
    }


@pytest.mark.parametrize("name", ["growth", "sleep"])
@pytest.mark.parametrize("method", ["refit", "basic", "pseudo"])
def test_agrees_with_standardize_parameters(fits, name, method):
    found = fits[name].standardize(method)["Std. Estimate"]
    np.testing.assert_allclose(found, REFERENCE["standardized"][name][method], rtol=1e-5, atol=1e-8)


def test_refits_are_fits_to_standardized_columns(fits):
    def scaled(column):
        return (column - column.mean()) / column.std()

    data = SLEEP.assign(Reaction=scaled(SLEEP["Reaction"]), Days=scaled(SLEEP["Days"]))
    expected = mixfit.mixed("Reaction ~ Days + (Days | Subject)", data).fit()
    found = fits["sleep"].standardize()
    np.testing.assert_allclose(found["Std. Estimate"], expected.params, atol=1e-6)
    np.testing.assert_allclose(found["Std. Error"], expected.bse, rtol=1e-4)
    assert fits["sleep"].standardize(level=0.5)["Upper"].iloc[1] < found["Upper"].iloc[1]


def test_two_standard_deviations_double_slopes(fits):
    for method in ("refit", "basic", "pseudo"):
        once, twice = (fits["sleep"].standardize(method, two_sd=two)["Std. Estimate"] for two in (False, True))
        assert twice["Days"] == pytest.approx(2 * once["Days"], rel=1e-5)


def test_responses_of_generalized_models_stay_as_they_are():
    formula = "cbind(incidence, size - incidence) ~ late + (1 | herd)"
    fit = mixfit.mixed(formula, HERDS, family="binomial").fit()
    found = fit.standardize("refit")["Std. Estimate"]
    assert found["late"] == pytest.approx(fit.params["late"] * HERDS["late"].std(), rel=1e-4)
    assert found["Intercept"] == pytest.approx(
        fit.params["Intercept"] + fit.params["late"] * HERDS["late"].mean(), rel=1e-3
    )
    assert fit.standardize("basic")["Std. Estimate"]["late"] == pytest.approx(found["late"], rel=1e-4)


def test_numbers_as_factors_and_offsets_keep_their_part():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"g": np.repeat(np.arange(10), 6), "d": np.tile([1, 2, 3], 20), "x": rng.normal(3, 2, 60)})
    data["o"] = rng.normal(size=60)
    data["y"] = data["x"] + data["o"] + np.repeat(rng.normal(size=10), 6) + rng.normal(size=60)
    fit = mixfit.mixed("y ~ C(d) + x + offset(o) + (1 | g)", data).fit()
    found = fit.standardize()["Std. Estimate"]
    assert found["x"] == pytest.approx(fit.params["x"] * data["x"].std() / data["y"].std(), rel=1e-5)
    assert found["C(d)[T.2]"] == pytest.approx(fit.params["C(d)[T.2]"] / data["y"].std(), rel=1e-4)


def test_what_standardization_refuses(fits):
    with pytest.raises(FitError, match="method is one of"):
        fits["sleep"].standardize("posthoc")
    curved = mixfit.mixed("Reaction ~ np.log(Days + 1) + (1 | Subject)", SLEEP).fit()
    with pytest.raises(FitError, match="the formula has np"):
        curved.standardize()
    assert curved.standardize("basic")["Std. Estimate"].iloc[1] > 0
    crossed = mixfit.mixed("yield ~ treat + (1 | blend)", mixfit.datasets.load("penicillin")).fit()
    assert len(crossed.standardize("pseudo")) == 4
    two = mixfit.mixed("strength ~ 1 + (1 | batch/cask)", mixfit.datasets.load("pastes")).fit()
    with pytest.raises(FitError, match="one grouping factor"):
        two.standardize("pseudo")
