"""Exact second derivatives against differences of the exact gradient, singular templates included."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mixfit.covariance.steps import move
from mixfit.lmm import hessian
from mixfit.lmm.assemble import assemble
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate
from mixfit.lmm.estimate import to_basis
from mixfit.lmm.hessian import exact_hessian
from tests.random_designs import Sketch, draw_templates, sketches

STEP = 1e-3


@settings(max_examples=60, deadline=None)
@given(sketches(), st.booleans(), st.sampled_from([0.0, 0.3, 0.7]))
def test_second_differences_of_the_criterion(sketch: Sketch, reml: bool, zero: float) -> None:
    design = sketch.design()
    assembly = assemble(design)
    rng = np.random.default_rng(sketch.seed + 1)
    templates = to_basis(assembly, draw_templates(design, rng))
    for t in templates:
        t[:, rng.random(len(t)) < zero] = 0.0
    at = evaluate(assembly.problem, templates, reml=reml)
    derivatives = differentiate(at)
    directions = derivatives.directions

    def value(step: np.ndarray) -> float:
        return evaluate(assembly.problem, move(templates, directions, step), reml=reml).value

    m = len(directions)
    moves = STEP * np.eye(m)
    wanted = np.empty((m, m))
    for a in range(m):
        for b in range(m):
            signs = [(1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0)]
            wanted[a, b] = sum(s * value(x * moves[a] + y * moves[b]) for x, y, s in signs) / (4.0 * STEP**2)
    found = exact_hessian(at, derivatives)
    # The error of the differences is of the order STEP**2 and of the criterion's rounding over it.
    scale = max(1.0, float(np.abs(wanted).max(initial=0.0)))
    assert_allclose(found, wanted, atol=2e-4 * scale + 4.0 * at.resolution / STEP**2)
    assert_allclose(found, found.T, rtol=1e-12)


def test_many_fixed_effects_are_taken_in_parts(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    design = Sketch(5, "crossed", 60, ((2, "us"),), p=4).design()
    assembly = assemble(design)
    at = evaluate(assembly.problem, to_basis(assembly, draw_templates(design, np.random.default_rng(0))), reml=True)
    derivatives = differentiate(at)
    whole = exact_hessian(at, derivatives)
    monkeypatch.setattr(hessian, "_CELLS_AT_ONCE", 1)
    assert_allclose(exact_hessian(at, derivatives), whole, rtol=1e-12)
