"""Cross-products of batches add up to those of all rows."""

from __future__ import annotations

import numpy as np
import pytest

from mixfit.gram.products import cross_products
from mixfit.gram.sums import GramSums
from tests.gram.test_products import assert_same, take
from tests.random_designs import PATTERNS, factor_rows


@pytest.mark.parametrize("pattern", list(PATTERNS))
@pytest.mark.parametrize("widths", [(1,), (2, 1), (1, 2, 3)])
@pytest.mark.parametrize("chunk", [5, 50])
def test_batches_add_up(pattern, widths, chunk):
    rng = np.random.default_rng(7)
    rows, columns = factor_rows(pattern, 60, widths, rng), rng.normal(size=(3, 60))
    sums = GramSums([f.k for f in rows], [f.n_levels for f in rows], 3)
    for start in range(0, 60, chunk):
        at = np.arange(start, min(start + chunk, 60))
        sums.add(take(rows, at), columns[:, at])
    assert_same(sums.gram(), cross_products(rows, columns))
