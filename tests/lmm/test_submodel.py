"""Problems cut out of the cross-products against those assembled from the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixfit.covariance.diagonal import Diagonal
from mixfit.covariance.unstructured import Unstructured
from mixfit.lmm.assemble import assemble
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.estimate import to_basis
from mixfit.lmm.submodel import coordinates, with_fixed, with_random
from mixfit.matrices.types import Design, Grouping, RandomDesign


def grouping(name: str, codes: np.ndarray) -> Grouping:
    import pandas as pd

    return Grouping(name, codes.astype(np.intp), pd.RangeIndex(codes.max() + 1))


@pytest.fixture
def design() -> Design:
    import pandas as pd

    rng = np.random.default_rng(9)
    n = 70
    x = rng.standard_normal((n, 3)) + 5.0
    X = np.column_stack([np.ones(n), x, x[:, 0] + x[:, 1]])
    g, h = grouping("g", rng.permutation(np.arange(n) % 9)), grouping("h", rng.permutation(np.arange(n) % 5))
    z = np.column_stack([np.ones(n), x[:, 0], x[:, 2]])
    random = (
        RandomDesign(g, ("a", "b", "c"), z, Unstructured(3), "(b + c | g)"),
        RandomDesign(h, ("a", "b"), z[:, :2], Diagonal(2), "(b || h)"),
    )
    y = x @ [1.0, 2.0, 3.0] + rng.standard_normal(n)
    weights, offset = rng.uniform(0.5, 2.0, n), rng.standard_normal(n)
    return Design(y, X, tuple("abcde"), "y", random, weights, offset, pd.RangeIndex(n), 0, reader=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("keep", [[0, 1, 2, 3], [0, 2], [4, 0], [1, 2, 4], []])
@pytest.mark.parametrize("reml", [True, False])
def test_fewer_fixed_effects(design: Design, keep: list[int], reml: bool):
    whole = assemble(design)
    H = coordinates(whole.fixed, design.X, whole.stage)
    assert H.shape == (4, 5)
    problem = with_fixed(whole, H[:, keep])
    direct = assemble(replace(design, X=design.X[:, keep], exog_names=tuple("abcde"[j] for j in keep)))
    templates = [np.array([[1.0, 0, 0], [0.3, 0.5, 0], [-0.2, 0.1, 0.4]]), np.diag([0.7, 0.0])]
    wanted = evaluate(direct.problem, to_basis(direct, templates), reml=reml).value
    np.testing.assert_allclose(evaluate(problem, to_basis(whole, templates), reml=reml).value, wanted, rtol=1e-10)


def test_combinations_of_fixed_effects(design: Design):
    whole = assemble(design)
    A = np.zeros((5, 2))
    A[0, 0] = A[1, 1] = A[2, 1] = 1.0
    problem = with_fixed(whole, coordinates(whole.fixed, design.X, whole.stage) @ A)
    direct = assemble(replace(design, X=design.X @ A, exog_names=("a", "sum")))
    zeros = [np.zeros((3, 3)), np.zeros((2, 2))]
    for reml in (True, False):
        wanted = evaluate(direct.problem, zeros, reml=reml).value
        np.testing.assert_allclose(evaluate(problem, zeros, reml=reml).value, wanted, rtol=1e-10)


TAKEN = [([0, 1], [0, 1]), ([0], [1]), ([1, 2], None), (None, [0]), ([0, 1, 2], None)]


@pytest.mark.parametrize(("first", "second"), TAKEN)
def test_fewer_random_columns(design: Design, first: list[int] | None, second: list[int] | None):
    whole = assemble(design)
    taken = [first, second]
    A = [None if keep is None else np.eye(t.Z.shape[1])[:, keep] for t, keep in zip(design.random, taken, strict=True)]
    problem = with_random(whole, A)
    assert problem is not None
    random = tuple(
        replace(t, columns=tuple(t.columns[j] for j in keep), Z=t.Z[:, keep])
        for t, keep in zip(design.random, taken, strict=True)
        if keep is not None
    )
    direct = assemble(replace(design, random=random))
    # at the same covariances of the users' columns, in whichever basis the problem has them
    templates = [np.diag(0.3 + 0.2 * np.arange(t.Z.shape[1])) for t in random]
    if len(templates[0]) > 1 and not random[0].structure.is_separable:
        templates[0][1, 0] = 0.25
    for reml in (True, False):
        wanted = evaluate(direct.problem, to_basis(direct, templates), reml=reml).value
        moved = _moved(whole, A, templates)
        np.testing.assert_allclose(evaluate(problem, moved, reml=reml).value, wanted, rtol=1e-10)


def _moved(whole, A, templates):
    """Factors of the covariances C^+ R A S A'R'C^+' in the problem's own basis C of R A."""
    from mixfit.lmm.submodel import _map

    out, given = [], iter(templates)
    for term, basis, a in zip(whole.problem.terms, whole.term_bases, A, strict=True):
        if a is None:
            continue
        half = np.linalg.pinv(_map(term, basis, a)) @ basis @ a @ next(given)
        out.append(np.linalg.qr(half.T, mode="r").T)
    return out


def test_no_random_term_left(design: Design):
    assert with_random(assemble(design), [None, None]) is None


def test_the_whole_model_is_its_own_submodel(design: Design):
    whole = assemble(design)
    same = with_fixed(whole, whole.fixed.triangle)
    np.testing.assert_allclose(same.log_x, whole.problem.log_x, rtol=1e-12)
    np.testing.assert_allclose(same.log_scale, whole.problem.log_scale, rtol=1e-12)
    assert same.p == 4
