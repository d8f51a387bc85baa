"""The deviance in all variance parameters and a held effect: its slopes, and its minimum."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.inference.profiles.chart import Chart
from mixfit.lmm.residual.criterion import evaluate_joint
from mixfit.lmm.residual.start import joint_starts
from mixfit.lmm.residual.surface import ResidualSurface
from tests.residual_cases import CASES, FORMS, model_of, random_place


@pytest.mark.parametrize(("name", "series"), FORMS)
def test_slopes_are_those_of_the_deviance(name: str, series: bool) -> None:
    model = model_of(CASES[name], series=series)
    problem = model.problem
    # Around any place: that it is a minimum is of no account here.
    at = evaluate_joint(problem, joint_starts(problem)[0], reml=False)
    surface, held = ResidualSurface(problem, at, has_structure=model.residual.blocks is not None).holding(0)
    chart = Chart.default(surface)
    assert chart.evaluate(chart.center).value == pytest.approx(at.value, abs=1e-8)
    rng, spacing = np.random.default_rng(1), chart.spacing(chart.center)
    x = chart.within(chart.center + 0.5 * spacing * rng.normal(size=len(chart.center)))
    found = chart.evaluate(x)
    assert held == len(surface.tail_errors) - 1
    steps = 1e-3 * spacing[:, None] * np.eye(len(x))
    numeric = [(chart.evaluate(x + h).value - chart.evaluate(x - h).value) / (2.0 * h.sum()) for h in steps]
    assert_allclose(found.gradient * spacing, numeric * spacing, atol=1e-5 * max(1.0, np.abs(numeric * spacing).max()))


@pytest.mark.parametrize("name", ["autoregression", "nested and unstructured", "strata alone"])
def test_a_surface_starts_anew_from_any_of_its_places(name: str) -> None:
    model = model_of(CASES[name], seed=3, subjects=40)
    has_structure = model.residual.blocks is not None
    surface = ResidualSurface.around(model.problem, random_place(model.problem, 1), has_structure=has_structure)
    fit = model.fit(reml=False)
    chart = Chart.default(surface)
    assert chart.evaluate(chart.center).value == pytest.approx(-2.0 * fit.llf, abs=1e-6)
    x = chart.center + chart.spacing(chart.center)
    again = surface.restarted(chart.points(x), x[chart.first_tail :])
    other = Chart.default(again)
    assert other.evaluate(other.center).value == pytest.approx(-2.0 * fit.llf, abs=1e-5)
