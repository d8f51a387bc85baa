"""Covariances known themselves: against criteria with V written out, sigma to zero, and what takes them for others."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, poisson

import mixfit
from mixfit.errors import DesignError, FitError
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate
from mixfit.lmm.hessian import exact_hessian
from mixfit.lmm.minimize import LinearCriterion

FORMULA = "y ~ x + equalto(1 | study, V) + (1 | lab)"


@cache
def studies() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forty studies of eight laboratories, with correlated sampling errors within pairs."""
    rng = np.random.default_rng(1)
    n = 40
    v = np.diag(rng.uniform(0.05, 0.4, n))
    for i in range(0, n, 2):
        v[i, i + 1] = v[i + 1, i] = 0.3 * np.sqrt(v[i, i] * v[i + 1, i + 1])
    frame = pd.DataFrame({"x": rng.normal(size=n), "study": [f"s{i:02d}" for i in range(n)]})
    lab = rng.integers(8, size=n)
    frame["lab"] = lab.astype(str)
    errors = np.linalg.cholesky(v) @ rng.normal(size=n)
    frame["y"] = 0.3 + 0.5 * frame["x"] + errors + 0.3 * rng.normal(size=n) + 0.5 * rng.normal(size=8)[lab]
    frame["n"] = rng.poisson(np.exp(frame["y"].clip(upper=2.0)))
    return frame, pd.DataFrame(v, index=frame["study"], columns=frame["study"])


def model(formula: str = FORMULA, scale: float = 1.0, **options: Any) -> Any:
    frame, v = studies()
    data = frame.assign(y=scale * frame["y"], one="all")
    return mixfit.mixed(formula, data, context={"V": scale**2 * v}, **options)


def dense(sigma: float, lab: float, reml: bool) -> float:
    frame, v = studies()
    code = frame["lab"].astype(int).to_numpy()
    whole = v.to_numpy() + sigma**2 * np.eye(len(v)) + lab**2 * (code[:, None] == code)
    X = np.column_stack([np.ones(len(v)), frame["x"]])
    inner = X.T @ np.linalg.solve(whole, X)
    beta = np.linalg.solve(inner, X.T @ np.linalg.solve(whole, frame["y"]))
    value = -2.0 * multivariate_normal.logpdf(frame["y"], X @ beta, whole)
    return float(value + np.linalg.slogdet(inner)[1] - 2.0 * np.log(2.0 * np.pi)) if reml else float(value)


@pytest.mark.parametrize("reml", [False, True])
def test_estimates_are_the_optimum_of_the_dense_criterion(reml: bool) -> None:
    fit = model().fit(reml=reml)
    best = minimize(lambda p: dense(*np.exp(p), reml), [-1.0, -1.0], method="BFGS", options={"gtol": 1e-7})
    assert fit.converged
    assert_allclose(-2.0 * fit.llf, best.fun, atol=1e-7)
    assert_allclose([fit.sigma, fit.sigma * fit.theta[1]], np.exp(best.x), rtol=1e-4)
    assert_allclose(fit.theta[0], 1.0 / fit.sigma)
    assert fit.npar == 4


@pytest.mark.parametrize("reml", [False, True])
def test_derivatives_against_differences(reml: bool) -> None:
    problem = model().assembly.problem
    criterion = LinearCriterion(problem, reml=reml)
    found = criterion.evaluate([np.array([1.7]), np.array([[0.9]])])
    local = criterion.local(found)
    hessian = exact_hessian(found, local.derivatives)
    h = 1e-4
    for a in range(2):
        step = h * (np.arange(2) == a)
        up, down = (evaluate(problem, criterion.move(found, local, s, ()), reml=reml) for s in (step, -step))
        assert_allclose(local.gradient[a], (up.value - down.value) / (2.0 * h), rtol=1e-6, atol=1e-6)
        slopes = [differentiate(at).gradient for at in (up, down)]
        assert_allclose(hessian[a], (slopes[0] - slopes[1]) / (2.0 * h), rtol=1e-5, atol=1e-6)


def test_it_does_not_depend_on_the_unit_of_the_response() -> None:
    one, other = model().fit(), model(scale=1000.0).fit()
    assert_allclose(other.sigma, 1000.0 * one.sigma, rtol=1e-4)
    assert_allclose(other.params, 1000.0 * one.params, rtol=1e-5)


