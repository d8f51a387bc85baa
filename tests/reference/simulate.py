"""Make tests/data/dispersion.csv: responses of the dispersion families with known parameters.

usage: python -m tests.reference.simulate
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

TARGET = Path(__file__).parents[1] / "data" / "dispersion.csv"


def simulate() -> pd.DataFrame:
    """240 rows in 24 groups g, crossed with 8 levels h; x within groups; exposure and trials per row."""
    rng = np.random.default_rng(20240229)
    n, q, r = 240, 24, 8
    g, h = np.repeat(np.arange(q), n // q), np.tile(np.arange(r), n // r)
    x = np.round(rng.normal(size=n), 3)
    exposure, trials = rng.integers(1, 9, n), rng.integers(2, 13, n)
    b = rng.multivariate_normal([0.0, 0.0], [[0.36, 0.06], [0.06, 0.09]], q)
    a = rng.normal(scale=0.4, size=r)
    eta = b[g, 0] + (0.4 + b[g, 1]) * x
    mean = np.exp(0.5 + eta)
    p = 1.0 / (1.0 + np.exp(0.3 - eta))
    frame = {
        "g": [f"g{j:02d}" for j in g],
        "h": [f"h{j}" for j in h],
        "x": x,
        "exposure": exposure,
        "trials": trials,
        "beta": rng.beta(6.0 * p, 6.0 * (1.0 - p)),
        "gamma": rng.gamma(2.5, mean / 2.5),
        "wald": rng.wald(mean, 3.0),
        "count": rng.poisson(rng.gamma(2.0, 0.5 * exposure * mean * np.exp(a[h]))),
        "successes": rng.binomial(trials, rng.beta(4.0 * p, 4.0 * (1.0 - p))),
    }
    return pd.DataFrame(frame).round({"beta": 6, "gamma": 5, "wald": 5})


if __name__ == "__main__":
    simulate().to_csv(TARGET, index=False)
