"""The posterior of generalized models: its density by hand, slopes by differences, draws against rstanarm's."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import mixfit
from mixfit.bayes import Decov, Exponential, Flat, HalfNormal, HalfT, Normal, Priors, StudentT
from mixfit.bayes import generalized as module
from mixfit.bayes.generalized import GeneralizedPosterior
from mixfit.bayes.resolve import resolve
from mixfit.errors import FitError, PriorError

HERDS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
# Normal(0, 2.5) everywhere: not scaled by the data.
PRIORS = Priors(intercept=Normal(0, 2.5), fixed=Normal(0, 2.5), covariance=Decov())


def herds(family="binomial"):
    return mixfit.mixed(HERDS, mixfit.datasets.load("cbpp"), family=family).fit()


def ticks(terms="(1 | BROOD) + (1 | LOCATION)", family="poisson", **options):
    data = mixfit.datasets.load("grouseticks")
    return mixfit.mixed(f"TICKS ~ YEAR + {terms}", data, family=family, **options).fit()


def reactions(family, unit=1.0):
    data = mixfit.datasets.load("sleepstudy").assign(y=lambda d: d["Reaction"] / unit)
    return mixfit.mixed("y ~ Days + (1 | Subject)", data, family=family).fit()


CASES = {
    "binomial": (herds, PRIORS),
    "probit": (lambda: herds("binomial(probit)"), Priors(fixed=StudentT(3, 0, 2), intercept=Flat())),
    "nested counts": (ticks, "rstanarm"),
    "slopes": (lambda: ticks("(1 + cHEIGHT | LOCATION)"), Priors(sd=HalfNormal(1))),
    "nbinom2": (lambda: ticks("(1 | LOCATION)", "nbinom2"), "rstanarm"),
    "rows' effects beside a dispersion": (lambda: ticks("(1 | BROOD) + (1 | INDEX)", "nbinom1"), "brms"),
    "gamma": (lambda: reactions("gamma(log)"), "rstanarm"),
    "beta": (lambda: reactions("beta", 1000.0), "brms"),
    "t": (lambda: reactions("t(df=5)"), Priors(dispersion=HalfT(3, 30))),
    "betabinomial": (lambda: herds("betabinomial"), "rstanarm"),
    "zeros": (lambda: ticks("(1 | LOCATION)", "poisson", zi="~ YEAR"), Priors(zi=StudentT(4, 0, 2))),
    "zeros and dispersion": (lambda: ticks("(1 | LOCATION)", "nbinom2", zi="~ 1"), "rstanarm"),
    "hurdle": (lambda: ticks("(1 | LOCATION)", "truncated_poisson", zi="~ 1"), "rstanarm"),
    "own parameters": (lambda: ticks("cs(0 + YEAR | LOCATION)"), Priors(sd=HalfNormal(1))),
}


def density_of(case):
    make, priors = CASES[case]
    fit = make()
    return GeneralizedPosterior(fit, resolve(priors, fit.model, residual=False))


@pytest.mark.parametrize("case", CASES)
def test_slopes(case):
    density = density_of(case)
    z, _ = density.start(3, np.random.default_rng(1), 0.5)
    found = density.evaluate(z, slopes=True).slope
    # Every coordinate of a covariance, and some of the effects and coefficients.
    some = np.unique(np.r_[0 : density.size : 7, density.size - 8 : density.size])
    for a in some:
        move = np.zeros(density.size)
        move[a] = 1e-5
        differences = (density.evaluate(z + move).value - density.evaluate(z - move).value) / 2e-5
        assert_allclose(found[:, a], differences, atol=1e-6 * max(1.0, np.abs(found).max()))


def test_slopes_of_a_diagonal_root(monkeypatch):
    monkeypatch.setattr(module, "_MOST_DENSE", 1)
    density = density_of("binomial")
    z, _ = density.start(2, np.random.default_rng(1), 0.5)
    found = density.evaluate(z, slopes=True).slope
    for a in (0, 5, 15, 18, 19):
        move = 1e-5 * np.eye(density.size)[a]
        differences = (density.evaluate(z + move).value - density.evaluate(z - move).value) / 2e-5
        assert_allclose(found[:, a], differences, rtol=1e-6, atol=1e-6)


def test_the_density_by_hand():
    """Differences between places of log p(y | b, beta) + log p(b | sd) + log p(beta) + log p(sd), and the Jacobian."""
    density = density_of("binomial")
    z, _ = density.start(4, np.random.default_rng(2), 0.7)
    x, drawn = density.unpack(z, np.random.default_rng(0))
    design, sd = density.fit.model.design, np.exp(x[:, 0])
    b, beta = drawn.effects[0][:, :, 0], drawn.beta
    eta = beta @ density.fit.model.exog.T + b[:, design.random[0].grouping.codes]
    trials = density.fit.prior
    expected = stats.binom(trials, 1 / (1 + np.exp(-eta))).logpmf(np.round(design.y * trials)).sum(axis=1)
    expected += stats.norm(0, sd[:, None]).logpdf(b).sum(axis=1)
    contrasts = beta @ density.priors.contrasts.T
    expected += stats.norm(0, 2.5).logpdf(contrasts).sum(axis=1)
    expected += -sd + np.log(sd)
    # b = (sd / sd0)^w v
    w, sd0 = density.terms[0].share[:, 0], density.terms[0].deviations[0]
    expected += (w * np.log(sd[:, None] / sd0)).sum(axis=1)
    assert_allclose(density.evaluate(z).value, expected, rtol=1e-10)


def test_what_the_data_leave_to_the_prior_is_not_centred():
    """The share of herds with few expected cases is larger."""
    density = density_of("binomial")
    r = density.fit.model.design.random[0]
    mean = density.fit.fittedvalues.to_numpy()
    information = np.bincount(r.grouping.codes, density.fit.prior * mean * (1 - mean))
    share = density.terms[0].share[:, 0]
    assert ((share > 0) & (share < 1)).all()
    assert np.corrcoef(np.log(information), share)[0, 1] < -0.8


@pytest.mark.slow
@pytest.mark.parametrize("method", ["collapsed", "hmc"])
def test_cbpp_against_a_long_run_of_rstanarm(method):
    """40,000 draws of stan_glmer with these priors: means, standard deviations, and their Monte Carlo errors."""
    table = herds().sample(PRIORS, seed=1, method=method).summary()
    reference = {
        "Intercept": (-1.41199, 0.25068, 0.0018),
        "period[T.2]": (-0.97775, 0.30964, 0.0016),
        "sd(herd, Intercept)": (0.72226, 0.21058, 0.0017),
    }
    for name, (mean, sd, error) in reference.items():
        row = table.loc[name]
        assert abs(row["mean"] - mean) < 4 * np.hypot(row["mcse_mean"], error)
        assert abs(row["sd"] - sd) < 4 * np.hypot(row["mcse_sd"], error)
        assert row["r_hat"] < 1.01


def test_the_density_with_a_dispersion_by_hand():
    """The same differences, of negative binomial counts with an exponential phi and the Jacobian of its logarithm."""
    fit = ticks("(1 | LOCATION)", "nbinom2")
    density = GeneralizedPosterior(fit, resolve(Priors(dispersion=Exponential(0.5)), fit.model, residual=False))
    z, _ = density.start(4, np.random.default_rng(2), 0.3)
    z[1:, :-1] = z[0, :-1]
    x, drawn = density.unpack(z, np.random.default_rng(0))
    design, phi = fit.model.design, np.exp(x[:, -1:])
    codes = design.random[0].grouping.codes
    mu = np.exp(drawn.beta @ fit.model.exog.T + drawn.effects[0][:, codes, 0].reshape(4, -1))
    expected = stats.nbinom(phi, phi / (phi + mu)).logpmf(design.y).sum(axis=1) - 0.5 * phi[:, 0] + x[:, -1]
    found = density.evaluate(z).value
    assert_allclose(found - found[0], expected - expected[0], rtol=1e-9)


def test_a_posterior_with_a_dispersion():
    """With 403 rows it is near the likelihood's normal approximation."""
    fit = ticks("(1 | LOCATION)", "nbinom2")
    posterior = fit.sample(draws=400, seed=1)
    assert posterior.summary().index.tolist()[-2:] == ["phi", "sd(LOCATION, Intercept)"]
    assert posterior.varcorr().index.tolist() == ["phi", "sd(LOCATION, Intercept)"]
    assert "Exponential(rate=1)" in str(posterior.priors)
    phi = posterior.draws["phi"]
    assert abs(np.log(phi).mean() - np.log(fit.dispersion)) < 0.5 * fit.estimate.log_phi_error
    assert_allclose(np.log(phi).std(), fit.estimate.log_phi_error, rtol=0.25)
    means, simulated = posterior.predict(), posterior.simulate(300, seed=1)
    mean = means["mean"].to_numpy()
    # Var y = E[mu] + E[mu^2] (1 + 1 / phi) - E[mu]^2, summed over rows.
    expected = (mean + (mean**2 + means["sd"] ** 2) * (1 + (1 / phi).mean()) - mean**2).sum()
    assert_allclose(simulated.var(axis=1).sum(), expected, rtol=0.15)
    assert abs(posterior.loo().elpd - posterior.waic().elpd) < 3.0
    assert fit.sample(prior_only=True, draws=400, seed=1).draws["phi"].mean() == pytest.approx(1.0, abs=0.25)


