"""Several minima: where they are looked for, what is found, and what the certificate says of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.lmm.assemble import assemble
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.second_look import _expected, _like_levels
from tests.dense_optimum import DenseCriterion, best_of_eight
from tests.peer_models import peer_model
from tests.random_models import random_model

# Models in which the moment estimates lead to a minimum that is not the lowest.
WILD_WEIGHTS = (20, 68, 81, 108, 130, 136, 164, 275)


def far_covariate(seed: int, mean: float) -> pd.DataFrame:
    """Intercepts and slopes at the covariate's mean, which is `mean` standard deviations from zero."""
    rng = np.random.default_rng(seed)
    g, x, b = rng.integers(0, 9, 200), rng.normal(size=200), rng.normal(size=(9, 2))
    y = 1 + x + b[g, 0] + b[g, 1] * x + 0.7 * rng.normal(size=200)
    return pd.DataFrame({"y": y, "x": x + mean, "g": g.astype(str), "h": rng.integers(0, 5, 200).astype(str)})


@pytest.mark.parametrize("random", ["(1 | g) + (x | g)", "(x | g) + (1 | g)", "(1 | g) + (x || g)"])
def test_places_where_the_criterion_has_no_value_are_passed_by(random: str) -> None:
    data = far_covariate(1, 0.0)
    fit = mixfit.mixed(f"y ~ x + {random}", data).fit()
    plain = mixfit.mixed(f"y ~ x + {'(x || g)' if '||' in random else '(x | g)'}", data).fit()
    assert fit.converged
    assert fit.llf == pytest.approx(plain.llf, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mean", [10.0, 20.0, 100.0])
@pytest.mark.parametrize("random", ["(x || g)", "(1 | g) + (0 + x | g) + (1 | h)"])
def test_a_covariate_far_from_zero(random: str, mean: float, seed: int) -> None:
    model = mixfit.mixed(f"y ~ x + {random}", far_covariate(seed, mean))
    fit = model.fit()
    dense = DenseCriterion(model.design, reml=True)
    ends = [dense(np.array([a, a, 1.0][: dense.ends[-1]]))[0] for a in (3.0, 10.0, 30.0, 100.0)]
    assert fit.converged
    own = dense(dense.theta(fit.estimate.templates))[0]
    assert own <= min(*ends, best_of_eight(dense, seed)[0]) + 1e-5


@pytest.mark.parametrize("seed", WILD_WEIGHTS)
def test_weights_over_orders_of_magnitude(seed: int) -> None:
    drawn = random_model(seed)
    model = mixfit.mixed(drawn.formula, drawn.data, **drawn.options)
    fit = model.fit(reml=drawn.reml)
    dense = DenseCriterion(model.design, drawn.reml)
    assert fit.converged
    assert fit.certificate.n_starts > 1
    assert dense(dense.theta(fit.estimate.templates))[0] <= best_of_eight(dense, seed)[0] + 1e-5


def test_days_since_the_first_visit_are_not_left_with_an_intercept_of_no_variance() -> None:
    """Their mean is one and a half standard deviations: intercept and slope, uncorrelated, explain nearly the same."""
    drawn = peer_model(32)
    assert "(day || subject)" in drawn.formula
    model = mixfit.mixed(drawn.formula, drawn.data)
    fit = model.fit(reml=drawn.reml)
    dense = DenseCriterion(model.design, drawn.reml)
    assert fit.converged
    assert fit.certificate.n_starts > 1
    assert dense(dense.theta(fit.estimate.templates))[0] <= best_of_eight(dense, 1)[0] + 1e-5


def test_the_certificate_says_how_many_starts_agreed() -> None:
    drawn = random_model(164)
    fit = mixfit.mixed(drawn.formula, drawn.data, **drawn.options).fit(reml=drawn.reml)
    certificate = fit.certificate
    assert 1 <= certificate.n_agreeing < certificate.n_starts
    assert f"reached from {certificate.n_agreeing} of {certificate.n_starts} starts" in str(certificate)


def test_levels_that_tell_all_are_counted() -> None:
    """Of q alike q, whatever the basis; of columns that only single levels tell of, one a column."""
    rng = np.random.default_rng(3)
    one = np.cov(rng.normal(size=(3, 9)))
    assert _like_levels(np.repeat(one[:, :, None], 7, axis=2)) == pytest.approx(7.0)
    sizes = np.array([1.0, 2.0, 3.0])
    assert _like_levels(one[:, :, None] * sizes) == pytest.approx(36.0 / 14.0)
    assert _like_levels(np.einsum("aq,bq->abq", np.eye(3), np.eye(3))) == pytest.approx(1.0)
    assert _like_levels(np.zeros((2, 2, 4))) == np.inf


@pytest.mark.parametrize("reml", [False, True])
def test_a_step_of_the_em_algorithm_is_the_mean_of_what_is_expected_of_the_effects(reml: bool) -> None:
    """E(bb' | y) by the dense posterior; with REML the fixed effects are effects of infinite variance."""
    data = far_covariate(4, 1.0)
    problem = assemble(mixfit.mixed("y ~ x + (x | g)", data).design).problem
    template = np.array([[0.8, 0.0], [-0.3, 0.5]])
    at = evaluate(problem, [template], reml=reml)
    step = _expected(at)[0]
    rows, columns = problem.gram.rows.factors[0], problem.gram.rows.columns
    n, q = columns.shape[1], rows.n_levels
    z = np.zeros((n, q, 2))
    z[np.arange(n), rows.codes] = rows.columns.T
    v = z.reshape(n, -1) @ np.kron(np.eye(q), template @ template.T) @ z.reshape(n, -1).T + np.eye(n)
    inverse, x = np.linalg.inv(v), columns[:-1].T
    projected = inverse - inverse @ x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse)
    s = (z.reshape(n, -1).T @ projected @ columns[-1]).reshape(q, 2)
    spread = z.reshape(n, -1).T @ (projected if reml else inverse) @ z.reshape(n, -1)
    blocks = sum(spread[2 * j : 2 * j + 2, 2 * j : 2 * j + 2] for j in range(q))
    sigma = template @ template.T
    expected = sigma + sigma @ (s.T @ s / at.scale - blocks) @ sigma / q
    np.testing.assert_allclose(step @ step.T, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("formula", "dataset"),
    [
        ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
        ("Reaction ~ Days + (Days || Subject)", "sleepstudy"),
        ("strength ~ 1 + (1 | batch/cask)", "pastes"),
    ],
)
def test_ordinary_models_are_searched_once(formula: str, dataset: str) -> None:
    certificate = mixfit.mixed(formula, mixfit.datasets.load(dataset)).fit().certificate
    assert certificate.n_starts == 1
    assert "starts" not in str(certificate)


def test_a_start_that_is_no_good_is_helped_by_the_moments() -> None:
    """A search from rounding ends nowhere; what the data suggest is tried then."""
    data = far_covariate(0, 0.0)
    model = mixfit.mixed("y ~ x + (1 | g) + (1 | h)", data)
    for start in ([1e12, 1e12], [1e-12, 1e9]):
        try:
            fit = model.fit(start=start)
        except FitError as error:
            pytest.fail(str(error))
        assert fit.converged
        assert fit.deviance == pytest.approx(model.fit().deviance, abs=1e-6)
