"""Geweke's joint test of every step (2004, JASA 99, 799-804): it leaves the joint distribution as it is.

Parameters are drawn from their prior and a response given them, many times over; a step moves one of the parameters in
each; what comes out has to have the distribution of what went in, together with what was not moved.
"""

import numpy as np
import pytest
from scipy.stats import kstest

from mixfit.bayes.gibbs.latent import cuts, draw_latent, draw_thresholds, log_interval, with_gaps
from mixfit.bayes.gibbs.steps import draw_covariance, draw_expansion, draw_location, draw_residual_variance
from mixfit.bayes.wishart import draw_inverse_wishart

R = 20_000
# Of some tens of statistics with this many standard errors between them one false alarm in 10,000 is left.
MOST = 4.5
X = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0], [1.0, 0.5], [1.0, 2.5]])
LEVEL = np.array([0, 0, 0, 1, 1, 2])
WEIGHTS = np.array([1.0, 2.0, 0.5, 1.0, 1.5, 1.0])


def gaps(before, after, beside):
    """Differences of first and second moments, also with what was not moved, in standard errors; (R, ...) each."""
    before, after, beside = (np.reshape(a, (R, -1)) for a in (before, after, beside))
    out = []
    for f in (lambda a: a, lambda a: a**2):
        difference = f(after) - f(before)
        out.append(difference.mean(axis=0) / (difference.std(axis=0) / np.sqrt(R)))
    for j in range(beside.shape[1]):
        product = (after - before) * beside[:, j : j + 1]
        out.append(product.mean(axis=0) / (product.std(axis=0) / np.sqrt(R)))
    return np.concatenate(out)


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def model(rng, variance=None):
    """Draws of (location, covariance, variance, y): intercept and slope, and effects of both in three levels."""
    covariance = draw_inverse_wishart(8.0, np.array([[3.0, 1.0], [1.0, 2.0]]), R, rng)
    if variance is None:
        variance = 2.0 / rng.gamma(4.0, size=R)
    root = np.linalg.cholesky(covariance)
    b = (root[:, None] @ rng.standard_normal((R, 3, 2, 1)))[..., 0]
    beta = np.array([1.0, -1.0]) + np.array([0.7, 0.4]) * rng.standard_normal((R, 2))
    location = np.concatenate([b.reshape(R, 6), beta], axis=1)
    eta = location @ columns().T
    y = eta + np.sqrt(variance[:, None] / WEIGHTS) * rng.standard_normal((R, 6))
    return location, covariance, variance, y


def columns():
    z = np.zeros((6, 3, 2))
    z[np.arange(6), LEVEL] = X
    return np.concatenate([z.reshape(6, 6), X], axis=1)


def precision_of(covariance):
    out = np.zeros((R, 8, 8))
    for j in range(3):
        out[:, 2 * j : 2 * j + 2, 2 * j : 2 * j + 2] = np.linalg.inv(covariance)
    out[:, 6:, 6:] = np.diag([0.7**-2, 0.4**-2])
    return out


def test_location(rng):
    location, covariance, variance, y = model(rng)
    w = columns()
    products, right = w.T @ (WEIGHTS[:, None] * w), y @ (WEIGHTS[:, None] * w)
    pull = np.concatenate([np.zeros(6), [1.0 / 0.7**2, -1.0 / 0.4**2]])
    after = draw_location(products, right, precision_of(covariance), pull, variance, rng)
    assert np.abs(gaps(location, after, np.concatenate([y, variance[:, None]], axis=1))).max() < MOST


def test_covariance(rng):
    location, covariance, *_ = model(rng)
    b = location[:, :6].reshape(R, 3, 2)
    after = draw_covariance(b, 8.0, np.array([[3.0, 1.0], [1.0, 2.0]]), rng)
    assert np.abs(gaps(np.log(np.abs(covariance)), np.log(np.abs(after)), np.log(np.abs(b)))).max() < MOST


def test_residual_variance(rng):
    location, _, variance, y = model(rng)
    squares = ((y - location @ columns().T) ** 2) @ WEIGHTS
    after = draw_residual_variance(squares, 6, 4.0, 2.0, rng)
    assert np.abs(gaps(np.log(variance), np.log(after), np.log(squares))).max() < MOST


def test_expansion(rng):
    eta = rng.standard_normal((R, 3, 2))
    sd = np.array([1.5, 0.5])
    a = sd * rng.standard_normal((R, 2))
    f = X * eta[:, LEVEL]
    variance = 2.0 / rng.gamma(4.0, size=R)
    left = np.einsum("rnm,rm->rn", f, a) + np.sqrt(variance[:, None] / WEIGHTS) * rng.standard_normal((R, 6))
    after = draw_expansion(f, left, WEIGHTS, sd, variance, rng)
    beside = np.concatenate([left, f[:, 3:5].reshape(R, 4), left[:, 3:5] * f[:, 3:5, 1]], axis=1)
    assert np.abs(gaps(a, after, beside)).max() < MOST


