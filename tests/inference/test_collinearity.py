"""Variance inflation factors against performance (tests/reference/performance.R), and by regressions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import ArgumentError, FitError
from mixfit.inference.collinearity import inflation

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "performance.json").read_text(encoding="utf-8"))


def fitted(name: str) -> Any:
    load = mixfit.datasets.load
    if name == "interaction":
        return mixfit.mixed("distance ~ age * Sex + (1 | Subject)", load("orthodont")).fit()
    if name == "factors":
        formula = "bdi ~ bdi_pre + treatment + C(visit) + (1 | subject)"
        return mixfit.mixed(formula, load("beat_the_blues")).fit()
    ticks = load("grouseticks")
    formula = "TICKS ~ YEAR + cHEIGHT + (1 | BROOD)"
    ticks["YEAR"] = ticks["YEAR"].astype(int)
    return mixfit.mixed(formula, ticks.assign(cHEIGHT=ticks["HEIGHT"] - 460), family="poisson").fit()


@pytest.mark.parametrize(("name", "rtol"), [("interaction", 1e-6), ("factors", 1e-6), ("generalized", 5e-4)])
def test_reference(name: str, rtol: float) -> None:
    # lme4's theta is good to 1e-7; its covariance of generalized fits, whose plain differences are worse, to 1e-3.
    found = fitted(name).collinearity().frame
    assert_allclose(found["VIF"], REFERENCE[name]["vif"], rtol=rtol)
    assert_allclose(found["tolerance"] * found["VIF"], 1.0)


def test_intervals() -> None:
    found = fitted("interaction").collinearity().frame
    assert_allclose(found["lower"], REFERENCE["interaction"]["lower"], rtol=1e-6)
    assert_allclose(found["upper"], REFERENCE["interaction"]["upper"], rtol=1e-6)
    narrow = fitted("interaction").collinearity(level=0.5).frame
    assert (narrow["upper"] < found["upper"]).all()
    assert fitted("factors").collinearity().frame[["lower", "upper"]].isna().all(axis=None)


def test_one_column_is_its_regression_on_the_others() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4))
    X -= X.mean(axis=0)
    fitted = X[:, 1:] @ np.linalg.lstsq(X[:, 1:], X[:, 0], rcond=None)[0]
    share = (fitted**2).sum() / (X[:, 0] ** 2).sum()
    inverse = np.linalg.inv(X.T @ X)
    scale = np.sqrt(np.diagonal(inverse))
    correlation = inverse / np.outer(scale, scale)
    assert_allclose(inflation(correlation, np.arange(4) == 0), 1.0 / (1.0 - share))


def test_coding_of_factors_does_not_matter() -> None:
    data = mixfit.datasets.load("beat_the_blues")
    formula = "bdi ~ bdi_pre + treatment + C(visit{}) + month:treatment + (1 | subject)"
    plain, other = (mixfit.mixed(formula.format(c), data).fit().collinearity() for c in ("", ", contr.sum"))
    assert_allclose(other.frame, plain.frame, rtol=1e-6)


def test_words() -> None:
    data = mixfit.datasets.load("sleepstudy")
    table = mixfit.mixed("Reaction ~ Days + I(Days ** 2) + I(Days ** 3) + (1 | Subject)", data).fit().collinearity()
    assert "High: Days, I(Days ** 2), I(Days ** 3) (VIF >= 10)." in table.notes
    without = mixfit.mixed("Reaction ~ 0 + Days + I(Days ** 2) + (1 | Subject)", data).fit().collinearity()
    assert any("no intercept" in note for note in without.notes)
    wine = mixfit.datasets.load("wine")
    ordinal = mixfit.mixed("rating ~ temp + contact + (1 | judge)", wine, family="cumulative").fit().collinearity()
    assert list(ordinal.frame.index) == ["temp", "contact"]
    assert not ordinal.notes


def test_refusals() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    with pytest.raises(FitError, match="two beside the constant; the fixed part has 1"):
        fit.collinearity()
    with pytest.raises(ArgumentError, match="level is a number"):
        fit.collinearity(level="zi")
