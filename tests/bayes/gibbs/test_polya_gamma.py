"""Polya-Gamma variables against their Laplace transform, and against sums of gamma variables that have their law."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from mixfit.bayes.gibbs.polya_gamma import draw_polya_gamma, draw_precisions
from tests.bayes.gibbs.test_steps import MOST, R

TILTS = [0.0, 0.3, -2.0, 3.2, 8.0, 60.0]


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.mark.parametrize("z", TILTS)
def test_the_laplace_transform(rng, z):
    """E exp(-t w) = cosh(z / 2) / cosh(sqrt((z^2 / 2 + t) / 2))."""
    w = draw_polya_gamma(np.full(R, z), rng)
    for t in (0.5, 5.0, 50.0):
        drawn = np.exp(-t * w)
        expected = np.exp(np.logaddexp(z / 2, -z / 2) - np.logaddexp(*(np.sqrt(z**2 / 4 + t / 2) * np.array([1, -1]))))
        assert abs(drawn.mean() - expected) < MOST * drawn.std() / np.sqrt(R)


@pytest.mark.parametrize("z", [0.0, 2.5, 6.0])
def test_the_distribution_is_that_of_the_sum_that_defines_it(rng, z):
    """sum_k g_k / ((k - 1/2)^2 + z^2 / (4 pi^2)) / (2 pi^2), g_k exponential; the mean of what is cut off is added."""
    k = np.arange(400) + 0.5
    scale = 1.0 / (k**2 + z**2 / (4 * np.pi**2)) / (2 * np.pi**2)
    rest = np.tanh(z / 2) / (2 * z) - scale.sum() if z else 0.25 - scale.sum()
    reference = rng.standard_exponential((10_000, len(k))) @ scale + rest
    assert ks_2samp(draw_polya_gamma(np.full(10_000, z), rng), reference).pvalue > 1e-3


def test_large_tilts_are_drawn(rng):
    """E w = tanh(z / 2) / (2 z)."""
    w = draw_polya_gamma(np.full(R, 3000.0), rng)
    assert abs(w.mean() * 6000.0 - 1.0) < 1e-3


def test_precisions_keep_the_joint_distribution(rng):
    """Geweke's test: with omega ~ PG(t, 0) and kappa / omega normal about eta, moved by the step and eta again."""
    row = np.array([0, 1, 1, 1, 2, 2])
    eta = 1.5 * rng.standard_normal((R, 3))
    before = draw_precisions(eta, row, rng)
    trials = np.bincount(row)
    # eta | omega, kappa = 0 under a normal prior of variance 1.5^2 has precision omega + 1 / 1.5^2; the weight of
    # kappa = 0 is cosh(eta / 2)^-t, by which it is accepted.
    kept = rng.random(R) < np.prod(np.cosh(eta / 2) ** -trials, axis=1)
    assert kept.sum() > 1000
    eta, before = eta[kept], before[kept]
    after = rng.standard_normal(eta.shape) / np.sqrt(before + 1.5**-2)
    for f in (np.abs, np.square):
        difference = f(after) - f(eta)
        assert np.abs(difference.mean(axis=0) / (difference.std(axis=0) / np.sqrt(len(eta)))).max() < MOST
