"""Gradient and curvature against central differences and dense formulas, singular templates included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mixfit.covariance.directions import ColumnDirection, TurningDirection
from mixfit.lmm.assemble import Assembly, assemble
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import Derivatives, differentiate
from mixfit.lmm.estimate import estimate, to_basis
from tests.random_designs import Sketch, dense_blocks, draw_templates, sketches

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

zeros = st.sampled_from([0.0, 0.0, 0.3, 0.6])


def central(f: Callable[[float], float], h: float = 1e-4) -> float:
    """Fourth-order central difference at 0."""
    return (8.0 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12.0 * h)


def in_basis(sketch: Sketch, zero: float) -> tuple[Assembly, list[Array]]:
    """An assembly and templates in its basis; zero columns stay zero columns there."""
    design = sketch.design()
    assembly = assemble(design)
    rng = np.random.default_rng(sketch.seed + 1)
    templates = to_basis(assembly, draw_templates(design, rng))
    for t in templates:
        t[:, rng.random(len(t)) < zero] = 0.0
    return assembly, templates


class Dense:
    """The problem in its own basis: rows of unit weight, y a unit residual."""

    def __init__(self, assembly: Assembly, templates: list[Array], reml: bool) -> None:
        problem = assembly.problem
        n, p = problem.gram.n, problem.p
        self.Z = [dense_blocks(f) for f in assembly.rows]
        V = np.eye(n)
        for term, t in zip(problem.terms, templates, strict=True):
            half = np.einsum("naq,ab->nbq", self.Z[term.factor][:, term.columns], t).reshape(n, -1)
            V += half @ half.T
        X, self.y = assembly.fixed.rows.T, assembly.response.row
        self.inverse = np.linalg.inv(V)
        weighted = self.inverse @ X
        self.P = self.inverse - weighted @ np.linalg.solve(X.T @ weighted, weighted.T)
        self.r2 = self.y @ self.P @ self.y
        self.scale = self.r2 / (n - p if reml else n)
        self.terms, self.templates, self.reml = problem.terms, templates, reml

    def slope(self, index: int) -> Array:
        """dd/dSigma of a term."""
        Z = self.Z[self.terms[index].factor][:, self.terms[index].columns]
        Q = self.P if self.reml else self.inverse
        s = np.einsum("naq,n->aq", Z, self.P @ self.y)
        return np.einsum("naq,nm,mbq->ab", Z, Q, Z, optimize=True) - s @ s.T / self.scale

    def information(self, derivatives: Derivatives) -> Array:
        """Average information: w_a = V'_a P y."""
        W = []
        for d in derivatives.directions:
            Z = self.Z[self.terms[d.term].factor][:, self.terms[d.term].columns]
            assert isinstance(d, ColumnDirection | TurningDirection)
            move = d.step @ self.templates[d.term].T
            W.append(np.einsum("naq,ab,mbq,m->n", Z, move + move.T, Z, self.P @ self.y, optimize=True))
        w = np.array(W).reshape(len(W), len(self.y))
        projected = w @ self.P @ self.y
        return (w @ self.P @ w.T - np.outer(projected, projected) / self.r2) / self.scale


@given(sketches(), st.booleans(), zeros)
@settings(max_examples=60)
def test_gradient_along_directions(sketch: Sketch, reml: bool, zero: float) -> None:
    assembly, templates = in_basis(sketch, zero)
    derivatives = differentiate(evaluate(assembly.problem, templates, reml=reml))
    assert len(derivatives.gradient) == len(derivatives.directions)
    for d, slope in zip(derivatives.directions, derivatives.gradient, strict=True):

        def along(h: float, d=d) -> float:  # type: ignore[no-untyped-def]
            moved = [t + h * d.step if x == d.term else t for x, t in enumerate(templates)]
            return evaluate(assembly.problem, moved, reml=reml).value

        assert_allclose(slope, central(along), rtol=1e-6, atol=1e-6)


@given(sketches(), st.booleans(), zeros)
@settings(max_examples=60)
def test_average_information(sketch: Sketch, reml: bool, zero: float) -> None:
    assembly, templates = in_basis(sketch, zero)
    derivatives = differentiate(evaluate(assembly.problem, templates, reml=reml))
    dense = Dense(assembly, templates, reml)
    wanted = dense.information(derivatives)
    assert derivatives.information.shape == (len(derivatives.directions),) * 2
    # Beside a boundary Sigma = T T' curves by 2 <N, T'_a T'_b'>, N's positive part.
    for a, left in enumerate(derivatives.directions):
        for b, right in enumerate(derivatives.directions):
            if left.term == right.term and not (left.turning is None or right.turning is None):
                values, vectors = np.linalg.eigh(dense.slope(left.term))
                positive = vectors * np.maximum(values, 0.0) @ vectors.T
                wanted[a, b] += 2.0 * np.vdot(left.turning, positive @ right.turning)
    scale = np.abs(wanted).max(initial=1.0)
    assert_allclose(derivatives.information, wanted, rtol=1e-8, atol=1e-9 * scale)
    assert np.array_equal(derivatives.information, derivatives.information.T)


