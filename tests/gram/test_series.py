"""Rows of series in the order of a recursion over time."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from mixfit.gram.series import series_of


def test_a_step_and_the_one_before_it_are_of_the_same_series_in_the_order_of_time() -> None:
    rng = np.random.default_rng(0)
    block, time = rng.integers(0, 7, 40), rng.permutation(40) / 3.0
    part = block % 2
    series = series_of(block, time, part)
    assert_array_equal(np.sort(series.order), np.arange(40))
    sorted_block, sorted_time = block[series.order], time[series.order]
    covered = np.flatnonzero(series.is_first).tolist()
    for own, before in series.steps:
        assert_array_equal(sorted_block[own], sorted_block[before])
        assert_allclose(series.gap[own], sorted_time[own] - sorted_time[before])
        assert (series.gap[own] > 0.0).all()
        covered += range(own.start, own.stop)
    assert covered == list(range(40))
    assert_array_equal(series.part, part[series.order])
    first = np.flatnonzero(series.is_first)
    spans = [np.ptp(time[block == b]) for b in sorted_block[first]]
    assert_allclose(series.span, spans)
