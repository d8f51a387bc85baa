"""Responses simulated at other rows than those of the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import mixfit
from mixfit.errors import DataError, FitError, NewLevelError

N = 20_000
SLEEP = mixfit.datasets.load("sleepstudy")
HERDS = mixfit.datasets.load("cbpp")


@pytest.fixture(scope="module")
def sleep():
    return mixfit.mixed("Reaction ~ Days + (Days | Subject)", SLEEP).fit()


@pytest.fixture(scope="module")
def herds():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return mixfit.mixed(formula, HERDS, family="binomial").fit()


@pytest.fixture
def new():
    return pd.DataFrame({"Days": [0.0, 9.0, 0.0, 9.0], "Subject": ["308", "308", "new", "new"]}, index=list("abcd"))


def test_moments_are_the_models(sleep, new):
    """Var(y) = z'Sigma z + sigma^2, and rows of one level covary, known or new, by z'Sigma z'."""
    draws = sleep.simulate(N, newdata=new, seed=1)
    assert draws.index.tolist() == list("abcd")
    Z = np.column_stack([np.ones(4), new["Days"]])
    template = sleep.estimate.unit * sleep.estimate.templates[0]
    same = np.kron(np.eye(2), np.ones((2, 2)))
    V = same * (Z @ template @ template.T @ Z.T) + sleep.sigma**2 * np.eye(4)
    sd = np.sqrt(np.diag(V))
    z = (draws.mean(axis=1) - sleep.predict(new, re_form="population")) / sd
    assert np.abs(z).max() < 4.5 / np.sqrt(N)
    assert np.abs(np.cov(draws) / np.outer(sd, sd) - V / np.outer(sd, sd)).max() < 6 / np.sqrt(N)


def test_held_effects_of_known_levels(sleep, new):
    draws = sleep.simulate(N, newdata=new, seed=2, re_form=None, new_levels="zero")
    np.testing.assert_allclose(draws.std(axis=1), sleep.sigma, rtol=4.0 / np.sqrt(2 * N))
    mean = sleep.predict(new, allow_new_levels=True)
    assert (np.abs(draws.mean(axis=1) - mean) < 4.5 * sleep.sigma / np.sqrt(N)).all()
    sampled = sleep.simulate(N, newdata=new, seed=2, re_form=None)
    np.testing.assert_allclose(sampled.loc[["a", "b"]].std(axis=1), sleep.sigma, rtol=4.0 / np.sqrt(2 * N))
    assert (sampled.loc[["c", "d"]].std(axis=1) > 1.3 * sleep.sigma).all()


def test_seed_missing_values_and_no_rows(sleep, new):
    one = sleep.simulate(2, newdata=new, seed=3)
    pd.testing.assert_frame_equal(one, sleep.simulate(2, newdata=new, seed=np.random.default_rng(3)))
    new.loc["b", "Days"] = np.nan
    new.loc["c", "Subject"] = None
    holes = sleep.simulate(2, newdata=new, seed=3)
    assert holes.isna().any(axis=1).tolist() == [False, True, True, False]
    assert sleep.simulate(2, newdata=new.head(0)).shape == (0, 2)


def test_trials_come_from_the_response_or_are_given(herds):
    rows = HERDS.head(6)
    draws = herds.simulate(200, newdata=rows, seed=1)
    counts = draws.to_numpy() * rows["size"].to_numpy()[:, None]
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    bare = rows[["herd", "period"]]
    with pytest.raises(DataError, match="weights="):
        herds.simulate(1, newdata=bare)
    draws = herds.simulate(N, newdata=bare, weights=1, seed=4)
    assert set(np.unique(draws)) == {0.0, 1.0}
    effects = herds.theta[0] * np.random.default_rng(0).standard_normal(N)
    eta = herds.predict(bare, type="link", re_form="population").to_numpy()
    right = expit(eta[:, None] + effects).mean(axis=1)
    assert np.abs(draws.mean(axis=1) - right).max() < 5.0 * 0.5 / np.sqrt(N)
    with pytest.raises(DataError, match="positive"):
        herds.simulate(1, newdata=bare, weights=-1)
    with pytest.raises(FitError, match="new rows"):
        herds.simulate(1, weights=3)


