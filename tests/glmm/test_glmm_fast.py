"""The fast approximation: its definition, its gradient against differences, whole fits against lme4's nAGQ = 0."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from mixfit.families.continuous import Gamma
from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.proportions import Binomial
from mixfit.glmm.joint import FastObjective, fast_gradient, joint_laplace
from tests.families.cases import EVERY
from tests.glmm.data import load
from tests.glmm.problems import SHAPES, At, check_gradient, point, variance_difference, without
from tests.glmm.test_glmm_gaussian import CASES, gaussian
from tests.glmm.test_glmm_laplace import dense_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixfit.families.base import Family
    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.problem import GeneralizedParameters

FITS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parents[1] / "reference" / "fast_pql.json").read_text())[
    "fast"
]
FEW = [Binomial(), Binomial("cloglog"), Poisson(), Gamma("log"), NegativeBinomial()]


def mode_of(at: At) -> Laplace:
    return joint_laplace(at.problem, at.point.points, at.point.phi, at.point.gamma)


def fast_at(at: At) -> Callable[[At, GeneralizedParameters], float]:
    """The criterion, its search for the joint mode starting where `at` is."""
    return lambda _, other: FastObjective(at.problem, at.point.gamma).evaluate(other).value


def bare(at: At) -> At:
    """The same point without gamma, which is no parameter of this criterion."""
    return At(at.problem, replace(at.point, gamma=np.empty(0)))


@pytest.mark.usefixtures("sharp_modes")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", FEW, ids=repr)
def test_value_is_the_definition(family: Family, shape: str) -> None:
    at = point(SHAPES[shape], family)
    found = mode_of(at)
    z = dense_columns(at)
    score = found.mode.terms.score
    # The joint mode solves Q'l' = 0 and u = Lambda'Z'l', which gives |u|^2 and eta without the fitter's own u.
    assert_allclose(at.problem.fixed @ score, 0.0, atol=1e-8)
    u = z.T @ score
    eta = at.problem.offset + found.gamma @ at.problem.fixed + z @ u
    assert_allclose(found.mode.eta, eta, rtol=1e-7, atol=1e-7)
    loglik = family.loglik(at.problem.y, at.problem.prior, eta, at.point.phi).sum()
    weight = family.terms(at.problem.y, at.problem.prior, eta, at.point.phi).weight
    logdet = np.linalg.slogdet(z.T * weight @ z + np.eye(z.shape[1]))[1]
    assert_allclose(found.value, -2.0 * loglik + u @ u + logdet, rtol=1e-9)


@pytest.mark.usefixtures("sharp_modes")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", FEW, ids=repr)
def test_gradient(family: Family, shape: str) -> None:
    at = point(SHAPES[shape], family)
    check_gradient(bare(at), fast_gradient(mode_of(at)), fast_at(at))


@pytest.mark.usefixtures("sharp_modes")
@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_gradient_of_every_family(family: Family) -> None:
    at = point(SHAPES["crossed"], family)
    check_gradient(bare(at), fast_gradient(mode_of(at)), fast_at(at))


@pytest.mark.usefixtures("sharp_modes")
@pytest.mark.parametrize(("shape", "term", "column"), [("scalar", 0, 0), ("crossed", 1, 0), ("slope", 0, 1)])
@pytest.mark.parametrize("family", FEW, ids=repr)
def test_slope_of_a_variance_at_zero(family: Family, shape: str, term: int, column: int) -> None:
    at = without(point(SHAPES[shape], family), term, column)
    slopes = fast_gradient(mode_of(at))
    check_gradient(bare(at), slopes, fast_at(at))
    wanted = variance_difference(bare(at), term, column, fast_at(at))
    assert_allclose(slopes.absolute[term][column, column], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FITS)
def test_lme4(name: str) -> None:
    wanted = FITS[name]
    fit = mixfit.mixed(wanted["formula"], load(wanted["data"]), wanted["family"], offset=wanted["offset"]).fit(n_agq=0)
    assert fit.converged
    # lme4's modes stop at changes of 1e-10 of the penalized deviance, and its search at 1e-9 of theta.
    criteria = [fit.llf, fit.aic, fit.bic]
    assert_allclose(criteria, [wanted["loglik"], wanted["aic"], wanted["bic"]], rtol=0, atol=1e-4)
    assert fit.df_resid == wanted["df_resid"]
    se = np.sqrt(np.diag(wanted["cov"]))
    assert_allclose((fit.params - wanted["fixef"]) / se, 0.0, atol=2e-5)
    assert_allclose(fit.cov_params() / np.outer(se, se), wanted["cov"] / np.outer(se, se), rtol=0, atol=1e-5)
    assert_allclose(np.sort(fit.theta), np.sort(wanted["theta"]), rtol=0, atol=5e-6)
    assert fit.summary().title == wanted["title"]


@pytest.mark.parametrize("name", ["cbpp", "toenail", "poisson_crossed"])
def test_it_is_the_laplace_approximation_at_worse_estimates(name: str) -> None:
    model = mixfit.mixed(FITS[name]["formula"], load(FITS[name]["data"]), FITS[name]["family"])
    fast, laplace = model.fit(n_agq=0), model.fit()
    assert laplace.llf - 20.0 < fast.llf < laplace.llf - 1e-6
    # Its standard errors take theta as known.
    assert_allclose(fast.cov_params(conditional=True), fast.cov_params(), rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_gaussian_responses_have_nothing_to_approximate(name: str) -> None:
    linear = mixfit.mixed(CASES[name], load(name)).fit(reml=False)
    fast = gaussian(CASES[name], name).fit(n_agq=0)
    assert fast.converged
    assert_allclose(fast.llf, linear.llf, atol=1e-7)
    assert_allclose(fast.params, linear.params, rtol=1e-6)
    assert_allclose(fast.cov_params(), linear.cov_params(), rtol=1e-4)
    assert_allclose(fast.sigma, linear.sigma, rtol=1e-5)
    assert_allclose(fast.theta, linear.theta * linear.sigma, rtol=1e-4, atol=1e-6)


def frame() -> pd.DataFrame:
    """120 rows in 12 groups that differ no more than chance has it."""
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"g": np.repeat([f"g{j:02d}" for j in range(12)], 10), "x": rng.normal(size=120)})
    d["even"] = np.tile([0, 1], 60)
    d["count"] = rng.poisson(np.exp(0.3 * rng.normal(size=12)[np.repeat(np.arange(12), 10)]))
    return d


def test_a_singular_fit() -> None:
    fit = mixfit.mixed("even ~ x + (1|g)", frame(), "binomial").fit(n_agq=0)
    assert fit.converged
    assert fit.is_singular
    assert fit.theta == [0.0]
    # Nothing of the integral is left: the model without random effects.
    assert_allclose(fit.llf, fit.model.fit().llf, atol=1e-9)
    assert_allclose(fit.params, fit.model.fit().params, rtol=1e-6)


def test_a_model_without_fixed_effects() -> None:
    model = mixfit.mixed("count ~ 0 + (1|g)", frame(), "poisson")
    fast, laplace = model.fit(n_agq=0), model.fit()
    assert_allclose([fast.llf, *fast.theta], [laplace.llf, *laplace.theta], rtol=1e-7)


def test_results_are_whole() -> None:
    fit = mixfit.mixed("count ~ x + (1|g)", frame(), "poisson").fit(n_agq=0)
    again = fit.refit(fit.model.endog)
    assert again.estimate.n_agq == 0
    assert_allclose(again.params, fit.params, rtol=0)
    ranef = fit.ranef(condsd=True)["g"]
    assert_allclose(fit.predict(type="link"), fit.linear_predictor, rtol=1e-9)
    assert (ranef["sd"].to_numpy() > 0).all()
    assert np.isfinite(fit.predict(se=True).to_numpy()).all()
    assert np.isfinite(fit.bse_theta).all()


@pytest.mark.filterwarnings("error")
def test_large_counts_settle_past_the_rounding_of_their_sum() -> None:
    rng = np.random.default_rng(3)
    d = frame()
    d["count"] = rng.poisson(np.exp(12.0 + 0.3 * d["x"] + 0.3 * rng.normal(size=12).repeat(10)))
    model = mixfit.mixed("count ~ x + (1|g)", d, "poisson")
    fits = [model.fit(n_agq=0), model.fit(method="pql")]
    assert all(fit.converged for fit in fits)
    # With counts of a hundred thousand every method is maximum likelihood.
    assert_allclose(fits[0].params, fits[1].params, rtol=1e-6)
    assert_allclose(fits[0].theta, fits[1].theta, rtol=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("options", [{"n_agq": 0}, {"method": "pql"}], ids=str)
def test_separation_is_named(options: dict[str, Any]) -> None:
    d = frame().assign(y=lambda f: (f["x"] > 0).astype(int))
    with pytest.raises(FitError, match=r"separates? the response"):
        mixfit.mixed("y ~ x + (1|g)", d, "binomial").fit(**options)
