"""Effect sizes against R's effectsize 0.8.3 and emmeans, and intervals of the intraclass correlation."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixfit
from mixfit.errors import FitError
from mixfit.inference.effect_sizes import noncentrality_limits, partial_share, share_limits

REFERENCE = json.loads((Path(__file__).resolve().parents[1] / "reference" / "effect_sizes.json").read_text())


@pytest.fixture(scope="module")
def cake():
    return mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", mixfit.datasets.load("cake")).fit()


@pytest.fixture(scope="module")
def teeth():
    return mixfit.mixed("distance ~ age + Sex + (age | Subject)", mixfit.datasets.load("orthodont")).fit()


@pytest.fixture(scope="module")
def dyes():
    return mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()


@pytest.mark.parametrize("case", REFERENCE["shares"], ids=lambda case: str(case["ratio"]))
def test_shares_and_their_limits_agree_with_effectsize(case):
    F, df1, df2 = case["ratio"]
    for kind in ("eta", "omega", "epsilon"):
        share = float(partial_share(kind, F, df1, df2))
        expected = case[kind]
        assert share == pytest.approx(expected[0], rel=1e-9)
        found = share_limits(share, df1, df2, 0.95)
        # an optimizer finds the limits there, but for one: it ends where F of 1.01 has a tail of 0.0075
        known = 1 if (F, kind) == (1.01, "eta") else 2
        np.testing.assert_allclose(found[:known], expected[1 : 1 + known], rtol=1e-4, atol=1e-6)


def test_limits_are_where_the_ratio_is_in_a_tail():
    low, high = noncentrality_limits(4.0, 3.0, 25.0, 0.9)
    assert stats.ncf.sf(4.0, 3, 25, low) == pytest.approx(0.05, rel=1e-6)
    assert stats.ncf.cdf(4.0, 3, 25, high) == pytest.approx(0.05, rel=1e-6)
    assert noncentrality_limits(0.01, 3.0, 25.0, 0.9) == (0.0, 0.0)


def test_shares_are_by_the_tests_of_the_terms(cake):
    table, tests = cake.eta_squared(ddf="kenward-roger"), cake.anova(ddf="kenward-roger")
    size = tests["F value"] * tests["NumDF"]
    np.testing.assert_allclose(table["Eta2 (partial)"], size / (size + tests["DenDF"]))
    assert (table["Lower"] <= table["Eta2 (partial)"]).all()
    for smaller, name in ((cake.omega_squared, "Omega2 (partial)"), (cake.epsilon_squared, "Epsilon2 (partial)")):
        assert (smaller(ddf="kenward-roger")[name] <= table["Eta2 (partial)"]).all()
    assert (cake.eta_squared(level=0.8)["Upper"] < cake.eta_squared()["Upper"]).all()


def test_what_shares_refuse(cake):
    with pytest.raises(FitError, match="no total sum of squares"):
        cake.eta_squared(partial=False)
    with pytest.raises(FitError, match="ddf='z' has none"):
        cake.omega_squared(ddf="z")


def test_given_standard_deviations_agree_with_emmeans():
    data = mixfit.datasets.load("cake")
    fit = mixfit.mixed("angle ~ recipe + temp + (1 | recipe:replicate)", data).fit()
    found = fit.cohens_d("recipe", sd=5.0, edf=40, ddf="kenward-roger")
    np.testing.assert_allclose(found["d"], REFERENCE["d"], rtol=1e-5)
    np.testing.assert_allclose(found["SE"], REFERENCE["SE"], rtol=1e-4)


def test_differences_are_over_what_the_note_says(teeth):
    pair = teeth.emmeans("Sex").pairs()
    parts = teeth.r2().variances
    total = np.sqrt(parts.random + parts.residual)
    assert teeth.cohens_d("Sex")["d"][0] == pytest.approx(pair["estimate"][0] / total, rel=1e-9)
    assert f"{total:.4g}: residual {teeth.sigma:.4g}, (age | Subject)" in teeth.cohens_d("Sex").notes[0]
    residual = teeth.cohens_d("Sex", sd="residual")
    assert residual["d"][0] == pytest.approx(pair["estimate"][0] / teeth.sigma, rel=1e-9)
    assert "random effects left out" in residual.notes[0]
    # the uncertainty of the standard deviation counts
    known = teeth.cohens_d("Sex", sd=teeth.sigma)
    assert residual["SE"][0] > known["SE"][0]


def test_errors_of_a_residual_standard_deviation_are_those_of_its_degrees_of_freedom():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 10), "a": np.tile([0, 1], 100).astype(str)})
    data["y"] = np.repeat(rng.normal(0, 2, 20), 10) + (data["a"] == "1") + rng.normal(size=200)
    fit = mixfit.mixed("y ~ a + (1 | g)", data).fit()
    residual, known = fit.cohens_d("a", sd="residual"), fit.cohens_d("a", sd=fit.sigma)
    edf = residual["d"][0] ** 2 / (2 * (residual["SE"][0] ** 2 - known["SE"][0] ** 2))
    assert edf == pytest.approx(200 - 20 - 1, rel=1e-3)


def test_what_standardized_differences_refuse(teeth):
    for options, words in (({"sd": "all"}, "'total', 'residual' or a number"), ({"sd": -1.0}, "positive number")):
        with pytest.raises(FitError, match=words):
            teeth.cohens_d("Sex", **options)


def test_the_interval_by_the_f_ratio_is_exact(dyes):
    data = mixfit.datasets.load("dyestuff")
    ratio = stats.f_oneway(*(group["Yield"] for _, group in data.groupby("Batch"))).statistic
    table = dyes.icc_interval(method="f", level=0.9)
    for limit, tail in ((table["Lower"][0], stats.f.sf), (table["Upper"][0], stats.f.cdf)):
        # with this correlation F is so many times an F variable
        times = 1.0 + 5 * limit / (1.0 - limit)
        assert tail(ratio / times, 5, 24) == pytest.approx(0.05, rel=1e-9)
    assert table["ICC"][0] == pytest.approx(dyes.icc().adjusted)


def test_the_interval_by_the_delta_method_is_that_of_the_share(dyes):
    table, share = dyes.icc_interval(), dyes.heritability()
    for name in ("Lower", "Upper"):
        assert table[name][0] == pytest.approx(share[name][0], rel=1e-10)


def test_the_bootstrap_is_for_any_model(dyes):
    table = dyes.icc_interval(method="bootstrap", n=200, seed=3, progress=False)
    assert table["Lower"][0] < 0.2 < 0.6 < table["Upper"][0]
    data = mixfit.datasets.load("cbpp")
    herds = mixfit.mixed("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", data, family="binomial").fit()
    wide = herds.icc_interval(method="bootstrap", n=20, seed=3, progress=False)
    assert wide["Lower"][0] < herds.icc().adjusted < wide["Upper"][0]
    with pytest.raises(FitError, match="use method='bootstrap'"):
        herds.icc_interval()


def test_methods_are_refused_where_they_do_not_hold(teeth, cake):
    with pytest.raises(FitError, match="one random intercept"):
        teeth.icc_interval(method="f")
    with pytest.raises(FitError, match="equal groups without covariates"):
        cake.icc_interval(method="f")
    with pytest.raises(FitError, match="method is 'delta'"):
        cake.icc_interval(method="profile")
