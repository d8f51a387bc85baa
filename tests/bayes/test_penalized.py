"""Fits under priors against brute-force maximization of dense likelihoods, and what blme's authors say of it."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm

import mixfit
from mixfit.bayes import LKJ, Flat, Gamma, HalfT, InvGamma, InvWishart, Normal, Priors, StudentT, Wishart
from mixfit.bayes.laplace import LaplacePosterior
from mixfit.bayes.penalized import PenalizedCriterion
from mixfit.bayes.resolve import resolve
from mixfit.errors import FitError, PriorError
from tests.bayes.models import SLEEP, differences, places

FLAT = {"fixed": Flat(), "intercept": Flat(), "sigma": Flat()}
SCALE = ((400.0, 30.0), (30.0, 20.0))


@pytest.fixture(scope="module")
def sleep():
    return mixfit.datasets.load("sleepstudy")


def dense(model, sigma, covariance, beta, *, reml):
    """Log likelihood, or REML criterion over -2, of one grouping factor by the dense covariance of the response."""
    design, X = model.design, model.exog
    r = design.random[0]
    z = np.zeros((len(design.y), r.grouping.n_levels, len(r.columns)))
    z[np.arange(len(z)), r.grouping.codes] = r.Z
    v = sigma**2 * np.eye(len(z)) + np.einsum("nqa,ab,mqb->nm", z, covariance, z)
    value = multivariate_normal(X @ beta, v).logpdf(design.y)
    if reml:
        information = X.T @ np.linalg.solve(v, X)
        value += 0.5 * (len(beta) * np.log(2 * np.pi) - np.linalg.slogdet(information)[1])
    return value


def maximum(model, log_prior, start, *, reml=False):
    """The mode in (beta, log sigma, the log Cholesky of the covariance), the density taken in (Sigma, sigma)."""
    p = model.exog.shape[1]

    def parts(x):
        low = (
            np.array([[np.exp(x[p + 1]), 0.0], [x[p + 3], np.exp(x[p + 2])]])
            if len(x) > p + 2
            else np.exp(x[p + 1 :, None])
        )
        return x[:p], np.exp(x[p]), low @ low.T

    def loss(x):
        beta, sigma, covariance = parts(x)
        return -dense(model, sigma, covariance, beta, reml=reml) - log_prior(beta, sigma, covariance)

    found = minimize(loss, start, method="BFGS", options={"gtol": 1e-6})
    return parts(found.x)


def start_of(fit):
    t = fit.estimate.sigma * fit.estimate.templates[0]
    low = [np.log(t[0, 0]), np.log(t[1, 1]), t[1, 0]] if len(t) == 2 else [np.log(t[0, 0])]
    return np.array([*fit.params, np.log(fit.sigma), *low])


@pytest.mark.parametrize("reml", [False, True])
def test_the_default_of_blme(sleep, reml):
    """|Sigma / sigma^2|^((df - k - 1) / 2) with df = k + 2.5."""
    model = mixfit.mixed(SLEEP, sleep)
    fit = model.fit(priors="blme", reml=reml)

    def log_prior(beta, sigma, covariance):
        return 0.75 * np.linalg.slogdet(covariance / sigma**2)[1]

    beta, sigma, covariance = maximum(model, log_prior, start_of(fit), reml=reml)
    t = fit.estimate.sigma * fit.estimate.templates[0]
    assert fit.converged
    assert_allclose(fit.sigma, sigma, rtol=1e-5)
    assert_allclose(t @ t.T, covariance, rtol=1e-3, atol=0.05)
    assert_allclose(fit.params, beta, rtol=1e-5)
    assert_allclose(fit.deviance, -2 * dense(model, fit.sigma, t @ t.T, fit.params.to_numpy(), reml=reml), rtol=1e-9)


def test_of_one_column_it_is_a_gamma_density_of_the_standard_deviation():
    """Chung et al. (2013): Wishart(k + 2.5, infinite) and Gamma(2.5, rate to 0) of sd are the same penalty."""
    model = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff2"))
    wishart = model.fit(priors=Priors(covariance=Wishart(scale=np.inf), **FLAT))
    gamma = model.fit(priors=Priors(sd=Gamma(2.5, 1e-9), **FLAT))
    assert_allclose(wishart.theta, gamma.theta, rtol=1e-5)
    assert wishart.theta[0] > 0
    # About one standard error away from zero (section 3 there).
    assert 0.5 < wishart.theta[0] / 0.19 < 3.0


def test_the_default_of_blme_for_independent_columns(sleep):
    """As two terms of one column each."""
    together = mixfit.mixed("Reaction ~ Days + (Days || Subject)", sleep).fit(priors="blme")
    apart = mixfit.mixed("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", sleep).fit(priors="blme")
    assert_allclose(together.theta, apart.theta, rtol=1e-5)
    assert_allclose(together.deviance, apart.deviance, rtol=1e-9)


def test_a_mode_needs_fewer_levels_than_a_posterior():
    """Four operators: the posterior under blme's prior is improper, its mode is where REML's with the penalty is."""
    model = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp"))
    fit = model.fit(priors="blme")

    def log_prior(beta, sigma, covariance):
        return 0.75 * np.linalg.slogdet(covariance / sigma**2)[1]

    _, sigma, covariance = maximum(model, log_prior, start_of(fit), reml=True)
    assert_allclose([fit.sigma, fit.sigma * fit.theta[0]], [sigma, np.sqrt(covariance[0, 0])], rtol=1e-4)
    with pytest.raises(PriorError, match="leaves no posterior with 4 levels"):
        fit.sample("blme")


def test_normal_coefficients_and_an_inverse_wishart(sleep):
    model = mixfit.mixed(SLEEP, sleep)
    priors = Priors(
        fixed=Normal(0, 5), intercept=Normal(300, 10), sigma=InvGamma(3, 50), covariance=InvWishart(4, scale=SCALE)
    )
    fit = model.fit(priors=priors, reml=False)

    def log_prior(beta, sigma, covariance):
        out = norm(0, 5).logpdf(beta[1]) + norm(300, 10).logpdf(beta[0] + 4.5 * beta[1])
        out += InvGamma(3, 50).log_density(sigma)
        return (
            out - 3.5 * np.linalg.slogdet(covariance)[1] - 0.5 * np.trace(np.linalg.solve(covariance, np.array(SCALE)))
        )

    beta, sigma, covariance = maximum(model, log_prior, start_of(fit))
    t = fit.estimate.sigma * fit.estimate.templates[0]
    assert_allclose(fit.params, beta, rtol=1e-4)
    assert_allclose(fit.sigma, sigma, rtol=1e-5)
    assert_allclose(t @ t.T, covariance, rtol=1e-3, atol=0.05)
    assert_allclose(fit.deviance, -2 * dense(model, fit.sigma, t @ t.T, fit.params.to_numpy(), reml=False), rtol=1e-9)
    # Standard errors are those of the conditional density of the coefficients.
    X, design = model.exog, model.design
    z = np.zeros((180, 18, 2))
    z[np.arange(180), design.random[0].grouping.codes] = design.random[0].Z
    v = fit.sigma**2 * np.eye(180) + np.einsum("nqa,ab,mqb->nm", z, t @ t.T, z)
    contrasts = np.array([[1, 4.5], [0, 1]]) / np.array([[10], [5]])
    assert_allclose(fit.cov_params(), np.linalg.inv(X.T @ np.linalg.solve(v, X) + contrasts.T @ contrasts), rtol=1e-6)


CASES = {
    "deviations": Priors(sd=HalfT(3, 20), cor=LKJ(2)),
    "decov": "rstanarm",
    "wishart": Priors(covariance=Wishart(4, scale=SCALE)),
    "relative": Priors(covariance=InvWishart(5, scale=0.5, relative=True)),
}


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_slopes(sleep, case, reml):
    fit = mixfit.mixed(SLEEP, sleep).fit()
    density = PenalizedCriterion(fit, resolve(CASES[case], fit.model, residual=True), reml=reml)
    x = places(density, 3)
    assert_allclose(density.evaluate(x, slopes=True).slope, differences(density, x), rtol=1e-5, atol=1e-5)


def test_slopes_of_a_structure_with_parameters_of_its_own(sleep):
    fit = mixfit.mixed("Reaction ~ Days + ou(0 + Days | Subject)", sleep.assign(Days=sleep["Days"] + 0.5)).fit()
    name = fit.sample(seed=1, draws=80, priors=Priors(theta=_theta(fit))).summary().index[-1]
    assert name in _theta(fit)
    density = PenalizedCriterion(fit, resolve(Priors(theta=_theta(fit)), fit.model, residual=True), reml=True)
    x = places(density, 3, spread=0.3)
    assert_allclose(density.evaluate(x, slopes=True).slope, differences(density, x), rtol=1e-5, atol=1e-5)


def _theta(fit):
    from mixfit.bayes.names import natural_names

    r = fit.model.design.random[0]
    return {natural_names(r, "Subject")[-1]: Gamma(2, 1)}


def herds():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial")


def test_slopes_and_mode_of_a_generalized_model():
    model = herds()
    fit = model.fit()
    density = LaplacePosterior(fit, resolve("rstanarm", fit.model, residual=False), natural=True)
    x = places(density, 2)
    assert_allclose(density.evaluate(x, slopes=True).slope, differences(density, x, 1e-4), rtol=1e-5, atol=1e-5)
    penalized = model.fit(priors=Priors(fixed=Normal(0, 0.5), intercept=Normal(0, 1), sd=Gamma(2.5, 1)))

    def loss(x):
        at_means = x[0] + x[1:4] @ model.exog[:, 1:].mean(axis=0)
        prior = norm(0, 0.5).logpdf(x[1:4]).sum() + norm(0, 1).logpdf(at_means) + 1.5 * x[4] - np.exp(x[4])
        return _laplace(model, x[:4], np.exp(x[4])) / 2 - prior

    found = minimize(loss, [*penalized.params, np.log(penalized.theta[0])], method="BFGS", options={"gtol": 1e-6})
    assert_allclose(penalized.params, found.x[:4], atol=1e-4)
    assert_allclose(penalized.theta[0], np.exp(found.x[4]), rtol=1e-4)
    assert_allclose(-2 * penalized.llf, _laplace(model, penalized.params.to_numpy(), penalized.theta[0]), rtol=1e-9)
    assert abs(penalized.params.iloc[1]) < abs(fit.params.iloc[1])


def _laplace(model, beta, theta):
    from mixfit.glmm.laplace import laplace_of

    assembly = model.assembly
    return laplace_of(assembly.problem, assembly.fixed.triangle @ beta, [assembly.term_bases[0] * theta], 1.0).value


def test_separation_has_a_mode_under_a_normal_prior():
    cbpp = mixfit.datasets.load("cbpp")
    never = cbpp.assign(incidence=cbpp["incidence"].where(cbpp["period"].astype(str) != "4", 0))
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", never, family="binomial")
    with pytest.raises(FitError, match="separate"):
        model.fit()
    fit = model.fit(priors=Priors(fixed=Normal(0, 2.5)))
    assert fit.converged
    assert -8 < fit.params.iloc[3] < -2


def test_the_priors_stay_with_the_model(sleep):
    fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff2")).fit(priors="blme")
    assert_allclose(fit.refit(fit.model.endog).theta, fit.theta, rtol=1e-6)
    assert_allclose(fit.reml_fit.theta, fit.theta)
    assert pickle.loads(pickle.dumps(fit)).model.priors == "blme"
    # No replicate is singular: the density of a variance of zero is zero.
    drawn = fit.bootstrap(n=12, seed=1, progress=False)
    assert drawn.n_failed == drawn.n_singular == 0
    assert "covariance(Batch) ~ Wishart(df=3.5, scale=inf)" in str(fit.summary())
    with pytest.raises(FitError, match="penalized"):
        fit.profile()


def test_what_is_refused(sleep):
    model = mixfit.mixed(SLEEP, sleep)
    with pytest.raises(PriorError, match="Did you mean 'Days'"):
        model.fit(priors=Priors(fixed={"Dys": Normal(0, 1)}))
    with pytest.raises(PriorError, match="Normal or Flat"):
        model.fit(priors=Priors(fixed=StudentT(3, 0, 1)))
    with pytest.raises(FitError, match="Laplace approximation"):
        herds().fit(priors="blme", n_agq=5)
