"""Penalized quasi-likelihood: its fixed point against nlme's and a dense one, its bias, and what it does not have."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import cho_factor, cho_solve

import mixfit
from mixfit.covariance.steps import split_theta
from mixfit.errors import BiasWarning, FitError
from mixfit.glmm import pql
from tests.dense import full_z, relative_covariance
from tests.glmm.data import load
from tests.glmm.problems import difference
from tests.glmm.test_glmm_gaussian import CASES, gaussian

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.results import GeneralizedResults

    Array = NDArray[np.float64]

FITS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parents[1] / "reference" / "fast_pql.json").read_text())[
    "pql"
]


def quasi(formula: str, data: pd.DataFrame, family: str, **options: Any) -> GeneralizedResults:
    """A fit whose bias is known here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiasWarning)
        return mixfit.mixed(formula, data, family, **options).fit(method="pql")


@pytest.mark.parametrize("name", FITS)
def test_nlme(name: str) -> None:
    wanted = FITS[name]
    fit = quasi(wanted["formula"], load(wanted["data"]), wanted["family"])
    assert fit.converged
    se = np.sqrt(np.diag(wanted["cov"]))
    # lme's own iterations leave the sixth digit of a variance open.
    assert_allclose((fit.params - wanted["fixef"]) / se, 0.0, atol=2e-6)
    assert_allclose(fit.cov_params() / np.outer(se, se), wanted["cov"] / np.outer(se, se), rtol=0, atol=2e-6)
    assert_allclose(fit.dispersion, wanted["phi"], rtol=1e-6)
    found = {r.grouping.name: t @ t.T for r, t in zip(fit.model.design.random, fit.estimate.templates, strict=True)}
    assert len(found) == len(wanted["covariances"])
    for group, covariance in wanted["covariances"].items():
        own = next(v for k, v in found.items() if group in k.split(":")[-1:])
        assert_allclose(own, covariance, rtol=5e-6)


DENSE = {
    "binomial": "cbind(successes, trials - successes) ~ x + (1|g) + (1|h)",
    "binomial(probit)": "cbind(successes, trials - successes) ~ x + (x|g)",
    "poisson": "count ~ x + (x||g) + (1|h)",
    "poisson(sqrt)": "count ~ x + (1|h)",
    "gamma(inverse)": "gamma ~ x + (1|g) + (1|h)",
    "gaussian(log)": "gamma ~ x + (x|g) + (1|h)",
}


def working_criterion(fit: GeneralizedResults) -> Callable[[Array, float], tuple[float, Array, Array, Array]]:
    """ML criterion of the working linear model made at a fit, by n x n matrices: a function of theta and phi.

    Gives -2 log-likelihood, beta by generalized least squares, its covariance, and Z b by best linear prediction.
    """
    design, family = fit.model.design, fit.model.family
    eta = fit.linear_predictor.to_numpy()
    prior = np.ones(len(eta)) if design.weights is None else design.weights
    mu, slope = family.link.mean(eta), family.link.slope(eta)
    response = eta + (design.y - mu) / slope
    if design.offset is not None:
        response = response - design.offset
    variance = family.variance(mu, 1.0) / (prior * slope**2)
    X, Z = fit.model.exog, np.hstack([full_z(r) for r in design.random])

    def criterion(theta: Array, phi: float) -> tuple[float, Array, Array, Array]:
        structures = [r.structure for r in design.random]
        templates = [s.template(own) for s, own in zip(structures, split_theta(structures, theta), strict=True)]
        random = Z @ relative_covariance(design, templates) @ Z.T
        factor = cho_factor(random + np.diag(phi * variance))
        cov = np.linalg.inv(X.T @ cho_solve(factor, X))
        beta = cov @ X.T @ cho_solve(factor, response)
        scaled = cho_solve(factor, response - X @ beta)
        logdet = 2.0 * np.log(np.diag(factor[0])).sum()
        return float(logdet + (response - X @ beta) @ scaled), beta, cov, random @ scaled

    return criterion


