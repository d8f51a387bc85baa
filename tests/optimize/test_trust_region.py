"""The step of a quadratic model within a ball, against a search over the ball."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from mixfit.optimize.trust_region import TrustRegion, quadratic_model


def best(hessian: np.ndarray, gradient: np.ndarray, radius: float, rng: np.random.Generator) -> float:
    """Lowest value of the model in the ball that a general optimizer finds."""
    lowest = 0.0
    for start in rng.normal(size=(20, len(gradient))):
        found = minimize(
            lambda s: gradient @ s + 0.5 * s @ hessian @ s,
            radius * start / np.linalg.norm(start),
            constraints={"type": "ineq", "fun": lambda s: radius**2 - s @ s},
            method="SLSQP",
        )
        lowest = min(lowest, float(found.fun))
    return lowest


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("radius", [0.1, 1.5, 10.0])
def test_no_step_in_the_ball_promises_more(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 6))
    root = rng.normal(size=(m, m))
    # Every other one is indefinite, every third is singular.
    hessian = root @ root.T - (seed % 2) * np.eye(m)
    if seed % 3 == 0:
        values, vectors = np.linalg.eigh(hessian)
        hessian = (vectors[:, 1:] * values[1:]) @ vectors[:, 1:].T
    gradient = rng.normal(size=m)
    step, decrease = quadratic_model(hessian, gradient).step(radius)
    assert np.linalg.norm(step) <= radius * 1.002
    assert_allclose(decrease, -(gradient @ step + 0.5 * step @ hessian @ step), rtol=1e-8, atol=1e-12)
    assert decrease >= -best(hessian, gradient, radius, rng) * (1.0 - 1e-2) - 1e-8


def test_a_saddle_is_left_where_the_gradient_says_nothing() -> None:
    step, decrease = quadratic_model(np.diag([2.0, -1.0]), np.zeros(2)).step(3.0)
    assert_allclose(np.abs(step), [0.0, 3.0])
    assert_allclose(decrease, 4.5)


def test_no_coordinates_promise_nothing() -> None:
    step, decrease = quadratic_model(np.empty((0, 0)), np.empty(0)).step(1.0)
    assert step.shape == (0,)
    assert decrease == 0.0


def test_the_radius_follows_the_promises() -> None:
    model = quadratic_model(np.eye(2), np.array([5.0, 0.0]))
    region = TrustRegion()
    first = region.radius
    steps = region.steps(model)
    next(steps)
    next(steps)
    shorter = region.radius
    assert shorter < first / 3.0
    region.learn(region.promised, 0.0)
    assert region.radius > shorter
    next(region.steps(model))
    region.learn(0.1 * region.promised, 0.0)
    assert region.radius < 2.0 * shorter
    region.promised = 0.0
    region.learn(1.0, 0.0)
    assert region.radius == first