def test_expanded_deviations_are_half_t(rng):
    """|a| sqrt(v) with a ~ N(0, s^2), v ~ InvGamma(df / 2, df / 2)."""
    sd = np.abs(2.0 * rng.standard_normal(R)) * np.sqrt(draw_inverse_wishart(3.0, np.array([[3.0]]), R, rng)[:, 0, 0])
    assert kstest(sd, lambda x: 2 * _t_cdf(x / 2.0, 3.0) - 1).pvalue > 1e-3


def _t_cdf(x, df):
    from scipy.stats import t

    return t(df).cdf(x)


@pytest.mark.parametrize("tau", [np.array([0.0]), np.array([0.0, 0.4, 2.0])])
def test_latent(rng, tau):
    eta = 1.5 * rng.standard_normal((R, 3))
    latent = eta + rng.standard_normal((R, 3))
    category = np.sum(latent[..., None] > tau, axis=2)
    every = np.concatenate([[-np.inf], tau, [np.inf]])
    after = draw_latent(eta, every[category], every[category + 1], rng)
    assert (np.sum(after[..., None] > tau, axis=2) == category).all()
    beside = np.concatenate([eta, category], axis=1)
    assert np.abs(gaps(latent, after, beside)).max() < MOST


def test_latent_far_in_the_tails(rng):
    """No digits are lost where the normal distribution function is 0 or 1: means are those of Mills' ratio."""
    eta = np.full((R, 2), [-40.0, 40.0])
    low, high = np.array([0.0, -np.inf]), np.array([np.inf, 0.0])
    drawn = draw_latent(eta, np.tile(low, (R, 1)), np.tile(high, (R, 1)), rng)
    assert np.isfinite(drawn).all()
    # E[z - a | z > a] = 1 / a - 2 / a^3 + ...
    expected = 1 / 40 - 2 / 40**3
    assert abs(drawn[:, 0].mean() - expected) < 4 * drawn[:, 0].std() / np.sqrt(R)
    assert abs(drawn[:, 1].mean() + expected) < 4 * drawn[:, 1].std() / np.sqrt(R)


def test_intervals_in_the_tails():
    from scipy.stats import norm

    low, high = np.array([-1.0, 7.0, -9.0, -np.inf, 30.0]), np.array([0.5, 8.0, -8.0, 1.0, np.inf])
    expected = [
        np.log(norm.cdf(0.5) - norm.cdf(-1)),
        np.log(norm.sf(7) - norm.sf(8)),
        np.log(norm.cdf(-8) - norm.cdf(-9)),
    ]
    np.testing.assert_allclose(log_interval(low, high), [*expected, norm.logcdf(1), norm.logsf(30)], rtol=1e-10)


def test_thresholds(rng):
    """With thresholds from a proper prior, delta ~ N(0, 1/2): its density over the flat one's is one more factor."""
    log_gaps = np.sqrt(0.5) * rng.standard_normal((R, 2))
    eta = np.tile([0.5, 1.0, 2.0, -0.5], (R, 1))
    latent = eta + rng.standard_normal((R, 4))
    category = np.sum(latent[..., None] > with_gaps(log_gaps)[:, None], axis=2)
    moved = log_gaps
    for _ in range(4):
        proposed, accepted = _with_prior(moved, eta, category, rng)
        moved = np.where(accepted[:, None], proposed, moved)
    assert np.mean(np.any(moved != log_gaps, axis=1)) > 0.2
    assert np.abs(gaps(log_gaps, moved, category)).max() < MOST


def _with_prior(log_gaps, eta, category, rng):
    """A step for the flat density of thresholds, refused a second time by the ratio of the prior to it.

    Delayed refusal keeps detailed balance: min(1, r1) min(1, r2) is symmetric where each factor is.
    """
    proposed, accepted = draw_thresholds(log_gaps, eta, category, np.full(2, 0.6), rng)

    def ratio(d):
        return -(d**2).sum(axis=1) - d.sum(axis=1)

    return proposed, accepted & (np.log(rng.random(R)) < ratio(proposed) - ratio(log_gaps))


def test_cuts():
    low, high = cuts(np.array([[0.0, 1.0], [0.0, 3.0]]), np.array([0, 1, 2]))
    np.testing.assert_array_equal(low, [[-np.inf, 0, 1], [-np.inf, 0, 3]])
    np.testing.assert_array_equal(high, [[0, 1, np.inf], [0, 3, np.inf]])
