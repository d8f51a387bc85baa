"""Differences of log-gamma functions against sums."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.rates.gamma import digamma_rise, log_gamma_rise, trigamma_rise

X = [1e-8, 0.3, 7.0, 29.5, 30.0, 31.0, 1e3, 1e6, 1e10]


@pytest.mark.parametrize("k", [0, 1, 3, 100, 2500])
def test_rises_are_sums_over_the_steps(k):
    x = np.array(X)
    steps = x[:, None] + np.arange(k)
    assert_allclose(log_gamma_rise(x, k), np.log(steps).sum(axis=1), rtol=3e-14, atol=1e-13)
    assert_allclose(digamma_rise(x, k), (1.0 / steps).sum(axis=1), rtol=3e-14)
    assert_allclose(trigamma_rise(x, k), -(1.0 / steps**2).sum(axis=1), rtol=1e-12)


def test_rises_have_the_shape_of_their_arguments():
    assert log_gamma_rise(2.0, 3).shape == ()
    assert digamma_rise(np.ones((2, 1)), np.ones(3)).shape == (2, 3)
