"""Fits that several tests draw."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import mixfit

if TYPE_CHECKING:
    from mixfit.results import GeneralizedResults, LinearResults


def sleep() -> pd.DataFrame:
    return mixfit.datasets.load("sleepstudy")


@cache
def sleep_fit() -> LinearResults:
    return mixfit.mixed("Reaction ~ Days + (Days|Subject)", sleep()).fit()


@cache
def pulp_fit() -> LinearResults:
    return mixfit.mixed("bright ~ 1 + (1|operator)", mixfit.datasets.load("pulp")).fit()


@cache
def cbpp_fit() -> GeneralizedResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1|herd)"
    return mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial").fit()


def crossed_data() -> pd.DataFrame:
    """Weighted rows of two crossed factors; level g9 has a single row, so that it has no slope."""
    rng = np.random.default_rng(11)
    n = 160
    frame = pd.DataFrame(
        {
            "g": [f"g{i % 9}" for i in range(n)],
            "h": [f"h{i % 7}" for i in range(n)],
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "w": rng.uniform(0.5, 2.0, size=n),
            "o": rng.normal(size=n),
        }
    )
    frame.loc[0, "g"] = "g9"
    level = frame["g"].str[1:].astype(int).to_numpy()
    frame["y"] = frame["o"] + (1.0 + np.cos(level)) * frame["x"] + np.sin(level) + rng.normal(size=n)
    frame["y"] += 0.5 * np.sin(3.0 * frame["h"].str[1:].astype(int)) - frame["z"]
    return frame


@cache
def crossed_fit() -> LinearResults:
    return mixfit.mixed("y ~ x + z + (x|g) + (1|h)", crossed_data(), weights="w", offset="o").fit()


@cache
def singular_fit() -> LinearResults:
    """The variance of the groups is estimated as zero."""
    frame = pd.DataFrame({"y": [0.0, 1.0, 2.0, 3.0] * 3, "g": np.repeat(["a", "b", "c"], 4)})
    return mixfit.mixed("y ~ 1 + (1|g)", frame).fit()
