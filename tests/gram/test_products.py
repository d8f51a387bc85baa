"""Cross-products in blocks against dense products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import Gram, cross_products, transformed
from tests.random_designs import PATTERNS, dense_blocks, factor_rows

WIDTHS = [(1,), (2,), (3, 1), (1, 2, 3)]

cases = st.tuples(st.integers(0, 2**20), st.sampled_from(list(PATTERNS)), st.integers(12, 60), st.sampled_from(WIDTHS))


def make(case: tuple[int, str, int, tuple[int, ...]]) -> tuple[list[FactorRows], np.ndarray]:
    seed, pattern, n, widths = case
    rng = np.random.default_rng(seed)
    return factor_rows(pattern, n, widths, rng), rng.normal(size=(3, n))


def dense_pairs(gram: Gram, i: int, j: int) -> np.ndarray:
    """Z_i'Z_j as (k_i, k_j, q_i, q_j)."""
    pairs = gram.pairs[i, j]
    out = np.zeros((gram.k[i], gram.k[j], gram.n_levels[i], gram.n_levels[j]))
    out[:, :, pairs.row, pairs.col] = pairs.values
    return out


def assert_same(a: Gram, b: Gram) -> None:
    assert a.n == b.n
    assert_allclose(a.corner, b.corner, atol=1e-12)
    for x, y in zip(a.diagonal, b.diagonal, strict=True):
        assert_allclose(x, y, atol=1e-12)
    for x, y in zip(a.border, b.border, strict=True):
        assert_allclose(x, y, atol=1e-12)
    assert a.pairs.keys() == b.pairs.keys()
    for key, pairs in a.pairs.items():
        assert np.array_equal(pairs.row, b.pairs[key].row)
        assert np.array_equal(pairs.col, b.pairs[key].col)
        assert_allclose(pairs.values, b.pairs[key].values, atol=1e-12)


def take(rows: list[FactorRows], at: np.ndarray) -> list[FactorRows]:
    return [FactorRows(f.codes[at], f.n_levels, None if f.columns is None else f.columns[:, at]) for f in rows]


@given(cases)
def test_blocks_are_dense_products(case: tuple) -> None:
    rows, columns = make(case)
    gram = cross_products(rows, columns)
    Z = [dense_blocks(f) for f in rows]
    assert gram.n == columns.shape[1]
    assert gram.n_levels == tuple(f.n_levels for f in rows)
    assert gram.k == tuple(f.k for f in rows)
    assert_allclose(gram.corner, columns @ columns.T, atol=1e-12)
    for i, f in enumerate(rows):
        assert_allclose(gram.diagonal[i], np.einsum("naq,nbq->abq", Z[i], Z[i]), atol=1e-12)
        assert_allclose(gram.border[i], np.einsum("naq,rn->arq", Z[i], columns), atol=1e-12)
        for j in range(i + 1, len(rows)):
            wanted = np.einsum("naq,nbs->abqs", Z[i], Z[j])
            assert_allclose(dense_pairs(gram, i, j), wanted, atol=1e-12)
            # The pattern is of levels that meet, whatever their values add up to.
            meet = np.unique(f.codes * rows[j].n_levels + rows[j].codes)
            assert np.array_equal(gram.pairs[i, j].row * rows[j].n_levels + gram.pairs[i, j].col, meet)


@given(cases)
def test_scaled_rows_are_weighted_products(case: tuple) -> None:
    rows, columns = make(case)
    weights = np.random.default_rng(1).gamma(2.0, size=columns.shape[1])
    root = np.sqrt(weights)
    scaled = [FactorRows(f.codes, f.n_levels, root[None] if f.columns is None else f.columns * root) for f in rows]
    gram = cross_products(scaled, columns * root)
    for i, f in enumerate(rows):
        Z = dense_blocks(f)
        assert_allclose(gram.diagonal[i], np.einsum("naq,n,nbq->abq", Z, weights, Z), atol=1e-11)
        assert_allclose(gram.border[i], np.einsum("naq,n,rn->arq", Z, weights, columns), atol=1e-11)
        for j in range(i + 1, len(rows)):
            wanted = np.einsum("naq,n,nbs->abqs", Z, weights, dense_blocks(rows[j]))
            assert_allclose(dense_pairs(gram, i, j), wanted, atol=1e-11)


@given(cases, st.floats(0.0, 1.0))
def test_chunks_add_up(case: tuple, share: float) -> None:
    rows, columns = make(case)
    # A contiguous cut of the rows sorted by the first factor: each chunk lacks levels the other has.
    order = np.argsort(rows[0].codes, kind="stable")
    cut = int(share * len(order))
    parts = [cross_products(take(rows, at), columns[:, at]) for at in (order[:cut], order[cut:])]
    assert_same(parts[0] + parts[1], cross_products(rows, columns))
    assert_same(parts[1] + parts[0], cross_products(rows, columns))


