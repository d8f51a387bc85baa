"""Lambda, u and the criterion at a given theta, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit import datasets
from mixfit.errors import FitError

LINEAR = {
    "sleepstudy": "Reaction ~ Days + (Days | Subject)",
    "penicillin_plates": "diameter ~ 1 + (1|sample) + (1|plate)",
    "pastes": "strength ~ 1 + (1|batch) + (1|sample)",
    "dyestuff2": "Yield ~ 1 + (1|Batch)",
}


# getME(lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE), "Lambda")[1:2, 1:2], and "u", of lme4 1.1-31
# with rhoend = 1e-10.
LAMBDA = [[0.9292254082, 0.0], [0.0181657086, 0.2226454209]]
U = [3.03014035, 40.51504519, -43.09878494, -35.30792453]


@pytest.mark.parametrize("name", LINEAR)
def test_linear(name: str) -> None:
    model = mixfit.mixed(LINEAR[name], datasets.load(name))
    fit = model.fit()
    b = np.concatenate([fit.ranef()[group].to_numpy().ravel() for group in model.groups])
    assert_allclose(fit.Lambda @ fit.u, b, atol=1e-12 * max(np.abs(b).max(), 1.0))
    # The penalized normal equations: (Lambda'Z'Z Lambda + I) u = Lambda'Z'(y - X beta).
    score = fit.Lambda.T @ (model.exog_re.T @ fit.resid.to_numpy())
    assert_allclose(fit.u, score, atol=1e-7 * max(np.abs(score).max(), 1.0))
    assert (fit.Lambda != model.Lambda(fit.theta)).nnz == 0
    for reml in (True, False):
        at = model.fit(reml=reml)
        assert_allclose(model.criterion(at.theta, reml=reml), at.deviance, rtol=1e-12)
        assert model.criterion(at.theta + 0.2, reml=reml) > at.deviance


def test_weights_enter_the_normal_equations() -> None:
    sleep = datasets.load("sleepstudy").assign(w=np.linspace(0.5, 2.0, 180))
    fit = mixfit.mixed(LINEAR["sleepstudy"], sleep, weights="w").fit()
    score = fit.Lambda.T @ (fit.model.exog_re.T @ (sleep["w"].to_numpy() * fit.resid.to_numpy()))
    assert_allclose(fit.u, score, rtol=1e-8)


def test_the_numbers_of_lme4() -> None:
    fit = mixfit.mixed(LINEAR["sleepstudy"], datasets.load("sleepstudy")).fit(reml=False)
    assert_allclose(fit.Lambda.toarray()[:2, :2], LAMBDA, atol=2e-6)
    assert_allclose(fit.u[:4], U, atol=2e-4)


def test_a_covariance_on_the_boundary_leaves_u_at_zero() -> None:
    fit = mixfit.mixed(LINEAR["dyestuff2"], datasets.load("dyestuff2")).fit()
    assert fit.theta == [0.0]
    assert fit.Lambda.toarray().any() == np.False_
    assert fit.u.tolist() == [0.0] * 6


def test_a_singular_covariance_leaves_u_in_its_range() -> None:
    # Slopes that are proportional to the intercepts: the factor has rank one.
    rng = np.random.default_rng(2)
    sleep = datasets.load("sleepstudy")
    b = rng.normal(size=18)[sleep["Subject"].cat.codes]
    sleep["y"] = b * (1.0 + 0.5 * sleep["Days"]) + rng.normal(size=180)
    fit = mixfit.mixed("y ~ Days + (Days|Subject)", sleep).fit()
    assert fit.is_singular
    score = fit.Lambda.T @ (fit.model.exog_re.T @ fit.resid.to_numpy())
    assert_allclose(fit.u, score, atol=1e-7 * np.abs(score).max())


@pytest.mark.parametrize("n_agq", [1, 9])
def test_generalized(n_agq: int) -> None:
    herds = datasets.load("cbpp")
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1|herd)", herds, family="binomial")
    fit = model.fit(n_agq=n_agq)
    assert_allclose(fit.Lambda @ fit.u, fit.ranef()["herd"].to_numpy().ravel(), rtol=1e-12)
    # The mode: u is the slope of the binomial log-likelihood with its logit link in u.
    score = herds["size"].to_numpy() * fit.resid.to_numpy()
    assert_allclose(fit.u, fit.Lambda.T @ (model.exog_re.T @ score), atol=1e-7)


@pytest.mark.parametrize("theta", [[1.0], [1.0, np.nan, 1.0], [[1.0, 0.0, 1.0]]])
def test_a_wrong_theta_is_refused(theta: list[float]) -> None:
    model = mixfit.mixed(LINEAR["sleepstudy"], datasets.load("sleepstudy"))
    for function in (model.Lambda, model.criterion):
        with pytest.raises(FitError, match=r"theta is a list of 3 finite numbers .*\(Days \| Subject\)"):
            function(theta)
