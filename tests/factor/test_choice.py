"""The block that costs less is chosen, and the one that is asked for is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import mixfit
from mixfit import machine
from mixfit.errors import ArgumentError, DesignError
from mixfit.factor import choice
from mixfit.factor.dense_trailing import DenseBlock
from mixfit.factor.plan import make_plan
from mixfit.factor.schur_trailing import SchurBlock
from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import cross_products
from tests.covariance.trees import random_pedigree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.products import Gram

    Index = NDArray[np.intp]


def gram_of(*codes: NDArray[np.integer]) -> Gram:
    rows = []
    for own in codes:
        levels, compact = np.unique(own, return_inverse=True)
        rows.append(FactorRows(compact.astype(np.intp), len(levels), None))
    rows.sort(key=lambda f: -f.n_levels)
    return cross_products(rows, np.ones((1, len(codes[0]))))


def components(n_parts: int, size: int) -> Gram:
    rng = np.random.default_rng(1)
    a = np.repeat(np.arange(n_parts * size * 3), 5)
    return gram_of(a, a // (3 * size) * size + rng.integers(0, size, len(a)))


def band(q: int, width: int) -> Gram:
    rng = np.random.default_rng(2)
    a = np.repeat(np.arange(3 * q), 5)
    return gram_of(a, (a // 3 + rng.integers(0, width, len(a))) % q)


def at_random(q: int, each: int) -> Gram:
    rng = np.random.default_rng(3)
    return gram_of(*rng.integers(0, q, (2, q * each)))


def with_a_hub(q: int) -> Gram:
    """A band, and one level that all meet."""
    a = np.repeat(np.arange(3 * q), 3)
    b = np.where(np.arange(len(a)) % 3 == 2, q, a // 3)
    b[::3] = (b[::3] + 1) % q
    return gram_of(a, b)


def with_years(n_parts: int, size: int) -> Gram:
    """Parts that do not meet, but for ten levels that all parts have."""
    rng = np.random.default_rng(4)
    a = np.repeat(np.arange(n_parts * size * 3), 5)
    return gram_of(a, a // (3 * size) * size + rng.integers(0, size, len(a)), rng.integers(0, 10, len(a)))


@pytest.mark.parametrize(
    ("gram", "kind"),
    [
        (components(60, 10), SchurBlock),
        (components(5, 100), SchurBlock),
        (band(800, 5), SchurBlock),
        (band(800, 40), SchurBlock),
        (with_a_hub(800), SchurBlock),
        (with_years(60, 10), SchurBlock),
        (with_years(8, 100), SchurBlock),
        (components(4, 10), DenseBlock),
        (at_random(500, 10), DenseBlock),
        (at_random(500, 100), DenseBlock),
    ],
    ids=[
        "parts",
        "large parts",
        "narrow band",
        "band",
        "hub",
        "years",
        "large parts, years",
        "few columns",
        "at random",
        "all meet",
    ],
)
def test_the_cheaper_block(gram: Gram, kind: type) -> None:
    assert isinstance(make_plan(gram).block, kind)


@pytest.mark.parametrize(("solver", "kind"), [("dense", DenseBlock), ("sparse", SchurBlock)])
@pytest.mark.parametrize("gram", [components(60, 10), at_random(50, 10)])
def test_the_block_that_is_asked_for(gram: Gram, solver: str, kind: type) -> None:
    assert isinstance(make_plan(gram, solver=solver).block, kind)  # type: ignore[arg-type]


def test_crossings_at_random_without_end_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Their fill-in would take minutes to find: what is not asked for cannot take long.
    monkeypatch.setattr(machine, "machine_memory", lambda: 1e10)
    monkeypatch.setattr(choice, "eliminated", lambda pattern: pytest.fail("the fill-in was looked for"))
    with pytest.raises(DesignError, match="solver='iterative'"):
        make_plan(at_random(60_000, 5))


def test_related_levels_have_no_dense_block() -> None:
    frame, _ = random_pedigree(40, 2)
    known = mixfit.pedigree(frame)
    rows = [FactorRows(np.arange(30, dtype=np.intp), len(known.nodes), None, known)]
    gram = cross_products(rows, np.ones((1, 30)))
    assert make_plan(gram, solver="sparse").block is not None
    with pytest.raises(DesignError, match="solver='dense'"):
        make_plan(gram, solver="dense")


def test_other_solvers_are_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="'auto', 'dense', 'sparse'"):
        mixfit.mixed("strength ~ 1 + (1|batch)", mixfit.datasets.load("pastes"), solver="splu")  # type: ignore[arg-type]
