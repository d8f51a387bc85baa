"""Averages of ordered categories: probabilities as predict has them, errors by central differences."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mixfit
from mixfit.errors import FitError

if TYPE_CHECKING:
    import pandas as pd

FORMULA = "rating ~ temp + contact + x + (1 | judge)"
# Of central differences: the square root of the third root of rounding, in parameters of size one.
STEP = 1e-5


@cache
def wine() -> pd.DataFrame:
    data = mixfit.datasets.load("wine")
    return data.assign(x=np.random.default_rng(3).normal(size=len(data)))


@cache
def fit(kind: str = "plain") -> Any:
    more = {"plain": {}, "nominal": {"nominal": "~ contact"}, "scale": {"dispersion": "~ temp"}}[kind]
    formula = FORMULA.replace("contact + ", "") if kind == "nominal" else FORMULA
    return mixfit.mixed(formula, wine(), family="cumulative", **more).fit()


def moved(found: Any, step: np.ndarray) -> Any:
    p, e = len(found.estimate.beta), found.estimate
    return type(found)(found.model, replace(e, beta=e.beta + step[:p], shape=e.shape + step[p:]))


def error_by_differences(found: Any, of: Any) -> np.ndarray:
    e = found.estimate
    steps = STEP * np.eye(len(e.beta) + len(e.shape))
    J = np.array([(of(moved(found, d)) - of(moved(found, -d))) / (2.0 * STEP) for d in steps]).T
    cov = np.block([[e.cov_beta, e.cov_beta_shape], [e.cov_beta_shape.T, e.cov_shape]])
    return np.sqrt(np.einsum("ka,ab,kb->k", J, cov, J))


@pytest.mark.parametrize("kind", ["plain", "nominal", "scale"])
def test_average_predictions_have_a_row_a_category(kind: str) -> None:
    found = fit(kind)

    def mean(at: Any) -> np.ndarray:
        return at.predict(wine(), re_form="population").to_numpy().mean(axis=0)

    averages = found.avg_predictions()
    assert averages["category"].tolist() == ["1", "2", "3", "4", "5"]
    np.testing.assert_allclose(averages["estimate"], mean(found), rtol=1e-12)
    np.testing.assert_allclose(averages["SE"], error_by_differences(found, mean), rtol=1e-7)


def test_errors_of_one_row_are_those_of_predict() -> None:
    row = wine().iloc[[5]]
    predicted = fit().predict(row, re_form="population", se=True)
    found = fit().avg_predictions(newdata=row)
    np.testing.assert_allclose(found["estimate"], predicted["mean"].iloc[0], rtol=1e-12)
    np.testing.assert_allclose(found["SE"], predicted["mean_se"].iloc[0], rtol=1e-10)


def test_groups_and_settings_are_in_their_rows() -> None:
    frame = fit().avg_predictions(by="temp").to_frame()
    assert list(frame.columns[:2]) == ["category", "temp"]
    cold = fit().predict(wine()[wine()["temp"] == "cold"], re_form="population").mean()
    np.testing.assert_allclose(frame.loc[frame["temp"] == "cold", "estimate"], cold, rtol=1e-12)
    means = fit().avg_predictions(what="mean", variables="contact")
    everybody = fit().predict(wine().assign(contact="yes"), re_form="population", what="mean").mean()
    assert means["estimate"].iloc[1] == pytest.approx(everybody, rel=1e-12)
    assert fit().avg_predictions(what="cumulative")["category"].tolist() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("comparison", ["difference", "ratio", "or"])
def test_comparisons(comparison: str) -> None:
    found = fit("scale")

    def compare(at: Any) -> np.ndarray:
        low, high = (
            at.predict(wine().assign(temp=level), re_form="population").to_numpy().mean(axis=0)
            for level in ("cold", "warm")
        )
        odds = (high / (1.0 - high)) / (low / (1.0 - low))
        return {"difference": high - low, "ratio": high / low, "or": odds}[comparison]

    averages = found.avg_comparisons("temp", comparison=comparison)
    np.testing.assert_allclose(averages["estimate"], compare(found), rtol=1e-10)
    np.testing.assert_allclose(averages["SE"], error_by_differences(found, compare), rtol=1e-6)


def test_slopes() -> None:
    found, h = fit(), 1e-5

    def slope(at: Any) -> np.ndarray:
        ahead, behind = (at.predict(wine().assign(x=wine()["x"] + s), re_form="population") for s in (h, -h))
        return ((ahead - behind) / (2.0 * h)).to_numpy().mean(axis=0)

    averages = found.avg_slopes("x")
    np.testing.assert_allclose(averages["estimate"], slope(found), rtol=1e-6, atol=1e-9)
    assert averages["estimate"].sum() == pytest.approx(0.0, abs=1e-12)
    linear = found.avg_slopes("x", what="link")
    np.testing.assert_allclose(linear["estimate"], found.params["x"], rtol=1e-9)
    np.testing.assert_allclose(linear["SE"], found.bse["x"], rtol=1e-9)


def test_what_there_is_not() -> None:
    with pytest.raises(FitError, match="'cumulative', 'mean', 'link' for ordered categories, not 'class'"):
        fit().avg_predictions(what="class")
    with pytest.raises(FitError, match="re_form='population'"):
        fit().avg_predictions(re_form="marginal")
