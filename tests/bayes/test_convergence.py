"""Effective draws, R-hat and errors of draws whose values are known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.bayes.convergence import ess, ess_bulk, ess_tail, mcse_mean, mcse_sd, r_hat


def autoregressive(rho, chains=4, draws=5000, m=1, seed=1):
    rng = np.random.default_rng(seed)
    x = np.empty((chains, draws, m))
    x[:, 0] = rng.standard_normal((chains, m))
    for i in range(1, draws):
        x[:, i] = rho * x[:, i - 1] + np.sqrt(1 - rho**2) * rng.standard_normal((chains, m))
    return x


@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.5, 0.9])
def test_effective_draws_of_an_autoregression(rho):
    x = autoregressive(rho, m=8)
    expected = x[:, :, 0].size * (1 - rho) / (1 + rho)
    assert_allclose(ess(x).mean(), expected, rtol=0.1)
    assert_allclose(ess_bulk(x).mean(), expected, rtol=0.1)


def test_errors_are_the_spread_over_repetitions():
    repetitions = [autoregressive(0.5, draws=500, seed=s) for s in range(200)]
    means, spreads = (np.array([f(x[:, :, 0]) for x in repetitions]) for f in (np.mean, np.std))
    assert_allclose(np.mean([mcse_mean(x)[0] for x in repetitions]), means.std(), rtol=0.15)
    assert_allclose(np.mean([mcse_sd(x)[0] for x in repetitions]), spreads.std(), rtol=0.2)


def test_r_hat_finds_a_chain_elsewhere_and_one_that_is_wider():
    x = np.random.default_rng(2).standard_normal((4, 1000, 1))
    assert r_hat(x)[0] < 1.01
    moved, wider = x.copy(), x.copy()
    moved[0] += 1.0
    wider[0] *= 4.0
    assert r_hat(moved)[0] > 1.05
    assert r_hat(wider)[0] > 1.05


def test_ranks_do_not_mind_heavy_tails_and_units():
    x = np.random.default_rng(3).standard_cauchy((4, 2000, 1))
    assert ess_bulk(x)[0] > 6000
    assert_allclose(ess_bulk(np.exp(0.1 * np.clip(x, -50, 50))), ess_bulk(np.clip(x, -50, 50)))
    assert_allclose(r_hat(1e6 + 1e3 * x), r_hat(x))


def test_ties_share_their_rank():
    x = np.random.default_rng(4).integers(0, 2, (4, 500, 1)).astype(float)
    assert_allclose(ess_bulk(x), ess(x))


def test_tails_mix_worse_than_the_centre():
    """A chain that is stuck in the upper tail for a while."""
    x = np.random.default_rng(5).standard_normal((4, 1000, 1))
    x[0, 400:460] = 3.0
    assert ess_tail(x)[0] < 0.5 * ess_bulk(x)[0]


def test_a_constant_has_no_effective_draws():
    assert np.isnan(ess(np.ones((4, 100, 2)))).all()
