"""The residual stage against dense covariances: known variances by stratum, and rows tied within groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from mixfit.gram.residual import ResidualStage
from mixfit.lmm.assemble import assemble, with_response
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.estimate import estimate, to_basis
from tests.dense import full_z
from tests.random_designs import Sketch, draw_templates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.residual import Residual
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Strata:
    """Log standard deviations psi of strata."""

    stratum: NDArray[np.intp]

    def whiten(self, rows: Array, psi: Array) -> Array:
        return rows * np.exp(-psi[self.stratum])

    def log_determinant(self, psi: Array) -> float:
        return 2.0 * float(psi[self.stratum].sum())

    def dense(self, psi: Array) -> Array:
        return np.diag(np.exp(2.0 * psi[self.stratum]))


@dataclass(frozen=True, eq=False)
class Series:
    """Autoregression of order one within groups, in the order of the rows."""

    group: NDArray[np.intp]

    def whiten(self, rows: Array, psi: Array) -> Array:
        out = rows.copy()
        before, own = self._pairs()
        out[:, own] = (rows[:, own] - psi[0] * rows[:, before]) / np.sqrt(1.0 - psi[0] ** 2)
        return out

    def log_determinant(self, psi: Array) -> float:
        return len(self._pairs()[0]) * float(np.log1p(-(psi[0] ** 2)))

    def dense(self, psi: Array) -> Array:
        place = np.zeros(len(self.group))
        for g in np.unique(self.group):
            place[self.group == g] = np.arange(np.count_nonzero(self.group == g))
        lag = np.abs(place[:, None] - place)
        return np.where(self.group[:, None] == self.group, psi[0] ** lag, 0.0)

    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        order = np.argsort(self.group, kind="stable")
        same = self.group[order[1:]] == self.group[order[:-1]]
        return order[:-1][same], order[1:][same]


def residual_of(kind: str, design: Design) -> tuple[Residual, Array, Array]:
    if kind == "strata":
        strata = Strata(np.arange(len(design.y)) % 3)
        psi = np.array([-0.5, 0.0, 0.7])
        return strata, psi, strata.dense(psi)
    series = Series(design.random[0].grouping.codes)
    psi = np.array([0.6])
    return series, psi, series.dense(psi)


def dense_criterion(design: Design, templates: list[Array], R: Array, *, reml: bool) -> float:
    """-2 log-likelihood of y - offset, beta and sigma at their best."""
    root = np.ones(len(design.y)) if design.weights is None else 1.0 / np.sqrt(design.weights)
    v = R * np.outer(root, root)
    for term, t in zip(design.random, templates, strict=True):
        z = full_z(term) @ np.kron(np.eye(term.grouping.n_levels), t)
        v = v + z @ z.T
    y = design.y if design.offset is None else design.y - design.offset
    inner = design.X.T @ np.linalg.solve(v, design.X)
    rest = y - design.X @ np.linalg.solve(inner, design.X.T @ np.linalg.solve(v, y))
    degrees = len(y) - design.X.shape[1] if reml else len(y)
    scale = float(rest @ np.linalg.solve(v, rest)) / degrees
    value = -2.0 * multivariate_normal.logpdf(rest, np.zeros(len(y)), scale * v)
    if reml:
        value += np.linalg.slogdet(inner / (2.0 * np.pi * scale))[1]
    return float(value)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("kind", ["strata", "series"])
@pytest.mark.parametrize("weights", [False, True])
def test_the_criterion_is_that_of_the_dense_covariance(kind: str, reml: bool, weights: bool) -> None:
    design = Sketch(5, "single", 50, ((2, "us"), (1, "us")), p=3, weights=weights, offset=True).design()
    residual, psi, R = residual_of(kind, design)
    assembly = assemble(design, residual, psi)
    templates = draw_templates(design, np.random.default_rng(1))
    got = evaluate(assembly.problem, to_basis(assembly, templates), reml=reml).value
    assert got == pytest.approx(dense_criterion(design, templates, R, reml=reml), abs=1e-7)


def test_strata_are_weights() -> None:
    design = Sketch(5, "crossed", 60, ((2, "us"), (1, "us")), p=3).design()
    strata, psi, _ = residual_of("strata", design)
    ours = estimate(assemble(design, strata, psi), reml=True)
    assert isinstance(strata, Strata)
    theirs = estimate(assemble(replace(design, weights=np.exp(-2.0 * psi[strata.stratum]))), reml=True)
    assert ours.criterion == pytest.approx(theirs.criterion, abs=1e-8)
    assert_allclose(ours.beta, theirs.beta, rtol=1e-8)
    assert_allclose(ours.theta, theirs.theta, rtol=1e-6, atol=1e-8)


def test_another_response_passes_the_same_stage() -> None:
    design = Sketch(7, "single", 50, ((2, "us"),), p=2).design()
    residual, psi, _ = residual_of("series", design)
    other = replace(design, y=design.y[::-1].copy())
    anew = estimate(assemble(other, residual, psi), reml=True)
    again = estimate(with_response(assemble(design, residual, psi), other), reml=True)
    assert again.criterion == pytest.approx(anew.criterion, abs=1e-8)


def test_independent_residuals_cost_nothing() -> None:
    rows = np.arange(6.0).reshape(2, 3)
    assert ResidualStage().whiten(rows) is rows
    assert ResidualStage().is_identity
    assert ResidualStage().log_precision == 0.0
