"""Geweke's joint test of whole sweeps, and posteriors against those of the collapsed sampler under the same priors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

import mixfit
from mixfit.bayes import Flat, HalfT, InvWishart, Normal, Priors, SqrtInvGamma, StudentT
from mixfit.bayes.gibbs.chains import State, sample_gibbs, sweep_steps
from mixfit.bayes.gibbs.model import Categories, gibbs_model
from mixfit.bayes.prior_draws import draw_priors
from mixfit.bayes.resolve import resolve
from mixfit.errors import FitError, PriorError
from tests.bayes.models import SLEEP

R = 8000
MOST = 4.5


def no_gaps(chains):
    return np.empty((chains, 0)), np.empty(0)


PRIORS = Priors(
    fixed=Normal(0.5, 0.7),
    intercept=Normal(0, 1),
    covariance={"g": InvWishart(6, scale=((2.0, 0.5), (0.5, 1.0)))},
    sd={"h": HalfT(5, 0.8)},
    sigma=SqrtInvGamma(4, 2),
)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    rows = {"x": rng.normal(size=12), "g": list("aaaabbbbcccc"), "h": list("uvwx") * 3, "w": np.tile([1.0, 2, 0.5], 4)}
    return pd.DataFrame({**rows, "y": rng.normal(size=12), "z": rng.integers(0, 2, 12), "o": 0.3 * rng.normal(size=12)})


def joint(fit, model, priors, rng):
    """States of R chains drawn from the prior, the expansion of h beside its own variance."""
    drawn = draw_priors(fit, priors, R, 1, rng)
    sigma = np.exp(drawn.x[0, :, -1]) if model.residual is not None else np.ones(R)
    t = priors.coordinates[0].templates(drawn.x[0, :, :3]) * sigma[:, None, None]
    a = 0.8 * rng.standard_normal(R)
    v = 2.5 / rng.gamma(2.5, size=R)
    h = (a * np.sqrt(v))[:, None] * rng.standard_normal((R, 4))
    location = np.concatenate([drawn.effects[0][0].reshape(R, 6), h, drawn.beta[0]], axis=1)
    expansion = np.stack([np.ones(R), a], axis=1)
    return State(
        location, [t @ t.swapaxes(1, 2), v[:, None, None]], expansion, sigma**2, np.empty((R, 12)), *no_gaps(R)
    )


def seen(model, state):
    """What of a state does not depend on which expansion it is written with."""
    entries = state.covariance(0)[:, *np.tril_indices(2)]
    h = np.log(state.covariance(1)[:, :, 0])
    return np.concatenate([state.location, np.log(np.abs(entries)), h, np.log(state.variance)[:, None]], axis=1)


def gaps(before, after, beside):
    out = []
    for f in (lambda a: a, lambda a: a**2):
        difference = f(after) - f(before)
        out.append(difference.mean(axis=0) / (difference.std(axis=0) / np.sqrt(R) + 1e-300))
    for j in range(beside.shape[1]):
        product = (after - before) * beside[:, j : j + 1]
        out.append(product.mean(axis=0) / (product.std(axis=0) / np.sqrt(R) + 1e-300))
    return np.abs(np.concatenate(out))


def test_a_sweep_of_a_linear_model_keeps_the_joint_distribution(data):
    fit = mixfit.mixed("y ~ x + (x | g) + (1 | h)", data, weights="w", offset="o").fit()
    priors = resolve(PRIORS, fit.model, residual=True)
    model, rng = gibbs_model(fit, priors), np.random.default_rng(1)
    state = joint(fit, model, priors, rng)
    noise = np.sqrt(state.variance[:, None] / model.weights) * rng.standard_normal((R, 12))
    state.y = (model.design @ state.location.T).T + noise
    before, y = seen(model, state), state.y
    for _ in range(2):
        sweep_steps(model, state, rng)
    assert gaps(before, seen(model, state), y).max() < MOST


@pytest.mark.slow
def test_a_sweep_of_a_probit_model_keeps_the_joint_distribution(data):
    fit = mixfit.mixed("z ~ x + (x | g) + (1 | h)", data, offset="o", family="binomial(probit)").fit(priors=Priors())
    priors = resolve(replace(PRIORS, sigma=None), fit.model, residual=False)
    model, rng = gibbs_model(fit, priors), np.random.default_rng(2)
    state = joint(fit, model, priors, rng)
    eta = (model.design @ state.location.T).T - model.y
    observed = (eta + rng.standard_normal((R, 12)) > 0).astype(np.intp)
    model = replace(model, categories=Categories(observed, 2))
    before = seen(model, state)
    for _ in range(2):
        sweep_steps(model, state, rng)
    assert gaps(before[:, :-1], seen(model, state)[:, :-1], observed).max() < MOST


def agree(a, b, most=4.0):
    a, b = a.summary(), b.summary()
    assert (abs(a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])).max() < most
    assert (abs(a["sd"] - b["sd"]) / np.hypot(a["mcse_sd"], b["mcse_sd"])).max() < most


CASES = {
    "correlated": (SLEEP, "sleepstudy", Priors(covariance=InvWishart(4, scale=((400.0, 30.0), (30.0, 20.0))))),
    "expanded and independent": ("Reaction ~ Days + (Days || Subject)", "sleepstudy", Priors(sd=HalfT(3, 20))),
    "independent": ("Reaction ~ Days + (Days || Subject)", "sleepstudy", Priors(covariance=InvWishart(3, scale=50.0))),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin_plates", "MCMCglmm"),
    "few groups": ("bright ~ 1 + (1 | operator)", "pulp", Priors(sd=HalfT(3, 1))),
}


@pytest.mark.parametrize("case", CASES)
def test_against_the_collapsed_posterior(case):
    formula, name, priors = CASES[case]
    fit = mixfit.mixed(formula, mixfit.datasets.load(name)).fit()
    if not isinstance(priors, str):
        priors = replace(priors, sigma=SqrtInvGamma(2, 2 * fit.scale))
    drawn = fit.sample(priors, method="gibbs", seed=1, draws=4000)
    assert drawn.sampler.method == "gibbs"
    agree(drawn, fit.sample(priors, method="collapsed", seed=2, draws=4000))


@pytest.mark.slow
def test_a_sweep_of_a_logit_model_keeps_the_joint_distribution(data):
    fit = mixfit.mixed("z ~ x + (x | g) + (1 | h)", data, offset="o", family="binomial").fit(priors=Priors())
    priors = resolve(replace(PRIORS, sigma=None), fit.model, residual=False)
    rng = np.random.default_rng(2)
    model = gibbs_model(fit, priors)
    state = joint(fit, model, priors, rng)
    eta = (model.design @ state.location.T).T - model.y
    observed = rng.random((R, 12)) < 1.0 / (1.0 + np.exp(-eta))
    model = replace(model, trials=replace(model.trials, kappa=observed - 0.5))
    before = seen(model, state)
    for _ in range(2):
        sweep_steps(model, state, rng)
    assert gaps(before[:, :-1], seen(model, state)[:, :-1], observed).max() < MOST


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_trials_against_quadrature(link):
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family=f"binomial({link})").fit()
    priors = Priors(sd=HalfT(3, 1))
    agree(fit.sample(priors, method="gibbs", seed=3, draws=4000), fit.sample(priors, method="collapsed", seed=2))


@pytest.fixture(scope="module")
def tasting():
    wine = mixfit.datasets.load("wine")
    fit = mixfit.mixed("rating ~ temp + contact + (1 | judge)", wine, family="cumulative(probit)").fit()
    return fit.sample(Priors(sd=HalfT(3, 1)), method="gibbs", seed=1, draws=8000)


def test_ordered_categories_against_weighted_points(tasting):
    """Importance sampling of all seven parameters, judges integrated out on a grid."""
    fit, x = tasting.fit, tasting.to_frame().to_numpy().copy()
    x[:, 6] = np.log(x[:, 6])
    mean, root = x.mean(axis=0), np.linalg.cholesky(1.3 * np.cov(x.T))
    rng = np.random.default_rng(5)
    z = rng.standard_normal((5000, 7)) / np.sqrt(rng.chisquare(8, 5000) / 8)[:, None]
    points = mean + z @ root.T
    tau, beta, sd = points[:, :4], points[:, 4:6], np.exp(points[:, 6])
    y, codes = fit.model.design.y.astype(int) - 1, fit.model.design.random[0].grouping.codes
    every = np.concatenate([np.full((5000, 1), -np.inf), tau, np.full((5000, 1), np.inf)], axis=1)
    u, step = np.linspace(-5, 5, 41, retstep=True)
    levels = np.zeros((5000, 9))
    for at in u:
        eta = beta @ fit.model.exog.T + sd[:, None] * at
        rows = np.log(np.maximum(norm.cdf(every[:, y + 1] - eta) - norm.cdf(every[:, y] - eta), 1e-300))
        sums = np.stack([rows[:, codes == j].sum(axis=1) for j in range(9)], axis=1)
        levels += np.exp(sums) * norm.pdf(at) * step
    prior = HalfT(3, 1).log_density(sd) + np.log(sd)
    for j, distribution in enumerate(tasting.priors.fixed):
        prior = prior + distribution.log_density(beta[:, j])
    with np.errstate(divide="ignore", invalid="ignore"):
        log_w = np.log(levels).sum(axis=1) + prior + 7.5 * np.log1p((z**2).sum(axis=1) / 8)
    weight = np.exp(log_w - np.nanmax(log_w)) * (np.diff(tau, axis=1) > 0).all(axis=1)
    weight /= weight.sum()
    assert 1 / (weight**2).sum() > 1500
    means = weight @ points
    sds = np.sqrt(weight @ (points - means) ** 2)
    size = tasting.summary()["ess_bulk"].to_numpy()
    assert (abs(mean - means) / sds < 4 * np.sqrt(1 / size + (weight**2).sum())).all()
    assert_allclose(x.std(axis=0), sds, rtol=0.15)


@pytest.mark.slow
def test_two_ordered_categories_are_a_binary_response():
    wine = mixfit.datasets.load("wine").assign(good=lambda d: (d["rating"].astype(int) > 3).astype(int))
    wine["kind"] = pd.Categorical(np.where(wine["good"] == 1, "good", "poor"), ["poor", "good"], ordered=True)
    priors = Priors(sd=HalfT(3, 1), fixed=Normal(0, 2))
    sampled = {"method": "gibbs", "seed": 1, "draws": 8000}
    two = mixfit.mixed("kind ~ temp + contact + (1 | judge)", wine, family="cumulative(probit)").fit()
    one = mixfit.mixed("good ~ temp + contact + (1 | judge)", wine, family="binomial(probit)").fit()
    a = two.sample(priors, **sampled).summary()
    b = one.sample(replace(priors, intercept=Flat()), **sampled).summary()
    assert_allclose(
        -a["mean"].iloc[0], b["mean"].iloc[0], atol=4 * np.hypot(a["mcse_mean"].iloc[0], b["mcse_mean"].iloc[0])
    )
    gap = abs(a["mean"].iloc[1:] - b["mean"].iloc[1:]) / np.hypot(a["mcse_mean"].iloc[1:], b["mcse_mean"].iloc[1:])
    assert gap.max() < 4


def test_draws_of_thresholds(tasting):
    names = tasting.summary().index.tolist()
    assert names[:5] == ["1|2", "2|3", "3|4", "4|5", "temp[T.warm]"]
    assert tasting.varcorr().index.tolist() == ["sd(judge, Intercept)"]
    assert "thresholds" in str(tasting.priors)
    tau = tasting.kept.thresholds
    assert (np.diff(tau, axis=2) > 0).all()
    assert abs(tasting.loo().elpd - tasting.waic().elpd) < 1.5
    with pytest.raises(FitError, match="linpred"):
        tasting.simulate(seed=1)


def test_the_usual_priors_of_mcmcglmm():
    fit = mixfit.mixed(SLEEP, mixfit.datasets.load("sleepstudy")).fit()
    assert str(resolve("MCMCglmm", fit.model, residual=True)).splitlines() == [
        "Intercept            Normal(mean=0, sd=100000) at the means of the covariates",
        "Days                 Normal(mean=0, sd=100000)",
        "covariance(Subject)  InvWishart(df=1.002, scale=1.002)",
        "sigma                SqrtInvGamma(shape=0.001, scale=0.001)",
    ]
    independent = mixfit.mixed("Reaction ~ Days + (Days || Subject)", mixfit.datasets.load("sleepstudy")).fit()
    rows = str(resolve("MCMCglmm", independent.model, residual=True)).splitlines()
    assert rows[2:4] == [
        "sd(Subject, Intercept)  SqrtInvGamma(shape=0.001, scale=0.001)",
        "sd(Subject, Days)       SqrtInvGamma(shape=0.001, scale=0.001)",
    ]


def test_an_interruption_leaves_the_draws_so_far(monkeypatch):
    fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    calls = iter(range(10_000))

    def interrupted(model, state, rng):
        if next(calls) == 340:
            raise KeyboardInterrupt
        return sweep_steps(model, state, rng)

    monkeypatch.setattr("mixfit.bayes.gibbs.chains.sweep_steps", interrupted)
    drawn = fit.sample("MCMCglmm", method="gibbs", seed=1)
    assert drawn.kept.beta.shape == (4, 40, 1)
    assert np.isfinite(drawn.summary()["mean"]).all()


def test_an_interruption_before_any_draw_is_one():
    with pytest.raises(KeyboardInterrupt):
        _interrupt()


def _interrupt():
    fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    model = gibbs_model(fit, resolve("MCMCglmm", fit.model, residual=True))

    class Never:
        def __getattr__(self, name):
            raise KeyboardInterrupt

    state = State(np.zeros((1, 7)), [np.ones((1, 1, 1))], np.ones((1, 1)), np.ones(1), model.y[None], *no_gaps(1))
    sample_gibbs(model, state, draws=3, warmup=0, rng=Never())


def test_priors_that_are_not_conjugate():
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed(SLEEP, sleep).fit()
    own = Priors(covariance=InvWishart(4), sigma=SqrtInvGamma(2, 2))
    for priors, message in (
        ("rstanarm", "sigma: the conjugate prior"),
        (replace(own, fixed=StudentT(3, 0, 1)), "Days: the conjugate prior"),
        (replace(own, covariance=None), "Subject: priors of method='gibbs'"),
        (replace(own, covariance=InvWishart(4, relative=True)), "Subject: priors"),
    ):
        with pytest.raises(PriorError, match=message):
            fit.sample(priors, method="gibbs")
    herds = mixfit.mixed(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mixfit.datasets.load("cbpp"),
        family="binomial(cloglog)",
    ).fit()
    with pytest.raises(FitError, match="binomial\\(probit\\)"):
        herds.sample("MCMCglmm", method="gibbs")


def test_the_same_seed_gives_the_same_draws():
    fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    a, b = (fit.sample("MCMCglmm", method="gibbs", seed=5, draws=200) for _ in range(2))
    assert_allclose(a.kept.x, b.kept.x, rtol=0)
