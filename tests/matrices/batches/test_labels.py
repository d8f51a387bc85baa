"""Where combinations of labels are seen first."""

from __future__ import annotations

import numpy as np
import pytest

from mixfit.matrices.batches.labels import _first_places


@pytest.mark.parametrize("size", [7, 10_000])
def test_first_places_are_those_of_unique(size):
    cells = np.random.default_rng(1).integers(0, 7, 50)
    expected = np.unique(cells, return_index=True)
    for found, wanted in zip(_first_places(cells, size), expected, strict=True):
        assert found.tolist() == wanted.tolist()
    assert [len(part) for part in _first_places(cells[:0], size)] == [0, 0]
