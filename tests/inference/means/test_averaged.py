"""Marginal means averaged over the random effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit

import mixfit
from mixfit.errors import FitError

HERDS = mixfit.datasets.load("cbpp")


@pytest.fixture(scope="module")
def herds():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return mixfit.mixed(formula, HERDS, family="binomial").fit()


@pytest.fixture(scope="module")
def two_factors():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.repeat(np.arange(40), 12), "a": np.tile(["u", "v", "w"], 160)})
    data["b"] = rng.choice(["p", "q"], len(data))
    data["x"] = rng.standard_normal(len(data))
    effects = rng.standard_normal((40, 2)) * [1.0, 0.6]
    eta = (
        0.8 * (data["a"] == "v") - 0.5 * (data["b"] == "q") + effects[data["g"], 0] + effects[data["g"], 1] * data["x"]
    )
    data["y"] = (rng.uniform(size=len(data)) < expit(eta)).astype(float)
    return mixfit.mixed("y ~ a + b + x + (x | g)", data, family="binomial").fit()


def test_cells_are_predictions(herds):
    means = herds.emmeans("period", type="response", re_form="marginal").frame
    new = pd.DataFrame({"period": HERDS["period"].cat.categories})
    right = herds.predict(new, re_form="marginal", se=True)
    assert_allclose(means["prob"], right["mean"], rtol=1e-12)
    assert_allclose(means["SE"], right["mean_se"], rtol=1e-10)
    limits = herds.get_prediction(new, re_form="marginal").conf_int()
    assert_allclose(means[["lower.CL", "upper.CL"]], limits, rtol=1e-10)


def test_other_factors_are_averaged_on_the_response(two_factors):
    means = two_factors.emmeans("a", type="response", re_form="marginal").frame
    cells = pd.DataFrame([(a, b, 0.0) for a in "uvw" for b in "pq"], columns=["a", "b", "x"])
    cells["x"] = two_factors.model.design.variables["x"].mean()
    right = two_factors.predict(cells, re_form="marginal").to_numpy().reshape(3, 2).mean(axis=1)
    assert_allclose(means["prob"], right, rtol=1e-12)
    flat = two_factors.emmeans("a", type="response").frame
    assert (np.abs(means["prob"] - 0.5) < np.abs(flat["prob"] - 0.5)).all()


def test_contrasts_are_of_the_averages(two_factors):
    means = two_factors.emmeans("a", re_form="marginal")
    pairs = means.pairs(adjust="none").frame
    p = two_factors.emmeans("a", type="response", re_form="marginal").frame["prob"].to_numpy()
    assert_allclose(pairs["estimate"], [logit(p[i]) - logit(p[j]) for i, j in ((0, 1), (0, 2), (1, 2))], rtol=1e-9)
    ratios = two_factors.emmeans("a", type="response", re_form="marginal").pairs(adjust="none").frame
    assert_allclose(ratios["odds.ratio"], np.exp(pairs["estimate"]), rtol=1e-12)
    # Population-averaged effects are smaller than those of a group.
    assert abs(pairs["estimate"][0]) < abs(two_factors.params["a[T.v]"])
    assert ratios["z.ratio"].notna().all()


def test_standard_errors_of_contrasts_by_differences(herds):
    """The covariance of two means holds for their difference: the delta method with the joint covariance."""
    means = herds.emmeans("period", re_form="marginal")
    L = np.array([1.0, -1.0, 0.0, 0.0])
    right = np.sqrt(L @ means.settings.means.cov @ L)
    assert_allclose(means.pairs().frame["SE"][0], right, rtol=1e-12)


def test_linear_models_and_refusals(herds):
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    one, other = (fit.emmeans("Days", re_form=form).frame for form in ("marginal", "population"))
    pd.testing.assert_frame_equal(one, other)
    with pytest.raises(FitError, match="re_form is"):
        herds.emmeans("period", re_form=None)
    ticks = mixfit.datasets.load("grouseticks")
    zi = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson", zi="~ 1").fit()
    with pytest.raises(FitError, match="zi="):
        zi.emmeans("YEAR", re_form="marginal")
