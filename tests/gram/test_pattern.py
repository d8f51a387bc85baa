"""Which levels occur together, and the number of every row's pair."""

from __future__ import annotations

import numpy as np
import pytest

from mixfit.gram.pattern import FactorRows, row_pattern
from tests.random_designs import PATTERNS, make_codes


@pytest.mark.parametrize("pattern", [p for p, draw in PATTERNS.items() if len(draw(np.random.default_rng(0), 40)) > 1])
@pytest.mark.parametrize("spread", [1, 9])
def test_pairs_of_levels(pattern: str, spread: int) -> None:
    # Levels far apart leave most of a table of pairs empty, and it is not laid out.
    codes = [c * spread for c in make_codes(pattern, 40, np.random.default_rng(2))]
    rows = row_pattern([FactorRows(c, int(c.max()) + 1, None) for c in codes])
    assert set(rows.entries) == {(i, j) for i in range(len(codes)) for j in range(i + 1, len(codes))}
    for (i, j), (row, col, entry) in rows.entries.items():
        assert np.array_equal(row[entry], codes[i])
        assert np.array_equal(col[entry], codes[j])
        key = row * (codes[j].max() + 1) + col
        assert (np.diff(key) > 0).all()
        assert len(row) == len(set(zip(codes[i], codes[j], strict=True)))


def test_a_column_of_ones_is_left_unwritten() -> None:
    codes = np.arange(4)
    assert FactorRows(codes, 4, None).k == 1
    assert FactorRows(codes, 4, np.ones((3, 4))).k == 3
