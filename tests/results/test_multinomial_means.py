"""Unordered categories: averages over groups, marginal means, deletions, rows and replicates."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import multivariate_normal

import mixfit
from mixfit.errors import FitError
from mixfit.fitted.marginal_categories import product_rule


@cache
def tastes() -> pd.DataFrame:
    wine = mixfit.datasets.load("wine")
    words = {"1": "poor", "2": "poor", "3": "fair", "4": "good", "5": "good"}
    return wine.assign(taste=wine.rating.astype(str).map(words))


@cache
def fitted(formula: str = "taste ~ temp + contact + (1 | judge)", baseline: str = "poor"):
    return mixfit.mixed(formula, tastes(), family=f"multinomial(baseline={baseline!r})").fit()


@cache
def two():
    data = tastes().assign(
        fine=lambda d: np.where(d.taste == "good", "yes", "no"), good=lambda d: (d.taste == "good").astype(float)
    )
    formula = "{} ~ temp + contact + (1 | judge)"
    one = mixfit.mixed(formula.format("good"), data, family="binomial").fit()
    return mixfit.mixed(formula.format("fine"), data, family="multinomial(baseline='no')").fit(), one, data


def test_averages_of_two_categories_are_those_of_a_binomial_model() -> None:
    both, one, data = two()
    expected = one.predict(re_form="marginal")
    np.testing.assert_allclose(both.predict(re_form="marginal")["yes"], expected, rtol=2e-5)
    # groups need not be known
    rows = data.drop(columns="judge").head(5)
    np.testing.assert_allclose(both.predict(rows, re_form="marginal")["yes"], expected.head(5), rtol=2e-5)


def test_averages_against_a_fine_grid() -> None:
    fit = fitted("taste ~ temp + (temp | judge)", "good")
    sigma = fit.varcorr()["judge"].to_numpy() + 1e-9 * np.eye(4)
    x = np.array([1.0, 1.0])
    # what the two predictors of a warm row have of their effects
    A = np.kron(np.eye(2), x)
    V = A @ sigma @ A.T
    half = 9.0 * np.sqrt(np.diagonal(V))
    axes = [np.linspace(-h, h, 601) for h in half]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    density = multivariate_normal(np.zeros(2), V, allow_singular=True).pdf(grid)
    eta = grid + fit.coefficients.to_numpy() @ x
    p = softmax(np.concatenate([np.zeros((*eta.shape[:-1], 1)), eta], axis=-1), axis=-1)
    expected = np.tensordot(density, p, axes=2) / density.sum()
    warm = tastes()[tastes().temp == "warm"].head(1)
    np.testing.assert_allclose(fit.predict(warm, re_form="marginal").to_numpy()[0], expected, atol=2e-4)


def test_classes_of_averages() -> None:
    fit = fitted()
    p = fit.predict(re_form="marginal")
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)
    assert fit.predict(re_form="marginal", what="class").tolist() == p.idxmax(axis=1).tolist()


def test_a_product_of_rules_is_for_few_categories() -> None:
    nodes, weights = product_rule(2)
    np.testing.assert_allclose(np.einsum("q,qa,qb->ab", weights, nodes, nodes), np.eye(2), atol=1e-12)
    with pytest.raises(FitError, match="over 5 random predictors, and can over 4"):
        product_rule(5)


def test_means_of_two_categories_are_those_of_a_binomial_model() -> None:
    both, one, _ = two()
    latent, link = both.emmeans("temp", mode="latent"), one.emmeans("temp")
    # the two predictors, without their mean: a half of the log odds
    np.testing.assert_allclose(latent["emmean"].to_numpy()[2:], 0.5 * link["emmean"], rtol=1e-5)
    np.testing.assert_allclose(latent["SE"].to_numpy()[2:], 0.5 * link["SE"], rtol=1e-3)


def test_means_do_not_depend_on_the_baseline() -> None:
    for mode in ("prob", "latent"):
        frames = [fitted(baseline=b).emmeans("temp", mode=mode).frame for b in ("poor", "fair")]
        own = [f.assign(taste=f.taste.astype(str)).sort_values(["taste", "temp"]) for f in frames]
        name = own[0].columns[2]
        for column, tolerance in ((name, 2e-4), ("SE", 5e-3)):
            np.testing.assert_allclose(own[0][column], own[1][column], rtol=tolerance, atol=1e-5)


def test_probabilities_are_averaged_over_the_grid() -> None:
    fit = fitted()
    means = fit.emmeans("temp")
    levels = [(t, c) for t in ("cold", "warm") for c in ("no", "yes")]
    rows = pd.DataFrame(levels, columns=["temp", "contact"]).assign(judge="1")
    p = fit.predict(rows, re_form="population").to_numpy().reshape(2, 2, 3).mean(axis=1)
    np.testing.assert_allclose(means["prob"], p.T.ravel(), rtol=1e-10)
    # the probabilities of a cell sum to one, whatever the coefficients are
    assert means.pairs().frame.shape[0] == 3


def test_deletions_are_refits() -> None:
    table = fitted().drop1()
    smaller = fitted("taste ~ contact + (1 | judge)")
    row = table.to_frame().loc["temp"]
    assert row["npar"] == 2
    np.testing.assert_allclose(row["LRT"], 2.0 * (fitted().llf - smaller.llf), rtol=1e-5)
    np.testing.assert_allclose(row["AIC"], smaller.aic, rtol=1e-7)


def test_figures_and_rows() -> None:
    fit = fitted()
    assert fit.glance()[["logLik", "AIC", "df.residual"]].to_numpy().tolist() == [[fit.llf, fit.aic, fit.df_resid]]
    rows = fit.augment()
    np.testing.assert_array_equal(rows[".resid"], fit.residuals("deviance"))
    np.testing.assert_allclose(rows[[f".prob.{c}" for c in fit.model.categories]], fit.predict())
    assert rows[".class"].tolist() == fit.predict(what="class").tolist()


def test_replicates_have_all_parameters() -> None:
    both, _, _ = two()
    boot = both.bootstrap(n=5, seed=1, progress=False)
    assert boot.replicates.columns.tolist() == ["sd(yes:Intercept|judge)", *both.params.index]
    np.testing.assert_allclose(boot.estimates[list(both.params.index)], both.params)
    again = both.refit(both.simulate(1, seed=np.random.default_rng(1))["sim_1"])
    assert again.converged
