"""Effects of single rows, integrated out of their densities: against a fine grid, and against draws of all effects."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import kstest

import mixfit
from mixfit.bayes.generalized import GeneralizedPosterior
from mixfit.bayes.resolve import resolve
from mixfit.bayes.row_integral import RowIntegral, row_term
from mixfit.families.resolve import resolve_family
from tests.bayes.models import differences

U, STEP = np.linspace(-12, 12, 8001, retstep=True)


def integral(name):
    y, prior = (np.array([0.0, 1.0, 4.0, 85.0]), np.ones(4))
    if name == "binomial":
        y, prior = np.array([0.0, 0.5, 1.0, 0.2]), np.array([1.0, 4.0, 9.0, 20.0])
    family = resolve_family(name)
    return RowIntegral(family, y, prior, 1.0, np.array([-1.0, 0.2, 1.0, 2.0])), family, y, prior


PLACES = np.array([[-1.0, 0.2, 1.0, 4.0], [1.0, -2.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize("name", ["poisson", "binomial"])
@pytest.mark.parametrize("s", [0.05, 0.6, 2.0])
def test_values_and_slopes(name, s):
    rows, family, y, prior = integral(name)
    scale = np.full(PLACES.shape, s)
    value, slope, by_log_s = rows.evaluate(PLACES, scale, slopes=True)
    height = np.array([family.log_kernel(y, prior, PLACES + scale * u, 1.0) - 0.5 * u**2 for u in U])
    top = height.max(axis=0)
    expected = top + np.log(np.exp(height - top).sum(axis=0) * STEP / np.sqrt(2 * np.pi))
    assert_allclose(value, expected, rtol=1e-4, atol=2e-4)
    h = 1e-4
    moved = [rows.evaluate(PLACES + d, scale)[0] for d in (h, -h)]
    assert_allclose(slope, (moved[0] - moved[1]) / (2 * h), rtol=2e-3, atol=2e-3)
    moved = [rows.evaluate(PLACES, scale * np.exp(d))[0] for d in (h, -h)]
    assert_allclose(by_log_s, (moved[0] - moved[1]) / (2 * h), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("s", [0.6, 4.0, 8.0])
def test_large_deviations_get_the_nodes_that_they_need(s):
    rows, family, y, prior = integral("binomial")
    scale = np.full(PLACES.shape, s)
    height = np.array([family.log_kernel(y, prior, PLACES + scale * u, 1.0) - 0.5 * u**2 for u in U])
    top = height.max(axis=0)
    right = (top + np.log(np.exp(height - top).sum(axis=0) * STEP / np.sqrt(2 * np.pi))).sum(axis=1)
    found = rows.with_enough_nodes(PLACES, scale)
    assert_allclose(found.evaluate(PLACES, scale)[0].sum(axis=1), right, atol=5e-3)
    assert (len(found._nodes) > 11) == (s > 4.0)


@pytest.mark.parametrize("row", [0, 3])
def test_draws(row):
    rows, family, y, prior = integral("poisson")
    eta, scale = np.tile(PLACES[:1], (4000, 1)), np.full((4000, 4), 0.8)
    drawn = rows.draw(eta, scale, np.random.default_rng(1))[:, row]
    height = np.array([family.log_kernel(y, prior, PLACES[0] + 0.8 * u, 1.0)[row] - 0.5 * u**2 for u in U])
    density = np.exp(height - height.max())
    cdf = np.cumsum(density) / density.sum()
    assert kstest(drawn / 0.8, lambda x: np.interp(x, U, cdf)).pvalue > 1e-3


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(12), 5)
    x = rng.normal(size=60)
    eta = 0.5 + 0.4 * x + 0.6 * rng.standard_normal(12)[group] + 0.5 * rng.standard_normal(60)
    data = pd.DataFrame(
        {"y": rng.poisson(np.exp(eta)), "x": x, "g": group.astype(str), "row": np.arange(60).astype(str)}
    )
    return mixfit.mixed("y ~ x + (1 | g) + (1 | row)", data, family="poisson").fit()


def test_slopes_of_the_density(counts):
    density = GeneralizedPosterior(counts, resolve("rstanarm", counts.model, residual=False))
    # Twelve effects, two coefficients and two deviations.
    assert density.size == 16
    z, _ = density.start(3, np.random.default_rng(2), 0.5)
    found = density.evaluate(z, slopes=True).slope
    assert_allclose(found, differences(density, z, 1e-4), rtol=1e-3, atol=2e-3)


@pytest.mark.slow
def test_against_draws_of_all_effects(counts, monkeypatch):
    drawn = counts.sample(method="hmc", seed=1, draws=3000)
    monkeypatch.setattr("mixfit.bayes.generalized.row_term", lambda random: None)
    every = counts.sample(method="hmc", seed=2, draws=3000)
    a, b = drawn.summary(ranef=True), every.summary(ranef=True)
    assert a.index.tolist() == b.index.tolist()
    gap = abs(a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])
    assert gap.max() < 4.5
    assert_allclose(a["sd"], b["sd"], rtol=0.2)
    assert a["ess_bulk"].iloc[:4].min() > 300


def test_which_terms_they_are(counts):
    random = counts.model.design.random
    assert row_term(random) == 1
    assert row_term(random[1:]) is None
    assert row_term(random[:1] * 2) is None
