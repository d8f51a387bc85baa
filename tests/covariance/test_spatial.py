"""Fields: a fit does not stop at an infinite range that it only jumped to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixfit import mixed


def field(correlation: object, *, n_groups: int = 20, seed: int = 2) -> pd.DataFrame:
    """Eight places, two rows each, a field of deviation 1 in every group and noise of deviation 0.5."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0.0, 5.0, (8, 2))
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    sigma = correlation(distance) + 1e-9 * np.eye(8)  # type: ignore[operator]
    effects = np.linalg.cholesky(sigma) @ rng.standard_normal((8, n_groups))
    frame = pd.DataFrame(np.tile(places, (2 * n_groups, 1)), columns=["x", "y"])
    frame["g"] = np.tile(np.repeat(np.arange(n_groups), 8), 2)
    frame["z"] = np.tile(effects.T.ravel(), 2) + rng.normal(0.0, 0.5, 16 * n_groups)
    return frame


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
@pytest.mark.parametrize(
    ("name", "correlation"),
    [
        ("mat", lambda d: np.exp(-d / 6.0) * (1.0 + d / 6.0)),
        ("gau", lambda d: np.exp(-((d / 2.0) ** 2))),
        ("exp", lambda d: np.exp(-d / 6.0)),
    ],
)
def test_an_infinite_range_is_no_optimum_where_a_start_elsewhere_is_better(
    name: str, correlation: object, scale: float
) -> None:
    frame = field(correlation)
    frame[["x", "y"]] *= scale
    model = mixed(f"z ~ 1 + {name}(0 + x + y|g)", frame)
    fit = model.fit(reml=False)
    shape = [0.3 / scale, *([1.0] if name == "mat" else [])]
    from_elsewhere = model.fit(reml=False, start=[np.array([2.0, *shape])])
    assert fit.converged
    assert fit.llf >= from_elsewhere.llf - 1e-6
    assert fit.theta[1] > 0.0
