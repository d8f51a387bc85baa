"""The Schur complement of [X y] where cross-products have lost it, and what a fit then knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.covariance.steps import relative_factors
from mixfit.factor.factor import factorize
from mixfit.lmm import border
from mixfit.lmm.assemble import assemble
from mixfit.lmm.border import eliminate
from tests.random_designs import Sketch


def layout(ratio: float, seed: int = 3) -> pd.DataFrame:
    """12 groups of 8 rows, their means `ratio` times as far apart as the rows of one, crossed with 8 others."""
    rng = np.random.default_rng(seed)
    g, h = np.repeat(np.arange(12), 8), np.tile(np.arange(8), 12)
    y = ratio * rng.normal(size=12)[g] + rng.normal(size=96)
    return pd.DataFrame({"y": y, "g": g.astype(str), "h": h.astype(str), "x": rng.normal(size=96)})


def within(data: pd.DataFrame) -> float:
    """The REML estimate of sigma of a balanced one-way layout."""
    rest = data["y"] - data.groupby("g")["y"].transform("mean")
    return float(np.sqrt((rest**2).sum() / (len(data) - data["g"].nunique())))


@pytest.mark.parametrize("pattern", ["single", "nested", "crossed", "nested inside crossed"])
def test_both_ways_give_the_same(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = assemble(Sketch(1, pattern, 60, ((2, "us"), (1, "us")), weights=True).design()).problem
    points = [0.7 * np.eye(t.k) for t in problem.terms]
    factor = factorize(problem.gram, problem.plan, problem.factor_templates(relative_factors(problem.terms, points)))
    products = eliminate(factor)
    monkeypatch.setattr(border, "_CANCELLED", 2.0)
    rows = eliminate(factor)
    assert rows.from_rows
    assert not products.from_rows
    assert_allclose(rows.fixed.root, products.fixed.root, atol=1e-13)
    assert_allclose(rows.fixed.beta, products.fixed.beta, atol=1e-13)
    assert rows.fixed.residual == pytest.approx(products.fixed.residual, abs=1e-13)
    assert_allclose(rows.forward[1], products.forward[1], atol=1e-13)
    for i, y in products.forward[0].items():
        assert_allclose(rows.forward[0][i], y, atol=1e-13)


@pytest.mark.parametrize("ratio", [1e3, 1e5, 1e6, 1e7])
def test_the_residual_deviation_beside_large_effects(ratio: float) -> None:
    data = layout(ratio)
    fit = mixfit.mixed("y ~ 1 + (1|g)", data).fit()
    assert fit.converged
    assert fit.sigma == pytest.approx(within(data), rel=1e-5)


@pytest.mark.parametrize("formula", ["y ~ x + (x|g)", "y ~ x + (1|g) + (1|h)", "y ~ x + (1|g) + (0+x|g)"])
@pytest.mark.parametrize("reml", [True, False])
def test_effects_a_hundred_thousand_times_the_residual(formula: str, reml: bool) -> None:
    """The response moves by what the effects say: sigma is that of effects a thousand times smaller."""
    rng = np.random.default_rng(8)
    data = layout(0.0)
    ones = rng.normal(size=(12, 2)) @ np.array([[1.0, 0.3], [0.0, 1.0]]), rng.normal(size=8)
    g, h = data["g"].astype(int), data["h"].astype(int)
    effects = ones[0][g, 0] + (ones[0][g, 1] * data["x"] if "x|g" in formula else ones[1][h])
    fits = [mixfit.mixed(formula, data.assign(y=data["y"] + r * effects)).fit(reml=reml) for r in (1e3, 1e5)]
    assert all(fit.converged for fit in fits)
    assert fits[1].sigma == pytest.approx(fits[0].sigma, rel=1e-5)


@pytest.mark.parametrize("ratio", [1e5, 1e7, 1e9])
@pytest.mark.parametrize("formula", ["y ~ x + (1|g)", "y ~ x + (1|g) + (0+x|h)"])
def test_a_covariate_within_groups_beside_large_effects(formula: str, ratio: float) -> None:
    """What x explains of effects by chance is taken out of the rows, not off a square that it is all of."""
    data = layout(ratio)
    X = np.column_stack([np.equal.outer(data["g"].to_numpy(), data["g"].unique()), data["x"]]).astype(float)
    rest = data["y"] - X @ np.linalg.lstsq(X, data["y"], rcond=None)[0]
    fit = mixfit.mixed(formula, data).fit()
    assert fit.converged
    assert fit.certificate.n_evaluations <= 30
    if "0+x" not in formula:
        assert fit.sigma == pytest.approx(np.sqrt((rest**2).sum() / (96 - 13)), rel=1e-4)


def test_no_certificate_where_the_criterion_is_rounding() -> None:
    data = layout(1.0)
    rng = np.random.default_rng(0)
    g, h = data["g"].astype(int), data["h"].astype(int)
    far = data.assign(y=data["y"] + 1e7 * (rng.normal(size=12)[g] + rng.normal(size=8)[h]))
    fit = mixfit.mixed("y ~ 1 + (1|g) + (1|h)", far).fit()
    assert not fit.converged
    assert "not known well enough" in fit.certificate.message


def test_a_response_far_from_zero_without_an_intercept() -> None:
    data = layout(1.0)
    fit = mixfit.mixed("y ~ 0 + (1|g)", data.assign(y=data["y"] + 1e6)).fit()
    assert fit.converged
    assert fit.sigma == pytest.approx(within(data), rel=1e-5)


def test_products_of_other_rows_know_no_rows() -> None:
    gram = assemble(Sketch(2, "single", 30).design()).problem.gram
    assert gram.rows is not None
    assert (gram + replace(gram, rows=None)).rows is None


def test_responses_constant_within_groups_are_refused() -> None:
    data = layout(1.0)
    data["y"] = data.groupby("g")["y"].transform("mean")
    with pytest.raises(mixfit.errors.FitError, match="explain the response 'y' exactly"):
        mixfit.mixed("y ~ 1 + (1|g)", data).fit()
