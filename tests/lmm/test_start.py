"""Start values: finite, positive, free of units, and the analysis of variance where that is defined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

from mixfit.lmm.assemble import assemble
from mixfit.lmm.start import moment_equations, start_points
from tests.random_designs import Sketch, sketches


@given(sketches())
def test_positive_diagonal_templates(sketch: Sketch) -> None:
    design = sketch.design()
    templates = start_points(assemble(design).problem)[0]
    assert [t.shape for t in templates] == [(len(r.columns),) * 2 for r in design.random]
    for t in templates:
        assert np.isfinite(t).all()
        assert (t.diagonal() > 0).all()
        assert np.array_equal(t, np.diag(t.diagonal()))


@given(sketches())
def test_free_of_the_units_of_y_and_z(sketch: Sketch) -> None:
    design = sketch.design()
    plain = start_points(assemble(design).problem)[0]
    y = design.y - (0.0 if design.offset is None else design.offset)
    random = tuple(replace(r, Z=r.Z * 1e3) for r in design.random)
    other = start_points(assemble(replace(design, y=1e-4 * y, offset=None, random=random)).problem)[0]
    # In the basis of unit mean square.
    for s, t in zip(plain, other, strict=True):
        assert_allclose(t, s, rtol=1e-6)


@given(sketches())
def test_expected_sums_of_squares_are_traces(sketch: Sketch) -> None:
    """E sum_j w_j (z_j'M y)^2 is tr(S M Z_b Z_b' M) for every column b, with S = sum_j w_j z_j z_j'."""
    problem = assemble(sketch.design()).problem
    equations = moment_equations(problem)
    rows = problem.gram.rows
    assert rows is not None
    X = rows.columns[:-1]
    Z = {}
    for i, f in enumerate(rows.factors):
        for a in range(f.k):
            values = np.ones(len(f.codes)) if f.columns is None else f.columns[a]
            z = np.zeros((f.n_levels, len(f.codes)))
            z[f.codes, np.arange(len(f.codes))] = values
            Z[i, a] = z - z @ X.T @ X
    own = [Z[column] for column in equations.columns]
    wanted = np.empty(equations.expected.shape)
    for x, (z, w) in enumerate(zip(own, equations.weights, strict=True)):
        wanted[x, :-1] = [w @ ((z @ other.T) ** 2).sum(axis=1) for other in own]
        wanted[x, -1] = w @ (z**2).sum(axis=1)
    wanted[-1, :-1] = [(z**2).sum() for z in own]
    wanted[-1, -1] = problem.gram.n - problem.p
    assert_allclose(equations.expected, wanted, rtol=1e-8, atol=1e-8 * np.abs(wanted).max())


@pytest.mark.parametrize("signal", [1.0, 3.0, 30.0])
def test_balanced_one_way_is_the_analysis_of_variance(signal: float) -> None:
    design = Sketch(9, "single", 48, ((1, "us"),), p=1, signal=signal).design()
    codes = design.random[0].grouping.codes
    q, m = 12, 4
    assert set(np.bincount(codes)) == {m}
    means = np.bincount(codes, design.y) / m
    between = m * np.sum((means - means.mean()) ** 2) / (q - 1)
    within = np.sum((design.y - means[codes]) ** 2) / (q * (m - 1))
    ratio = (between / within - 1.0) / m
    assert ratio > 0.1
    assert_allclose(start_points(assemble(design).problem)[0][0] ** 2, ratio, rtol=1e-9)


def test_without_fixed_effects_the_balanced_one_way_is_exact() -> None:
    design = Sketch(9, "single", 48, ((1, "us"),), p=0, signal=3.0).design()
    codes = design.random[0].grouping.codes
    q, m = 12, 4
    means = np.bincount(codes, design.y) / m
    between = m * np.sum(means**2) / q
    within = np.sum((design.y - means[codes]) ** 2) / (q * (m - 1))
    ratio = (between / within - 1.0) / m
    assert_allclose(start_points(assemble(design).problem)[0][0] ** 2, ratio, rtol=1e-9)
