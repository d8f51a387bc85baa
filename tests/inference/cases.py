"""The seven fits of the reference, and what lme4, lmerTest and RLRsim say of them (tests/data/comparison.json)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mixfit

if TYPE_CHECKING:
    import pandas as pd

    from mixfit.results import GeneralizedResults, LinearResults

# lmerTest 3.1, lme4 2.1.0 at tight tolerances, RLRsim 3.1-9 with 100,000 simulations for RLRT and 10,000 for LRT.
REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent.parent / "data" / "comparison.json").read_text())


@cache
def data(name: str) -> pd.DataFrame:
    return mixfit.datasets.load(name)


@cache
def fitted(name: str, formula: str, reml: bool = True) -> LinearResults:
    return mixfit.mixed(formula, data(name)).fit(reml=reml)  # type: ignore[call-arg, return-value]


@cache
def generalized(name: str, formula: str, family: str, n_agq: int = 1) -> GeneralizedResults:
    return mixfit.mixed(formula, data(name), family=family).fit(n_agq=n_agq)  # type: ignore[call-arg, return-value]


def assert_column(actual: pd.Series, expected: list[float | None], rtol: float = 1e-6) -> None:
    wanted = np.array([np.nan if value is None else value for value in expected])
    np.testing.assert_allclose(actual.to_numpy(dtype=float), wanted, rtol=rtol, atol=1e-6)
