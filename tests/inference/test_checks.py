"""What the checks of a model say of data that it could have made, and of data that it could not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress, pearsonr

import mixfit
from mixfit.inference import binned, checks
from mixfit.inference.checks import model_checks
from mixfit.inference.looks import trend


def frame(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(25), 12)
    data = pd.DataFrame({"g": g, "x": rng.uniform(-1.0, 1.0, size=300), "e": rng.normal(size=300)})
    return data.assign(b=rng.normal(size=25)[g])


def looks(fit: Any, n: int = 250) -> dict[str, Any]:
    return {check.name: check for check in model_checks(fit, n, seed=1).checks}


def linear(**columns: Any) -> dict[str, Any]:
    return looks(mixfit.mixed("y ~ x + (1 | g)", frame().assign(**columns)).fit())


def test_a_true_model_is_not_blamed() -> None:
    found = linear(y=lambda d: d.x + d.b + d.e)
    assert len(found) == 6
    assert not any(check.doubtful for check in found.values())
    assert found["linearity"].words == "No curve is left in the residuals."


def test_a_curve() -> None:
    check = linear(y=lambda d: 3.0 * d.x - 4.0 * d.x**2 + d.b + d.e)["linearity"]
    assert check.doubtful
    assert "bend downwards" in check.words


def test_unequal_spread() -> None:
    check = linear(y=lambda d: 3.0 * d.x + 0.3 * d.b + np.exp(0.8 * d.x) * d.e)["homogeneity"]
    assert check.doubtful
    assert check.words == "Residuals spread more where fitted values are large."


def test_skewed_residuals_and_an_outlier() -> None:
    found = linear(y=lambda d: d.x + d.b + np.exp(d.e))
    assert found["normality of residuals"].words == "Residuals are skewed to the right."
    found = linear(y=lambda d: d.x + d.b + d.e + 40.0 * (d.index == 0))
    assert found["predictive check"].words.startswith("The largest response")


def test_a_group_of_its_own() -> None:
    found = linear(x=lambda d: d.x * (1 + 19 * (d.g == 7)), y=lambda d: d.x * (1 - 2 * (d.g == 7)) + d.b + d.e)
    assert found["influence"].doubtful
    assert found["influence"].words == "g 7: fixed effects move most without it."


def test_random_effects_of_another_shape() -> None:
    check = linear(y=lambda d: d.x + np.exp(1.2 * d.b) + 0.3 * d.e)["normality of random effects"]
    assert check.words == "Effects (Intercept) | g are skewed to the right."


def test_overdispersed_counts() -> None:
    rng = np.random.default_rng(5)
    data = frame().assign(y=lambda d: rng.poisson(np.exp(1.0 + d.x + 0.5 * d.b + 0.8 * d.e)))
    found = looks(mixfit.mixed("y ~ x + (1 | g)", data, family="poisson").fit())
    assert "Responses vary more than the family says" in found["dispersion"].words
    assert found["dispersion"].p_value >= 2.0 / 251.0
    better = looks(mixfit.mixed("y ~ x + (1 | g)", data, family="nbinom2").fit())
    assert not better["dispersion"].doubtful


def test_zeros() -> None:
    rng = np.random.default_rng(5)
    data = frame().assign(y=lambda d: (rng.random(300) < 0.5) * rng.poisson(np.exp(2.0 + 0.3 * d.b)))
    found = looks(mixfit.mixed("y ~ x + (1 | g)", data, family="poisson").fit())
    assert found["predictive check"].words.startswith("The number of zeros")


def test_many_rows_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    data = frame().assign(y=lambda d: (rng.random(300) < 0.5).astype(float))
    fit = mixfit.mixed("y ~ x + (1 | g)", data, family="binomial").fit()
    monkeypatch.setattr(checks, "_KEPT_CELLS", 1)
    monkeypatch.setattr(binned, "_CELLS_AT_ONCE", 300 * 7)
    found = model_checks(fit, 60, seed=1)
    assert found.simulated.shape == (300, 30)
    assert not any(check.doubtful for check in found.checks)
    monkeypatch.undo()
    assert model_checks(fit, 60, seed=1).simulated.shape == (300, 60)


def test_binary_and_ordered_responses() -> None:
    rng = np.random.default_rng(5)
    data = frame().assign(y=lambda d: (rng.random(300) < 1.0 / (1.0 + np.exp(-d.x - d.b))).astype(float))
    found = model_checks(mixfit.mixed("y ~ x + (1 | g)", data, family="binomial").fit(), 60, seed=1)
    assert found.binned is not None
    assert found.checks[1].statistic == "bins outside"
    wine = mixfit.datasets.load("wine")
    ordinal = looks(mixfit.mixed("rating ~ temp + (1 | judge)", wine, family="cumulative").fit())
    assert ordinal["influence"].words == "Without refits there is no telling what one group moves."
    assert not any(check.doubtful for check in ordinal.values())


def test_correlated_residuals_are_made_independent() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days", sleep, residual="ar1(Days | Subject)").fit()
    found = model_checks(fit, 20, seed=1)
    np.testing.assert_allclose(found.residuals, fit.residuals("normalized"))
    assert found.modes == {}


@pytest.mark.parametrize("degree", [1, 2])
def test_trends_are_those_of_a_regression(degree: int) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=40), rng.normal(size=40)
    t, p = trend(x, y, degree)
    if degree == 1:
        assert p == pytest.approx(linregress(x, y).pvalue)
        assert np.sign(t) == np.sign(linregress(x, y).slope)
        return
    basis = np.column_stack([np.ones(40), x])
    left = [v - basis @ np.linalg.lstsq(basis, v, rcond=None)[0] for v in (x**2, y)]
    r = pearsonr(*left).statistic
    assert t == pytest.approx(r * np.sqrt(37.0 / (1.0 - r**2)))


def test_what_cannot_be_told_is_not_said() -> None:
    pulp = looks(mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit())
    assert np.isnan(pulp["normality of random effects"].p_value)
    assert "too few levels" in pulp["normality of random effects"].words
    assert np.isnan(trend(np.ones(9), np.arange(9.0), 1)).all()
