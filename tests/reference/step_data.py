"""Data of tests/results/test_step.py: python -m tests.reference.step_data > tests/data/step.csv."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd


def simulate() -> pd.DataFrame:
    """Subjects who see items under two conditions: slopes of x vary, subjects within conditions and items hardly do."""
    rng = np.random.default_rng(59)
    subject, item = np.repeat(np.arange(24), 12), np.tile(np.arange(12), 24)
    a = np.array(list("uvw"))[item % 3]
    b = np.where((subject + item) % 2, "yes", "no")
    x = rng.normal(size=len(item)).round(2)
    effect = 0.8 * (a == "w") + 0.3 * (b == "yes") + 0.1 * x
    y = effect + rng.normal(0.0, 1.0, 24)[subject] + rng.normal(0.0, 0.4, 24)[subject] * x
    y += rng.normal(0.0, 0.15, 12)[item] + rng.normal(0.0, 0.9, len(item))
    y += 0.25 * rng.normal(size=(24, 3))[subject, item % 3]
    names = [f"s{s:02d}" for s in subject], [f"i{i:02d}" for i in item]
    return pd.DataFrame({"y": y.round(3), "x": x, "a": a, "b": b, "subject": names[0], "item": names[1]})


if __name__ == "__main__":
    simulate().to_csv(sys.stdout, index=False)
