"""Posterior distributions of the rates."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import beta

import mixfit
from mixfit.errors import DataError, FitError
from mixfit.rates.posterior import greater, modes
from tests.rates import arms


@pytest.fixture(scope="module")
def fit():
    return mixfit.beta_binomial(arms.Y, arms.N)


def test_rates_follow_from_the_beta_distribution(fit):
    rates, y = fit.rates(level=0.9), np.array(arms.Y)
    a, b = y + fit.alpha, 100 - y + fit.beta
    posterior = beta(a, b)
    assert_allclose(rates["raw"], y / 100)
    assert_allclose(rates["mean"], posterior.mean())
    assert_allclose(rates["sd"], posterior.std())
    assert_allclose(rates["lower"], posterior.ppf(0.05))
    assert_allclose(rates["upper"], posterior.ppf(0.95))
    assert_allclose(rates["mode"], (a - 1) / (a + b - 2))
    # The curvature of the log density at its peak, by differences.
    h, p = 1e-4, rates["mode"].to_numpy()
    curvature = (posterior.logpdf(p + h) - 2 * posterior.logpdf(p) + posterior.logpdf(p - h)) / h**2
    assert_allclose(rates["mode_se"], 1 / np.sqrt(-curvature), rtol=1e-4)


def test_standard_errors_in_all_add_what_the_parameters_move(fit):
    def mode(x):
        m, s = 1 / (1 + np.exp(-x[0])), np.exp(x[1])
        return (np.array(arms.Y) + m * s - 1) / (100 + s - 2)

    x, h = fit.params.to_numpy(), 1e-5
    J = np.column_stack([(mode(x + step) - mode(x - step)) / (2 * h) for step in h * np.eye(2)])
    added = np.einsum("ij,jk,ik->i", J, fit.cov_params().to_numpy(), J)
    rates = fit.rates()
    assert_allclose(rates["mode_se_total"] ** 2 - rates["mode_se"] ** 2, added, rtol=1e-6)


def test_modes_at_the_ends():
    a = np.array([0.5, 1.0, 1.0, 3.0, 3.0, 1.0, 0.5, 2.0])
    b = np.array([2.0, 2.0, 1.0, 1.0, 0.7, 0.5, 0.5, 2.0])
    assert_allclose(modes(a, b), [0.0, 0.0, np.nan, 1.0, 1.0, 1.0, np.nan, 0.5])


def test_units_without_a_success_or_a_failure_are_kept_off_the_ends():
    fit = mixfit.beta_binomial([0, 0, 5, 9, 10], 10)
    rates = fit.rates()
    assert fit.alpha < 1
    assert rates["mode"].tolist()[:2] == [0.0, 0.0]
    assert rates["mode"].iloc[-1] == 1.0
    assert rates["mode_se"].isna().tolist() == [True, True, False, False, True]
    assert ((rates["mean"] > 0) & (rates["mean"] < 1)).all()


def test_a_unit_without_trials_has_the_prior():
    fit, without = mixfit.beta_binomial([3, 0, 5, 9, 2], [10, 0, 10, 12, 15]), [3, 5, 9, 2]
    rest = mixfit.beta_binomial(without, [10, 10, 12, 15])
    assert_allclose(fit.params, rest.params)
    assert_allclose(fit.llf, rest.llf)
    unit = fit.rates().loc[1]
    assert np.isnan(unit["raw"])
    assert_allclose([unit["mean"], unit["lower"]], [fit.mean, beta(fit.alpha, fit.beta).ppf(0.025)])


def closed_sum(a, b, c, d):
    """P(p > q) for p of Beta(a, b) and q of Beta(c, d), a whole: a sum over a (Cook 2003)."""

    def log_beta(x, y):
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    return sum(
        math.exp(log_beta(c + i, b + d) - math.log(b + i) - log_beta(1 + i, b) - log_beta(c, d)) for i in range(a)
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [((3, 5.5), (2.2, 4.0)), ((40, 61.3), (30.7, 70.1)), ((1, 0.3), (0.2, 0.9)), ((900, 4000.5), (90.2, 420.0))],
)
def test_probability_of_being_greater_against_a_closed_sum(first, second):
    assert_allclose(greater(first, second), closed_sum(*first, *second), atol=1e-10)
    assert_allclose(greater(first, second) + greater(second, first), 1.0, atol=1e-10)


def test_distributions_far_apart_and_narrow():
    assert greater((2.0, 9e5), (9e5, 2.0)) == 0.0
    assert_allclose(greater((9e5, 2.0), (2.0, 9e5)), 1.0, atol=1e-12)
    assert_allclose(greater((0.1, 0.2), (0.1, 0.2)), 0.5, atol=1e-10)
    assert_allclose(greater((2e6, 6e6), (2e6, 6e6)), 0.5, atol=1e-10)


@pytest.mark.parametrize(
    ("a", "b", "c", "d"),
    [(1, 0.001, 0.002, 0.9), (2, 0.001, 30.0, 0.003), (30, 0.0225, 5.18, 0.0225), (2, 1e-9, 1.0, 1e-5)],
)
def test_distributions_with_mass_beyond_the_smallest_number(a, b, c, d):
    # Rates of a U-shaped distribution: much of them is below 1e-308, or above 1 - 1e-16.
    exact = closed_sum(a, b, c, d)
    assert_allclose(greater((a, b), (c, d)), exact, atol=1e-9)
    assert_allclose(greater((d, c), (b, a)), exact, atol=1e-9)
    assert_allclose(greater((c, d), (a, b)), 1.0 - exact, atol=1e-9)


@pytest.mark.parametrize("shapes", [(0.001, 0.002), (0.0029, 30.0), (30.0, 1e-6)])
def test_equal_distributions_with_mass_beyond_the_smallest_number(shapes):
    assert_allclose(greater(shapes, shapes), 0.5, atol=1e-9)


def test_distributions_of_very_different_widths_at_an_end():
    # Against 10^7 draws of log odds.
    assert_allclose(greater((1e6, 0.0225), (1e4, 0.1)), 0.8837, atol=5e-4)


def test_comparisons_of_units(fit):
    a, b = np.array(arms.Y) + fit.alpha, 100 - np.array(arms.Y) + fit.beta
    assert_allclose(fit.compare(3, 5), greater((a[3], b[3]), (a[5], b[5])))
    # Against draws: half a million of each.
    rng = np.random.default_rng(2)
    share = np.mean(rng.beta(a[7], b[7], 500_000) > rng.beta(a[9], b[9], 500_000))
    assert_allclose(fit.compare(7, 9), share, atol=0.003)
    assert_allclose(fit.compare(0, threshold=0.3), beta(a[0], b[0]).sf(0.3))


def test_comparisons_say_what_is_wrong(fit):
    with pytest.raises(DataError, match=r"no unit 'x'; the units are 0, 1, 2, 3, 4, \.\.\."):
        fit.compare("x", 1)
    for arguments, options in (((1,), {}), ((1, 2), {"threshold": 0.4})):
        with pytest.raises(FitError, match="another, or with threshold="):
            fit.compare(*arguments, **options)
    with pytest.raises(FitError, match="between 0 and 1"):
        fit.compare(1, threshold=30)
    with pytest.raises(FitError, match="with itself"):
        fit.compare(1, 1)
    with pytest.raises(FitError, match="level must lie"):
        fit.rates(level=95)
