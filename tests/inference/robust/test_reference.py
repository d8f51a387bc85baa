"""Robust covariances, degrees of freedom and joint tests against clubSandwich (tests/reference/robust.R)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit

if TYPE_CHECKING:
    import pandas as pd

CASES = {
    case["name"]: case
    for case in json.loads((Path(__file__).parents[2] / "reference" / "robust.json").read_text(encoding="utf-8"))
}
# What theta of lme4 and nlme is off at its optimum.
RTOL = 5e-7


@cache
def data(name: str) -> pd.DataFrame:
    if name not in ("sleep", "odd"):
        return mixfit.datasets.load({"teeth": "orthodont"}.get(name, name))
    sleep = mixfit.datasets.load("sleepstudy")
    sleep["w"] = 1 + sleep["Days"] % 3
    number = np.arange(1, 181)
    short = (sleep["Subject"] == "308") & (sleep["Days"] > 1)
    return sleep[(number * 7 % 11 > 3) & ~short] if name == "odd" else sleep


@cache
def fitted(name: str) -> Any:
    case = CASES[name]
    frame = data(case["data"])
    weights = None if case["weights"] is None else frame[case["weights"]]
    return mixfit.mixed(case["formula"], frame, weights=weights, residual=case["residual"]).fit(reml=case["reml"])


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR2", "CR3"])
@pytest.mark.parametrize("name", CASES)
def test_covariance_and_degrees_of_freedom(name: str, kind: str) -> None:
    fit, expected = fitted(name), CASES[name]["kinds"][kind]
    assert_allclose(fit.cov_params(kind).to_numpy(), expected["cov"], rtol=RTOL)
    tests = fit.robust(kind).ttest()
    assert_allclose(tests["df"], expected["df"], rtol=RTOL)
    assert_allclose(tests["Std. Error"], np.sqrt(np.diagonal(expected["cov"])), rtol=RTOL)


@pytest.mark.parametrize("name", [name for name in CASES if "f" in CASES[name]["kinds"]["CR2"]])
def test_joint_test(name: str) -> None:
    fit = fitted(name)
    p = len(fit.params)
    table = fit.robust("CR2").contest(np.eye(p)[1:])
    found = table.frame[["F value", "NumDF", "DenDF"]].to_numpy()[0]
    assert_allclose(found, CASES[name]["kinds"]["CR2"]["f"], rtol=RTOL)
