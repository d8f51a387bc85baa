"""Predictions averaged over the random effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit
from scipy.stats import binom

import mixfit
from mixfit.errors import FitError, FormulaError

HERDS = mixfit.datasets.load("cbpp")
FORMULA = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def herds():
    return mixfit.mixed(FORMULA, HERDS, family="binomial").fit(n_agq=15)


def test_average_over_simulated_herds(herds):
    new = pd.DataFrame({"period": ["1", "2", "3", "4"]}).astype(HERDS["period"].dtype)
    eta = herds.predict(new, type="link", re_form="population").to_numpy()
    effects = herds.theta[0] * np.random.default_rng(1).standard_normal(200_000)
    draws = expit(eta[:, None] + effects)
    error = draws.std(axis=1) / np.sqrt(draws.shape[1])
    assert (np.abs(herds.predict(new, re_form="marginal") - draws.mean(axis=1)) < 4.0 * error).all()


def test_standard_errors_by_the_likelihood_itself(herds):
    """Numerical Hessian of the likelihood by a rule of 60 nodes, and numerical derivatives of the averages."""
    X, codes = herds.model.exog, herds.model.design.random[0].grouping.codes
    successes, sizes = HERDS["incidence"].to_numpy(), HERDS["size"].to_numpy()
    z, w = hermegauss(60)
    w = w / w.sum()

    def loglik(par):
        eta = (X @ par[:-1])[:, None] + par[-1] * z
        rows = binom.logpmf(successes[:, None], sizes[:, None], expit(eta))
        groups = np.zeros((codes.max() + 1, len(z)))
        np.add.at(groups, codes, rows)
        return np.log(np.exp(groups) @ w).sum()

    def averages(par):
        return expit((X[:4] @ par[:-1])[:, None] + par[-1] * z) @ w

    at, h = np.append(herds.params, herds.theta), 1e-3
    unit = np.eye(len(at)) * h
    hessian = np.array(
        [
            [(loglik(at + a + b) - loglik(at + a - b) - loglik(at - a + b) + loglik(at - a - b)) for b in unit]
            for a in unit
        ]
    ) / (4.0 * h * h)
    gradient = np.array([(averages(at + a) - averages(at - a)) / (2.0 * h) for a in unit]).T
    right = np.sqrt(np.diagonal(gradient @ np.linalg.inv(-hessian) @ gradient.T))
    found = herds.predict(HERDS.head(4), re_form="marginal", se=True)
    np.testing.assert_allclose(found["mean"], averages(at), rtol=1e-9)
    np.testing.assert_allclose(found["mean_se"], right, rtol=1e-3)


def test_slopes_change_the_spread_by_row():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(40), 12), "x": np.tile(np.linspace(-2.0, 2.0, 12), 40)})
    effects = rng.standard_normal((40, 2)) @ np.array([[0.6, 0.2], [0.0, 0.5]])
    eta = 0.3 + 0.4 * data["x"] + effects[data["g"], 0] + effects[data["g"], 1] * data["x"]
    data["y"] = rng.poisson(np.exp(eta))
    fit = mixfit.mixed("y ~ x + (x | g)", data, family="poisson").fit()
    new = pd.DataFrame({"x": [-2.0, 0.0, 2.0]})
    Z = np.column_stack([np.ones(3), new["x"]])
    template = fit.estimate.templates[0]
    variance = ((Z @ template) ** 2).sum(axis=1)
    right = np.exp(fit.predict(new, type="link", re_form="population") + variance / 2.0)
    np.testing.assert_allclose(fit.predict(new, re_form="marginal"), right, rtol=1e-12)


def test_intervals_are_made_under_the_link(herds):
    found = herds.get_prediction(HERDS.head(3), re_form="marginal")
    frame = herds.predict(HERDS.head(3), re_form="marginal", se=True)
    np.testing.assert_allclose(found.predicted_mean, frame["mean"])
    np.testing.assert_allclose(found.se_mean, frame["mean_se"])
    low, high = found.conf_int().T
    assert (low > 0.0).all()
    assert ((low < found.predicted_mean) & (found.predicted_mean < high)).all()


def test_linear_models_average_at_zero():
    sleepstudy = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleepstudy).fit()
    assert fit.predict(re_form="marginal").equals(fit.predict(re_form="population"))
    logs = mixfit.mixed("log(Reaction) ~ Days + (1 | Subject)", sleepstudy).fit()
    with pytest.raises(FitError, match="medians"):
        logs.predict(type="response", re_form="marginal")


def test_what_has_no_averages_says_so(herds):
    with pytest.raises(FormulaError, match="averages over the random effects"):
        herds.simulate(1, re_form="marginal")
    ticks = mixfit.datasets.load("grouseticks")
    fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson", zi="~ 1").fit()
    with pytest.raises(FitError, match="zi= or dispersion="):
        fit.predict(re_form="marginal")
