"""The optimum against a search that knows nothing of ours, from near and far starts."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DesignError, FitError
from mixfit.lmm import minimize as newton
from mixfit.lmm.assemble import assemble
from mixfit.lmm.estimate import estimate
from tests import oracle
from tests.optimize.small_data import FORMULAS, small_data
from tests.random_designs import PATTERNS, Sketch


@pytest.mark.filterwarnings("error")
# Every third, and those whose optimum has a zero pivot before a positive one.
@pytest.mark.parametrize("seed", sorted({*range(0, 84, 3), 37, 56, 80, 44}))
def test_no_search_finds_a_lower_criterion(seed: int) -> None:
    data, formula = small_data(seed), FORMULAS[seed % len(FORMULAS)]
    reml = bool(seed // len(FORMULAS) % 2)
    try:
        model = mixfit.mixed(formula, data)
    except DesignError as error:
        # Some of the smallest have as many random effects as rows.
        pytest.skip(str(error))
    fit = model.fit(reml=reml)
    with warnings.catch_warnings():
        # The dense search walks through overflows that are its own.
        warnings.simplefilter("ignore")
        best, _ = oracle.best_criterion(model.design, reml=reml, starts=2, near=fit.estimate.templates)
    assert fit.converged
    assert fit.deviance <= best + 1e-6
    # And it is the criterion of the templates that it reports.
    assert_allclose(oracle.criterion(model.design, fit.estimate.templates, reml=reml), fit.deviance, atol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("signal", [0.0, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_scalar_terms_of_every_pattern(pattern: str, signal: float, reml: bool) -> None:
    sketch = Sketch(21, pattern, 60, p=2, weights=signal == 1.0, offset=signal == 1.0, signal=signal)
    design = sketch.design()
    fitted = estimate(assemble(design), reml=reml)
    best, _ = oracle.best_criterion(design, reml=reml, starts=2, near=fitted.templates)
    assert fitted.certificate.converged
    assert fitted.criterion <= best + 1e-6


FAR = [
    ("sleepstudy", "Reaction ~ Days + (Days|Subject)"),
    ("sleepstudy", "Reaction ~ Days + (Days||Subject)"),
    ("penicillin_plates", "diameter ~ 1 + (1|plate) + (1|sample)"),
    ("pastes", "strength ~ 1 + (1|batch/cask)"),
    ("dyestuff2", "Yield ~ 1 + (1|Batch)"),
    ("cake", "angle ~ recipe * temperature + (1|recipe:replicate)"),
]


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("name", "formula"), FAR)
def test_far_starts_reach_the_same_optimum(name: str, formula: str, size: float, reml: bool) -> None:
    model = mixfit.mixed(formula, mixfit.datasets.load(name))
    wanted = model.fit(reml=reml)
    start = [size * np.eye(len(r.columns)) for r in model.design.random]
    fit = model.fit(reml=reml, start=start)
    assert fit.converged
    assert_allclose(fit.deviance, wanted.deviance, atol=1e-7)
    assert_allclose(fit.theta, wanted.theta, atol=2e-3)
    assert_allclose(fit.params, wanted.params, rtol=1e-6)


def test_a_start_on_the_boundary_is_left() -> None:
    model = mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy"))
    wanted = model.fit()
    for start in (np.zeros((2, 2)), np.diag([1.0, 0.0]), np.array([[1.0, 0.0], [0.5, 0.0]])):
        fit = model.fit(start=[start])
        assert fit.converged
        assert_allclose(fit.deviance, wanted.deviance, atol=1e-7)
        assert_allclose(fit.theta, wanted.theta, atol=1e-3)


ZERO_PIVOTS = {
    "none": np.eye(2),
    "second": np.diag([1.0, 0.0]),
    "first": np.diag([0.0, 1.0]),
    "both": np.zeros((2, 2)),
}


@pytest.mark.parametrize("which", ZERO_PIVOTS)
def test_perfect_correlation_is_reached_from_every_zero_pivot(which: str) -> None:
    # Intercepts and slopes correlate perfectly at the optimum: rank one, neither variance zero.
    model = mixfit.mixed("y ~ x + (x|g)", small_data(37))
    best, where = oracle.best_criterion(model.design, reml=True, starts=4)
    assert abs(np.prod(where[0].diagonal())) < 1e-6
    optimum = newton.minimize(model._assembly.problem, [[ZERO_PIVOTS[which]]], reml=True)
    assert optimum.certificate.converged
    assert_allclose(optimum.profile.value, best, atol=1e-6)


def two_factors(ratio: float, kind: str, seed: int = 0) -> tuple[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    q, m = 8, 5
    g, h = np.repeat(np.arange(q), m), np.tile(np.arange(m), q)
    a, c = rng.normal(size=q), rng.normal(size=q)
    x = rng.normal(size=q * m)
    effects = {"one": a[g], "nested": a[g] + c[g // 2], "crossed": a[g] + c[h], "slope": a[g] + c[g] * x}[kind]
    data = pd.DataFrame({"y": ratio * effects + rng.normal(size=q * m), "g": g, "h": h, "k": g // 2, "x": x})
    formula = {"one": "(1|g)", "nested": "(1|g) + (1|k)", "crossed": "(1|g) + (1|h)", "slope": "(x|g)"}[kind]
    return f"y ~ 1 + {formula}", data


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("ratio", [1, 10, 30, 100, 300])
@pytest.mark.parametrize("kind", ["one", "nested", "crossed", "slope"])
def test_effects_much_larger_than_the_residual(kind: str, ratio: float, reml: bool) -> None:
    formula, data = two_factors(ratio, kind)
    model = mixfit.mixed(formula, data)
    fit = model.fit(reml=reml)
    assert fit.converged
    best, _ = oracle.best_criterion(model.design, reml=reml, starts=4)
    assert fit.deviance <= best + 1e-5


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_groups_that_explain_everything_are_not_called_an_optimum(noise: float) -> None:
    # The criterion falls without end as the residual variance goes to zero.
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(8), 5)
    data = pd.DataFrame({"y": rng.normal(size=8)[g] + noise * rng.normal(size=40), "g": g})
    try:
        fit = mixfit.mixed("y ~ 1 + (1|g)", data).fit()
    except mixfit.errors.MixfitError:
        return
    assert fit.certificate.projected_gradient < 1.0 or not fit.converged


def test_insteval_takes_at_most_eight_evaluations() -> None:
    model = mixfit.mixed("y ~ service + (1|s) + (1|d) + (1|dept)", mixfit.datasets.load("insteval"))
    fit = model.fit(reml=False)
    assert fit.converged
    assert fit.certificate.n_evaluations <= 8
    # lme4 2.1.0, tight tolerances.
    assert fit.deviance <= 237721.768776 + 1e-4


def test_an_iteration_limit_is_no_convergence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixfit.optimize.descent._MAX_ITERATIONS", 1)
    # Of subjects with all days alike the start is the optimum.
    days = mixfit.datasets.load("sleepstudy").iloc[3:]
    fit = mixfit.mixed("Reaction ~ Days + (Days|Subject)", days).fit()
    assert not fit.converged
    assert fit.certificate.message == "iteration limit"


def test_no_step_decreases_a_criterion_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = newton.evaluate, []

    def worse(*args: object, **options: object) -> object:
        profile = real(*args, **options)  # type: ignore[arg-type]
        calls.append(profile)
        return profile if len(calls) == 1 else replace(profile, value=profile.value + 1e3)

    monkeypatch.setattr(newton, "evaluate", worse)
    model = mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy"))
    found = newton.minimize(model.assembly.problem, [[np.diag([10.0, 0.1])]], reml=True)
    assert not found.certificate.converged
    assert found.certificate.message == "no step decreases the criterion"
    assert found.certificate.n_evaluations == len(calls)
    assert found.profile.value == calls[0].value  # type: ignore[attr-defined]


def test_a_way_that_is_barred_to_its_shortest_step_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = newton.evaluate, []

    def barred(*args: object, **options: object) -> object:
        profile = real(*args, **options)  # type: ignore[arg-type]
        calls.append(profile)
        if len(calls) > 3:
            raise FitError("Beyond the wall.")
        return profile if len(calls) == 1 else replace(profile, value=profile.value + 1e3)

    monkeypatch.setattr(newton, "evaluate", barred)
    model = mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy"))
    with pytest.raises(FitError, match="Beyond the wall"):
        newton.minimize(model.assembly.problem, [[np.diag([10.0, 0.1])]], reml=True)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("seed", [3, 4, 5, 7, 9, 13, 15, 18, 19, 22, 29, 35, 289])
def test_factors_that_vary_over_fewer_groups_than_they_have_levels(seed: int, reml: bool) -> None:
    # The average information is singular: the data show few directions of the covariance matrix.
    rng = np.random.default_rng(seed)
    k, groups, rows = int(rng.integers(3, 7)), int(rng.integers(2, 4)), int(rng.integers(2, 5))
    cells = [(f"f{i}", f"b{j}") for i in range(k) for j in range(groups) for _ in range(rows)]
    data = pd.DataFrame(cells, columns=["f", "b"])
    effects = rng.normal(size=(k, groups)) * rng.uniform(0, 2)
    data["y"] = rng.normal(size=len(data)) + np.repeat(effects.ravel(), rows)
    smaller = mixfit.mixed("y ~ f + (0 + f|b)", data).fit(reml=reml)
    larger = mixfit.mixed("y ~ f + (1|b) + (0 + f|b)", data).fit(reml=reml)
    assert smaller.converged
    assert larger.converged
    # The smaller model is the larger one with another covariance matrix, and the reverse.
    assert_allclose(larger.llf, smaller.llf, atol=1e-5)
    assert max(larger.certificate.n_evaluations, smaller.certificate.n_evaluations) < 100


def left_out(formula: str, groups: int, seed: int) -> mixfit.model.LinearMixedModel:
    """Effects of mean 2 whose fixed effects stand in no formula."""
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, groups, 120), rng.normal(size=(120, 3))
    b = 2.0 + 0.3 * rng.normal(size=(groups, 4))
    y = b[g, 0] + (b[g, 1:] * x).sum(axis=1) + rng.normal(size=120)
    return mixfit.mixed(formula, pd.DataFrame({"y": y, "g": g, "x1": x[:, 0], "x2": x[:, 1], "x3": x[:, 2]}))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("formula", "groups"),
    [("y ~ 0 + x1 + (x1+x2|g)", 10), ("y ~ 1 + (x1+x2+x3|g)", 6), ("y ~ 1 + (x1+x2|g)", 3), ("y ~ 1 + (x1|g)", 3)],
)
def test_random_columns_whose_fixed_effect_is_left_out(formula: str, groups: int, seed: int) -> None:
    # The average information is no curvature there.
    model = left_out(formula, groups, seed)
    fit = model.fit()
    best, _ = oracle.best_criterion(model.design, reml=True, starts=2, near=fit.estimate.templates)
    assert fit.converged
    assert fit.deviance <= best + 1e-6
    assert fit.certificate.n_evaluations <= 40


def test_slopes_without_an_intercept_of_their_own() -> None:
    fit = mixfit.mixed("Reaction ~ 0 + Days + (Days|Subject)", mixfit.datasets.load("sleepstudy")).fit()
    assert fit.converged
    # lme4 2.1.0, tight tolerances.
    assert_allclose(fit.deviance, 1828.339975, atol=1e-6)
    assert fit.certificate.n_evaluations <= 20


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("columns", ["x1 + I(2*x1)", "x1 + x2 + I(x1 - x2)"])
def test_dependent_columns_fit_like_those_that_they_depend_on(columns: str, seed: int) -> None:
    larger, smaller = (left_out(f"y ~ 1 + ({c}|g)", 8, seed).fit() for c in (columns, columns.rsplit(" + ", 1)[0]))
    assert larger.converged
    assert_allclose(larger.deviance, smaller.deviance, atol=1e-6)
    assert larger.certificate.n_evaluations <= 40
