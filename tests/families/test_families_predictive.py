"""Predictive densities against adaptive quadrature, where the response is narrow, wide and far."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from mixfit.families.predictive import log_predictive
from mixfit.families.resolve import resolve_family

CASES = [
    ("binomial", 1.0, 1.0, 1.0, -2.0, 3.0),
    ("binomial", 0.3, 5000.0, 1.0, 0.5, 2.0),
    ("binomial(cloglog)", 0.0, 4.0, 1.0, 1.0, 1.0),
    ("poisson", 0.0, 1.0, 1.0, 6.0, 2.0),
    ("poisson", 9000.0, 1.0, 1.0, 7.0, 1.5),
    ("nbinom2", 3.0, 1.0, 0.7, 1.0, 1.0),
    ("gamma(log)", 0.01, 1.0, 0.2, 1.0, 0.8),
    ("beta", 0.9, 1.0, 20.0, -1.0, 0.5),
]


@pytest.mark.parametrize(("name", "y", "prior", "phi", "mean", "spread"), CASES)
def test_quadrature(name: str, y: float, prior: float, phi: float, mean: float, spread: float) -> None:
    family = resolve_family(name)
    rows = [np.array([value, value]) for value in (y, prior)]
    found = log_predictive(family, *rows, phi, np.array([mean, mean]), np.array([spread, 0.0]))

    def density(eta: float) -> float:
        value = family.loglik(np.array([y]), np.array([prior]), np.array([eta]), phi)
        return float(np.exp(value[0] - found[0]) * norm.pdf(eta, mean, spread))

    grid = np.linspace(mean - 12.0 * spread, mean + 12.0 * spread, 400)
    peak = grid[int(np.argmax([density(eta) for eta in grid]))]
    parts = [quad(density, a, b, epsabs=1e-13, limit=400)[0] for a, b in ((grid[0], peak), (peak, grid[-1]))]
    assert sum(parts) == pytest.approx(1.0, abs=1e-8)
    np.testing.assert_allclose(found[1], family.loglik(rows[0], rows[1], np.array([mean]), phi)[0])
