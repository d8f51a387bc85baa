"""Shares of the terms in the variance, and their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from tests.covariance.trees import random_pedigree, random_tree


def test_of_one_row_a_species_it_is_pagels_lambda() -> None:
    """The share that maximizes the likelihood of correlations lambda off the diagonal."""
    _, k = random_tree(30, 4, ultrametric=True)
    k = k / k.to_numpy().max()
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {"species": k.index, "y": np.linalg.cholesky(k) @ rng.normal(size=30) + 0.6 * rng.normal(size=30)}
    )
    fit = mixfit.mixed("y ~ 1 + propto(1 | species, K)", frame, context={"K": k}).fit(reml=False)

    def deviance(share: float) -> float:
        v = share * k.to_numpy() + (1.0 - share) * np.eye(30)
        one = np.linalg.solve(v, np.ones(30))
        e = frame["y"].to_numpy() - (one @ frame["y"]) / one.sum()
        return float(30 * np.log(e @ np.linalg.solve(v, e)) + np.linalg.slogdet(v)[1])

    grid = np.linspace(0.0, 0.999, 2000)
    best = grid[np.argmin([deviance(share) for share in grid])]
    assert fit.heritability()["Share"][0] == pytest.approx(best, abs=1e-3)


def test_errors_are_those_of_the_delta_method() -> None:
    """From the covariance of (theta, sigma) by differences of the criterion."""
    table, a = random_pedigree(60, 3)
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"animal": np.repeat(a.index.to_numpy(), 3)})
    frame["y"] = np.repeat(2.0 * np.linalg.cholesky(a) @ rng.normal(size=60) + 0.5 * rng.normal(size=60), 3)
    frame["y"] += rng.normal(size=180)
    formula = "y ~ 1 + propto(1 | animal, A) + (1 | animal)"
    fit = mixfit.mixed(formula, frame, context={"A": mixfit.pedigree(table)}).fit(reml=False)
    at = np.repeat(np.arange(60), 3)
    k, same = a.to_numpy()[np.ix_(at, at)], (at[:, None] == at).astype(float)

    def deviance(v: np.ndarray) -> float:
        w = v[0] * k + v[1] * same + v[2] * np.eye(180)
        one = np.linalg.solve(w, np.ones(180))
        e = frame["y"].to_numpy() - (one @ frame["y"]) / one.sum()
        return float(e @ np.linalg.solve(w, e) + np.linalg.slogdet(w)[1])

    v = np.array([*(fit.theta * fit.sigma) ** 2, fit.scale])
    h = 1e-3 * np.eye(3)

    def mixed_difference(x: np.ndarray, y: np.ndarray) -> float:
        return deviance(v + x + y) - deviance(v + x - y) - deviance(v - x + y) + deviance(v - x - y)

    hessian = np.array([[mixed_difference(x, y) / 4e-6 for x in h] for y in h])
    covariance = 2.0 * np.linalg.inv(hessian)
    share = v[:2] / v.sum()
    slopes = (np.eye(3)[:2] - share[:, None]) / v.sum()
    found = fit.heritability()
    assert (fit.theta > 0.1).all()
    assert_allclose(found["Share"], share)
    assert_allclose(found["Std. Error"], np.sqrt(np.einsum("ta,ab,tb->t", slopes, covariance, slopes)), rtol=1e-3)
    assert (found["Lower"] < share).all()
    assert (found["Upper"] > share).all()


def test_shares_add_up_to_the_intraclass_correlation() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    assert fit.heritability()["Share"].sum() == pytest.approx(fit.icc().adjusted)
    cbpp = mixfit.mixed(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", mixfit.datasets.load("cbpp"), family="binomial"
    ).fit()
    assert cbpp.heritability()["Share"].sum() == pytest.approx(cbpp.icc().adjusted)
    assert "Lower" not in cbpp.heritability().frame


def test_a_variance_of_zero_has_no_interval() -> None:
    fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff2")).fit()
    table = fit.heritability()
    assert table["Share"][0] == 0.0
    assert np.isnan(table["Std. Error"][0])
