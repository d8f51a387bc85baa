"""Predictions at new times and places are the conditional expectations of all effects jointly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from mixfit import mixed
from mixfit.covariance.matern import log_matern
from mixfit.errors import NewLevelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.results import LinearResults

    Array = NDArray[np.float64]


def series(seed: int = 0) -> pd.DataFrame:
    """Eight series of irregular times out of twelve, one or two rows a time."""
    rng = np.random.default_rng(seed)
    times = np.round(np.sort(rng.uniform(0.0, 6.0, 12)), 2)
    rows = [(g, t) for g in range(8) for t in rng.choice(times, 9, replace=False) for _ in range(2)]
    frame = pd.DataFrame(rows, columns=["g", "t"]).assign(s=lambda f: f["t"] ** 2 / 5.0)
    walk = {g: rng.normal(0.0, 1.0, 3) for g in range(8)}
    frame["y"] = [1.0 + walk[g] @ [1.0, np.sin(t), np.cos(2.0 * t)] for g, t in rows] + rng.normal(0.0, 0.4, len(rows))
    return frame


def correlation(fit: LinearResults, d: Array) -> Array:
    formula, decay = fit.model.formula_text, fit.theta[1]
    if "gau(" in formula:
        return np.exp(-((decay * d) ** 2))
    if "mat(" in formula:
        h, nu = np.where(d > 0.0, decay * d, 1.0), fit.theta[2]
        return np.where(d > 0.0, np.exp(log_matern(h.ravel(), nu).reshape(h.shape)), 1.0)
    return np.exp(-decay * d)


def expected(fit: LinearResults, frame: pd.DataFrame, new: pd.DataFrame, distance: list[str]) -> tuple[Array, Array]:
    """X beta + C_new V^{-1} (y - X beta) and its error's variance, dense, at the estimates."""

    def covariance(a: pd.DataFrame, b: pd.DataFrame) -> Array:
        d = np.linalg.norm(a[distance].to_numpy()[:, None] - b[distance].to_numpy(), axis=2)
        same = a["g"].to_numpy()[:, None] == b["g"].to_numpy()
        return np.asarray(fit.theta[0] ** 2 * correlation(fit, d) * same)

    ones, x = np.ones((len(frame), 1)), np.ones((len(new), 1))
    v = covariance(frame, frame) + np.eye(len(frame))
    inverse = np.linalg.inv(v)
    c = covariance(new, frame)
    beta = np.linalg.solve(ones.T @ inverse @ ones, ones.T @ inverse @ frame["y"].to_numpy())
    mean = x @ beta + c @ inverse @ (frame["y"].to_numpy() - ones @ beta)
    lever = x - c @ inverse @ ones
    error = covariance(new, new) - c @ inverse @ c.T + lever @ np.linalg.inv(ones.T @ inverse @ ones) @ lever.T
    return mean, fit.scale * error.diagonal()


@pytest.mark.parametrize("term", ["ou(0 + t | g)", "exp(0 + t + s | g)", "gau(0 + t + s | g)", "mat(0 + t + s | g)"])
def test_new_places_are_kriged(term: str) -> None:
    frame = series()
    fit = mixed(f"y ~ 1 + {term}", frame).fit()
    new = pd.DataFrame({"g": [0, 0, 3, 5], "t": [1.111, 9.0, 0.505, float(frame["t"].iloc[0])]})
    new["s"] = [0.3, 2.0, -1.0, float(frame["s"].iloc[0])]
    mean, variance = expected(fit, frame, new, ["t"] if term.startswith("ou") else ["t", "s"])
    found = fit.predict(new, se=True)
    assert_allclose(found["mean"], mean, rtol=1e-6)
    assert_allclose(found["mean_se"] ** 2, variance, rtol=1e-5)
    table = fit.get_prediction(new).summary_frame()
    assert_allclose(table["obs_ci_upper"] - table["mean"], 1.959964 * np.sqrt(variance + fit.scale), rtol=1e-4)


def test_without_the_term_the_whole_variance_is_unpredicted() -> None:
    frame = series()
    fit = mixed("y ~ 1 + ou(0 + t | g)", frame).fit()
    new = pd.DataFrame({"g": [0, 0], "t": [float(frame["t"].iloc[0]), 7.77]})
    prediction = fit.get_prediction(new, re_form="population").summary_frame()
    assert_allclose(prediction.iloc[0], prediction.iloc[1], rtol=1e-9)


