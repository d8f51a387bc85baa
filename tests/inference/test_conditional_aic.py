"""The conditional AIC: against derivatives of refits by differences, and cAIC4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import mixfit
from mixfit.errors import FitError
from mixfit.optimize import descent
from mixfit.optimize.criterion import Price
from tests.dense import full_z, relative_covariance

if TYPE_CHECKING:
    from mixfit.results import LinearResults


def small(seed: int, n: int = 36, spread: float = 0.8) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, h = np.repeat(list("abcdef"), n // 6), np.tile(list("uvwx"), n // 4)
    x, w = rng.normal(size=n), rng.uniform(0.5, 2.0, n)
    u, v = rng.normal(0.0, spread, 6), rng.normal(0.0, spread, 6)
    y = x + np.repeat(u, n // 6) + np.repeat(v, n // 6) * x + np.tile(rng.normal(0.0, 0.5, 4), n // 4)
    return pd.DataFrame({"y": y + rng.normal(0.0, 0.7, n), "x": x, "g": g, "h": h, "w": w})


@pytest.fixture(autouse=True)
def fits_to_the_last_digit(monkeypatch):
    """What differences of refits are of, where a search ends as near to the optimum as doubles tell."""
    monkeypatch.setitem(descent._LAST_DIGITS, Price.CHEAP, 1e-8)
    monkeypatch.setitem(descent._HALVED, Price.CHEAP, 0.5)


def derivative_of_fitted_values(fit: LinearResults, step: float) -> float:
    """The trace of dy^/dy by central differences of refits."""
    y = fit.model.endog
    total = 0.0
    for i in range(len(y)):
        move = np.zeros(len(y))
        move[i] = step
        ends = [fit.refit(y + sign * move).fittedvalues.iloc[i] for sign in (1.0, -1.0)]
        total += (ends[0] - ends[1]) / (2.0 * step)
    return total


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    "formula",
    ["y ~ x + (x | g)", "y ~ x + (x || g) + (1 | h)", "y ~ 1 + homcs(0 + h | g)", "y ~ x + (1 | g) + (1 | h)"],
)
def test_degrees_of_freedom_are_the_derivative_of_fitted_values(formula: str, reml: bool) -> None:
    fit = mixfit.mixed(formula, small(3), weights="w").fit(reml=reml)
    found = fit.caic()
    assert found.df - 1.0 == pytest.approx(derivative_of_fitted_values(fit, 2e-3), abs=2e-4)
    assert found.hat_trace == pytest.approx(fit.hatvalues().sum())
    density = norm.logpdf(fit.model.endog, fit.fittedvalues, fit.sigma / np.sqrt(small(3)["w"])).sum()
    assert found.llf == pytest.approx(density)
    assert found.caic == pytest.approx(-2.0 * density + 2.0 * found.df)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | h)", "y ~ x + (x | h)"])
def test_variances_on_the_boundary_stay_there(formula: str) -> None:
    for seed in range(20):
        data = small(seed, spread=0.1)
        data["h"] = np.random.default_rng(seed).permutation(data["h"])
        fit = mixfit.mixed(formula, data).fit()
        if fit.is_singular:
            break
    assert fit.is_singular
    assert fit.caic().df - 1.0 == pytest.approx(derivative_of_fitted_values(fit, 1e-3), abs=2e-4)


def analytic_degrees(fit: LinearResults, share: float) -> float:
    """cAIC4's ``calculateGaussianBc`` of a model with one term, in dense matrices: `share` of e'W_j e / e'y in C."""
    design, (T,) = fit.model.design, fit.estimate.templates
    (term,), X, y = design.random, fit.model.exog, design.y
    n, k = len(y), len(T)
    Z = full_z(term)
    V0inv = np.linalg.inv(np.eye(n) + Z @ relative_covariance(design, [T]) @ Z.T)
    A = V0inv - V0inv @ X @ np.linalg.solve(X.T @ V0inv @ X, X.T @ V0inv)
    e, nu = A @ y, n - fit.reml * X.shape[1]
    W = []
    for i, j in zip(*np.tril_indices(k), strict=True):
        step = np.zeros((k, k))
        step[i, j] = 1.0
        W.append(Z @ np.kron(np.eye(term.grouping.n_levels), step @ T.T + T @ step.T) @ Z.T)
    inner = A if fit.reml else V0inv
    forms = np.array([e @ w @ e for w in W])
    B = np.array([[e @ v @ A @ w @ e - e @ y * np.sum((w @ inner).T * (v @ inner)) / (2 * nu) for v in W] for w in W])
    B -= np.outer(forms, forms) / (2.0 * (e @ y))
    C = np.array([e @ w @ A - share * form * e / (e @ y) for w, form in zip(W, forms, strict=True)])
    moved = np.linalg.solve(B, C)
    return float(n - np.trace(A) + sum(row @ A @ w @ e for row, w in zip(moved, W, strict=True)) + 1.0)


@pytest.mark.parametrize(
    ("formula", "reml", "of_caic4"),
    [
        ("Reaction ~ Days + (Days | Subject)", True, 31.3019799326),
        ("Reaction ~ Days + (Days | Subject)", False, 30.9695182416),
        ("Reaction ~ Days + (1 | Subject)", True, 19.0296296672),
        ("Reaction ~ Days + (1 | Subject)", False, 18.9792698531),
    ],
)
def test_the_formula_of_caic4(formula: str, reml: bool, of_caic4: float) -> None:
    # cAIC4 1.0: cAIC(lmer(...))$df. Its C halves e'W_j e / e'y, which analytic = FALSE there does not, and which is not
    # the derivative that the differences above find.
    fit = mixfit.mixed(formula, mixfit.datasets.load("sleepstudy")).fit(reml=reml)
    # lme4's theta, by its default optimizer, is 1e-4 from the optimum; the two formulas are one where the gradient is
    # zero, and that of the fit is 1e-6.
    assert analytic_degrees(fit, 0.5) == pytest.approx(of_caic4, abs=1e-3)
    assert fit.caic().df == pytest.approx(analytic_degrees(fit, 1.0), abs=2e-5)


def test_other_models_have_none() -> None:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    herds = mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial")
    assert not hasattr(herds.fit(), "caic")
    sleep = mixfit.datasets.load("sleepstudy")
    with pytest.raises(FitError, match="conditional AIC"):
        mixfit.mixed("Reaction ~ Days", sleep, residual="ar1(Days | Subject)").fit().caic()


def test_print() -> None:
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()
    assert repr(fit.caic()) == "<ConditionalAIC: caic 1711.52, llf -824.507, df 31.2535>"
