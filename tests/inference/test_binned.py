"""Residuals of binary responses in bins."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError


@cache
def fitted(curve: float = 0.0) -> Any:
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(40), 15), rng.normal(size=600)
    eta = 0.3 + x + curve * (x**2 - 1.0) + rng.normal(size=40)[g]
    y = (rng.random(600) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    return mixfit.mixed("y ~ x + (1 | g)", pd.DataFrame({"y": y, "g": g, "x": x}), family="binomial").fit()


def test_means_of_bins() -> None:
    fit = fitted()
    found = fit.binned_residuals(7, seed=1)
    p, y = fit.predict(re_form="marginal").to_numpy(), fit.model.design.y
    order = np.argsort(p, kind="stable")
    parts = [order[np.arange(600) * 7 // 600 == k] for k in range(7)]
    assert found["n"].tolist() == [len(part) for part in parts]
    assert_allclose(found["expected"], [p[part].mean() for part in parts])
    assert_allclose(found["residual"], [(y - p)[part].mean() for part in parts])
    assert (found["lower"] < 0.0).all()
    assert (found["upper"] > 0.0).all()


def test_bounds_count_that_rows_of_a_group_are_alike() -> None:
    found = fitted().binned_residuals(1, n=2000, seed=1)
    p = fitted().predict(re_form="marginal").to_numpy()
    alone = 1.96 * np.sqrt((p * (1.0 - p)).sum()) / 600
    assert found["upper"].iloc[0] > 1.3 * alone


def test_bounds_follow_the_level() -> None:
    wide, narrow = (fitted().binned_residuals(seed=1, level=level) for level in (0.99, 0.5))
    assert len(wide) == 24
    assert (wide["upper"] > narrow["upper"]).all()


def test_a_mean_of_another_form_is_found() -> None:
    assert fitted(1.0).binned_residuals(seed=1)["inside"].mean() < 0.7
    assert fitted().binned_residuals(seed=1)["inside"].mean() > 0.8


def test_refusals() -> None:
    cbpp = mixfit.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    with pytest.raises(FitError, match="responses of 0 and 1"):
        mixfit.mixed(formula, cbpp, family="binomial").fit().binned_residuals()
    with pytest.raises(FitError, match="bins must be a positive whole number"):
        fitted().binned_residuals(0)
