"""The profiled criteria against n x n matrices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mixfit.errors import DesignError
from mixfit.lmm.assemble import assemble, with_response
from mixfit.lmm.estimate import criterion, to_basis
from mixfit.lmm.problem import Problem
from tests import oracle
from tests.random_designs import PATTERNS, WIDTHS, Sketch, draw_templates, sketches

zeros = st.sampled_from([0.0, 0.0, 0.3, 1.0])


@given(sketches(), st.booleans(), zeros)
def test_criterion_is_that_of_the_dense_model(sketch: Sketch, reml: bool, zero: float) -> None:
    design = sketch.design()
    templates = draw_templates(design, np.random.default_rng(sketch.seed + 1), zero)
    wanted = oracle.criterion(design, templates, reml=reml)
    assert_allclose(criterion(assemble(design), templates, reml=reml), wanted, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("terms", WIDTHS, ids=str)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_and_width(pattern: str, terms: tuple, reml: bool) -> None:
    design = Sketch(5, pattern, 50, terms, p=3, weights=True, offset=True).design()
    templates = draw_templates(design, np.random.default_rng(6))
    wanted = oracle.criterion(design, templates, reml=reml)
    assert_allclose(criterion(assemble(design), templates, reml=reml), wanted, rtol=1e-11)


@given(sketches(), st.booleans())
def test_templates_that_are_no_cholesky_factors_count_by_their_product(sketch: Sketch, reml: bool) -> None:
    design = sketch.design()
    rng = np.random.default_rng(sketch.seed)
    templates = draw_templates(design, rng)
    turned = [
        t if term.structure.is_separable else t @ np.linalg.qr(rng.normal(size=t.shape))[0]
        for t, term in zip(templates, design.random, strict=True)
    ]
    assembly = assemble(design)
    one, other = criterion(assembly, templates, reml=reml), criterion(assembly, turned, reml=reml)
    assert_allclose(other, one, rtol=1e-11)


@given(sketches())
def test_basis_templates_are_triangular_with_the_same_covariance(sketch: Sketch) -> None:
    design = sketch.design()
    assembly = assemble(design)
    templates = draw_templates(design, np.random.default_rng(sketch.seed), 0.2)
    for term, t, moved, basis in zip(
        design.random, templates, to_basis(assembly, templates), assembly.term_bases, strict=True
    ):
        half = basis @ t
        assert_allclose(moved @ moved.T, half @ half.T, atol=1e-10)
        assert np.array_equal(moved, np.tril(moved))
        assert (moved.diagonal() >= 0).all()
        if term.structure.is_separable:
            assert np.array_equal(moved, np.diag(moved.diagonal()))


@given(sketches(), st.booleans())
def test_zero_templates_are_least_squares(sketch: Sketch, reml: bool) -> None:
    design = sketch.design()
    zero = [np.zeros((len(t.columns),) * 2) for t in design.random]
    root = np.ones(sketch.n) if design.weights is None else np.sqrt(design.weights)
    y = design.y - (0.0 if design.offset is None else design.offset)
    X = design.X * root[:, None]
    beta = np.linalg.lstsq(X, y * root, rcond=None)[0]
    rss = np.sum((y * root - X @ beta) ** 2)
    nu = sketch.n - sketch.p if reml else sketch.n
    wanted = nu * (1 + np.log(2 * np.pi * rss / nu)) - 2 * np.log(root).sum()
    if reml and sketch.p:
        wanted += np.linalg.slogdet(X.T @ X)[1]
    assert_allclose(criterion(assemble(design), zero, reml=reml), wanted, rtol=1e-11, atol=1e-10)


@given(sketches(), st.booleans())
def test_new_response_shares_the_rest(sketch: Sketch, reml: bool) -> None:
    design = sketch.design()
    rng = np.random.default_rng(sketch.seed + 3)
    changed = replace(design, y=1e3 + rng.normal(size=sketch.n))
    templates = draw_templates(design, rng)
    assembly = assemble(design)
    moved = with_response(assembly, changed)
    assert_allclose(criterion(moved, templates, reml=reml), oracle.criterion(changed, templates, reml=reml), rtol=1e-10)
    # The cross-products that y has no part in are the very same arrays.
    assert moved.problem.plan is assembly.problem.plan
    assert moved.problem.gram.diagonal[0] is assembly.problem.gram.diagonal[0]


@pytest.mark.parametrize("reml", [True, False])
def test_gram_objects_of_chunks_give_the_same_criterion(reml: bool) -> None:
    from mixfit.factor.plan import make_plan
    from mixfit.gram.pattern import FactorRows
    from mixfit.gram.products import cross_products
    from mixfit.lmm.criterion import evaluate

    design = Sketch(1, "two chains crossed", 60, ((2, "us"), (1, "us")), p=3, weights=True).design()
    assembly = assemble(design)
    columns = np.concatenate([assembly.fixed.rows, assembly.response.row[None]])
    chunks = []
    for at in np.array_split(np.arange(60), 4):
        rows = [
            FactorRows(f.codes[at], f.n_levels, None if f.columns is None else f.columns[:, at]) for f in assembly.rows
        ]
        chunks.append(cross_products(rows, columns[:, at]))
    gram = chunks[0] + chunks[1] + chunks[2] + chunks[3]
    whole = assembly.problem
    problem = Problem(gram, make_plan(gram), whole.terms, whole.p, whole.log_weights, whole.log_x, whole.log_scale)
    templates = to_basis(assembly, draw_templates(design, np.random.default_rng(2)))
    one, other = evaluate(whole, templates, reml=reml), evaluate(problem, templates, reml=reml)
    assert_allclose(other.value, one.value, rtol=1e-12)


def test_rank_deficient_x_is_that_of_its_independent_columns() -> None:
    design = Sketch(2, "nested", 40, ((1, "us"),), p=3).design()
    X = np.column_stack([design.X, design.X[:, 1] - design.X[:, 2], design.X[:, 0] * 2])
    wide = replace(design, X=X, exog_names=("a", "b", "c", "d", "e"))
    templates = draw_templates(design, np.random.default_rng(2))
    assembly = assemble(wide)
    assert assembly.fixed.kept.tolist() == [0, 1, 2]
    for reml in (True, False):
        wanted = criterion(assemble(design), templates, reml=reml)
        assert_allclose(criterion(assembly, templates, reml=reml), wanted, rtol=1e-12)


def test_a_response_that_x_explains_is_refused() -> None:
    design = Sketch(3, "nested", 40, ((1, "us"),), p=3).design()
    explained = replace(design, y=design.X @ np.array([1.0, -2.0, 3.0]))
    with pytest.raises(DesignError, match="explain the response 'y' perfectly"):
        assemble(explained)
    with pytest.raises(DesignError, match="explain the response 'y' perfectly"):
        with_response(assemble(design), explained)


def test_as_many_fixed_effects_as_rows_are_refused() -> None:
    design = Sketch(3, "nested", 24, ((1, "us"),), p=1).design()
    X = np.random.default_rng(0).normal(size=(24, 24))
    with pytest.raises(DesignError, match="24 fixed effects for 24 observations"):
        assemble(replace(design, X=X, exog_names=tuple(f"x{j}" for j in range(24))))
