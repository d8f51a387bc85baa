"""Trigamma and tetragamma functions against scipy's, to rounding."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import polygamma

from mixfit.families.polygammas import polygammas


@pytest.mark.parametrize(("low", "high"), [(-80.0, -6.0), (-6.0, 1.0), (0.0, 3.0), (3.0, 12.0), (12.0, 80.0)])
def test_they_are_scipys(low: float, high: float) -> None:
    x = 10.0 ** np.random.default_rng(1).uniform(low, high, 2000)
    for order, own in enumerate(polygammas(x), start=1):
        assert_allclose(own, polygamma(order, x), rtol=4e-15)


def test_shapes_are_kept() -> None:
    assert polygammas(2.0)[0].shape == ()
    assert polygammas(np.ones((3, 2)))[1].shape == (3, 2)
    assert_array_equal(np.isnan(polygammas(np.array([np.nan, 1.0]))[0]), [True, False])