def test_weights_by_name_and_by_array():
    data = SLEEP.assign(w=1.0 + SLEEP["Days"])
    named = mixfit.mixed("Reaction ~ Days + (1 | Subject)", data, weights="w").fit()
    rows = data.head(2)
    draws = named.simulate(N, newdata=rows, seed=1, re_form=None)
    np.testing.assert_allclose(draws.std(axis=1), named.sigma / np.sqrt(rows["w"]), rtol=4.0 / np.sqrt(2 * N))
    given = mixfit.mixed("Reaction ~ Days + (1 | Subject)", data, weights=data["w"].to_numpy()).fit()
    with pytest.raises(DataError, match="array"):
        given.simulate(1, newdata=rows)
    same = given.simulate(N, newdata=rows, seed=1, re_form=None, weights=rows["w"])
    np.testing.assert_allclose(same, draws, rtol=1e-6)


def test_nested_new_levels_are_told_apart():
    pastes = mixfit.datasets.load("pastes")
    fit = mixfit.mixed("strength ~ 1 + (1 | batch/cask)", pastes).fit()
    new = pd.DataFrame({"batch": ["A", "A", "Z", "Z"], "cask": ["q", "q", "a", "b"]})
    draws = fit.simulate(N, newdata=new, seed=7)
    order = sorted(range(2), key=lambda t: ":" not in fit.model.design.random[t].grouping.name)
    within, between = (fit.scale * fit.estimate.templates[t][0, 0] ** 2 for t in order)
    covariance = np.cov(draws)
    total = within + between + fit.scale
    assert covariance[0, 1] == pytest.approx(within + between, abs=6 * total / np.sqrt(N))
    assert covariance[2, 3] == pytest.approx(between, abs=6 * total / np.sqrt(N))


def test_zero_inflation_and_dispersion_at_new_rows():
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"g": np.repeat(np.arange(30), 20), "x": rng.uniform(-1.0, 1.0, 600)})
    eta = 1.0 + 0.5 * data["x"] + 0.3 * rng.standard_normal(30)[data["g"]]
    data["y"] = np.where(rng.uniform(size=600) < 0.3, 0, rng.negative_binomial(3.0, 3.0 / (3.0 + np.exp(eta))))
    fit = mixfit.mixed("y ~ x + (1 | g)", data, family="nbinom2", zi="~ x", dispersion="~ x").fit()
    new = pd.DataFrame({"g": [0, 0, 999], "x": [-0.5, 0.5, np.nan]})
    draws = fit.simulate(N, newdata=new, seed=5, re_form=None).iloc[:2]
    mean = fit.predict(new.head(2))
    assert (np.abs(draws.mean(axis=1) - mean) < 5.0 * draws.std(axis=1) / np.sqrt(N)).all()
    zero = fit.predict(new.head(2), what="zero")
    assert ((draws == 0.0).mean(axis=1) > zero).all()


def test_nonlinear_curves_at_new_rows():
    rng, age = np.random.default_rng(2), np.array([100.0, 500.0, 800.0, 1200.0, 1600.0])
    height = 190.0 + 30.0 * rng.standard_normal(8)
    trees = pd.DataFrame({"Tree": np.repeat(np.arange(1, 9), 5).astype(str), "age": np.tile(age, 8)})
    trees["circumference"] = np.repeat(height, 5) / (1.0 + np.exp((720.0 - trees["age"]) / 350.0))
    trees["circumference"] += 7.0 * rng.standard_normal(40)
    formula = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"
    fit = mixfit.nonlinear(formula, trees).fit()
    new = pd.DataFrame({"Tree": ["1", "x"], "age": [800.0, 800.0]})
    draws = fit.simulate(N, newdata=new, seed=1, re_form=None, new_levels="zero")
    mean = fit.predict(new, allow_new_levels=True)
    assert (np.abs(draws.mean(axis=1) - mean) < 4.5 * fit.sigma / np.sqrt(N)).all()
    spread = fit.simulate(N, newdata=new, seed=1).std(axis=1)
    assert (spread > 2.0 * fit.sigma).all()
    with pytest.raises(NewLevelError):
        fit.predict(new)


def test_what_is_not_known_of_new_rows_is_refused(new):
    fit = mixfit.mixed("Reaction ~ Days", SLEEP, residual="ar1(Days | Subject)").fit()
    with pytest.raises(FitError, match="residual="):
        fit.simulate(1, newdata=new)
    fit = mixfit.mixed("Reaction ~ Days + ou(0 + Days | Subject)", SLEEP).fit()
    with pytest.raises(FitError, match="places and times"):
        fit.simulate(1, newdata=pd.DataFrame({"Days": [2.5], "Subject": ["308"]}))
