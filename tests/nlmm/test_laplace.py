"""The Laplace approximation of nonlinear models: value against dense algebra, gradient against differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import mixfit
from mixfit.nlmm.alternate import alternate
from mixfit.nlmm.laplace import NonlinearLaplace, laplace, laplace_slopes
from mixfit.nlmm.minimize import NonlinearCriterion
from mixfit.nlmm.problem import NonlinearParameters


def data(seed: int = 3, n_groups: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    t = np.tile(np.linspace(0.0, 6.0, 7), n_groups)
    g, h = np.repeat(np.arange(n_groups), 7), np.tile(np.arange(7) % 3, n_groups)
    asym = 10.0 + rng.normal(0.0, 1.5, n_groups)[g] + rng.normal(0.0, 0.8, 3)[h]
    middle = 3.0 + rng.normal(0.0, 0.3, n_groups)[g]
    y = asym / (1.0 + np.exp(middle - t)) + rng.normal(0.0, 0.7, len(t))
    return pd.DataFrame({"y": y, "t": t, "g": g.astype(str), "h": h.astype(str), "w": rng.uniform(0.5, 2.0, len(t))})


MODELS = {
    "scalar": "Asym | g",
    "vector": "(Asym + xmid | g)",
    "apart": "(0 + Asym + xmid || g)",
    "shared": "(1 | g)",
    "crossed": "(Asym | g) + (xmid | h)",
}


def point_of(
    effects: str, seed: int = 0, dispersion: str | None = None
) -> tuple[NonlinearCriterion, NonlinearParameters]:
    formula = f"y ~ SSlogis(t, Asym, xmid, scal) ~ {effects}"
    model = mixfit.nonlinear(formula, data(), weights="w", dispersion=dispersion)
    problem = model._problem
    start = [term.structure.starts(np.full(term.k, 0.5))[0] for term in problem.terms]
    found = alternate(problem, model.start, start, reml=False, rounds=2)
    beta = found.mode.beta * (1.0 + 0.02 * np.random.default_rng(seed).standard_normal(problem.p))
    gamma = 0.2 * np.cos(np.arange(problem.log_deviations.shape[1]))
    return NonlinearCriterion(NonlinearLaplace(problem)), NonlinearParameters(tuple(start), beta, gamma)


@pytest.mark.parametrize("effects", MODELS)
def test_value_is_the_dense_one(effects: str) -> None:
    criterion, at = point_of(MODELS[effects])
    problem = criterion.problem
    point = laplace(problem, at)
    n, codes = problem.n, [f.codes for f in problem.pattern.factors]
    widths = [k * q for k, q in zip(problem.pattern.k, problem.pattern.n_levels, strict=True)]
    dense = np.zeros((problem.X.shape[1], n, sum(widths)))
    for i, (load, code) in enumerate(zip(problem.loads, codes, strict=True)):
        for a in range(len(load)):
            column = sum(widths[:i]) + a * problem.pattern.n_levels[i] + code
            dense[:, np.arange(n), column] += load[a]
    blocks = problem.factor_templates(point.mode.templates)
    lambda_ = np.zeros((sum(widths),) * 2)
    for i, t in enumerate(blocks):
        own = slice(sum(widths[:i]), sum(widths[: i + 1]))
        lambda_[own, own] = np.kron(t, np.eye(problem.pattern.n_levels[i]))

    def squares(u: np.ndarray) -> float:
        phi = np.einsum("p,pan->an", at.beta, problem.X) + dense @ (lambda_ @ u)
        e = (problem.y - problem.mean(phi).value) * problem.root
        return float(e @ e + u @ u)

    u = minimize(squares, np.zeros(sum(widths)), method="BFGS", options={"gtol": 1e-9}).x
    phi = np.einsum("p,pan->an", at.beta, problem.X) + dense @ (lambda_ @ u)
    rows = np.einsum("an,anq->nq", problem.mean(phi).slope * problem.root, dense) @ lambda_
    logdet = np.linalg.slogdet(rows.T @ rows + np.eye(sum(widths)))[1]
    value = logdet + n * (1.0 + np.log(2.0 * np.pi * squares(u) / n)) - 2.0 * np.log(problem.root).sum()
    assert_allclose(point.value, value, rtol=1e-6)


@pytest.mark.parametrize("effects", MODELS)
def test_gradient_is_that_of_differences(effects: str) -> None:
    criterion, at = point_of(MODELS[effects])
    point = criterion.evaluate(at)
    local = criterion.local(point)
    numeric = []
    for a in range(len(local.gradient)):
        step = np.zeros(len(local.gradient))
        step[a] = 1e-4 / max(1.0, np.sqrt(local.curvature[a, a]))
        above, below = (criterion.evaluate(criterion.move(point, local, s, ())).value for s in (step, -step))
        numeric.append((above - below) / (2.0 * step[a]))
    assert_allclose(local.gradient, numeric, rtol=2e-4, atol=2e-4 * np.abs(local.gradient).max())


def test_slope_off_the_boundary_is_that_of_differences() -> None:
    criterion, at = point_of(MODELS["scalar"])
    problem = criterion.problem
    nothing = NonlinearParameters((np.zeros((1, 1)),), at.beta)
    slope = laplace_slopes(laplace(problem, nothing)).absolute[0][0, 0]
    values = [laplace(problem, NonlinearParameters((np.full((1, 1), np.sqrt(v)),), at.beta)).value for v in (0.0, 1e-6)]
    assert_allclose((values[1] - values[0]) / 1e-6, slope, rtol=1e-3)