def test_spellings_agree() -> None:
    assert_allclose(
        model("y ~ x + equalto(0 + study | one, V)").fit().llf, model("y ~ x + equalto(1 | study, V)").fit().llf
    )


def test_without_variance_between_studies_it_is_weighted_least_squares() -> None:
    frame, v = studies()
    root = np.linalg.cholesky(v.to_numpy())
    y = 0.3 + 0.5 * frame["x"] + 0.4 * root @ np.random.default_rng(3).normal(size=len(frame))
    fit = mixfit.mixed("y ~ x + equalto(1 | study, V)", frame.assign(y=y), context={"V": v}).fit()
    X = np.linalg.solve(root, np.column_stack([np.ones(len(y)), frame["x"]]))
    covariance = np.linalg.inv(X.T @ X)
    assert fit.converged
    assert fit.is_singular
    assert fit.sigma < 1e-4
    assert_allclose(fit.params, covariance @ X.T @ np.linalg.solve(root, y), rtol=1e-6)
    assert_allclose(fit.bse, np.sqrt(covariance.diagonal()), rtol=1e-6)


def test_refits_from_draws_converge() -> None:
    fit = model().fit(reml=False)
    draws = fit.simulate(30, seed=1)
    fits = [fit.refit(draws[name]) for name in draws]
    assert all(f.converged for f in fits)


def test_tables_profiles_and_bootstraps_leave_it_out() -> None:
    fit = model().fit(reml=False)
    assert "(equalto)" in str(fit.varcorr())
    names = ["sd((Intercept)|lab)", "sigma", "Intercept", "x"]
    assert list(fit.profile().conf_int().index) == names
    at = fit.profile(which="sigma").conf_int().to_numpy()[0]
    for end in at:
        free = minimize(lambda p, end=end: dense(end, float(np.exp(p[0])), False), [-1.0], method="Nelder-Mead")
        assert_allclose(free.fun + 2.0 * fit.llf, 3.841459, atol=1e-3)
    assert list(fit.bootstrap(n=3, seed=1, progress=False).estimates.index) == names


def test_pickled_it_is_the_same() -> None:
    fit = model().fit()
    kept = pickle.loads(pickle.dumps(fit))
    assert_allclose(kept.ranef(condsd=True)["study"], fit.ranef(condsd=True)["study"])
    assert_allclose(fit.model.criterion(fit.theta), -2.0 * fit.llf)


def dense_laplace(beta: np.ndarray) -> float:
    """-2 log-likelihood of a Poisson model with one row a study, by Laplace's approximation."""
    frame, v = studies()
    k, n = v.to_numpy(), frame["n"].to_numpy(dtype=float)
    fixed, b = beta[0] + beta[1] * frame["x"].to_numpy(), np.zeros(len(frame))
    for _ in range(60):
        mu = np.exp(fixed + b)
        b = b + np.linalg.solve(np.linalg.inv(k) + np.diag(mu), n - mu - np.linalg.solve(k, b))
    mu = np.exp(fixed + b)
    loglik = poisson.logpmf(frame["n"], mu).sum()
    return float(-2.0 * loglik + b @ np.linalg.solve(k, b) + np.linalg.slogdet(np.eye(len(k)) + k * mu)[1])


def test_generalized_models_have_nothing_to_estimate_of_it() -> None:
    fit = model("n ~ x + equalto(1 | study, V)", family="poisson").fit()
    best = minimize(dense_laplace, [0.5, 0.2], method="BFGS", options={"gtol": 1e-7})
    assert fit.converged
    assert fit.npar == 2
    assert_allclose(fit.theta, [1.0])
    assert_allclose(-2.0 * fit.llf, best.fun, atol=1e-7)
    assert_allclose(fit.params, best.x, atol=1e-4)
    again = fit.refit(fit.simulate(1, seed=1).iloc[:, 0])
    assert_allclose(again.theta, [1.0])


def test_what_takes_it_for_estimated_is_refused() -> None:
    fit = model().fit()
    for refused in (fit.ranova, lambda: fit.influence("lab"), lambda: fit.sample(seed=1), lambda: fit.heritability()):
        with pytest.raises(FitError, match="this one is known"):
            refused()
    with pytest.raises(DesignError, match="one term of known covariance"):
        model("y ~ x + equalto(1 | study, V) + equalto(0 + study | one, V)")