def test_the_density_with_further_zeros_by_hand():
    fit = ticks("(1 | LOCATION)", zi="~ YEAR")
    density = GeneralizedPosterior(fit, resolve(Priors(zi=Normal(0, 1.5)), fit.model, residual=False))
    z, _ = density.start(4, np.random.default_rng(2), 0.3)
    z[1:, :-3] = z[0, :-3]
    x, drawn = density.unpack(z, np.random.default_rng(0))
    design, gamma = fit.model.design, x[:, -3:]
    mu = np.exp(drawn.beta @ fit.model.exog.T + drawn.effects[0][:, design.random[0].grouping.codes, 0].reshape(4, -1))
    pi = 1 / (1 + np.exp(-gamma @ design.further[0].X.T))
    rows = np.log(pi * (design.y == 0) + (1 - pi) * stats.poisson(mu).pmf(design.y))
    expected = rows.sum(axis=1) + stats.norm(0, 1.5).logpdf(gamma).sum(axis=1)
    found = density.evaluate(z).value
    assert_allclose(found - found[0], expected - expected[0], rtol=1e-8)


def test_a_posterior_with_further_zeros():
    """Half of the rows are zeros beyond those of the counts; draws are near the estimates, and so are predictions."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(20), 15)
    mu = np.exp(1.0 + 0.5 * rng.standard_normal(20)[g])
    y = np.where(rng.random(300) < 0.5, 0, rng.poisson(mu))
    data = pd.DataFrame({"y": y, "g": g.astype(str)})
    fit = mixfit.mixed("y ~ 1 + (1 | g)", data, family="poisson", zi="~ 1").fit()
    posterior = fit.sample(draws=1200, seed=1)
    assert posterior.sampler.method == "hmc"
    assert posterior.summary().index.tolist() == ["Intercept", "zi:Intercept", "sd(g, Intercept)"]
    assert posterior.varcorr().index.tolist() == ["sd(g, Intercept)"]
    zero = posterior.draws["zi:Intercept"]
    found = fit.estimate.further["zi"]
    error = np.sqrt(found.cov_beta[0, 0])
    assert abs(zero.mean() - found.beta[0]) < 0.5 * error
    assert_allclose(zero.std(), error, rtol=0.25)
    # Means of 1,200 counts are known to 6 %: of 300 rows none is five times as far.
    simulated, mean = posterior.simulate(1200, seed=1), posterior.predict()["mean"]
    assert_allclose((simulated == 0).mean(axis=None), (y == 0).mean(), atol=0.05)
    assert_allclose(simulated.mean(axis=1), mean, rtol=0.3)
    new = posterior.predict(data.iloc[:3])["mean"]
    assert_allclose(new, mean.iloc[:3], rtol=1e-12)
    assert abs(posterior.loo().elpd - posterior.waic().elpd) < 3.0
    grouped = mixfit.mixed("y ~ 1 + (1 | g)", data, family="poisson", zi="~ 1 + (1 | g)").fit()
    with pytest.raises(PriorError, match="random effects of further zeros"):
        grouped.sample()


def test_a_posterior_of_counts():
    fit = herds()
    posterior = fit.sample(PRIORS, draws=400, seed=1, method="hmc")
    again = fit.sample(PRIORS, draws=400, seed=1, method="hmc")
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        # numpy 1 rounds its functions by where arrays lie in memory, and a chain makes much of the last digit.
        assert np.array_equal(posterior.kept.beta, again.kept.beta)
    assert posterior.summary().index.tolist()[-1] == "sd(herd, Intercept)"
    mean = posterior.predict()["mean"]
    assert ((mean > 0) & (mean < 1)).all()
    simulated = posterior.simulate(50, seed=1)
    assert_allclose(simulated.mul(fit.prior, axis=0), simulated.mul(fit.prior, axis=0).round(), atol=1e-9)
    assert {"divergences", "bfmi"} <= set(posterior.diagnostics().index)
    with pytest.raises(PriorError, match="No evidence"):
        _ = posterior.evidence


def test_the_prior_alone():
    drawn = herds().sample(PRIORS, prior_only=True, draws=4000, seed=1)
    assert_allclose(drawn.draws["sd(herd, Intercept)"].mean(), 1.0, atol=0.08)
    assert drawn.simulate(20, seed=1).shape == (56, 20)


def test_refusals():
    fit = herds()
    with pytest.raises(PriorError, match="no residual standard deviation"):
        fit.sample(Priors(sigma=HalfNormal(1)))
    with pytest.raises(PriorError, match="no predictor of further zeros"):
        fit.sample(Priors(zi=Normal(0, 1)))
    zeros = ticks("(1 | LOCATION)", zi="~ 1")
    with pytest.raises(PriorError, match="zi"):
        zeros.sample(Priors(zi={"YEAR": Normal(0, 1)}))
    with pytest.raises(PriorError, match="zi: Intercept has the prior"):
        zeros.sample(Priors(zi=HalfNormal(1)))
    with pytest.raises(PriorError, match="further zeros"):
        zeros.sample(method="laplace")
    with pytest.raises(PriorError, match="no dispersion"):
        fit.sample(Priors(dispersion=HalfNormal(1)))
    with pytest.raises(PriorError, match="no posterior of df of t"):
        reactions("t").sample()
    with pytest.raises(PriorError, match="dispersion: phi of t has units"):
        reactions("t(df=5)").sample()
    with pytest.raises(PriorError, match="dispersion: a dispersion has a prior on the positive numbers"):
        reactions("gamma(log)").sample(Priors(dispersion=Normal(0, 1)))
    with pytest.raises(PriorError, match="dispersion of gamma"):
        reactions("gamma(log)").sample(method="laplace")
    with pytest.raises(FitError, match="without a dispersion"):
        reactions("gamma(log)").sample(method="collapsed")
    with pytest.raises(PriorError, match="sample the model anew"):
        fit.sample(PRIORS, draws=400, seed=1).with_priors("rstanarm")