@pytest.mark.parametrize("family", DENSE)
def test_it_is_the_optimum_of_the_working_model_it_makes(family: str) -> None:
    data = load("dispersion")
    options = {"offset": "log(exposure)"} if family == "poisson" else {}
    fit = quasi(DENSE[family], data, family, **options)
    assert fit.converged
    assert not fit.is_singular
    criterion, theta, phi = working_criterion(fit), fit.theta, fit.dispersion
    _, beta, cov, random = criterion(theta, phi)
    assert_allclose((fit.params - beta) / fit.bse, 0.0, atol=1e-6)
    assert_allclose(fit.cov_params(), cov, rtol=1e-6)
    eta = fit.model.exog @ beta + random
    if fit.model.design.offset is not None:
        eta = eta + fit.model.design.offset
    assert_allclose(fit.linear_predictor, eta, atol=1e-6)
    slopes = [difference(lambda h, e=e: criterion(theta + h * e, phi)[0], 1e-3) for e in np.eye(len(theta))]
    assert_allclose(slopes, 0.0, atol=2e-4)
    if fit.model.family.has_dispersion:
        assert_allclose(difference(lambda h: criterion(theta, phi * np.exp(h))[0], 1e-3), 0.0, atol=2e-4)
    else:
        assert phi == 1.0
    # Standard errors of theta and of log phi come from the working model's Hessian.
    free = [*theta, np.log(phi)] if fit.model.family.has_dispersion else [*theta]
    m, h = len(theta), 1e-3

    def at(x: Array) -> float:
        return criterion(x[:m], float(np.exp(x[m])) if len(x) > m else 1.0)[0]

    steps = h * np.eye(len(free))
    hessian = [
        [(at(free + a + b) - at(free + a - b) - at(free - a + b) + at(free - a - b)) / (4 * h * h) for b in steps]
        for a in steps
    ]
    errors = np.sqrt(np.diag(2.0 * np.linalg.inv(hessian)))
    assert_allclose(fit.bse_theta, errors[:m], rtol=2e-3)
    if fit.model.family.has_dispersion:
        assert_allclose(fit.dispersion_se, phi * errors[m], rtol=2e-3)


@pytest.mark.parametrize("name", CASES)
def test_a_linear_model_is_its_own_working_model(name: str) -> None:
    linear = mixfit.mixed(CASES[name], load(name)).fit(reml=False)
    fit = gaussian(CASES[name], name).fit(method="pql")
    assert fit.converged
    assert_allclose(fit.params, linear.params, rtol=1e-6)
    assert_allclose(fit.cov_params(), linear.cov_params(), rtol=1e-4)
    assert_allclose(fit.sigma, linear.sigma, rtol=1e-5)
    assert_allclose(fit.theta, linear.theta * linear.sigma, rtol=1e-4, atol=1e-6)


def test_it_shrinks_what_binary_data_say() -> None:
    model = mixfit.mixed("outcome ~ treatment * visit + (1|patientID)", load("toenail"), "binomial")
    with pytest.warns(BiasWarning, match="biased for binomial data"):
        biased = model.fit(method="pql")
    quadrature = model.fit(n_agq=25)
    assert biased.theta[0] < 0.6 * quadrature.theta[0]
    assert quadrature.params["visit"] < biased.params["visit"] + 2.0 * biased.bse["visit"] < 0.0


@pytest.mark.parametrize(
    ("family", "events", "trials", "warned"),
    [
        ("poisson", 2, 1, True),
        ("poisson", 30, 1, False),
        ("binomial", 1, 2, True),
        ("binomial", 20, 40, False),
        ("binomial", 2, 40, True),
        ("binomial", 38, 40, True),
        ("gamma(log)", 2, 1, False),
    ],
)
def test_the_warning_is_true(family: str, events: int, trials: int, warned: bool) -> None:
    rng = np.random.default_rng(4)
    u = 0.3 * rng.normal(size=15).repeat(8)
    d = pd.DataFrame({"g": np.arange(15).repeat(8).astype(str), "trials": trials})
    if family == "binomial":
        odds = events / max(trials - events, 1e-9)
        d["y"] = rng.binomial(trials, 1.0 / (1.0 + np.exp(-u) / odds)) / trials
    elif family == "poisson":
        d["y"] = rng.poisson(events * np.exp(u))
    else:
        d["y"] = rng.gamma(2.0, events * np.exp(u))
    weights = "trials" if family == "binomial" else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = mixfit.mixed("y ~ 1 + (1|g)", d, family, weights=weights).fit(method="pql")
    assert fit.converged
    assert [w.category for w in caught] == [BiasWarning] * warned
    # The warning points at the caller.
    assert all(w.filename == __file__ for w in caught)


