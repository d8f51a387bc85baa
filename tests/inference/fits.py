"""Fits that several tests of intervals share."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import mixfit

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "lme4_confint.json").read_text())
FITS: dict[str, dict[str, Any]] = REFERENCE["fits"]
Z = 1.959963984540054


@cache
def fitted(name: str) -> Any:
    ref = FITS[name]
    return mixfit.mixed(ref["formula"], mixfit.datasets.load(ref["data"])).fit()


@cache
def herds(n_agq: int = 1, family: str = "binomial") -> Any:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family=family).fit(n_agq=n_agq)


@cache
def ticks(formula: str, family: str) -> Any:
    data = mixfit.datasets.load("grouseticks").astype({"YEAR": str, "BROOD": str, "LOCATION": str})
    return mixfit.mixed(formula, data, family=family).fit()
