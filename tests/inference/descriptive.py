"""Fits of which lme4 and performance describe residuals, variances and components (tests/data/descriptive.json)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mixfit

if TYPE_CHECKING:
    from mixfit.results import LinearResults

# performance, lme4 2.1.0 (of rows the first ten)
REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent.parent / "data" / "descriptive.json").read_text())


@cache
def reference_fit(name: str) -> LinearResults:
    item = REFERENCE[name]
    names = {"Penicillin": "penicillin_plates", "Pastes": "pastes"}
    data = mixfit.datasets.load(names.get(name, item["data"].lower()))
    return mixfit.mixed(item["formula"], data).fit()
