"""Densities of single parameters against scipy's, slopes against differences, draws against densities."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from mixfit.bayes import (
    Cauchy,
    Exponential,
    Flat,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfT,
    InvGamma,
    Normal,
    SqrtInvGamma,
    StudentT,
    Uniform,
)
from mixfit.errors import PriorError


def half(frozen):
    class Half:
        def logpdf(self, x):
            return np.log(2.0) + frozen.logpdf(x)

        def cdf(self, x):
            return 2.0 * frozen.cdf(x) - 1.0

    return Half()


def root_of(frozen):
    class Root:
        def logpdf(self, x):
            return frozen.logpdf(x**2) + np.log(2.0 * x)

        def cdf(self, x):
            return frozen.cdf(x**2)

    return Root()


CASES = [
    (Normal(1.0, 2.5), stats.norm(1.0, 2.5)),
    (StudentT(3, -1.0, 2.0), stats.t(3, -1.0, 2.0)),
    (Cauchy(0.5, 2.0), stats.cauchy(0.5, 2.0)),
    (Uniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    (HalfNormal(2.0), half(stats.norm(0.0, 2.0))),
    (HalfT(4, 2.0), half(stats.t(4, 0.0, 2.0))),
    (SqrtInvGamma(3, 2.0), root_of(stats.invgamma(3, scale=2.0))),
    (HalfCauchy(2.0), half(stats.cauchy(0.0, 2.0))),
    (Exponential(0.5), stats.expon(scale=2.0)),
    (Gamma(2.5, 0.5), stats.gamma(2.5, scale=2.0)),
    (InvGamma(2.5, 0.5), stats.invgamma(2.5, scale=0.5)),
]


@pytest.mark.parametrize(("prior", "reference"), CASES, ids=[type(p).__name__ for p, _ in CASES])
class TestDistribution:
    def test_log_density(self, prior, reference):
        x = np.array([0.01, 0.3, 1.0, 2.9])
        assert_allclose(prior.log_density(x), reference.logpdf(x), rtol=1e-12, atol=1e-12)

    def test_slope(self, prior, reference):
        x, h = np.array([0.2, 0.7, 1.4, 2.6]), 1e-5
        differences = (prior.log_density(x + h) - prior.log_density(x - h)) / (2 * h)
        assert_allclose(prior.slope(x), differences, rtol=1e-7, atol=1e-8)

    def test_draws(self, prior, reference):
        draws = prior.draw(np.random.default_rng(1), 4000)
        assert stats.kstest(draws, reference.cdf).pvalue > 1e-3


@pytest.mark.parametrize("prior", [Normal, StudentT, HalfNormal, HalfT, Exponential, Cauchy, HalfCauchy])
def test_an_autoscaled_prior_is_that_of_the_parameter_in_units(prior):
    own = {"df": 3} if prior in (StudentT, HalfT) else {}
    scaled = prior(**own, autoscale=True).scaled(7.0)
    x = np.array([0.3, 2.0])
    assert_allclose(scaled.log_density(7.0 * x), prior(**own).log_density(x) - np.log(7.0))
    assert prior(**own).scaled(7.0) == prior(**own)


def test_a_scale_that_is_not_positive_is_refused():
    with pytest.raises(PriorError, match="Normal: sd is a positive number, not -1"):
        Normal(0, -1)
    with pytest.raises(PriorError, match="Exponential: rate"):
        Exponential(np.nan)


def test_nothing_is_drawn_from_a_flat_prior():
    with pytest.raises(PriorError, match="flat"):
        Flat().draw(np.random.default_rng(1), 3)
