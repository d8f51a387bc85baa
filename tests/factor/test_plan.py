"""What stays block-diagonal and what fills in."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit import machine
from mixfit.errors import DesignError
from mixfit.factor.dense_trailing import DenseBlock
from mixfit.factor.plan import SymbolicPlan, make_plan
from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import Gram, cross_products
from tests.random_designs import PATTERNS, dense_blocks, factor_rows

N = 120
A = np.arange(N) % 40
RNG = np.random.default_rng(0)
SHUFFLED = RNG.permutation(N)
CROSSED = SHUFFLED % 10
LEVELS = {
    "a": A,
    "a//2": A // 2,
    "a//4": A // 4,
    "a//8": A // 8,
    "c": CROSSED,
    "c//2": CROSSED // 2,
    "d": RNG.permutation(N) % 6,
    # All but one row as in a//4: nested almost everywhere is not nested.
    "nearly a//4": np.where(np.arange(N) == 7, (A // 4 + 1) % 10, A // 4),
}


def gram_of(names: list[str], k: int = 1) -> tuple[Gram, list[FactorRows]]:
    rows = [
        FactorRows(
            LEVELS[name].astype(np.intp),
            int(LEVELS[name].max()) + 1,
            None if k == 1 else np.random.default_rng(1).normal(size=(k, N)),
        )
        for name in names
    ]
    return cross_products(rows, np.ones((1, N))), rows


@pytest.mark.parametrize(
    ("names", "chain", "trailing"),
    [
        (["a"], ["a"], []),
        (["a", "a//4"], ["a", "a//4"], []),
        (["a", "a//2", "a//4", "a//8"], ["a", "a//2", "a//4", "a//8"], []),
        (["a", "c"], ["a"], ["c"]),
        (["a", "nearly a//4"], ["a"], ["nearly a//4"]),
        (["a", "c", "d"], ["a"], ["c", "d"]),
        (["a", "c", "a//8"], ["a", "a//8"], ["c"]),
        (["a", "a//2", "c", "d", "a//8"], ["a", "a//2", "a//8"], ["c", "d"]),
        # A chain of the crossed factors has no place of its own.
        (["a", "c", "c//2"], ["a"], ["c", "c//2"]),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else None,
)
@pytest.mark.parametrize("k", [1, 2])
def test_chain_and_trailing(names: list[str], chain: list[str], trailing: list[str], k: int) -> None:
    gram, rows = gram_of(names, k)
    plan = make_plan(gram)
    assert [names[i] for i in plan.chain] == chain
    assert [names[j] for j in plan.trailing] == trailing
    assert plan.columns.m == sum(rows[j].k * rows[j].n_levels for j in plan.trailing)
    for (i, j), parent in plan.parent.items():
        assert np.array_equal(parent[rows[i].codes], rows[j].codes)
    assert set(plan.parent) == {(i, j) for a, i in enumerate(plan.chain) for j in plan.chain[a + 1 :]}


def test_two_names_of_one_partition_are_nested_in_each_other() -> None:
    gram = cross_products([FactorRows(A, 40, None), FactorRows(np.flip(np.arange(40))[A], 40, None)], np.ones((1, N)))
    assert make_plan(gram).chain == (0, 1)


def dense_crossed(plan: SymbolicPlan, gram: Gram, i: int) -> np.ndarray:
    pattern = plan.crossed[i]
    out = np.zeros((gram.k[i], gram.n_levels[i], plan.columns.m))
    out[:, pattern.level, pattern.column] = plan.crossing[i]
    return out


@pytest.mark.parametrize("pattern", [p for p in PATTERNS if "crossed" in p])
@pytest.mark.parametrize("widths", [(1,), (2, 1), (1, 3)])
def test_index_arrays(pattern: str, widths: tuple[int, ...]) -> None:
    rows = factor_rows(pattern, 60, widths, np.random.default_rng(5))
    gram = cross_products(rows, np.ones((1, 60)))
    plan = make_plan(gram)
    assert plan.trailing
    Z = [dense_blocks(f) for f in rows]
    T = np.concatenate([Z[j].reshape(60, -1) for j in plan.trailing], axis=1)
    assert isinstance(plan.block, DenseBlock)
    assert_allclose(plan.block.gram, T.T @ T, atol=1e-12)
    assert plan.block.gram.flags.f_contiguous
    for i in plan.chain:
        assert_allclose(dense_crossed(plan, gram, i), np.einsum("naq,nm->aqm", Z[i], T), atol=1e-12)
        entries = plan.crossed[i]
        key = entries.level * plan.columns.m + entries.column
        assert (np.diff(key) > 0).all()
        for j in plan.trailing:
            at = plan.block.aligned[i, j]
            assert at.shape[0] == gram.k[j]
            for b in range(gram.k[j]):
                column = entries.column[at[b]] - plan.columns.offset[j]
                assert (column // gram.n_levels[j] == b).all()
                # Aligned over the columns of the factor: the same level of i, the same level of j.
                assert np.array_equal(column % gram.n_levels[j], entries.column[at[0]] - plan.columns.offset[j])
                assert np.array_equal(entries.level[at[b]], entries.level[at[0]])
        for a in plan.chain[plan.chain.index(i) + 1 :]:
            # Eliminating i updates the rows of its ancestors: every such entry has its place.
            target = plan.crossed[a]
            fill = plan.fill[i, a]
            assert np.array_equal(target.column[fill], entries.column)
            assert np.array_equal(target.level[fill], plan.parent[i, a][entries.level])


def test_a_block_larger_than_memory_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    # 60,000 x 60,000 levels crossed at random: 115 GB, of which elimination would leave little out.
    monkeypatch.setattr(machine, "machine_memory", lambda: 1e9)
    q, n = 60_000, 300_000
    rng = np.random.default_rng(0)
    rows = [FactorRows(np.concatenate([np.arange(q), rng.integers(0, q, n - q)]), q, None) for _ in range(2)]
    rows[1] = FactorRows(rng.permutation(rows[1].codes), q, None)
    with pytest.raises(DesignError, match=r"60,000 random effects fill in: .* GB"):
        make_plan(cross_products(rows, np.ones((1, n))))
