"""Steps of the EM algorithm from many places at once: the same as one by one, downwards, and to lower minima."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import mixfit
from mixfit.covariance.steps import relative_factors
from mixfit.lmm import many_places
from mixfit.lmm.assemble import assemble
from mixfit.lmm.batch.thetas import sweep
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.many_places import _step, drawn_places, settle
from mixfit.lmm.second_look import _expected
from mixfit.lmm.start import moment_equations, start_points
from tests.dense_optimum import DenseCriterion, best_of_eight
from tests.random_models import random_model

if TYPE_CHECKING:
    from mixfit.lmm.problem import Problem

# Terms of one factor, crossed and nested ones, weights; of each the search from the moment estimates ends higher.
SEVERAL_MINIMA = (1040, 1229, 1325, 1402, 1610, 1651, 1660)


def problem_of(seed: int) -> Problem:
    drawn = random_model(seed)
    return assemble(mixfit.mixed(drawn.formula, drawn.data, **drawn.options).design).problem


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("seed", [1040, 1325, 1660])
def test_a_step_is_that_of_one_place_at_a_time(monkeypatch: pytest.MonkeyPatch, seed: int, reml: bool) -> None:
    monkeypatch.setattr(many_places, "_POWER", 1.0)
    problem = problem_of(seed)
    common, places = sweep(problem.gram), drawn_places(problem, moment_equations(problem))
    assert common is not None
    values, farther = _step(problem, common, places, reml=reml)
    one = [evaluate(problem, [t[i] for t in places], reml=reml) for i in range(4)]
    np.testing.assert_allclose(np.diff(values[:4]), np.diff([at.value for at in one]), rtol=1e-7, atol=1e-7)
    for i, at in enumerate(one):
        for found, expected in zip(farther, _expected(at), strict=True):
            np.testing.assert_allclose(found[i] @ found[i].T, expected @ expected.T, rtol=1e-6, atol=1e-9)


def test_places_end_lower_in_order_and_what_is_kept_is_among_them() -> None:
    problem = problem_of(1325)
    equations = moment_equations(problem)
    kept = [relative_factors(problem.terms, start_points(problem, equations)[0])]
    found, n_steps = settle(problem, drawn_places(problem, equations), kept, reml=True)
    values = [value for value, _ in found]
    assert values == sorted(values)
    assert len(found) == len(kept) + many_places._ROUNDS[-1][1]
    assert n_steps == sum(steps for steps, _ in many_places._ROUNDS)
    reached = [evaluate(problem, place, reml=True).value for _, place in found]
    assert max(reached) < evaluate(problem, kept[0], reml=True).value


def test_many_columns_are_not_followed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_places, "_LARGEST_CORNER", 1)
    problem = problem_of(1325)
    assert settle(problem, drawn_places(problem, moment_equations(problem)), [], reml=True) == ([], 0)


@pytest.mark.parametrize("seed", SEVERAL_MINIMA)
def test_lower_minima_are_found(seed: int) -> None:
    drawn = random_model(seed)
    model = mixfit.mixed(drawn.formula, drawn.data, **drawn.options)
    fit = model.fit(reml=drawn.reml)
    dense = DenseCriterion(model.design, drawn.reml)
    assert fit.converged
    assert dense(dense.theta(fit.estimate.templates))[0] <= best_of_eight(dense, seed)[0] + 1e-5