def test_a_new_group_at_a_new_time_has_the_population_s_mean() -> None:
    frame = series()
    fit = mixed("y ~ 1 + ou(0 + t | g)", frame).fit()
    new = pd.DataFrame({"g": [99, 99], "t": [1.23, float(frame["t"].iloc[0])]})
    with pytest.raises(NewLevelError, match="levels that the fit never saw: 99"):
        fit.predict(new)
    assert_allclose(fit.predict(new, allow_new_levels=True), fit.params.iloc[0])
    table = fit.get_prediction(new, allow_new_levels=True).summary_frame()
    assert_allclose(table.iloc[0], table.iloc[1], rtol=1e-9)
    missing = fit.predict(pd.DataFrame({"g": [0.0, np.nan], "t": [np.nan, 1.23]}), allow_new_levels=True)
    assert missing.isna().all()


def test_an_infinite_range_is_one_effect_everywhere() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"g": np.repeat(np.arange(10), 8), "t": np.tile(np.arange(8) ** 1.5, 10)})
    frame["y"] = rng.normal(0.0, 2.0, 10)[frame["g"]] + rng.normal(0.0, 1.0, 80)
    fit = mixed("y ~ 1 + ou(0 + t | g)", frame).fit()
    assert fit.theta[1] == 0.0
    new = pd.DataFrame({"g": [2, 2], "t": [0.0, 100.0]})
    found = fit.predict(new, se=True)
    assert_allclose(found.iloc[0], found.iloc[1], rtol=1e-9)


def lattice(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"g": np.repeat(np.arange(12), 12), "t": np.tile(np.repeat(np.arange(1.0, 4.0, 0.5), 2), 12)})
    effects = np.linalg.cholesky(0.7 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))) @ rng.normal(
        size=(6, 12)
    )
    frame["y"] = np.repeat(effects.T, 2, axis=1).ravel() + rng.normal(0.0, 0.3, 144)
    return frame


def test_ar1_goes_on_along_its_steps() -> None:
    frame = lattice()
    fit = mixed("y ~ 0 + ar1(0 + t | g)", frame).fit()
    new = pd.DataFrame({"g": [4] * 3, "t": [3.5, 4.0, 5.5]})
    found = fit.predict(new, se=True)
    phi = fit.theta[1]
    assert_allclose(found["mean"].iloc[1:], found["mean"].iloc[0] * phi ** np.array([1.0, 4.0]), rtol=1e-9)
    last, sd2 = found["mean_se"].iloc[0] ** 2, fit.scale * fit.theta[0] ** 2
    assert found["mean_se"].iloc[2] ** 2 == pytest.approx(phi**8 * last + sd2 * (1.0 - phi**8))
    with pytest.raises(NewLevelError, match=r"ar1\(0 \+ t \| g\): the fit has no effects for 3.7"):
        fit.predict(pd.DataFrame({"g": [4], "t": [3.7]}))


@pytest.mark.parametrize("name", ["hetar1", "toep", "homtoep"])
def test_structures_that_say_nothing_of_new_times_refuse_them(name: str) -> None:
    fit = mixed(f"y ~ 1 + {name}(0 + t | g)", lattice()).fit()
    new = pd.DataFrame({"g": [4], "t": [4.0]})
    with pytest.raises(NewLevelError, match=rf"{name}\(0 \+ t \| g\): the fit has no effects for 4,"):
        fit.predict(new)
    with pytest.raises(NewLevelError, match="no effects for 4,"):
        fit.predict(new, allow_new_levels=True)
    assert np.isfinite(fit.predict(new, re_form="population")).all()


@pytest.mark.parametrize("name", ["ar1", "cs", "toep"])
def test_a_new_level_of_a_factor_of_times_is_named(name: str) -> None:
    frame = lattice().assign(t=lambda f: "t" + f["t"].astype(str))
    fit = mixed(f"y ~ 1 + {name}(0 + t | g)", frame).fit()
    with pytest.raises(NewLevelError, match="t9"):
        fit.predict(pd.DataFrame({"g": [4], "t": ["t9"]}), allow_new_levels=True)


def test_a_poisson_field_is_kriged_on_the_scale_of_the_predictor() -> None:
    frame = lattice().assign(n=lambda f: np.random.default_rng(0).poisson(np.exp(1.0 + f["y"])))
    fit = mixed("n ~ 1 + ou(0 + t | g)", frame, family="poisson").fit()
    new = pd.DataFrame({"g": [4, 4], "t": [3.5, 4.5]})
    last = np.log(fit.predict(new))
    ratio = (last.iloc[1] - fit.params.iloc[0]) / (last.iloc[0] - fit.params.iloc[0])
    assert ratio == pytest.approx(np.exp(-fit.theta[1]), rel=1e-6)
