"""Quantile residuals: the definition, uniformity under the model, ties, batches and tests."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixfit
from mixfit.errors import FitError
from mixfit.inference import quantile
from mixfit.inference.quantile import compare

if TYPE_CHECKING:
    from mixfit.results import GeneralizedResults, LinearResults


@cache
def linear_fit() -> LinearResults:
    return mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy")).fit()


@cache
def binomial_fit() -> GeneralizedResults:
    formula = "cbind(incidence, size - incidence) ~ period + (1|herd)"
    return mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial").fit()


def test_places_among_simulations() -> None:
    draws = np.array([[1.0, 2.0, 2.0, 5.0], [0.0, 0.0, 3.0, 0.0]])
    places = compare(lambda m: draws[:, :m], np.array([2.0, 4.0]), np.array([1.0, 0.0]), 4)
    assert places.below.tolist() == [0.25, 1.0]
    assert places.not_above.tolist() == [0.75, 1.0]
    assert places.zeros.tolist() == [1, 1, 0, 1]
    np.testing.assert_allclose(places.spread, [np.var(c, ddof=1) for c in (draws - [[1.0], [0.0]]).T])
    drawn = np.stack([places.residuals(np.random.default_rng(s)) for s in range(200)])
    assert (drawn[:, 1] == 1.0).all()
    assert stats.kstest(drawn[:, 0], stats.uniform(0.25, 0.5).cdf).pvalue > 1e-3


@pytest.mark.parametrize("re_form", ["population", None])
def test_residuals_follow_their_definition(re_form: str | None) -> None:
    fit = linear_fit()
    simulated = fit.simulate(40, seed=np.random.default_rng(5), re_form=re_form).to_numpy()
    wanted = (simulated < fit.model.endog[:, None]).mean(axis=1)
    found = fit.quantile_residuals(40, seed=5, re_form=re_form)
    np.testing.assert_array_equal(found, wanted)
    assert found.index.equals(fit.resid.index)


def test_batches_give_as_good_residuals(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = linear_fit().quantile_residuals(1000, seed=1)
    monkeypatch.setattr(quantile, "_CELLS_AT_ONCE", 180 * 7)
    parts = linear_fit().quantile_residuals(1000, seed=1)
    assert np.abs(whole - parts).max() < 0.1
    pd.testing.assert_series_equal(parts, linear_fit().quantile_residuals(1000, seed=1))


@pytest.mark.parametrize("family", ["gaussian", "poisson", "binomial", "trials"])
def test_uniform_where_the_model_is_true(family: str) -> None:
    rng = np.random.default_rng(7)
    g, x = np.repeat(np.arange(150), 10), rng.normal(size=1500)
    eta = 0.3 + 0.4 * x + 0.7 * rng.normal(size=150)[g]
    size = np.full(1500, 7)
    y = {
        "gaussian": lambda: rng.normal(eta),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "binomial": lambda: rng.binomial(1, 1 / (1 + np.exp(-eta))),
        "trials": lambda: rng.binomial(size, 1 / (1 + np.exp(-eta))),
    }[family]()
    # Rounded proportions: ties are told by the successes.
    data = pd.DataFrame({"y": np.round(y / 7, 9) if family == "trials" else y, "x": x, "g": g, "size": size})
    weights = "size" if family == "trials" else None
    model = mixfit.mixed("y ~ x + (1|g)", data, family="binomial" if family == "trials" else family, weights=weights)
    fit = model.fit()
    residuals = fit.quantile_residuals(seed=3)
    # Effects shared by the rows of a group widen the statistic's distribution: 1.36 / sqrt(n) is no bound here.
    assert stats.kstest(residuals, "uniform").statistic < 0.06
    table = fit.residual_tests(seed=3)
    assert table.frame.loc["dispersion", "statistic"] == pytest.approx(1.0, abs=0.15)
    assert ("zero inflation" in table.frame.index) == (family != "gaussian")


def test_wrong_models_are_found() -> None:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(80), 10)
    mu = np.exp(1.0 + 0.3 * rng.normal(size=80)[g])
    y = rng.poisson(mu * rng.gamma(1.0, 1.0, size=800)) * rng.binomial(1, 0.8, size=800)
    table = mixfit.mixed("y ~ 1 + (1|g)", pd.DataFrame({"y": y, "g": g}), family="poisson").fit().residual_tests(seed=1)
    frame = table.frame
    assert (frame["p.value"] < 0.01).all()
    assert frame.loc["dispersion", "statistic"] > 1.3
    assert frame.loc["zero inflation", "statistic"] > 1.5
    assert "250 simulations" in str(table)


def test_tests_are_those_of_the_residuals() -> None:
    fit, n = binomial_fit(), 100
    frame = fit.residual_tests(n, seed=4).frame
    residuals = fit.quantile_residuals(n, seed=4)
    assert frame.loc["uniformity", "statistic"] == pytest.approx(stats.kstest(residuals, "uniform").statistic)
    margin = 1.0 / (n + 1)
    assert frame.loc["outliers", "statistic"] == ((residuals < margin) | (residuals > 1 - margin)).sum()


def test_one_simulation_is_not_enough() -> None:
    with pytest.raises(FitError, match="at least 2"):
        linear_fit().quantile_residuals(1)
