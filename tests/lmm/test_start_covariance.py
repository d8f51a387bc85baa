"""Moment estimates of a whole covariance: the optimum itself where all levels are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate
from mixfit.lmm.second_look import search
from mixfit.lmm.start import start_points
from mixfit.lmm.start_covariance import are_levels_alike, covariance_start
from mixfit.model.linear import LinearMixedModel

if TYPE_CHECKING:
    from mixfit.lmm.problem import Problem


def data(*, slopes: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(12), 6), np.tile(np.arange(6.0), 12)
    b = rng.normal(size=(2, 12))
    y = 1.0 + x + b[0, g] + slopes * (0.5 * b[0, g] + b[1, g]) * x + rng.normal(size=72)
    return pd.DataFrame({"g": g, "x": x, "y": y, "z": rng.normal(size=72)})


def problem(formula: str, rows: pd.DataFrame) -> Problem:
    model = mixfit.mixed(formula, rows)
    assert isinstance(model, LinearMixedModel)
    return model.assembly.problem


@pytest.mark.parametrize("reml", [True, False])
def test_moments_of_levels_that_are_alike_are_the_optimum(reml: bool) -> None:
    balanced = problem("y ~ x + (x | g)", data())
    assert are_levels_alike(balanced)
    template = covariance_start(balanced, reml=reml)
    assert template is not None
    derivatives = differentiate(evaluate(balanced, [template], reml=reml))
    assert_allclose(derivatives.gradient, 0.0, atol=1e-10)
    assert search(balanced, reml=reml).certificate.n_evaluations == 1


@pytest.mark.parametrize("reml", [True, False])
def test_levels_that_differ_are_near(reml: bool) -> None:
    rows = data()
    some = problem("y ~ x + z + (x | g)", rows.drop(index=[1, 2, 20, 21, 22, 60]))
    assert not are_levels_alike(some)
    template = covariance_start(some, reml=reml)
    assert template is not None
    start, found = evaluate(some, [template], reml=reml), search(some, reml=reml)
    usual = min(evaluate(some, points, reml=reml).value for points in start_points(some))
    assert found.profile.value < start.value < usual
    assert found.certificate.converged


def test_where_the_levels_tell_none() -> None:
    rows = data()
    for formula in ("y ~ x + (1 | g)", "y ~ x + (x || g)", "y ~ x + (x | g) + (0 + z | g)"):
        assert covariance_start(problem(formula, rows), reml=True) is None
    # A level with one row has no slope.
    assert covariance_start(problem("y ~ x + (x | g)", rows.drop(index=range(5))), reml=True) is None
    # Slopes that vary less than their errors would have a negative variance.
    flat = rows.assign(y=np.sin(np.arange(72.0) ** 2) + np.repeat([1.0, -1.0], 36))
    assert covariance_start(problem("y ~ x + (x | g)", flat), reml=True) is None
    assert search(problem("y ~ x + (x | g)", flat), reml=True).certificate.converged
