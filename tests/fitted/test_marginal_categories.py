"""How close averages over the random effects of unordered categories are: beside finer rules."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from mixfit.fitted.marginal_categories import product_rule

Array = NDArray[np.float64]


def averages(nodes: Array, weights: Array, sd: float) -> Array:
    """Probabilities (20, K) averaged over random covariances with these standard deviations."""
    rng, d, out = np.random.default_rng(1), nodes.shape[1], []
    for _ in range(20):
        root = rng.normal(size=(d, d))
        V = root @ root.T
        scale = sd / np.sqrt(V.diagonal())
        eta = rng.normal(size=d) + nodes @ np.linalg.cholesky(V * np.outer(scale, scale)).T
        p = np.exp(np.column_stack([np.zeros(len(nodes)), eta]))
        out.append(weights @ (p / p.sum(axis=1, keepdims=True)))
    return np.array(out)


@pytest.mark.parametrize(
    ("d", "finer", "sd", "error"),
    [
        (2, 120, 1.0, 1e-6),
        (2, 120, 3.0, 2e-5),
        (3, 61, 1.0, 1e-6),
        (3, 61, 3.0, 5e-4),
        (4, 21, 1.0, 1e-6),
        (4, 21, 3.0, 2e-3),
    ],
)
def test_the_error_of_the_rules(d: int, finer: int, sd: float, error: float) -> None:
    x, c = np.polynomial.hermite_e.hermegauss(finer)
    nodes = np.array(list(product(x, repeat=d)))
    weights = np.prod(list(product(c / c.sum(), repeat=d)), axis=1)
    assert np.abs(averages(*product_rule(d), sd) - averages(nodes, weights, sd)).max() < error
