"""Derivatives in the variance parameters against dense n x n matrices and differences of the criterion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mixfit.factor.crossed
from mixfit.inference.fixed_effects.satterthwaite import moments
from mixfit.lmm.assemble import assemble
from mixfit.lmm.information import VarianceInformation, variance_information
from tests import dense
from tests.random_designs import PATTERNS, WIDTHS, Sketch, draw_templates, make_design

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

# Zero templates: none, some columns, every one.
SINGULAR = (0.0, 0.4, 1.0)


@dataclass(frozen=True)
class Dense:
    """The definitions, with V an n x n matrix."""

    design: Design
    templates: list[Array]
    reml: bool

    @cached_property
    def solution(self) -> dense.Solution:
        return dense.solve(self.design, self.templates, self.reml)

    @cached_property
    def information(self) -> VarianceInformation:
        fitted = dense.estimate(self.design, self.templates, self.reml)
        return variance_information(assemble(self.design), fitted)

    @cached_property
    def derivatives(self) -> list[Array]:
        """V_i of every parameter."""
        out = []
        for parameter in self.information.parameters:
            term = self.design.random[parameter.term]
            Z = dense.full_z(term)
            out.append(Z @ np.kron(np.eye(term.grouping.n_levels), parameter.slope) @ Z.T)
        n = len(self.design.y)
        return [*out, np.diag(1.0 / (np.ones(n) if self.design.weights is None else self.design.weights))]

    @cached_property
    def inverse(self) -> Array:
        return np.linalg.inv(self.solution.sigma**2 * self.solution.V0)

    @cached_property
    def projector(self) -> Array:
        weighted = self.inverse @ self.solution.X
        return self.inverse - weighted @ np.linalg.solve(self.solution.X.T @ weighted, weighted.T)


def small(pattern: str, widths: int, seed: int) -> Sketch:
    return Sketch(seed, pattern, 40, WIDTHS[widths], p=seed % 4, weights=bool(seed % 2), offset=seed % 3 == 0)


def close(ours: Array, theirs: object) -> None:
    """Close in the units that the diagonal gives, where rows are parameters."""
    wanted = np.asarray(theirs, dtype=float)
    scale = np.abs(wanted).max(initial=1e-300) if wanted.ndim != 2 else np.sqrt(np.outer(*2 * (wanted.diagonal(),)))
    np.testing.assert_allclose(ours / scale, wanted / scale, atol=1e-9)


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("widths", range(len(WIDTHS)))
@pytest.mark.parametrize("pattern", PATTERNS)
def test_moments_are_those_of_dense_matrices(
    pattern: str, widths: int, seed: int, light: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if light:
        # Blocks this small would otherwise never be sparse.
        monkeypatch.setattr(mixfit.factor.crossed, "_DENSE_ALWAYS", 0)
        monkeypatch.setattr(mixfit.factor.crossed, "_DENSE_SHARE", 0.7)
    design = make_design(small(pattern, widths, seed))
    templates = draw_templates(design, np.random.default_rng(seed), SINGULAR[seed])
    case = Dense(design, templates, reml=bool(seed % 2))
    info, X, Vi, P = case.information, case.solution.X, case.inverse, case.projector
    weighted = [d @ Vi for d in case.derivatives]
    projected = [d @ P for d in case.derivatives]
    y = design.y if design.offset is None else design.y - design.offset
    np.testing.assert_allclose(
        sum(v * d for v, d in zip(info.values, case.derivatives, strict=True)),
        case.solution.sigma**2 * case.solution.V0,
        atol=1e-9 * case.solution.V0.max() * case.solution.sigma**2,
    )
    close(info.slopes, [-X.T @ Vi @ w @ X for w in weighted])
    close(info.products, [[X.T @ Vi @ w @ v @ X for v in weighted] for w in weighted])
    close(info.traces, [np.trace(w) for w in weighted])
    close(info.pair_traces, [[np.trace(w @ v) for v in weighted] for w in weighted])
    close(info.projected_traces(), [[np.trace(w @ v) for v in projected] for w in projected])
    close(info.quadratics, [y @ P @ w @ y for w in projected])
    close(info.pair_quadratics, [[y @ P @ w @ v @ y for v in projected] for w in projected])


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("pattern", ["single", "nested three deep", "three crossed"])
def test_score_and_hessian_are_differences_of_the_likelihood(pattern: str, reml: bool) -> None:
    design = make_design(Sketch(5, pattern, 40, ((2, "us"), (1, "us"), (2, "diag")), weights=True))
    templates = draw_templates(design, np.random.default_rng(5), 0.0)
    case = Dense(design, templates, reml)
    info = case.information
    X, y = case.solution.X, design.y

    def likelihood(values: Array) -> float:
        V = sum(v * d for v, d in zip(values, case.derivatives, strict=True))
        inverse = np.linalg.inv(V)
        inner = X.T @ inverse @ X
        e = y - X @ np.linalg.solve(inner, X.T @ inverse @ y)
        return float(np.linalg.slogdet(V)[1] + e @ inverse @ e + (np.linalg.slogdet(inner)[1] if reml else 0.0))

    m = len(info.values)
    steps = np.diag(1e-4 / np.sqrt(np.abs(info.projected_traces().diagonal())))
    score = [(likelihood(info.values + s) - likelihood(info.values - s)) / (2.0 * s.max()) for s in steps]
    scale = np.sqrt(info.projected_traces().diagonal())
    np.testing.assert_allclose(info.score(reml=reml) / scale, score / scale, atol=1e-5)
    for i in range(m):
        for j in range(i + 1):
            a, b = 10.0 * steps[i], 10.0 * steps[j]
            second = (
                likelihood(info.values + a + b)
                - likelihood(info.values + a - b)
                - likelihood(info.values - a + b)
                + likelihood(info.values - a - b)
            ) / (4.0 * a.max() * b.max())
            assert abs(info.observed(reml=reml)[i, j] - second) < 1e-4 * scale[i] * scale[j]


@pytest.mark.parametrize("signal", [1.0, 0.0])
@pytest.mark.parametrize("reml", [False, True])
def test_covariance_of_theta_and_sigma_is_that_of_a_numeric_hessian(reml: bool, signal: float) -> None:
    design = make_design(Sketch(4, "partially crossed", 60, ((2, "us"), (1, "us")), p=3, signal=signal))
    fitted = dense.fit(design, reml)
    case = Dense(design, list(fitted.templates), reml)
    ours = moments(case.information, [t.structure for t in design.random], fitted.theta, reml=reml)
    theta = np.append(fitted.theta, fitted.sigma)
    # Without a signal some variances are zero, and theta has fewer directions than entries.
    free = np.append(fitted.theta != 0.0, True)
    assert free.all() == (signal > 0.0)

    def likelihood(at: Array) -> float:
        s = dense.solve(design, dense.templates_of(design, at[:-1]), reml)
        n = len(design.y) - (s.X.shape[1] if reml else 0)
        return s.criterion - n * np.log(s.sigma**2) + n * np.log(at[-1] ** 2) + n * s.sigma**2 / at[-1] ** 2

    def covariance(at: Array) -> Array:
        s = dense.solve(design, dense.templates_of(design, at[:-1]), reml)
        return at[-1] ** 2 * np.linalg.inv(s.X.T @ np.linalg.solve(s.V0, s.X))

    h = 1e-3 * np.diag(np.maximum(np.abs(theta), 0.05))
    hessian = np.array(
        [
            [
                sum(i * j * likelihood(theta + i * a + j * b) for i in (-1, 1) for j in (-1, 1))
                / (4 * a.max() * b.max())
                for b in h
            ]
            for a in h
        ]
    )
    jacobian = np.array([(covariance(theta + a) - covariance(theta - a)) / (2.0 * a.max()) for a in h])
    np.testing.assert_allclose(ours.jacobian, jacobian, atol=1e-5 * np.abs(jacobian).max())
    inverse = 2.0 * np.linalg.inv(hessian[np.ix_(free, free)])
    scale = np.sqrt(inverse.diagonal())
    found = ours.covariance[np.ix_(free, free)]
    np.testing.assert_allclose(found / np.outer(scale, scale), inverse / np.outer(scale, scale), atol=1e-3)
