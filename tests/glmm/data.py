"""Data and published values for the tests of whole fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mixfit import datasets

_DATA = Path(__file__).parents[1] / "data"
LME4: dict[str, Any] = json.loads((_DATA / "lme4_glmm.json").read_text())
GLMMTMB: dict[str, Any] = json.loads((_DATA.parent / "reference" / "glmmtmb.json").read_text())


def load(name: str) -> pd.DataFrame:
    """A bundled set, or one of those that the tests bring along."""
    if not (_DATA / f"{name}.csv").exists():
        return datasets.load(name)
    frame = pd.read_csv(_DATA / f"{name}.csv")
    for column, levels in LME4["levels"].get(name, {}).items():
        frame[column] = pd.Categorical(frame[column], categories=levels)
    return frame
