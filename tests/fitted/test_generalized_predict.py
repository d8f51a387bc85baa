"""Predictions, simulations and refits of generalized models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError, FormulaError, NewLevelError
from tests.fitted.generalized_models import HERDS, LME4, MODELS, TMB, fitted, read, wanted

if TYPE_CHECKING:
    from mixfit.results import GeneralizedResults


@pytest.mark.parametrize("name", LME4 + TMB)
def test_rows_of_the_fit_again(name: str) -> None:
    fit, data = fitted(name), read(MODELS[name][0])
    pd.testing.assert_series_equal(fit.predict(), fit.fittedvalues)
    assert_allclose(fit.predict(data), fit.fittedvalues, rtol=1e-9)
    assert_allclose(fit.predict(data.iloc[5:9], type="link"), fit.linear_predictor.iloc[5:9], rtol=1e-9, atol=1e-9)
    link = fit.model.family.link
    assert_allclose(fit.predict(re_form="population"), link.mean(fit.predict(type="link", re_form=False).to_numpy()))


@pytest.mark.parametrize("name", LME4)
def test_population_as_lme4_predicts_it(name: str) -> None:
    assert_allclose(fitted(name).predict(re_form="population").iloc[:8], wanted(name, "population"), rtol=2e-4)


def test_new_levels_and_missing_values() -> None:
    fit = fitted("cbpp")
    new = read("cbpp").head(3).astype({"herd": str, "period": object})
    new.loc[1, "herd"], new.loc[2, "period"] = "99", None
    with pytest.raises(NewLevelError, match=r"'herd'.*: 99;"):
        fit.predict(new)
    frame = fit.predict(new, type="link", allow_new_levels=True, se=True)
    assert frame["mean"].isna().tolist() == frame["mean_se"].isna().tolist() == [False, False, True]
    population = fit.predict(new, type="link", re_form="population", se=True)
    assert_allclose(frame.iloc[1], population.iloc[1])
    assert frame["mean"].iloc[0] != population["mean"].iloc[0]


def dense_errors(fit: GeneralizedResults) -> np.ndarray:
    """Standard errors of the linear predictor from dense matrices: Henderson's two parts at the mode."""
    model, e = fit.model, fit.estimate
    X, Z = model.exog, model.exog_re.toarray()  # type: ignore[attr-defined]
    blocks = [
        np.kron(np.eye(r.grouping.n_levels), t @ t.T) for r, t in zip(model.design.random, e.templates, strict=True)
    ]
    G = np.zeros((Z.shape[1],) * 2)
    at = 0
    for block in blocks:
        G[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    prior = np.ones(fit.nobs) if model.design.weights is None else model.design.weights
    w = model.family.terms(model.design.y, prior, e.eta, e.phi).observed
    Q = np.linalg.inv(Z.T @ (w[:, None] * Z) + np.linalg.inv(G))
    d = X - Z @ Q @ (Z.T @ (w[:, None] * X))
    return np.sqrt(np.einsum("ij,jk,ik->i", Z, Q, Z) + np.einsum("ij,jk,ik->i", d, e.cov_beta, d))


@pytest.mark.parametrize("name", ["cbpp", "contraception_slope", "tmb_grouseticks_nb", "tmb_sleepstudy_gamma"])
def test_standard_errors_by_dense_algebra(name: str) -> None:
    fit = fitted(name)
    frame = fit.predict(type="link", se=True)
    assert list(frame.columns) == ["mean", "mean_se"]
    assert_allclose(frame["mean_se"], dense_errors(fit), rtol=1e-6)
    population = fit.predict(type="link", re_form="population", se=True)["mean_se"]
    X = fit.model.exog
    assert_allclose(population, np.sqrt(np.einsum("ij,jk,ik->i", X, fit.cov_params().to_numpy(), X)))


@pytest.mark.parametrize("name", TMB)
def test_standard_errors_near_glmmtmbs(name: str) -> None:
    # glmmTMB lets the modes move with theta too, ours with beta alone
    fit = fitted(name)
    assert_allclose(fit.predict(type="link", se=True)["mean_se"].iloc[:8], wanted(name, "link_se"), rtol=0.04)
    assert_allclose(fit.predict(se=True)["mean_se"].iloc[:8], wanted(name, "response_se"), rtol=0.04)


def test_refusals() -> None:
    fit = fitted("cbpp")
    with pytest.raises(FitError, match="not 'terms'"):
        fit.predict(type="terms")  # type: ignore[arg-type]
    with pytest.raises(FormulaError, match="cow"):
        fit.predict(re_form="(1 | cow)")
    with pytest.raises(FitError, match="positive"):
        fit.simulate(0)
    with pytest.raises(FitError, match="a part of"):
        fitted("contraception_slope").simulate(re_form="(1 | district)")
    with pytest.raises(DataError, match=r"lies in \[0, 1\]"):
        fit.refit(fit.model.design.y + 1)
    with pytest.raises(DataError, match="the same in every row"):
        fit.refit(np.zeros(fit.nobs))


@pytest.mark.parametrize("name", LME4 + TMB)
def test_holding_the_modes_leaves_the_family(name: str) -> None:
    fit, n = fitted(name), 3000
    draws = fit.simulate(n, seed=3, re_form=None)
    assert draws.index.equals(fit.model.design.index)
    assert list(draws.columns[:2]) == ["sim_1", "sim_2"]
    variance = fit.model.family.row_variance(fit.prior, fit.fittedvalues.to_numpy(), fit.dispersion)
    z = (draws.mean(axis=1) - fit.fittedvalues) / np.sqrt(variance / n)
    assert np.abs(z).max() < 5.5
    # over all rows the scaled squares have mean 1; their spread is taken from the draws themselves
    squares = ((draws.sub(fit.fittedvalues, axis=0)) ** 2).div(variance, axis=0).mean(axis=0)
    assert abs(squares.mean() - 1.0) < 5 * squares.std() / np.sqrt(n)


def test_new_random_effects_spread_the_means() -> None:
    fit, n = fitted("cbpp"), 4000
    draws = fit.simulate(n, seed=5).to_numpy()
    pd.testing.assert_frame_equal(fit.simulate(2, seed=5), fit.simulate(2, seed=np.random.default_rng(5)))
    # the marginal mean and variance, by integrating over a normal variable
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    eta = fit.predict(type="link", re_form="population").to_numpy()
    mu = 1 / (1 + np.exp(-(eta[:, None] + fit.theta[0] * nodes)))
    mean = mu @ weights
    variance = (mu * (1 - mu)) @ weights / fit.prior + (mu**2) @ weights - mean**2
    assert np.abs((draws.mean(axis=1) - mean) / np.sqrt(variance / n)).max() < 4.5
    assert_allclose(draws.var(axis=1), variance, rtol=0.15)
    # rows of a herd go together, others do not
    codes = fit.model.design.random[0].grouping.codes
    correlations = np.corrcoef(draws)
    same = codes[:, None] == codes
    assert correlations[same & ~np.eye(len(codes), dtype=bool)].min() > 0.02
    assert abs(correlations[~same].mean()) < 0.01


def test_refit_keeps_points_and_finds_what_was_simulated() -> None:
    fit = fitted("cbpp_agq9")
    same = fit.refit(fit.model.design.y)
    assert same.estimate.n_agq == 9
    assert_allclose(same.llf, fit.llf, atol=1e-7)
    draws = fit.simulate(1, seed=8)["sim_1"]
    again = fit.refit(draws)
    assert_allclose(again.model.endog, draws)
    assert (np.abs(again.params - fit.params) < 4 * fit.bse).all()
    assert not np.allclose(again.params, fit.params)
    fresh = read("cbpp").assign(incidence=lambda d: (draws * d["size"]).round())
    other = mixfit.mixed(HERDS, fresh, family="binomial").fit(n_agq=9)
    assert_allclose(again.params, other.params, rtol=1e-5)
