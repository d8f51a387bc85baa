"""Products on the pattern of the trailing block, against dense matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import block_diag

from mixfit.factor.cliques import Cliques
from mixfit.factor.plan import make_plan
from mixfit.factor.schur_pattern import (
    both_triangles,
    sampled_share,
    schur_pattern,
    trace_of_product,
    transposed,
)
from mixfit.gram.products import cross_products
from tests.random_designs import PATTERNS, factor_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.plan import SymbolicPlan
    from mixfit.factor.schur_pattern import SchurPattern

    Array = NDArray[np.float64]

CROSSED = [p for p in PATTERNS if "crossed" in p]


def made(pattern: str, widths: tuple[int, ...]) -> tuple[SymbolicPlan, SchurPattern]:
    gram = cross_products(factor_rows(pattern, 60, widths, np.random.default_rng(5)), np.ones((1, 60)))
    plan = make_plan(gram, solver="dense")
    return plan, schur_pattern(gram, plan.columns, plan.crossed)


def dense(pattern: SchurPattern, entries: Array) -> Array:
    m = pattern.columns.m
    out = np.zeros((m, m))
    out[pattern.col, pattern.row] = entries[1]
    out[pattern.row, pattern.col] = entries[0]
    return out


def drawn(pattern: SchurPattern, seed: int) -> Array:
    entries = np.random.default_rng(seed).normal(size=(2, len(pattern.keys)))
    entries[1, pattern.diagonal] = entries[0, pattern.diagonal]
    return entries


@pytest.mark.parametrize("widths", [(1,), (2, 1), (1, 3)])
@pytest.mark.parametrize("name", CROSSED)
def test_products_with_block_diagonal_matrices(name: str, widths: tuple[int, ...]) -> None:
    _, pattern = made(name, widths)
    c = pattern.columns
    rng = np.random.default_rng(1)
    d = {j: rng.normal(size=(c.k[j], c.k[j])) for j in c.factors}
    whole = block_diag(*(np.kron(d[j], np.eye(c.width[j])) for j in c.factors))
    a, b = drawn(pattern, 2), drawn(pattern, 3)
    assert_allclose(dense(pattern, pattern.left(d, a)), whole @ dense(pattern, a), atol=1e-12)
    assert_allclose(dense(pattern, transposed(a)), dense(pattern, a).T)
    assert_allclose(trace_of_product(pattern, a, b), np.trace(dense(pattern, a) @ dense(pattern, b)))
    every = [d.get(j, np.eye(1)) for j in range(len(c.k))]
    symmetric = dense(pattern, both_triangles(a[0]))
    found = both_triangles(pattern.congruence(every, a[0]))
    assert_allclose(dense(pattern, found), whole @ symmetric @ whole.T, atol=1e-12)
    first = {c.factors[0]: d[c.factors[0]]}
    alone = np.zeros_like(whole)
    alone[c.own(c.factors[0]), c.own(c.factors[0])] = whole[c.own(c.factors[0]), c.own(c.factors[0])]
    assert_allclose(dense(pattern, pattern.left(first, a)), alone @ dense(pattern, a), atol=1e-12)


@pytest.mark.parametrize("widths", [(1,), (2, 1), (1, 3)])
@pytest.mark.parametrize("name", CROSSED)
def test_products_of_rows(name: str, widths: tuple[int, ...]) -> None:
    plan, pattern = made(name, widths)
    q = dense(pattern, both_triangles(drawn(pattern, 4)[0]))
    for i, crossed in plan.crossed.items():
        cliques = Cliques.build(crossed, pattern.keys, pattern.half)
        rng = np.random.default_rng(i)
        left, right = rng.normal(size=(2, plan.k[i], len(crossed.level)))
        tables = np.zeros((2, plan.k[i], crossed.n_levels, crossed.m))
        tables[:, :, crossed.level, crossed.column] = left, right
        product = np.einsum("aqm,aqn->mn", *tables)
        found = dense(pattern, both_triangles(cliques.product(left, right)))
        assert_allclose(found, 0.5 * (product + product.T), atol=1e-12)
        kernel = q[pattern.row, pattern.col]
        assert_allclose(cliques.inner(kernel, left, right), np.vdot(q, product), atol=1e-10)
        wanted = (tables[0] @ q)[:, crossed.level, crossed.column]
        assert_allclose(cliques.rows(kernel, left), wanted, atol=1e-12)


def test_all_levels_sampled_the_share_is_the_median_of_the_pattern() -> None:
    plan, pattern = made("partially crossed", (1,))
    m = plan.columns.m
    entries = np.bincount(pattern.row, minlength=m) + np.bincount(pattern.col, minlength=m) - 1
    assert_allclose(sampled_share(plan.columns, plan.crossed, m), np.median(entries) / m)
