"""Small problems with one grouping factor: sums in place of the factor level by level."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate, modes
from mixfit.lmm.hessian import exact_hessian
from mixfit.model.linear import LinearMixedModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

FORMULAS = (
    "y ~ x + (1 | g)",
    "y ~ 0 + (x | g)",
    "y ~ x + (x || g)",
    "y ~ z + (x | g) + (0 + z | g)",
    "y ~ (x + z | g)",
)


def frame(*, balanced: bool) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(9), 5)
    data = pd.DataFrame({"g": g, "x": np.tile(np.arange(5.0), 9), "z": np.tile(np.arange(5.0) ** 2, 9)})
    data["y"] = data.x + rng.normal(size=9)[g] + rng.normal(size=45)
    return data if balanced else data.drop(index=[0, 7, 8, 30]).assign(z=rng.normal(size=41))


def problem(formula: str, *, balanced: bool) -> Problem:
    return linear(formula, frame(balanced=balanced))


def linear(formula: str, data: pd.DataFrame) -> Problem:
    model = mixfit.mixed(formula, data)
    assert isinstance(model, LinearMixedModel)
    return model.assembly.problem


def level_by_level(problem: Problem) -> Problem:
    """The same problem, taken for a large one."""
    plain = replace(problem)
    plain.__dict__["one_factor"] = None
    return plain


def points_of(problem: Problem) -> list[Array]:
    rng = np.random.default_rng(1)
    out = []
    for term in problem.terms:
        free = np.zeros((term.k, term.k), dtype=bool)
        for block in term.structure.free_blocks:
            free[block, block] = True
        out.append(free * (np.eye(term.k) + 0.3 * rng.normal(size=(term.k, term.k))))
    return out


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("formula", FORMULAS)
def test_agrees_with_the_factor_level_by_level(formula: str, balanced: bool, reml: bool) -> None:
    small = problem(formula, balanced=balanced)
    assert small.one_factor is not None
    assert len(small.one_factor.count) == (1 if balanced else 9)
    one, other = (evaluate(p, points_of(small), reml=reml) for p in (small, level_by_level(small)))
    assert one.swept is not None
    assert other.swept is None
    for name in ("value", "residual", "scale", "beta", "fixed_root", "resolution"):
        assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-10, atol=1e-12)
    for b, wanted in zip(modes(one), modes(other), strict=True):
        assert_allclose(b, wanted, rtol=1e-9, atol=1e-12)
    a, b_ = differentiate(one), differentiate(other)
    for name in ("gradient", "information"):
        assert_allclose(getattr(a, name), getattr(b_, name), rtol=1e-8, atol=1e-9)
    for name in ("relative", "inverse_share", "quadratic_share", "modes", "modes_x"):
        for x, y in zip(getattr(a, name), getattr(b_, name), strict=True):
            assert_allclose(x, y, rtol=1e-8, atol=1e-10)
    assert_allclose(exact_hessian(one, a), exact_hessian(other, b_), rtol=1e-8, atol=1e-8)


def test_columns_without_variance_and_large_variances_are_left_to_the_factor() -> None:
    small = problem("y ~ x + (x | g)", balanced=True)
    for template in (np.diag([1.0, 0.0]), np.diag([1e4, 1.0])):
        assert evaluate(small, [template], reml=True).swept is None


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g) + (1 | h)", "y ~ homcs(0 + f | g)"])
def test_other_problems_have_none(formula: str) -> None:
    data = frame(balanced=True)
    data["h"], data["f"] = np.arange(45) % 7, (data.x > 2.0).astype(str)
    assert linear(formula, data).one_factor is None


def test_large_problems_have_none() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(np.arange(3000), 3), "x": rng.normal(size=9000), "y": rng.normal(size=9000)})
    assert linear("y ~ 1 + (1 | g)", data).one_factor is not None
    assert linear("y ~ x + (x | g)", data).one_factor is None
