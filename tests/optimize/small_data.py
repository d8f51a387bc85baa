"""Small random data sets of the kinds that send optimizers astray."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["FORMULAS", "small_data"]

FORMULAS = (
    "y ~ x + (1|g)",
    "y ~ x + (x|g)",
    "y ~ x + (x||g)",
    "y ~ x + (x+x2|g)",
    "y ~ t + (t|g)",
    "y ~ x + (xg|g)",
    "y ~ x + (x|g) + (1|h)",
    "y ~ 1 + (1|g) + (1|h)",
    "y ~ x + (x|g) + (x|h)",
    "y ~ x + (1|g/h)",
    "y ~ x + (x|g/h)",
    "y ~ 1 + (1|g) + (0+x|g)",
)


def small_data(seed: int) -> pd.DataFrame:
    """6 to 260 rows: balanced, unbalanced or with groups of one row; variances zero, small or large.

    `xg` is constant within groups, `t` the same in every group; in some sets intercepts and slopes are
    perfectly correlated.
    """
    rng = np.random.default_rng(seed)
    q, m = int(rng.integers(3, 25)), int(rng.integers(2, 12))
    n = q * m
    g = np.repeat(np.arange(q), m)
    kind = rng.choice(["bal", "unbal", "single"])
    if kind == "unbal":
        g = rng.integers(0, q, n)
    if kind == "single":
        g[: q // 2] = np.arange(q // 2) + q
    h = rng.integers(0, max(2, q // 2), n)
    x, x2, xg = rng.normal(size=n), rng.normal(size=n), rng.normal(size=3 * q)[g]
    t = np.tile(np.arange(m), q)[:n]
    sizes = rng.choice([0, 0, 0.2, 0.5, 2], size=3)
    b = rng.normal(size=(3 * q, 3)) * sizes
    c = rng.normal(size=2 * q) * rng.choice([0, 0.5, 2])
    if rng.random() < 0.3:
        b[:, 1] = b[:, 0] * rng.choice([-1, 1]) * 0.7
    y = 1 + x + b[g, 0] + b[g, 1] * x + b[g, 2] * x2 + c[h] + rng.normal(size=n)
    return pd.DataFrame(
        {"y": y, "x": x, "x2": x2, "xg": xg, "t": t, "g": [f"a{i}" for i in g], "h": [f"b{i}" for i in h]}
    )