@given(sketches(), st.booleans(), st.sampled_from([0.3, 0.6, 1.0]))
@settings(max_examples=60)
def test_variance_derivative_at_singular_templates(sketch: Sketch, reml: bool, zero: float) -> None:
    assembly, templates = in_basis(sketch, zero)
    derivatives = differentiate(evaluate(assembly.problem, templates, reml=reml))
    singular = {x for x, t in enumerate(templates) if not t.any(axis=0).all()}
    assert set(derivatives.absolute) == singular
    dense = Dense(assembly, templates, reml)
    for x in singular:
        wanted = dense.slope(x)
        assert_allclose(derivatives.absolute[x], wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


@given(sketches(), st.booleans())
def test_variance_derivative_is_one_sided_difference(sketch: Sketch, reml: bool) -> None:
    """At zero variance the criterion is smooth in the variance: d(v) - d(0) = v N + O(v^2)."""
    assembly, templates = in_basis(sketch, 0.0)
    index = sketch.seed % len(templates)
    templates[index][:] = 0.0
    derivatives = differentiate(evaluate(assembly.problem, templates, reml=reml))
    k = len(templates[index])

    def at(variance: float, a: int) -> float:
        moved = [t.copy() for t in templates]
        moved[index][a, a] = np.sqrt(variance)
        return evaluate(assembly.problem, moved, reml=reml).value

    for a in range(k):
        h = 1e-5
        # Second order, on the one side that exists.
        slope = (-3.0 * at(0.0, a) + 4.0 * at(h, a) - at(2 * h, a)) / (2.0 * h)
        wanted = derivatives.absolute[index][a, a]
        assert_allclose(slope, wanted, rtol=1e-3, atol=1e-3)


@given(sketches(), st.booleans(), zeros)
def test_relative_derivative(sketch: Sketch, reml: bool, zero: float) -> None:
    assembly, templates = in_basis(sketch, zero)
    derivatives = differentiate(evaluate(assembly.problem, templates, reml=reml))
    dense = Dense(assembly, templates, reml)
    for x, (t, relative) in enumerate(zip(templates, derivatives.relative, strict=True)):
        wanted = t.T @ dense.slope(x) @ t
        compare = np.eye(len(t)) > 0 if assembly.problem.terms[x].structure.is_separable else np.ones_like(t, bool)
        assert_allclose(relative[compare], wanted[compare], rtol=1e-7, atol=1e-8 * np.abs(wanted).max(initial=1.0))


def test_information_is_the_hessian_for_balanced_data_at_the_optimum() -> None:
    # One-way, balanced, REML: observed, expected and average information agree there.
    design = Sketch(9, "single", 48, ((1, "us"),), p=1, signal=2.0).design()
    assert set(np.bincount(design.random[0].grouping.codes)) == {4}
    assembly = assemble(design)
    problem = assembly.problem
    t = to_basis(assembly, estimate(assembly, reml=True).templates)[0]

    def value(delta: float) -> float:
        return evaluate(problem, [t * np.exp(delta)], reml=True).value

    at = differentiate(evaluate(problem, [t], reml=True))
    h = 1e-3
    hessian = (-value(2 * h) + 16 * value(h) - 30 * value(0) + 16 * value(-h) - value(-2 * h)) / (12 * h * h)
    assert_allclose(at.information[0, 0], hessian, rtol=1e-6)


@given(sketches(), st.booleans())
def test_shares(sketch: Sketch, reml: bool) -> None:
    """inverse_share is the mean diagonal of A^{-1}; quadratic_share compares the two parts of T'NT."""
    assembly, templates = in_basis(sketch, 0.0)
    derivatives = differentiate(evaluate(assembly.problem, templates, reml=reml))
    dense = Dense(assembly, templates, reml)
    for x, (term, t) in enumerate(zip(assembly.problem.terms, templates, strict=True)):
        Z = np.einsum("naq,ab->nbq", dense.Z[term.factor][:, term.columns], t)
        # I - (A^{-1})_jj = Lambda'Z'V^{-1}Z Lambda, level by level.
        known = np.einsum("naq,nm,maq->a", Z, dense.inverse, Z, optimize=True)
        q = Z.shape[2]
        assert_allclose(derivatives.inverse_share[x], 1.0 - known / q, atol=1e-10)
        assert (derivatives.inverse_share[x] > 0).all()
        assert (derivatives.inverse_share[x] < 1).all()
        regular = np.einsum("naq,nm,maq->a", Z, dense.P if reml else dense.inverse, Z, optimize=True)
        u = np.einsum("naq,n->aq", Z, dense.P @ dense.y)
        assert_allclose(derivatives.quadratic_share[x], (u**2).sum(axis=1) / dense.scale / regular, rtol=1e-6)