def test_three_chunks_add_up_in_any_order() -> None:
    rows, columns = make((3, "partially crossed", 60, (1, 2, 3)))
    parts = np.array_split(np.random.default_rng(0).permutation(60), 3)
    a, b, c = (cross_products(take(rows, at), columns[:, at]) for at in parts)
    whole = cross_products(rows, columns)
    assert_same((a + b) + c, whole)
    assert_same(c + (a + b), whole)


def test_addition_leaves_its_parts_alone() -> None:
    rows, columns = make((4, "crossed", 30, (2,)))
    gram = cross_products(rows, columns)
    before = gram.corner.copy(), gram.diagonal[0].copy(), gram.pairs[0, 1].values.copy()
    assert (gram + gram).n == 60
    for x, y in zip(before, (gram.corner, gram.diagonal[0], gram.pairs[0, 1].values), strict=True):
        assert np.array_equal(x, y)


@pytest.mark.parametrize("change", ["levels", "columns", "border"])
def test_different_layouts_do_not_add(change: str) -> None:
    rows, columns = make((5, "crossed", 30, (2,)))
    other_rows, other_columns = list(rows), columns
    first = rows[0]
    if change == "levels":
        other_rows[0] = FactorRows(first.codes, first.n_levels + 1, first.columns)
    elif change == "columns":
        other_rows[0] = FactorRows(first.codes, first.n_levels, None)
    else:
        other_columns = columns[:2]
    with pytest.raises(ValueError, match="add up only"):
        cross_products(rows, columns) + cross_products(other_rows, other_columns)


@given(cases)
def test_a_new_response_is_one_new_column(case: tuple) -> None:
    rows, columns = make(case)
    gram = cross_products(rows, columns)
    response = np.random.default_rng(7).normal(size=columns.shape[1])
    corner = gram.corner.copy()
    changed = gram.with_response(rows, columns[:-1], response)
    assert_same(changed, cross_products(rows, np.concatenate([columns[:-1], response[None]])))
    assert np.array_equal(gram.corner, corner)


@given(cases, st.data())
def test_matvec_is_the_dense_product(case: tuple, data: st.DataObject) -> None:
    rows, columns = make(case)
    gram = cross_products(rows, columns)
    rng = np.random.default_rng(8)
    blocks: list[np.ndarray | None] = [rng.normal(size=(f.k, 2, f.n_levels)) for f in rows]
    left_out = data.draw(st.sets(st.integers(0, len(rows) - 1), max_size=len(rows) - 1))
    for i in left_out:
        blocks[i] = None
    total = sum(
        np.einsum("nkq,krq->nr", dense_blocks(f), c) for f, c in zip(rows, blocks, strict=True) if c is not None
    )
    for f, out in zip(rows, gram.matvec(blocks), strict=True):
        assert_allclose(out, np.einsum("nkq,nr->krq", dense_blocks(f), total), atol=1e-11)


@settings(max_examples=20)
@given(st.integers(0, 2**20))
def test_sparse_and_dense_tables_of_pairs_agree(seed: int) -> None:
    # Enough levels that the table of all pairs is too large to be laid out.
    rng = np.random.default_rng(seed)
    n, q_a, q_b = 50, 40, 35
    a, b = rng.integers(0, q_a, n), rng.integers(0, q_b, n)
    rows = [FactorRows(a, q_a, None), FactorRows(b, q_b, rng.normal(size=(2, n)))]
    assert q_a * q_b > 8 * n
    gram = cross_products(rows, rng.normal(size=(1, n)))
    wanted = np.einsum("naq,nbs->abqs", dense_blocks(rows[0]), dense_blocks(rows[1]))
    assert_allclose(dense_pairs(gram, 0, 1), wanted, atol=1e-12)
    # The same rows many times over: now the table is laid out.
    many = [
        FactorRows(np.tile(f.codes, 5), f.n_levels, None if f.columns is None else np.tile(f.columns, 5)) for f in rows
    ]
    assert q_a * q_b <= 8 * 5 * n
    assert_allclose(dense_pairs(cross_products(many, np.ones((1, 5 * n))), 0, 1), 5 * wanted, atol=1e-12)


@given(cases)
def test_products_of_transformed_columns(case: tuple) -> None:
    rows, columns = make(case)
    rng = np.random.default_rng(9)
    maps = [rng.normal(size=(f.k, 2)) for f in rows]
    M = rng.normal(size=(3, 4))
    moved = transformed(cross_products(rows, columns), maps, M)
    other = [
        FactorRows(f.codes, f.n_levels, C.T @ (np.ones((1, len(f.codes))) if f.columns is None else f.columns))
        for f, C in zip(rows, maps, strict=True)
    ]
    assert_same(moved, cross_products(other, M.T @ columns))


def test_a_factor_without_columns_is_left_out() -> None:
    rows, columns = make((6, "crossed", 30, (2,)))
    gram = cross_products(rows, columns)
    alone = transformed(gram, [np.empty((2, 0)), None], None)
    assert alone.n_levels == (rows[1].n_levels,)
    assert alone.pairs == {}
    assert_allclose(alone.border[0], gram.border[1])
