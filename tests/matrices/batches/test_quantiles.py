"""Quantiles of batches are those of all values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mixfit.matrices.batches import quantiles as module
from mixfit.matrices.batches.quantiles import quantiles

RNG = np.random.default_rng(6)
VALUES = {
    "normal": RNG.normal(size=3000),
    "far": 1e9 + RNG.normal(size=3000),
    "skewed": np.exp(RNG.normal(scale=8.0, size=3000)),
    "ties": RNG.integers(0, 3, 3000).astype(float),
    "tiny": RNG.normal(size=3000) * 1e-300,
    "constant": np.full(50, 0.1),
}


@pytest.mark.parametrize("name", list(VALUES))
@pytest.mark.parametrize("collected", [10, 100_000])
def test_they_are_numpys(name, collected, monkeypatch):
    monkeypatch.setattr(module, "_COLLECTED", collected)
    monkeypatch.setattr(module, "_BINS", 16)
    x = VALUES[name]
    probabilities = [0.0, 0.1, 1 / 3, 0.5, 0.9, 1.0]
    with_gaps = np.insert(x, 5, np.nan)
    found = quantiles(lambda: np.array_split(with_gaps, 7), len(x), x.min(), x.max(), probabilities)
    expected = np.quantile(x, probabilities)
    assert_array_equal(np.isclose(found, expected, rtol=1e-15, atol=0.0), True)
