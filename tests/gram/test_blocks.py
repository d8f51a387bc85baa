"""Blocks and patterns of rows: every row once, equal blocks together, and the same sums of products from fewer rows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.gram.blocks import block_layout, compressed, gathered, pattern_sums


def some_blocks(n_blocks: int, k: int, g: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    block, place = np.divmod(np.flatnonzero(rng.random(n_blocks * k) < 0.7), k)
    block = np.unique(block, return_inverse=True)[1].ravel()
    stratum = rng.integers(0, 2, (block.max() + 1, g))[block].astype(float)
    order = rng.permutation(len(block))
    return block[order], place[order], (block % 2)[order], stratum[order]


@pytest.mark.parametrize("g", [0, 2])
def test_every_row_stands_in_the_block_place_and_stratum_that_it_has(g: int) -> None:
    block, place, part, spread = some_blocks(40, 4, g)
    layout = block_layout(block, place, part, spread)
    assert sorted(layout.order.tolist()) == list(range(len(block)))
    for patterns in layout.patterns:
        number = np.repeat(np.arange(len(patterns.count)), patterns.count)
        assert (np.ptp(block[patterns.rows], axis=1) == 0).all()
        assert (place[patterns.rows] == patterns.place[number]).all()
        assert (part[patterns.rows] == patterns.part[number][:, None]).all()
        assert (spread[patterns.rows] == patterns.spread[number]).all()


def test_equal_blocks_are_one_pattern() -> None:
    block, place, part, spread = some_blocks(60, 3, 1)
    for patterns in block_layout(block, place, part, spread).patterns:
        kinds = np.column_stack([patterns.part, patterns.place, patterns.spread[..., 0]])
        assert len(np.unique(kinds, axis=0)) == len(kinds)


def test_places_beyond_64_bits_are_told_apart() -> None:
    k = 40
    block, place = np.divmod(np.arange(5 * k), k)
    place = (place * 1000).astype(np.intp)
    layout = block_layout(block, place, np.zeros(5 * k, dtype=np.intp), np.arange(5.0 * k)[:, None])
    (patterns,) = layout.patterns
    assert patterns.count.tolist() == [1] * 5


def test_fewer_blocks_have_the_same_products_of_any_two_columns() -> None:
    block, place, part, spread = some_blocks(300, 3, 1)
    columns = np.random.default_rng(1).normal(size=(2, len(block)))
    layout = block_layout(block, place, part, spread)
    fewer = 0
    for patterns in layout.patterns:
        whole = gathered(patterns, columns)
        small = compressed(whole)
        fewer += len(whole.values) - len(small.values)
        for a in range(2):
            for b in range(2):
                ours, theirs = (
                    pattern_sums(x, x.values[..., a : a + 1], x.values[..., b : b + 1]) for x in (small, whole)
                )
                assert_allclose(ours, theirs, atol=1e-12)
    assert fewer > 100
