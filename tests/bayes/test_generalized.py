"""The posterior of generalized models: its density by hand, slopes by differences, draws against rstanarm's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import mixfit
from mixfit.bayes import Decov, Flat, HalfNormal, Normal, Priors, StudentT
from mixfit.bayes import generalized as module
from mixfit.bayes.generalized import GeneralizedPosterior
from mixfit.bayes.resolve import resolve
from mixfit.errors import PriorError

HERDS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
# Normal(0, 2.5) everywhere: not scaled by the data.
PRIORS = Priors(intercept=Normal(0, 2.5), fixed=Normal(0, 2.5), covariance=Decov())


def herds(family="binomial"):
    return mixfit.mixed(HERDS, mixfit.datasets.load("cbpp"), family=family).fit()


def ticks(terms="(1 | BROOD) + (1 | LOCATION)"):
    data = mixfit.datasets.load("grouseticks")
    return mixfit.mixed(f"TICKS ~ YEAR + {terms}", data, family="poisson").fit()


CASES = {
    "binomial": (herds, PRIORS),
    "probit": (lambda: herds("binomial(probit)"), Priors(fixed=StudentT(3, 0, 2), intercept=Flat())),
    "nested counts": (ticks, "rstanarm"),
    "slopes": (lambda: ticks("(1 + cHEIGHT | LOCATION)"), Priors(sd=HalfNormal(1))),
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
    ticks_fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", mixfit.datasets.load("grouseticks"), family="nbinom2").fit()
    with pytest.raises(PriorError, match="parameter of its own beside the mean"):
        ticks_fit.sample()
    with pytest.raises(PriorError, match="sample the model anew"):
        fit.sample(PRIORS, draws=400, seed=1).with_priors("rstanarm")