@pytest.fixture(scope="module")
def herds() -> GeneralizedResults:
    return quasi(FITS["cbpp"]["formula"], load("cbpp"), "binomial")


@pytest.mark.parametrize("name", ["llf", "aic", "bic"])
def test_a_quasi_likelihood_is_no_likelihood(herds: GeneralizedResults, name: str) -> None:
    with pytest.raises(FitError, match=r"no log-likelihood.*method='ml'"):
        getattr(herds, name)


def test_a_summary_without_criteria(herds: GeneralizedResults) -> None:
    summary = herds.summary()
    text = str(summary)
    assert text.startswith("Generalized linear mixed model fit by penalized quasi-likelihood (PQL)\n Family: binomial")
    assert "\n\nScaled residuals:\n" in text
    for criterion in ("AIC", "logLik", "df.resid", "nan"):
        assert criterion not in text
        assert criterion not in summary.as_html()
    assert "herd   (Intercept) 0.3901   0.6246" in text


def test_results_are_whole(herds: GeneralizedResults) -> None:
    assert_allclose(herds.predict(type="link"), herds.linear_predictor, rtol=1e-9)
    assert (herds.ranef(condsd=True)["herd"]["sd"].to_numpy() > 0).all()
    assert np.isfinite(herds.predict(se=True).to_numpy()).all()
    assert np.isnan(herds.estimate.criterion)
    copied = pickle.loads(pickle.dumps(herds))
    assert_allclose(copied.params, herds.params, rtol=0)


def test_a_refit_is_by_the_same_method(herds: GeneralizedResults) -> None:
    with pytest.warns(BiasWarning):
        again = herds.refit(herds.model.endog)
    assert again.estimate.method == "pql"
    assert_allclose(again.params, herds.params, rtol=0)
    other = herds.simulate(seed=1)["sim_1"]
    with pytest.warns(BiasWarning):
        assert np.abs(herds.refit(other).params - herds.params).max() > 0.01


def test_no_variance() -> None:
    d = pd.DataFrame({"g": np.repeat(list("abcdef"), 20), "y": np.tile([0, 1], 60)})
    fit = quasi("y ~ 1 + (1|g)", d, "binomial")
    assert fit.converged
    assert fit.is_singular
    assert_allclose(fit.params, 0.0, atol=1e-9)


def test_working_models_that_do_not_settle_are_not_called_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pql, "_MAX_WORKING_MODELS", 2)
    fit = quasi(FITS["toenail"]["formula"], load("toenail"), "binomial")
    assert not fit.converged
    assert "not converged: the working models did not settle" in str(fit.summary())


@pytest.mark.parametrize(
    ("family", "formula"), [("nbinom2", "count ~ x + (1|g)"), ("beta", "beta ~ x + (1|g)")], ids=["nbinom2", "beta"]
)
def test_families_without_a_working_variance(family: str, formula: str) -> None:
    with pytest.raises(FitError, match=rf"that of {family} depends on its dispersion"):
        mixfit.mixed(formula, load("dispersion"), family).fit(method="pql")


def test_options_that_do_not_go_together(herds: GeneralizedResults) -> None:
    with pytest.raises(FitError, match="n_agq is for method='ml'"):
        herds.model.fit(n_agq=9, method="pql")
    with pytest.raises(FitError, match="method is 'ml' or 'pql', not 'PQL'"):
        herds.model.fit(method="PQL")
