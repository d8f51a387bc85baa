"""The recursions of the filter against the matrices that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.covariance.autoregressive import Autoregressive
from mixfit.covariance.spatial import OrnsteinUhlenbeck
from mixfit.gram.series import series_of
from mixfit.lmm.residual.filter import Filter, filtered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BLOCK = np.repeat([0, 1, 2], [3, 6, 1])
TIME = np.array([4.0, 1.0, 2.0, 9.0, 0.0, 3.0, 5.0, 11.0, 6.0, 7.0])
SERIES = series_of(BLOCK, TIME, np.zeros(10, dtype=np.intp))
PROCESSES = {
    "exponential": (OrnsteinUhlenbeck(2, ((0.0,), (1.0,))), 0.3),
    "autoregressive": (Autoregressive(2), 0.6),
    "alternating": (Autoregressive(2), -0.7),
}


def filter_at(name: str, rho: float, nugget: float) -> Filter:
    t = PROCESSES[name][0].transitions(np.array([rho]), SERIES.gap)
    return filtered(SERIES, t.phi, t.innovation, t.slope, t.bend, np.full(10, nugget))


def correlation(name: str, rho: float) -> Array:
    """C by its definition."""
    time, block = TIME[SERIES.order], BLOCK[SERIES.order]
    lag = np.abs(time[:, None] - time)
    return (np.exp(-rho * lag) if name == "exponential" else rho**lag) * (block[:, None] == block)


def slope(name: str, rho: float, order: int) -> Array:
    h = 1e-3
    if order == 1:
        ahead, behind = (correlation(name, rho + s * h) - correlation(name, rho - s * h) for s in (1.0, 2.0))
        return (8.0 * ahead - behind) / (12.0 * h)
    far, near = (correlation(name, rho + s * h) + correlation(name, rho - s * h) for s in (2.0, 1.0))
    return (16.0 * near - far - 30.0 * correlation(name, rho)) / (12.0 * h**2)


@pytest.mark.parametrize("nugget", [0.0, 0.3])
@pytest.mark.parametrize("name", PROCESSES)
def test_the_factor_and_its_transposes_are_those_of_the_covariance(name: str, nugget: float) -> None:
    rho = PROCESSES[name][1]
    f, r = filter_at(name, rho, nugget), (1.0 - nugget) * correlation(name, rho) + nugget * np.eye(10)
    low = f.colour(np.eye(10)).T
    assert_allclose(low, np.linalg.cholesky(r), atol=1e-12)
    assert_allclose(f.whiten(np.eye(10)).T, np.linalg.inv(low), atol=1e-11)
    assert_allclose(f.back(np.eye(10)), np.linalg.inv(low), atol=1e-11)


@pytest.mark.parametrize("name", PROCESSES)
def test_sums_before_and_after_are_products_with_the_correlation_and_its_slopes(name: str) -> None:
    rho = PROCESSES[name][1]
    f = filter_at(name, rho, 0.2)
    before, after = f.sums_before(np.eye(10)), f.sums_after(np.eye(10))
    assert_allclose((before[0] + after[0]).T + np.eye(10), correlation(name, rho), atol=1e-13)
    assert_allclose((before[1] + after[1]).T, slope(name, rho, 1), atol=1e-8)
    assert_allclose(before[2].T + before[2], slope(name, rho, 2), atol=1e-6)


@pytest.mark.parametrize("name", PROCESSES)
def test_what_is_known_beforehand_has_its_derivatives(name: str) -> None:
    rho, nu, h = PROCESSES[name][1], 0.3, 1e-5
    g = filter_at(name, rho, nu).gains
    steps = [(h, 0.0), (0.0, h)]
    ends = [(filter_at(name, rho + a, nu + b), filter_at(name, rho - a, nu - b)) for a, b in steps]
    for i, (ahead, behind) in enumerate(ends):
        assert_allclose(g.first[i], (ahead.variance - behind.variance) / (2.0 * h), atol=1e-8)
        assert_allclose(g.second[[i, i + 1]], (ahead.gains.first - behind.gains.first) / (2.0 * h), atol=1e-7)


@pytest.mark.parametrize("nugget", [0.0, 0.3])
@pytest.mark.parametrize("name", PROCESSES)
def test_traces_of_two_slopes_follow_from_the_variances_of_predictions(name: str, nugget: float) -> None:
    rho = PROCESSES[name][1]
    f, c = filter_at(name, rho, nugget), correlation(name, rho)
    inverse = np.linalg.inv((1.0 - nugget) * c + nugget * np.eye(10))
    a = [inverse @ x for x in ((1.0 - nugget) * slope(name, rho, 1), np.eye(10) - c)]
    rates = f.gains.first / f.variance
    assert_allclose(rates.sum(axis=1), [np.trace(x) for x in a], atol=1e-8)
    for at, (i, j) in enumerate([(0, 0), (0, 1), (1, 1)]):
        found = rates[i] @ rates[j] + 2.0 * (f.gains.products[at] / f.variance).sum()
        assert found == pytest.approx(np.trace(a[i] @ a[j]), abs=1e-7)


def test_gaps_of_next_to_nothing_keep_their_digits() -> None:
    series = series_of(np.zeros(2, dtype=np.intp), np.array([0.0, 1e-12]), np.zeros(2, dtype=np.intp))
    t = PROCESSES["exponential"][0].transitions(np.array([0.5]), series.gap)
    f = filtered(series, t.phi, t.innovation, t.slope, t.bend, np.zeros(2))
    assert f.variance[1] == pytest.approx(1e-12, rel=1e-9)
