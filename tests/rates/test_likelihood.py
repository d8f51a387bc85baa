"""Values and derivatives of the two likelihoods."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import log_ndtr
from scipy.stats import beta, betabinom, binom

from mixfit.families.links import LINKS
from mixfit.families.proportions import BetaBinomial
from mixfit.rates.ends import ends
from mixfit.rates.likelihood import evaluate, joint_terms, marginal_terms

Y = np.array([3.0, 0.0, 9.0, 40.0, 1.0, 7.0])
N = np.array([10.0, 6.0, 9.0, 100.0, 1.0, 0.0]) + np.array([0, 0, 0, 0, 0, 12.0])
M = np.array([0.2, 0.4, 0.7, 0.35, 0.5, 0.6])


@pytest.mark.parametrize("s", [0.4, 3.0, 25.0, 400.0])
def test_marginal_values_are_those_of_scipy_and_of_the_family(s):
    value = marginal_terms(Y, N, M, s).value
    assert_allclose(value, betabinom.logpmf(Y, N, M * s, (1.0 - M) * s), rtol=1e-11, atol=1e-12)
    family = BetaBinomial()
    assert_allclose(value, family.loglik_mean(Y / N, N, M, s), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("s", [0.4, 3.0, 25.0])
def test_derivatives_in_the_mean_are_those_of_the_family(s):
    terms, family = marginal_terms(Y, N, M, s), BetaBinomial()
    first, second, _ = family.mean_derivatives(Y / N, N, M, s)
    assert_allclose(terms.m, first, rtol=1e-9, atol=1e-11)
    assert_allclose(terms.mm, second, rtol=1e-9, atol=1e-11)
    in_log, in_log_of_first, _ = family.dispersion_derivatives(Y / N, N, M, s)
    assert_allclose(s * terms.s, in_log, rtol=1e-9, atol=1e-11)
    assert_allclose(s * terms.ms, in_log_of_first, rtol=1e-9, atol=1e-11)


def test_infinite_precision_is_the_binomial():
    assert_allclose(marginal_terms(Y, N, M, np.inf).value, binom.logpmf(Y, N, M), rtol=1e-12)
    # The next term of the expansion in 1 / s, whose coefficient is Tarone's score.
    f, q, s = N - Y, 1.0 - M, 1e9
    score = 0.5 * (Y * (Y - 1.0) / M + f * (f - 1.0) / q - N * (N - 1.0))
    terms = marginal_terms(Y, N, M, s)
    assert_allclose(terms.s * s**2, -score, rtol=1e-5, atol=1e-4)


def test_the_joint_density_integrates_to_the_marginal():
    y, n, m, s = 4.0, 11.0, 0.3, 6.0

    def joint(p):
        return binom.pmf(y, n, p) * beta.pdf(p, m * s, (1.0 - m) * s)

    integral = quad(joint, 0.0, 1.0, epsabs=1e-13)[0]
    assert_allclose(np.exp(marginal_terms(np.array([y]), np.array([n]), np.array([m]), s).value), integral, rtol=1e-10)
    # And the joint value is its largest.
    p = np.linspace(0.0, 1.0, 100_001)
    best = joint_terms(np.array([y]), np.array([n]), np.array([m]), s).value
    assert_allclose(np.exp(best), joint(p).max(), rtol=1e-8)


def test_the_joint_density_has_no_peak_inside_where_a_shape_is_below_one():
    value = joint_terms(np.array([0.0, 1.0]), np.array([5.0, 5.0]), np.array([0.2, 0.2]), 4.0).value
    assert np.isnan(value[0])
    assert np.isfinite(value[1])


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("terms", [marginal_terms, joint_terms])
def test_gradient_and_hessian_are_derivatives(terms, link):
    rng = np.random.default_rng(5)
    n = rng.integers(5, 60, 12).astype(float)
    y = rng.binomial(n.astype(int), 0.4).astype(float)
    X = np.column_stack([np.ones(12), rng.normal(size=12)])
    offset, point, h = 0.1 * rng.normal(size=12), np.array([-0.4, 0.2, np.log(14.0)]), 1e-5

    def at(x):
        return evaluate(terms, y, n, X, offset, LINKS[link], x[:-1], float(np.exp(x[-1])))

    here = at(point)
    for j, step in enumerate(h * np.eye(3)):
        up, down = at(point + step), at(point - step)
        assert_allclose(here.gradient[j], (up.value - down.value) / (2 * h), rtol=1e-7, atol=1e-6)
        assert_allclose(here.hessian[j], (up.gradient - down.gradient) / (2 * h), rtol=1e-6, atol=1e-5)


LOG_COMPLEMENT = {
    "logit": lambda eta: -np.logaddexp(0.0, eta),
    "probit": lambda eta: log_ndtr(-eta),
    "cloglog": lambda eta: -np.exp(eta),
}


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_the_complement_of_a_mean_has_its_digits(link):
    eta = np.array([-30.0, -8.0, -1.0, 0.3, 2.0, 4.0, 5.5, 25.0])
    eta = eta[ends(LINKS[link], eta).beyond == 0.0]
    here = ends(LINKS[link], eta)
    assert len(eta) >= 6
    assert_allclose(here.q, np.exp(LOG_COMPLEMENT[link](eta)), rtol=1e-12)
    assert_allclose(here.m + here.q, 1.0)
    h = 1e-5
    up, down = ends(LINKS[link], eta + h), ends(LINKS[link], eta - h)
    change = np.where(here.q < here.m, down.q - up.q, up.m - down.m)
    assert_allclose(here.slope, change / (2 * h), rtol=1e-6)
    assert_allclose(here.bend, (up.slope - down.slope) / (2 * h), rtol=1e-5)


@pytest.mark.parametrize("s", [0.3, 40.0, np.inf])
@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_derivatives_where_the_mean_is_an_end_to_all_digits(link, s):
    y, n, X = np.array([0.0, 2.0, 5.0, 1.0]), np.array([4.0, 4.0, 5.0, 3.0]), np.array([[1.0], [-1.0], [2.0], [40.0]])
    for middle in (5.0, 11.0, 300.0):

        def at(b, log_s):
            return evaluate(marginal_terms, y, n, X, np.zeros(4), LINKS[link], np.array([b]), float(np.exp(log_s)))

        here, h = at(middle, np.log(s)), 1e-5
        slope = (at(middle + h, np.log(s)).value - at(middle - h, np.log(s)).value) / (2 * h)
        assert_allclose(here.gradient[0], slope, rtol=1e-6)
        if np.isfinite(s):
            slope = (at(middle, np.log(s) + h).value - at(middle, np.log(s) - h).value) / (2 * h)
            assert_allclose(here.gradient[1], slope, rtol=1e-5, atol=1e-4)
