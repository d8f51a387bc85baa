"""What the certificate says, in numbers that can be checked without the optimizer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.lmm import minimize as newton
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate
from mixfit.lmm.estimate import at_estimates
from mixfit.optimize.certificate import TOLERANCE, BoundaryParameter, Certificate
from mixfit.optimize.descent import Descent
from mixfit.optimize.steps import newton_step
from tests import oracle


def sleepstudy(random: str = "(Days|Subject)") -> mixfit.model.LinearMixedModel:
    return mixfit.mixed(f"Reaction ~ Days + {random}", mixfit.datasets.load("sleepstudy"))


def groups(q: int, m: int, seed: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng, np.repeat(np.arange(q), m), rng.normal(size=q * m)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("random", ["(Days|Subject)", "(Days||Subject)", "(1|Subject)", "(0+Days|Subject)"])
def test_interior_optimum(random: str, reml: bool) -> None:
    fit = sleepstudy(random).fit(reml=reml)
    certificate = fit.certificate
    assert certificate.converged
    assert fit.converged
    assert not fit.is_singular
    assert certificate.boundary == ()
    assert certificate.tolerance == TOLERANCE
    assert 0.0 <= certificate.predicted_decrease <= TOLERANCE
    assert certificate.message == "optimality conditions hold"
    # sqrt(2 decrease * curvature) bounds a gradient; the curvature of a log deviation is at most 2 n.
    assert certificate.projected_gradient <= np.sqrt(2 * TOLERANCE * 2 * 180)


def test_evaluations_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = newton.evaluate

    def counting(*args: object, **options: object) -> object:
        calls.append(1)
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(newton, "evaluate", counting)
    assert sleepstudy().fit().certificate.n_evaluations == len(calls)


def test_predicted_decrease_is_newtons() -> None:
    problem = sleepstudy()._assembly.problem
    start = [np.diag([1.2, 0.8])]
    at = differentiate(evaluate(problem, start, reml=True))
    wanted = 0.5 * at.gradient @ np.linalg.solve(at.information, at.gradient)
    assert_allclose(newton_step(at.information, at.gradient)[1], wanted, rtol=1e-9)


def test_decrease_near_the_optimum_is_as_predicted() -> None:
    problem = sleepstudy()._assembly.problem
    best = newton.minimize(problem, [[np.eye(2)]], reml=True).profile
    moved = evaluate(problem, [best.templates[0] * 1.01], reml=True)
    slopes = differentiate(moved)
    predicted = newton_step(slopes.information, slopes.gradient)[1]
    # Average information is not the Hessian: right to a factor, not to digits.
    assert 0.5 < predicted / (moved.value - best.value) < 2.0


def test_zero_variance() -> None:
    model = mixfit.mixed("Yield ~ 1 + (1|Batch)", mixfit.datasets.load("dyestuff2"))
    fit = model.fit()
    assert fit.is_singular
    assert fit.converged
    assert fit.theta.tolist() == [0.0]
    (parameter,) = fit.certificate.boundary
    assert parameter.term == 0
    assert parameter.direction.tolist() == [1.0]
    assert parameter.predicted_decrease == 0.0
    at = oracle.solve(model.design, fit.estimate.templates, reml=True)
    wanted = oracle.absolute_slopes(model.design, at, reml=True)[0][0, 0]
    assert wanted > 0
    assert_allclose(parameter.derivative, wanted, rtol=1e-9)
    assert fit.certificate.projected_gradient == 0.0


def test_one_of_two_terms_without_variance() -> None:
    rng, g, x = groups(15, 6, 2)
    y = x + rng.normal(size=15)[g] + rng.normal(size=90)
    data = pd.DataFrame({"y": y, "g": g, "h": rng.integers(0, 8, 90)})
    model = mixfit.mixed("y ~ 1 + (1|g) + (1|h)", data)
    fit = model.fit()
    assert fit.converged
    assert fit.is_singular
    assert fit.theta[0] > 0.1
    assert fit.theta[1] == 0.0
    (parameter,) = fit.certificate.boundary
    assert parameter.term == 1
    at = oracle.solve(model.design, fit.estimate.templates, reml=True)
    wanted = oracle.absolute_slopes(model.design, at, reml=True)[1][0, 0]
    assert_allclose(parameter.derivative, wanted, rtol=1e-6)


@pytest.mark.parametrize("structure", ["(x|g)", "(x||g)"])
def test_null_slopes(structure: str) -> None:
    # Slopes whose sum of squares between groups is below its expectation.
    rng, g, x = groups(20, 8, 0)
    y = 2 * rng.normal(size=20)[g] + rng.normal(size=160)
    for j in range(20):
        own = g == j
        xc = x[own] - x[own].mean()
        y[own] -= xc * (xc @ y[own]) / (xc @ xc)
    fit = mixfit.mixed(f"y ~ x + {structure}", pd.DataFrame({"y": y, "x": x, "g": g})).fit()
    assert fit.converged
    assert fit.is_singular
    assert all(p.derivative >= 0 for p in fit.certificate.boundary)
    assert len(fit.certificate.boundary) == 1


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("reml", [True, False])
def test_perfect_correlation(sign: float, reml: bool) -> None:
    rng, g, x = groups(12, 10, 5)
    b = rng.normal(size=12)
    y = 1.0 + b[g] + sign * 0.8 * b[g] * x + 0.5 * rng.normal(size=120)
    model = mixfit.mixed("y ~ x + (x|g)", pd.DataFrame({"y": y, "x": x, "g": g}))
    fit = model.fit(reml=reml)
    best, _ = oracle.best_criterion(model.design, reml=reml, starts=3)
    assert fit.converged
    assert fit.deviance <= best + 1e-6
    frame = fit.varcorr().to_frame()
    correlation = frame.loc[frame["var2"].notna(), "sdcor"].item()
    assert correlation * sign > 0.97
    if fit.is_singular:
        assert_allclose(correlation, sign, atol=1e-6)
        (parameter,) = fit.certificate.boundary
        assert_allclose(np.linalg.norm(parameter.direction), 1.0, rtol=1e-12)
        (template,) = at_estimates(model._assembly, fit.estimate).templates
        assert_allclose(parameter.direction @ template, 0.0, atol=1e-10)


def test_some_data_reach_each_perfect_correlation() -> None:
    # So that the test above is not about interior optima alone.
    for sign in (1.0, -1.0):
        rng, g, x = groups(12, 10, 5)
        b = rng.normal(size=12)
        y = 1.0 + b[g] + sign * 0.8 * b[g] * x + 0.5 * rng.normal(size=120)
        fits = [
            mixfit.mixed("y ~ x + (x|g)", pd.DataFrame({"y": y, "x": x, "g": g})).fit(reml=reml)
            for reml in (True, False)
        ]
        assert any(f.is_singular for f in fits)


@pytest.mark.parametrize("template", [np.zeros((2, 2)), np.array([[1.0, 0.0], [0.7, 0.0]]), np.diag([1.0, 0.0])])
def test_boundary_directions_span_the_null_space(template: np.ndarray) -> None:
    problem = sleepstudy()._assembly.problem
    profile = evaluate(problem, [template], reml=True)
    derivatives = differentiate(profile)
    parameters = newton.LinearCriterion(problem, reml=True).local(profile).exits
    rank = np.linalg.matrix_rank(template)
    assert len(parameters) == 2 - rank
    directions = np.array([p.direction for p in parameters])
    assert_allclose(directions @ directions.T, np.eye(2 - rank), atol=1e-12)
    assert_allclose(directions @ template, 0.0, atol=1e-12)
    for parameter in parameters:
        v = parameter.direction
        assert_allclose(parameter.derivative, v @ derivatives.absolute[0] @ v, rtol=1e-10)
        if parameter.derivative >= 0:
            assert parameter.predicted_decrease == 0.0
            continue
        assert parameter.predicted_decrease > TOLERANCE
        assert 0.0 < parameter.newton_variance <= 1.0
        better = evaluate(
            problem,
            [np.linalg.cholesky(template @ template.T + 1e-4 * np.outer(v, v) + 1e-14 * np.eye(2))],
            reml=True,
        )
        assert better.value < profile.value
    # In these data there is variance to be found from every one of the templates.
    assert min(p.derivative for p in parameters) < 0


def test_a_slope_off_the_boundary_forbids_convergence() -> None:
    problem = sleepstudy()._assembly.problem
    profile = evaluate(problem, [np.zeros((2, 2))], reml=True)
    search = Descent(newton.LinearCriterion(problem, reml=True), profile)
    boundary = search.local.exits
    assert search.decrease == 0.0
    assert search.promise > TOLERANCE
    assert not search.optimum().certificate.converged
    search.local = replace(search.local, exits=tuple(replace(b, predicted_decrease=0.0) for b in boundary))
    assert search.optimum().certificate.converged
    assert all(isinstance(b, BoundaryParameter) for b in boundary)


def test_the_certificate_owes_nothing_to_the_path() -> None:
    model = sleepstudy()
    first = model.fit()
    again = model.fit(start=first.estimate.templates)
    assert again.converged
    assert again.certificate.n_evaluations == 1
    assert_allclose(again.certificate.projected_gradient, first.certificate.projected_gradient, atol=1e-7)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("random", ["(0 + z|g)", "(1 + z|g)", "(1 + z||g)"])
def test_a_column_of_zeros_is_a_null_term(random: str) -> None:
    rng, g, _ = groups(8, 5, 0)
    data = pd.DataFrame({"y": rng.normal(size=8)[g] + rng.normal(size=40), "g": g, "z": 0.0})
    fit = mixfit.mixed(f"y ~ 1 + {random}", data).fit()
    assert np.isfinite(fit.deviance)
    assert fit.converged


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fixed", ["1", "z"])
def test_a_column_constant_within_groups_fits_and_says_singular(fixed: str) -> None:
    rng, g, _ = groups(8, 5, 0)
    data = pd.DataFrame({"y": rng.normal(size=8)[g] + rng.normal(size=40), "g": g, "z": rng.normal(size=8)[g]})
    model = mixfit.mixed(f"y ~ {fixed} + (z|g)", data)
    fit = model.fit()
    best, _ = oracle.best_criterion(model.design, reml=True, starts=4)
    assert fit.converged
    assert fit.is_singular
    assert fit.deviance <= best + 1e-6


@pytest.mark.filterwarnings("error")
def test_dependent_columns_left_of_the_bar_fit() -> None:
    rng, g, x = groups(8, 5, 0)
    data = pd.DataFrame({"y": rng.normal(size=8)[g] * (1 + x) + rng.normal(size=40), "g": g, "x": x})
    wanted = mixfit.mixed("y ~ 1 + (x|g)", data).fit()
    fit = mixfit.mixed("y ~ 1 + (x + I(2*x)|g)", data).fit()
    # The larger term adds nothing that two columns cannot say.
    assert fit.converged
    assert_allclose(fit.deviance, wanted.deviance, atol=1e-6)


def test_prints_one_number_a_line() -> None:
    boundary = (BoundaryParameter(0, np.ones(1), 9.9049, 0.0),)
    text = str(Certificate(True, 1.5e-4, 2.6e-10, boundary, 1e-8, 5, "optimality conditions hold"))
    assert text.splitlines() == [
        "optimality conditions hold",
        "  converged           True",
        "  predicted decrease  2.6e-10 (tolerance 1e-08)",
        "  projected gradient  0.00015",
        "  evaluations         5",
        "  on the boundary: derivatives 9.905",
    ]
