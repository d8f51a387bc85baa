"""All models of some terms: which these are, their weights, and averages as MuMIn defines them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mixfit
from mixfit.errors import ComparisonError
from tests.results.test_step import data

if TYPE_CHECKING:
    from mixfit.inference.comparisons.subsets import Subsets


@cache
def found() -> Subsets:
    return mixfit.all_subsets(mixfit.mixed("y ~ a * b + x + (x | subject)", data("simulated")).fit())


def test_models_respect_marginality() -> None:
    frame = found().frame
    # x or not, times: none, a, b, a + b, a * b.
    assert len(frame) == 10
    assert frame.loc[frame["a:b"], ["a", "b"]].all(axis=None)
    assert set(found().terms) == {"a", "b", "x", "a:b"}


def test_criteria_and_weights_are_those_of_fits_by_maximum_likelihood() -> None:
    frame = found().frame
    row = frame[~frame["a:b"] & frame["a"] & frame["b"] & ~frame["x"]].iloc[0]
    fit = mixfit.mixed("y ~ a + b + (x | subject)", data("simulated")).fit(reml=False)
    n, k = fit.nobs, fit.npar
    assert row["logLik"] == pytest.approx(fit.llf, rel=1e-9)
    assert row["AICc"] == pytest.approx(fit.aic + 2 * k * (k + 1) / (n - k - 1), rel=1e-9)
    assert frame["weight"].sum() == pytest.approx(1.0)
    assert frame["delta"].iloc[0] == 0.0
    assert frame["delta"].is_monotonic_increasing
    np.testing.assert_allclose(frame["weight"] / frame["weight"].iloc[0], np.exp(-0.5 * frame["delta"]))
    assert found().best.npar == frame["npar"].iloc[0]


def test_averages_are_those_of_their_definition() -> None:
    weights = found().frame["weight"].to_numpy()
    for name in ("Intercept", "x", "a[T.v]:b[T.yes]"):
        rows = [(w, fit.params.get(name), fit.bse.get(name)) for w, fit in zip(weights, found().fits, strict=True)]
        full = sum(w * (b or 0.0) for w, b, _ in rows)
        spread = sum(w * ((s or 0.0) ** 2 + ((b or 0.0) - full) ** 2) for w, b, s in rows)
        row = found().average().loc[name]
        assert row["Estimate"] == pytest.approx(full)
        assert row["Std. Error"] == pytest.approx(np.sqrt(spread))
        own = [(w, b, s) for w, b, s in rows if b is not None]
        total = sum(w for w, _, _ in own)
        part = sum(w * b for w, b, _ in own) / total
        spread = sum(w * (s**2 + (b - part) ** 2) for w, b, s in own) / total
        row = found().average("conditional").loc[name]
        assert row["Estimate"] == pytest.approx(part)
        assert row["Std. Error"] == pytest.approx(np.sqrt(spread))
        if name == "x":
            assert found().importance["x"] == pytest.approx(total)


def test_terms_may_be_kept_and_models_capped() -> None:
    fit = mixfit.mixed("y ~ a * b + x + (x | subject)", data("simulated")).fit()
    assert len(mixfit.all_subsets(fit, keep="b").frame) == 6
    with pytest.raises(ComparisonError, match="more than cap=9 models"):
        mixfit.all_subsets(fit, cap=9)
    with pytest.raises(ComparisonError, match="'c'"):
        mixfit.all_subsets(fit, keep=["c"])


def test_generalized_models() -> None:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial").fit()
    subsets = mixfit.all_subsets(fit)
    assert subsets.best.llf == pytest.approx(fit.llf)
    assert str(subsets).count("+") >= 1
