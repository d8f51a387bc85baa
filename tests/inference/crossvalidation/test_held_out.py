"""Predictions of left-out rows against the normal distribution of all rows, conditioned by dense algebra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from mixfit.inference.crossvalidation import held_out as module
from mixfit.inference.crossvalidation.held_out import held_out
from tests.inference.test_deletion import scaled_variance, working
from tests.random_designs import PATTERNS, Sketch, draw_templates, sketches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]


def conditioned(design: Design, V: Array, out: NDArray[np.bool_], reml: bool) -> tuple[Array, Array, float]:
    """Errors of the rows `out` given the others, their covariance, and sigma of the others: universal kriging."""
    X, y = design.X, design.y if design.offset is None else design.y - design.offset
    inverse = np.linalg.inv(V[np.ix_(~out, ~out)])
    information = X[~out].T @ inverse @ X[~out]
    beta = np.linalg.solve(information, X[~out].T @ inverse @ y[~out])
    residual = y[~out] - X[~out] @ beta
    sigma = float(np.sqrt(residual @ inverse @ residual / ((~out).sum() - reml * X.shape[1])))
    between = V[np.ix_(out, ~out)] @ inverse
    through = X[out] - between @ X[~out]
    covariance = V[np.ix_(out, out)] - between @ V[np.ix_(~out, out)]
    covariance += through @ np.linalg.solve(information, through.T)
    return y[out] - X[out] @ beta - between @ residual, sigma**2 * covariance, sigma


def assert_held_out(design: Design, templates: list[Array], rows: Index, codes: Index, reml: bool = True) -> None:
    q = int(codes.max()) + 1
    found = held_out(working(design, templates, reml), rows, codes, q)
    V = scaled_variance(design, templates)
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    p = design.X.shape[1]
    for g in range(q):
        own = codes == g
        at = rows[own]
        out = np.zeros(len(design.y), dtype=bool)
        out[at] = True
        if (~out).sum() <= p + 1 or (p and np.linalg.matrix_rank(design.X[~out]) < p):
            continue
        error, covariance, sigma = conditioned(design, V, out, reml)
        order = np.argsort(np.argsort(at))
        root = np.sqrt(weights[at])
        scale = np.sqrt(covariance.diagonal())[order]
        np.testing.assert_allclose(found.error[own] / root / scale, error[order] / scale, atol=1e-7)
        np.testing.assert_allclose(found.variance[own] / root**2, scale**2, rtol=1e-7)
        np.testing.assert_allclose(found.sigma[g], sigma, rtol=1e-7)
        wanted = multivariate_normal(cov=covariance, allow_singular=False).logpdf(error)
        np.testing.assert_allclose(found.joint[g] + np.log(root).sum(), wanted, rtol=1e-7, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(sketch=sketches((30, 50)), zero=st.sampled_from([0.0, 0.4]), reml=st.booleans())
def test_groups_of_any_model(sketch: Sketch, zero: float, reml: bool) -> None:
    design = sketch.design()
    templates = draw_templates(design, np.random.default_rng(sketch.seed), zero)
    for term in design.random:
        assert_held_out(design, templates, np.arange(len(design.y)), term.grouping.codes, reml)


@pytest.mark.parametrize("pattern", list(PATTERNS))
@pytest.mark.parametrize("partition", ["rows", "halves", "thirds"])
def test_any_partition(pattern: str, partition: str) -> None:
    design = Sketch(7, pattern, 40, ((2, "us"), (1, "us")), 3, weights=True, offset=True).design()
    templates = draw_templates(design, np.random.default_rng(3))
    codes = {"rows": np.arange(40), "halves": np.arange(40) % 2, "thirds": np.arange(40) // 14}[partition]
    assert_held_out(design, templates, np.arange(40), codes)


def test_some_rows_and_the_same_row_twice() -> None:
    design = Sketch(7, "crossed", 40, ((2, "us"), (1, "us")), 2, weights=True).design()
    templates = draw_templates(design, np.random.default_rng(3))
    assert_held_out(design, templates, np.array([5, 30, 6, 5, 21]), np.array([0, 0, 1, 1, 2]))


@pytest.mark.parametrize("pattern", ["single", "nested three deep", "two chains crossed"])
def test_large_groups_take_a_new_factor(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    design = Sketch(11, pattern, 40, ((2, "us"), (1, "us")), 2, weights=True).design()
    templates = draw_templates(design, np.random.default_rng(5))
    monkeypatch.setattr(module, "LARGE", 0)
    assert_held_out(design, templates, np.arange(40), design.random[0].grouping.codes)
