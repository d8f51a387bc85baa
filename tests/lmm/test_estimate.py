"""Estimates, conditional covariances and prediction variances against the dense model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import block_diag

from mixfit.lmm import prediction
from mixfit.lmm.assemble import assemble
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.estimate import conditional_covariance, criterion, estimate, to_basis
from mixfit.lmm.prediction import prediction_variance
from tests import oracle
from tests.random_designs import Sketch, draw_templates, sketches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.types import LinearEstimate
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

# Terms that leave most of the rows to the residual: the estimates exist and are tame.
TAME: list[Sketch] = [
    Sketch(1, "single", 60, ((2, "us"),), p=2),
    Sketch(2, "single", 60, ((2, "diag"),), p=3, weights=True),
    Sketch(3, "nested", 60, ((1, "us"),), p=1, offset=True),
    Sketch(4, "crossed", 80, ((1, "us"),), p=2, weights=True, offset=True),
    Sketch(5, "partially crossed", 80, ((1, "us"),), p=4),
    Sketch(6, "crossed", 80, ((2, "us"), (1, "us")), p=2),
    Sketch(7, "nested inside crossed", 90, ((1, "us"),), p=2, weights=True),
    Sketch(8, "single", 80, ((1, "us"), (2, "us")), p=0),
    Sketch(9, "nested", 60, ((1, "us"),), p=2, signal=0.0),
]
tame = pytest.mark.parametrize("sketch", TAME, ids=lambda s: f"{s.pattern}-{s.seed}")
methods = pytest.mark.parametrize("reml", [True, False])


@tame
@methods
def test_every_estimate_is_that_of_its_templates(sketch: Sketch, reml: bool) -> None:
    design = sketch.design()
    assembly = assemble(design)
    fitted = estimate(assembly, reml=reml)
    at = oracle.solve(design, fitted.templates, reml=reml)
    assert fitted.reml is reml
    assert_allclose(fitted.criterion, at.criterion, rtol=1e-10)
    assert_allclose(fitted.sigma, at.sigma, rtol=1e-9)
    se = np.sqrt(at.cov_beta.diagonal())
    assert (np.abs(fitted.beta - at.beta) <= 1e-9 * se).all()
    assert_allclose(fitted.cov_beta, at.cov_beta, rtol=1e-8, atol=1e-9 * np.abs(at.cov_beta).max(initial=0.0))
    assert np.array_equal(fitted.theta, oracle.free_entries(design, fitted.templates))
    scores = at.inverse @ at.residual
    for term, t, modes in zip(design.random, fitted.templates, fitted.modes, strict=True):
        assert np.array_equal(t, np.tril(t))
        assert (t.diagonal() >= 0).all()
        wanted = np.einsum("ab,nqb,n->qa", t @ t.T, oracle.expand(term), scores)
        assert_allclose(modes, wanted, atol=1e-8 * np.abs(wanted).max(initial=1e-3))


@tame
@methods
def test_the_optimum_is_stationary_or_on_the_boundary(sketch: Sketch, reml: bool) -> None:
    design = sketch.design()
    fitted = estimate(assemble(design), reml=reml)
    assert fitted.certificate.converged
    at = oracle.solve(design, fitted.templates, reml=reml)
    for term, t, slope in zip(
        design.random, fitted.templates, oracle.absolute_slopes(design, at, reml=reml), strict=True
    ):
        size = np.sqrt((term.Z**2).mean(axis=0))
        slope = slope / np.outer(size, size)
        if term.structure.is_separable:
            slope = np.diag(slope.diagonal())
        # Karush-Kuhn-Tucker on the cone: N Sigma = 0 and N nonnegative.
        assert np.abs(slope @ (size[:, None] * t)).max() < 1e-3 * np.sqrt(sketch.n)
        assert np.linalg.eigvalsh(slope).min() > -1e-3 * np.sqrt(sketch.n)


@given(sketches(), st.booleans())
def test_conditional_covariance(sketch: Sketch, reml: bool) -> None:
    design = sketch.design()
    templates = draw_templates(design, np.random.default_rng(sketch.seed), 0.2)
    at = oracle.solve(design, templates, reml=reml)
    sigma = 1.7
    assembly = assemble(design)
    found = conditional_covariance(
        assembly, evaluate(assembly.problem, to_basis(assembly, templates), reml=reml), sigma
    )
    for term, t, got in zip(design.random, templates, found, strict=True):
        Z, S = oracle.expand(term), t @ t.T
        reduction = np.einsum("nqa,nm,mqb->qab", Z, at.inverse, Z, optimize=True)
        wanted = sigma**2 * (S - S @ reduction @ S)
        assert_allclose(got, wanted, atol=1e-9 * np.abs(S).max(initial=1e-3) * sigma**2)


def joint_covariance(design: Design, fitted: LinearEstimate) -> Array:
    """Cov(beta^ - beta, b~ - b) by Henderson (1975), terms one after another, levels within."""
    at = oracle.solve(design, fitted.templates, reml=fitted.reml)
    G = block_diag(
        *(np.kron(np.eye(r.grouping.n_levels), t @ t.T) for r, t in zip(design.random, fitted.templates, strict=True))
    )
    GZ = G @ np.hstack([oracle.expand(r).reshape(len(design.y), -1) for r in design.random]).T
    phi = np.linalg.inv(at.X.T @ at.inverse @ at.X)
    cross = -phi @ at.X.T @ at.inverse @ GZ.T
    return fitted.sigma**2 * np.block([[phi, cross], [cross.T, G - GZ @ at.P @ GZ.T]])


def new_rows(design: Design, kept: int, seed: int, m: int = 15) -> tuple[Array, list[Array], list[Array]]:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(m, kept)),
        [rng.normal(size=(m, len(r.columns))) for r in design.random],
        [rng.integers(0, r.grouping.n_levels, m) for r in design.random],
    )


def at_templates(design: Design, assembly: Assembly, templates: list[Array], reml: bool) -> LinearEstimate:
    """An estimate whose templates are not the optimum: any will do for a formula."""
    at = oracle.solve(design, templates, reml=reml)
    return replace(estimate(assembly, reml=reml), templates=tuple(templates), sigma=at.sigma, cov_beta=at.cov_beta)


@pytest.mark.parametrize("zero", [0.0, 0.5])
@tame
@methods
def test_prediction_variance(sketch: Sketch, reml: bool, zero: float) -> None:
    design = sketch.design()
    assembly = assemble(design)
    templates = draw_templates(design, np.random.default_rng(3), zero)
    fitted = at_templates(design, assembly, templates, reml)
    X, Z, codes = new_rows(design, sketch.p, 1)
    C = joint_covariance(design, fitted)
    for left_out in range(len(design.random) + 1):
        parts = [X]
        some_z: list[Array | None] = list(Z)
        some_codes: list[Array | None] = list(codes)
        for t, (r, z, c) in enumerate(zip(design.random, Z, codes, strict=True)):
            full = np.zeros((len(X), r.grouping.n_levels, z.shape[1]))
            if t >= left_out:
                full[np.arange(len(X)), c] = z
            else:
                some_z[t] = some_codes[t] = None
            parts.append(full.reshape(len(X), -1))
        rows = np.hstack(parts)
        wanted = np.einsum("mi,ij,mj->m", rows, C, rows)
        got = prediction_variance(assembly, fitted, X, some_z, some_codes)
        assert_allclose(got, wanted, rtol=1e-8, atol=1e-10)


def test_prediction_variance_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    design = TAME[5].design()
    assembly = assemble(design)
    fitted = estimate(assembly, reml=True)
    rows = new_rows(design, 2, 4)
    whole = prediction_variance(assembly, fitted, *rows)
    monkeypatch.setattr(prediction, "_CELLS_AT_ONCE", 200)
    assert_allclose(prediction_variance(assembly, fitted, *rows), whole, rtol=1e-12)


@tame
def test_estimate_from_the_optimum_stays_there(sketch: Sketch) -> None:
    assembly = assemble(sketch.design())
    fitted = estimate(assembly, reml=True)
    again = estimate(assembly, reml=True, start=fitted.templates)
    assert again.certificate.n_evaluations <= 3
    assert_allclose(again.criterion, fitted.criterion, atol=1e-8)
    assert_allclose(criterion(assembly, fitted.templates, reml=True), fitted.criterion, rtol=1e-12)
