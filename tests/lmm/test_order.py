"""The fill-reducing permutation: the factor in its order has no entry where the plan has no place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit import datasets


def crossed_slopes() -> pd.DataFrame:
    """Two columns a level of a factor, and a crossed one with more than one column that is to stand dense."""
    rng = np.random.default_rng(5)
    n = 300
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "a": rng.integers(0, 40, n).astype(str),
            "b": rng.integers(0, 7, n).astype(str),
            "c": rng.integers(0, 5, n).astype(str),
        }
    )


MODELS = {
    "one": ("Reaction ~ Days + (Days | Subject)", lambda: datasets.load("sleepstudy")),
    "crossed, small first": ("diameter ~ 1 + (1|sample) + (1|plate)", lambda: datasets.load("penicillin_plates")),
    "nested, large last": ("strength ~ 1 + (1|batch/cask)", lambda: datasets.load("pastes")),
    "slopes": ("y ~ x + (x|c) + (x||b) + (1|a) + (0 + x|a)", crossed_slopes),
}


def places(problem) -> np.ndarray:
    """Where the blocks of the plan have room, in order of elimination: a boolean lower triangle."""
    plan, k, q = problem.plan, problem.plan.k, problem.plan.width
    starts = dict(zip(plan.chain, np.cumsum([0, *(k[i] * q[i] for i in plan.chain)]), strict=False))
    first = sum(k[i] * q[i] for i in plan.chain)
    room = np.zeros((first + plan.columns.m, first + plan.columns.m), bool)
    room[first:, first:] = True
    for i in plan.chain:
        columns = starts[i] + np.arange(k[i] * q[i]).reshape(q[i], k[i])
        room[columns[:, :, None], columns[:, None, :]] = True
        for j in plan.chain[plan.chain.index(i) + 1 :]:
            parents = (starts[j] + np.arange(k[j] * q[j]).reshape(q[j], k[j]))[plan.parent[i, j]]
            room[parents[:, :, None], columns[:, None, :]] = True
        if plan.columns.m:
            entries = plan.crossed[i]
            room[first + entries.column[:, None], columns[entries.level]] = True
    return np.tril(room)


@pytest.mark.parametrize("name", MODELS)
def test_the_factor_in_that_order_fills_the_blocks_and_nothing_else(name: str) -> None:
    formula, load = MODELS[name]
    model = mixfit.mixed(formula, load())
    order = model.elimination_order
    assert sorted(order) == list(range(model.exog_re.shape[1]))
    theta = np.linspace(0.7, 1.3, len(model.fit().theta))
    half = (model.exog_re @ model.Lambda(theta)).toarray()[:, order]
    L = np.linalg.cholesky(half.T @ half + np.eye(len(order)))
    room = places(model.assembly.problem)
    assert np.abs(L[~room]).max(initial=0.0) < 1e-12
    # No room to spare either, but for pairs that never meet and blocks that are triangular.
    assert (np.abs(L[room]) > 1e-12).mean() > 0.9


def test_the_larger_factor_goes_first() -> None:
    plates = datasets.load("penicillin_plates")
    model = mixfit.mixed("diameter ~ 1 + (1|sample) + (1|plate)", plates)
    assert model.elimination_order.tolist() == [*range(6, 30), *range(6)]
    turned = mixfit.mixed("diameter ~ 1 + (1|plate) + (1|sample)", plates)
    assert turned.elimination_order.tolist() == [*range(30)]
