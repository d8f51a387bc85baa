"""Leverages and deletions of groups against dense n x n algebra."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixfit.inference import deletion
from mixfit.inference.deletion import delete_groups
from mixfit.lmm.assemble import assemble
from mixfit.lmm.types import Kept
from mixfit.lmm.working import leverages, linear_working_model
from tests.dense import full_z, relative_covariance
from tests.random_designs import PATTERNS, Sketch, draw_templates, sketches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.working import WorkingModel
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]


def working(design: Design, templates: list[Array], reml: bool = True) -> WorkingModel:
    estimate = SimpleNamespace(templates=templates, sigma=2.0, reml=reml, at=Kept())
    return linear_working_model(assemble(design), estimate)  # type: ignore[arg-type]


def scaled_variance(design: Design, templates: list[Array]) -> Array:
    """V / sigma^2 = W^{-1} + Z Sigma Z'."""
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    Z = np.hstack([full_z(term) for term in design.random])
    return np.diag(1.0 / weights) + Z @ relative_covariance(design, templates) @ Z.T


def dense_leverages(design: Design, templates: list[Array]) -> Array:
    """diag(H), H = I - W^{-1} P: what maps y to its fitted values."""
    inverse = np.linalg.inv(scaled_variance(design, templates))
    projection = inverse
    if design.X.shape[1]:
        vx = inverse @ design.X
        projection = inverse - vx @ np.linalg.solve(design.X.T @ vx, vx.T)
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    return 1.0 - projection.diagonal() / weights


def generalized_least_squares(
    design: Design, V: Array, keep: NDArray[np.bool_], reml: bool
) -> tuple[Array, Array, float]:
    """beta, its standard errors and sigma of the rows kept."""
    X, y = design.X[keep], design.y[keep]
    if design.offset is not None:
        y = y - design.offset[keep]
    inverse = np.linalg.inv(V[np.ix_(keep, keep)])
    g = X.T @ inverse @ X
    beta = np.linalg.solve(g, X.T @ inverse @ y)
    e = y - X @ beta
    sigma = np.sqrt(e @ inverse @ e / (len(y) - reml * X.shape[1]))
    return beta, sigma * np.sqrt(np.linalg.inv(g).diagonal()), float(sigma)


def assert_deletions(design: Design, templates: list[Array], codes: NDArray[np.intp], reml: bool) -> None:
    found = delete_groups(working(design, templates, reml), codes, int(codes.max()) + 1)
    V = scaled_variance(design, templates)
    beta = generalized_least_squares(design, V, np.ones(len(codes), bool), reml)[0]
    for j in range(int(codes.max()) + 1):
        keep = codes != j
        p = design.X.shape[1]
        if (p and np.linalg.matrix_rank(design.X[keep]) < p) or keep.sum() <= p + 1:
            continue
        without, errors, sigma = generalized_least_squares(design, V, keep, reml)
        scale = np.abs(beta) + errors
        np.testing.assert_allclose((found.dfbeta[j] - (without - beta)) / scale, 0.0, atol=1e-7)
        np.testing.assert_allclose(found.errors[j], errors, rtol=1e-6)
        np.testing.assert_allclose(found.sigma[j], sigma, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(sketch=sketches(), zero=st.sampled_from([0.0, 0.4]))
def test_leverages(sketch: Sketch, zero: float) -> None:
    design = sketch.design()
    templates = draw_templates(design, np.random.default_rng(sketch.seed), zero)
    np.testing.assert_allclose(leverages(working(design, templates)), dense_leverages(design, templates), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(sketch=sketches((30, 50)), zero=st.sampled_from([0.0, 0.4]), reml=st.booleans())
def test_each_group_is_left_out(sketch: Sketch, zero: float, reml: bool) -> None:
    design = sketch.design()
    templates = draw_templates(design, np.random.default_rng(sketch.seed), zero)
    for term in design.random:
        assert_deletions(design, templates, term.grouping.codes, reml)


@pytest.mark.parametrize("pattern", list(PATTERNS))
@pytest.mark.parametrize("partition", ["rows", "halves", "thirds"])
def test_any_partition_can_be_left_out(pattern: str, partition: str) -> None:
    design = Sketch(7, pattern, 40, ((2, "us"), (1, "us")), 3, weights=True, offset=True).design()
    templates = draw_templates(design, np.random.default_rng(3))
    codes = {"rows": np.arange(40), "halves": np.arange(40) % 2, "thirds": np.arange(40) // 14}[partition]
    assert_deletions(design, templates, codes, reml=True)


@pytest.mark.parametrize("pattern", ["single", "nested three deep", "two chains crossed"])
def test_large_groups_take_a_new_factor(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    design = Sketch(11, pattern, 40, ((2, "us"), (1, "us")), 2, weights=True).design()
    templates = draw_templates(design, np.random.default_rng(5))
    codes = design.random[0].grouping.codes
    small = delete_groups(working(design, templates), codes, int(codes.max()) + 1)
    monkeypatch.setattr(deletion, "LARGE", 0)
    large = delete_groups(working(design, templates), codes, int(codes.max()) + 1)
    np.testing.assert_allclose(large.dfbeta, small.dfbeta, atol=1e-9)
    np.testing.assert_allclose(large.sigma, small.sigma, rtol=1e-9)
    assert_deletions(design, templates, codes, reml=True)


def test_effects_that_only_one_group_determines_are_unknown_without_it() -> None:
    design = Sketch(1, "single", 40, p=2).design()
    codes = design.random[0].grouping.codes
    design.X[:, 1] = codes == 3
    found = delete_groups(working(design, [np.eye(1)]), codes, int(codes.max()) + 1)
    assert np.isnan(found.dfbeta[3]).all()
    assert np.isnan(found.sigma[3])
    assert np.isfinite(np.delete(found.dfbeta, 3, axis=0)).all()


def test_many_sizes_of_groups_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    design = Sketch(5, "uneven crossed", 60, ((2, "us"),), 2).design()
    templates = draw_templates(design, np.random.default_rng(5))
    monkeypatch.setattr(deletion, "_CELLS_AT_ONCE", 50)
    for term in design.random:
        assert_deletions(design, templates, term.grouping.codes, reml=True)
