"""Nets of points beside scipy's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest, qmc

from mixfit.bayes.nets import directions, net


def test_direction_numbers_are_those_of_scipy():
    d, bits, _ = directions().shape
    values = directions() @ (0.5 ** np.arange(1, bits + 1))
    points = np.zeros((1, d))
    for k in range(6):
        step = (points * 2**bits).astype(int) ^ (values[:, k] * 2**bits).astype(int)
        points = np.concatenate([points, step / 2**bits])
    assert_allclose(np.sort(points, axis=0), np.sort(qmc.Sobol(d, scramble=False, bits=bits).random(64), axis=0))
    order = np.lexsort(points.T)
    scipys = qmc.Sobol(d, scramble=False, bits=bits).random(64)
    assert_array_equal(points[order], scipys[np.lexsort(scipys.T)])


@pytest.mark.parametrize("dimension", [1, 4, 21])
def test_every_interval_has_one_point(dimension):
    points = net(64, dimension, np.random.default_rng(1))
    assert_array_equal(np.sort(np.floor(64 * points), axis=0), np.tile(np.arange(64.0)[:, None], dimension))


def test_points_are_uniform_over_nets_and_no_two_alike():
    rng = np.random.default_rng(2)
    first = np.array([net(4, 3, rng)[2] for _ in range(500)])
    assert min(kstest(u, "uniform").pvalue for u in first.T) > 0.01
    assert abs(np.corrcoef(first.T)[0, 1:]).max() < 0.15


def test_averages_are_as_close_as_those_of_scipy():
    def average(u):
        return (np.exp((u - 0.5).sum(axis=1)) * np.prod(1.0 + 0.5 * (u**2 - 1.0 / 3.0), axis=1)).mean()

    rng = np.random.default_rng(3)
    own, scipys, independent = (
        np.std([average(points()) for _ in range(40)])
        for points in (
            lambda: net(1024, 4, rng),
            lambda: qmc.Sobol(4, seed=rng).random(1024),
            lambda: rng.random((1024, 4)),
        )
    )
    assert own < 1.5 * scipys < 0.1 * independent


def test_coordinates_beyond_the_table_are_uniform():
    points = net(4096, 30, np.random.default_rng(4))
    assert points.shape == (4096, 30)
    assert_allclose(points.mean(axis=0), 0.5, atol=0.02)
