"""Fits to each group: against lme4's lmList, and against least squares group by group."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

import mixfit
from mixfit.errors import FormulaError

# lme4 1.1-31, intervals at 90 %
LME4 = json.loads((Path(__file__).parents[1] / "reference" / "lm_list.json").read_text())


def test_lme4() -> None:
    fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
    np.testing.assert_allclose(fits.coef(), LME4["coef"], rtol=1e-11)
    np.testing.assert_allclose(fits.sigma, LME4["sigma"][0], rtol=1e-12)
    assert fits.df_resid == LME4["df"][0]
    wanted = np.array(LME4["own"]).transpose(0, 2, 1).reshape(36, 2)
    np.testing.assert_allclose(fits.conf_int(0.9, pool=False), wanted, rtol=1e-10)


def test_pooled_intervals_are_of_one_width() -> None:
    fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
    # Every subject has the days 0 to 9.
    X = np.column_stack([np.ones(10), np.arange(10.0)])
    half = t.ppf(0.95, 144) * fits.sigma * np.sqrt(np.linalg.inv(X.T @ X).diagonal())
    ends = fits.conf_int(0.9)
    np.testing.assert_allclose((ends[1] - ends[0]) / 2.0, np.tile(half, 18))
    np.testing.assert_allclose((ends[1] + ends[0]) / 2.0, fits.coef().to_numpy().ravel())


def uneven(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = rng.choice(list("abcdefgh"), p=[0.3, 0.25, 0.15, 0.1, 0.08, 0.06, 0.04, 0.02], size=150)
    data = pd.DataFrame({"g": g, "x": rng.normal(3.0, 1.0, 150), "f": rng.choice(["u", "v", "w"], 150)})
    data["w"] = rng.uniform(0.5, 2.0, 150)
    data["y"] = rng.normal(size=150) + data["x"]
    # one group lacks a level, one has fewer rows than coefficients
    data.loc[data["g"].eq("c"), "f"] = "u"
    return pd.concat([data, data[data["g"].eq("a")].head(2).assign(g="z", f=["u", "v"])], ignore_index=True)


def test_groups_of_any_size_and_rank() -> None:
    data = uneven()
    fits = mixfit.lm_list("y ~ f + x | g", data, weights="w")
    squares = 0.0
    for level, own in data.groupby("g"):
        X = np.column_stack([np.ones(len(own)), own["f"].eq("v"), own["f"].eq("w"), own["x"]])
        kept: list[int] = []
        for j in range(4):
            if np.linalg.matrix_rank(X[:, [*kept, j]]) > len(kept):
                kept.append(j)
        root = np.sqrt(own["w"].to_numpy())
        A, b = X[:, kept] * root[:, None], own["y"].to_numpy() * root
        beta = np.linalg.lstsq(A, b, rcond=None)[0]
        row = fits.coef().loc[level].to_numpy()
        np.testing.assert_allclose(row[kept], beta, rtol=1e-9)
        assert np.isnan(np.delete(row, kept)).all()
        assert fits.df[level] == len(own) - len(kept)
        rss = ((b - A @ beta) ** 2).sum()
        squares += rss
        if fits.df[level]:
            errors = np.sqrt(rss / fits.df[level] * np.linalg.inv(A.T @ A).diagonal())
            np.testing.assert_allclose(fits.bse(pool=False).loc[level].to_numpy()[kept], errors, rtol=1e-8)
        np.testing.assert_allclose(fits.fittedvalues[own.index], X[:, kept] @ beta, rtol=1e-9)
    assert fits.sigma == pytest.approx(np.sqrt(squares / fits.df_resid))


def test_groups_may_be_crossed_and_rows_chosen() -> None:
    data = uneven()
    fits = mixfit.lm_list("log(x + 9) ~ 1 | g:f", data, subset="g != 'z'")
    assert fits.group == "g:f"
    means = np.log(data["x"] + 9.0)[data["g"] != "z"].groupby(data["g"] + ":" + data["f"]).mean()
    np.testing.assert_allclose(fits.coef()["Intercept"], means[fits.coef().index])


def test_intervals_are_drawn() -> None:
    fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
    first, second = fits.plot()
    ends = np.array([segment[:, 0] for segment in second.collections[0].get_segments()])
    order = fits.coef()["Intercept"].sort_values().index
    np.testing.assert_allclose(ends, fits.conf_int().xs("Days", level=1).reindex(order))
    assert first.get_ylabel() == "Subject"
    assert second.get_title() == "Days"


@pytest.mark.parametrize("formula", ["y ~ x", "y ~ x | g | f", "y ~ x + (1 | g)"])
def test_a_formula_has_one_bar(formula: str) -> None:
    with pytest.raises(FormulaError, match="no formula of groups"):
        mixfit.lm_list(formula, uneven())
