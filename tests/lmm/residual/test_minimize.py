"""Where the search for residuals' parameters ends: on a bound that holds, off one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from mixfit import mixed
from mixfit.datasets import load
from mixfit.errors import FitError
from mixfit.lmm.residual.criterion import JointPlace
from mixfit.lmm.residual.form import ResidualPoint
from mixfit.lmm.residual.minimize import JointCriterion, minimize_joint
from mixfit.lmm.residual.start import joint_starts
from mixfit.model.residual import ResidualMixedModel
from tests.residual_cases import CASES, FORMS, model_of


def pairs_of_visits(correlation: float) -> pd.DataFrame:
    """Two of four visits of each subject."""
    rng = np.random.default_rng(1)
    pairs = np.array([(a, b) for a in range(4) for b in range(a)])[np.arange(120) % 6]
    root = np.linalg.cholesky([[1.0, correlation], [correlation, 1.0]])
    y = rng.normal(size=(120, 2)) @ root.T
    return pd.DataFrame({"y": y.ravel(), "visit": pairs.ravel().astype(str), "subject": np.repeat(np.arange(120), 2)})


def test_a_correlation_at_its_bound_is_certified() -> None:
    """A correlation of four visits is at least -1/3, and no pair of them is singular there."""
    fit = mixed("y ~ 1", pairs_of_visits(-0.8), residual="homcs(visit | subject)").fit()
    assert fit.converged
    assert fit.varcorr().residual[0].values[1] == pytest.approx(-1.0 / 3.0)
    (bound,) = fit.certificate.boundary
    assert bound.derivative > 0.0
    inside = [bound.predicted_decrease, bound.term, bound.parameter]
    assert inside == [0.0, 0, 1]


def test_a_bound_that_does_not_hold_is_left() -> None:
    model = mixed("y ~ 1", pairs_of_visits(0.5), residual="homcs(visit | subject)")
    assert isinstance(model, ResidualMixedModel)
    (start, *_) = joint_starts(model.problem)
    at_bound = replace(start, residual=replace(start.residual, points=(np.array([1.0, -1.0 / 3.0]),)))
    found = minimize_joint(model.problem, [at_bound], reml=True)
    assert found.certificate.converged
    assert found.derivatives.at.value == pytest.approx(model.fit().deviance, abs=1e-7)


def test_a_residual_without_variance_beside_random_effects_is_certified() -> None:
    """One random effect a subject may take all that a visit differs by: the best deviation of that visit is zero."""
    sleep = load("sleepstudy")
    fit = mixed("Reaction ~ Days + (Days | Subject)", sleep, residual="hetar1(Days | Subject)").fit(reml=False)
    assert fit.converged
    assert fit.certificate.n_evaluations < 200
    part = fit.varcorr().residual[0]
    deviations, rho = part.values[:-1], part.values[-1]
    assert deviations[9] < 2e-4 * deviations.max()
    assert all(bound.derivative > 0.0 for bound in fit.certificate.boundary)
    # the same with that deviation zero in V itself, which is not singular
    deviations[9] = 0.0
    lags = np.abs(np.arange(10)[:, None] - np.arange(10))
    z = np.column_stack([np.ones(10), np.arange(10.0)])
    v = z @ fit.varcorr().parts[0].vcov @ z.T + np.outer(deviations, deviations) * rho**lags
    y = sleep.sort_values(["Subject", "Days"])["Reaction"].to_numpy().reshape(18, 10)
    value = -2.0 * multivariate_normal.logpdf(y, z @ fit.params.to_numpy(), v).sum()
    assert value == pytest.approx(-2.0 * fit.llf, abs=1e-3)


def test_too_many_parameters_for_the_blocks_are_an_error() -> None:
    with pytest.raises(FitError, match="too many parameters for these blocks"):
        model_of(CASES["unstructured by arm"], seed=2).fit()


@pytest.mark.parametrize(("name", "series"), FORMS)
def test_an_optimum_has_no_slope(name: str, series: bool) -> None:
    model = model_of(CASES[name], seed=2, subjects=40, series=series)
    fit = model.fit()
    assert fit.converged, fit.certificate
    known = model.variance_information(fit.estimate)
    d = known.derivatives
    curvature = np.maximum(known.hessian.diagonal()[:-1], 1.0)
    assert (np.abs(d.gradient) / np.sqrt(curvature)).max(initial=0.0) < 1e-3
    assert np.linalg.eigvalsh(known.hessian)[0] > -1e-6 * np.abs(known.hessian).max()


@pytest.mark.parametrize("series", [False, True])
@pytest.mark.parametrize("nugget", [0.0, 1.0])
def test_a_nugget_on_a_bound_has_the_one_sided_derivative(series: bool, nugget: float) -> None:
    model = model_of(CASES["continuous time with a nugget"], seed=3, series=series)
    criterion, h = JointCriterion(model.problem, reml=True), 1e-6
    inward = 1.0 if nugget == 0.0 else -1.0
    here, there = (
        criterion.evaluate(JointPlace((), ResidualPoint((np.array([1.0, 1.0, nu]),), np.empty(0))))
        for nu in (nugget, nugget + h * inward)
    )
    (exit_,) = criterion.local(here).exits
    assert exit_.parameter == 2
    assert exit_.derivative == pytest.approx((there.value - here.value) / h, rel=1e-4)


@pytest.mark.parametrize("series", [False, True])
def test_a_search_that_is_at_a_nugget_of_zero_leaves_it(series: bool) -> None:
    model = model_of(CASES["continuous time with a nugget"], seed=0, series=series)
    found = minimize_joint(model.problem, joint_starts(model.problem), reml=True).derivatives.at
    nugget = found.place.residual.points[0][2]
    assert 0.0 < nugget < 1.0
    start = JointPlace((), ResidualPoint((np.array([1.0, 0.2, 0.0]),), np.empty(0)))
    again = minimize_joint(model.problem, [start], reml=True)
    assert again.certificate.converged
    assert again.derivatives.at.value == pytest.approx(found.value, abs=1e-6)
