"""Conditional modes from those of a nearby point: the same ones, sooner; and what a fit computes only when asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.families.continuous import Gamma
from mixfit.families.counts import Poisson
from mixfit.families.proportions import Binomial
from mixfit.glmm import objective
from mixfit.glmm.laplace import laplace
from mixfit.glmm.problem import GeneralizedProblem
from mixfit.glmm.working import expected_factor, spectral_inverse, working_information
from tests.glmm.problems import SHAPES, At, dense_columns, point

FORMULA = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def moved(at: At, size: float) -> At:
    """A point a little away in every parameter."""
    rng = np.random.default_rng(3)
    points = tuple(t * np.exp(size * rng.normal()) for t in at.point.points)
    gamma = at.point.gamma + size * rng.normal(size=len(at.point.gamma))
    return At(at.problem, replace(at.point, points=points, gamma=gamma))


@pytest.mark.parametrize("size", [1e-5, 1e-3, 3.0])
@pytest.mark.parametrize("family", [Binomial(), Poisson()], ids=repr)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_nearby_mode_leads_to_the_same_modes(shape: str, family: Any, size: float) -> None:
    at = point(SHAPES[shape], family)
    there = moved(at, size).point
    near = laplace(at.problem, at.point.gamma, at.point.points, at.point.phi).mode
    anew = laplace(at.problem, there.gamma, there.points, there.phi)
    found = laplace(at.problem, there.gamma, there.points, there.phi, near)
    assert_allclose(found.mode.eta, anew.mode.eta, rtol=1e-8, atol=1e-8)
    assert_allclose(found.value, anew.value, rtol=1e-10)
    if size < 1.0:
        assert found.mode.n_steps < anew.mode.n_steps
        assert found.mode.n_steps <= 2


def test_curvature_is_made_where_a_step_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made, evaluated = [], []
    curvature, evaluate = objective.working_information, objective.laplace
    monkeypatch.setattr(objective, "working_information", lambda *a: made.append(1) or curvature(*a))
    monkeypatch.setattr(objective, "laplace", lambda *a: evaluated.append(1) or evaluate(*a))
    fit = mixfit.mixed(FORMULA, mixfit.datasets.load("cbpp"), family="binomial").fit()
    # Five of the evaluations are differences of the gradient, made at once.
    assert len(evaluated) == fit.certificate.n_evaluations - 5
    # Quasi-Newton steps go on from the curvature they have.
    assert len(made) < len(evaluated)


@pytest.mark.parametrize("rank", [4, 3])
def test_inverse_without_what_is_not_determined(rank: int) -> None:
    half = np.random.default_rng(rank).normal(size=(4, rank))
    matrix = half @ half.T
    assert_allclose(spectral_inverse(matrix, 1e-12), np.linalg.pinv(matrix, rcond=1e-12, hermitian=True), atol=1e-8)


@pytest.mark.parametrize("family", [Poisson(), Binomial("probit"), Gamma("log")], ids=repr)
@pytest.mark.parametrize("shape", SHAPES)
def test_information_of_the_fixed_effects_is_that_of_the_working_model(shape: str, family: Any) -> None:
    at = point(SHAPES[shape], family)
    center = laplace(at.problem, at.point.gamma, at.point.points, at.point.phi)
    loadings = dense_columns(at)
    variance = np.diag(1.0 / center.mode.terms.expected) + loadings @ loadings.T
    wanted = 2.0 * at.problem.fixed @ np.linalg.solve(variance, at.problem.fixed.T)
    p = at.problem.p
    assert_allclose(working_information(center, [])[:p, :p], wanted, rtol=1e-8)


@pytest.mark.parametrize("family", [Poisson(), Binomial("probit")], ids=repr)
def test_expected_curvature_has_the_factor_of_the_approximation(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    at = point(SHAPES["crossed"], family)
    center = laplace(at.problem, at.point.gamma, at.point.points, at.point.phi)
    monkeypatch.setattr(GeneralizedProblem, "factorize", lambda *_: pytest.fail("factored again"))
    assert expected_factor(center) is center.factor
    assert np.isfinite(working_information(center, [])).all()
