"""The posterior with the effects of one grouping factor integrated out, against brute force and the other sampler."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import log_expit, logsumexp

import mixfit
from mixfit.bayes import Decov, Flat, HalfNormal, Normal, Priors, StudentT, levels
from mixfit.bayes.levels import LevelPosterior, has_one_factor
from mixfit.bayes.resolve import resolve
from mixfit.errors import FitError
from mixfit.glmm.nodes import product_rule

HERDS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
PRIORS = Priors(intercept=Normal(0, 2.5), fixed=Normal(0, 2.5), covariance=Decov())


def herds():
    return mixfit.mixed(HERDS, mixfit.datasets.load("cbpp"), family="binomial").fit()


def counts(terms, family="poisson"):
    data = mixfit.datasets.load("grouseticks")
    return mixfit.mixed(f"TICKS ~ YEAR + {terms}", data, family=family).fit()


CASES = {
    "binomial": (herds, PRIORS),
    "t and flat": (
        lambda: mixfit.mixed(HERDS, mixfit.datasets.load("cbpp"), family="binomial(probit)").fit(),
        Priors(fixed=StudentT(3, 0, 2), intercept=Flat()),
    ),
    "slopes": (lambda: counts("(1 + cHEIGHT | LOCATION)"), Priors(sd=HalfNormal(1))),
    "two terms": (lambda: counts("(1 + cHEIGHT || LOCATION)"), "rstanarm"),
    "own parameters": (lambda: counts("cs(0 + YEAR | LOCATION)"), Priors(sd=HalfNormal(1))),
}


def density_of(case):
    make, priors = CASES[case]
    fit = make()
    return LevelPosterior(fit, resolve(priors, fit.model, residual=False))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_slopes(case, monkeypatch):
    """Those of the integrals, by a rule that is good to all digits: differences of densities by the same."""
    monkeypatch.setattr(levels, "_NODES_OF_SLOPES", {1: 61, 2: 31, 3: 15})
    density = density_of(case)
    x = density.start() + 0.3 * np.random.default_rng(1).standard_normal((3, density.size))
    found = density.evaluate(x, slopes=True).slope
    monkeypatch.setattr(density, "_rule", density._rule_of_slopes)
    moves = 1e-4 * np.eye(density.size)
    differences = [(density.evaluate(x + m).value - density.evaluate(x - m).value) / 2e-4 for m in moves]
    assert_allclose(found, np.stack(differences, axis=1), atol=1e-5 * np.abs(found).max())


def likelihood_on_a_grid(density, x):
    """log p(y | beta, sd) of binomial responses with effects integrated over 2001 points of their prior."""
    design, trials = density.fit.model.design, density.fit.prior
    beta, sd = density.draw(x, np.random.default_rng(3)).beta, np.exp(x[:, -1])
    z = np.linspace(-9.0, 9.0, 2001)
    out = []
    for b, s in zip(beta, sd, strict=True):
        eta = (density.fit.model.exog @ b)[:, None] + s * z
        rows = trials[:, None] * (design.y[:, None] * log_expit(eta) + (1.0 - design.y[:, None]) * log_expit(-eta))
        by_level = np.zeros((design.random[0].grouping.n_levels, len(z)))
        np.add.at(by_level, design.random[0].grouping.codes, rows)
        out.append((logsumexp(by_level - 0.5 * z * z, axis=1) + np.log((z[1] - z[0]) / np.sqrt(2 * np.pi))).sum())
    return np.array(out)


def log_prior(density, x):
    contrasts = density.draw(x, np.random.default_rng(3)).beta @ density.priors.contrasts.T
    of_fixed = sum(p.log_density(contrasts[:, i]) for i, p in enumerate(density.priors.fixed))
    return of_fixed + density.priors.terms[0].density(x[:, -1:], np.zeros(len(x))).value


def test_the_density_by_a_fine_grid():
    density = density_of("binomial")
    x = density.start() + np.random.default_rng(2).standard_normal((4, density.size))
    own, right = density.evaluate(x).value - log_prior(density, x), likelihood_on_a_grid(density, x)
    assert_allclose(own - own[0], right - right[0], atol=1e-3)


def toenails(n):
    data = mixfit.datasets.load("toenail")
    data = data[data["patientID"].isin(data["patientID"].unique()[:n])]
    return mixfit.mixed("outcome ~ treatment * time + (1 | patientID)", data, family="binomial").fit()


def test_levels_all_alike_get_the_nodes_that_they_need():
    """Patients without a single infection under a large variance: few nodes give another density."""
    fit = toenails(80)
    few = LevelPosterior(fit, resolve("rstanarm", fit.model, residual=False))
    x = np.tile(few.start(), (3, 1))
    x[:, -1] += [0.0, -0.3, 0.3]
    right = likelihood_on_a_grid(few, x)
    enough = few.with_enough_nodes(x)
    found = enough.evaluate(x).value - log_prior(few, x)
    assert_allclose(found, right, atol=5e-3)
    assert len(enough._rule.log_weights) > 9
    few._rule = product_rule(9, 1)
    assert np.abs(few.evaluate(x).value - log_prior(few, x) - right).max() > 0.05


def test_integrals_that_no_rule_gives_are_not_taken(monkeypatch):
    monkeypatch.setattr(levels, "_RUNGS", {1: (3, 5)})
    fit = toenails(80)
    with pytest.raises(FitError, match="Quadrature does not give"):
        fit.sample(seed=1, method="collapsed")
    assert fit.sample(seed=1, draws=400, progress=False).sampler.method == "hmc"


def test_effects_are_those_of_their_distribution():
    """Means and quantiles of the effects at one place, against the density on a grid."""
    density = density_of("binomial")
    place = density.start()
    place[-1] = np.log(1.5)
    n = 20_000
    drawn = density.draw(np.tile(place, (n, 1)), np.random.default_rng(4))
    design, trials = density.fit.model.design, density.fit.prior
    b = np.linspace(-9.0, 9.0, 4001)
    eta = (density.fit.model.exog @ density.fit.estimate.beta)[:, None] + b
    rows = trials[:, None] * (design.y[:, None] * eta - np.logaddexp(0.0, eta))
    by_level = np.zeros((design.random[0].grouping.n_levels, len(b)))
    np.add.at(by_level, design.random[0].grouping.codes, rows)
    by_level -= 0.5 * (b / 1.5) ** 2
    share = np.exp(by_level - logsumexp(by_level, axis=1, keepdims=True))
    mean = share @ b
    sd = np.sqrt(share @ b**2 - mean**2)
    own = drawn.effects[0][:, :, 0]
    assert np.abs((own.mean(axis=0) - mean) / sd).max() < 4.5 / np.sqrt(n)
    assert_allclose(own.std(axis=0), sd, rtol=6.0 / np.sqrt(n))
    for level in (0.025, 0.975):
        quantiles = np.quantile(own, level, axis=0)
        below = [np.interp(quantile, b, c) for quantile, c in zip(quantiles, share.cumsum(axis=1), strict=True)]
        assert np.abs(np.array(below) - level).max() < 5.0 * np.sqrt(level * (1 - level) / n) + 0.001


@pytest.mark.slow
def test_both_samplers_agree():
    data = mixfit.datasets.load("contraception")
    data = data[data["district"].isin(data["district"].cat.categories[:12])]
    data = data.assign(district=data["district"].cat.remove_unused_categories())
    fit = mixfit.mixed("use ~ age + urban + (urban | district)", data, family="binomial").fit()
    one, other = (fit.sample(PRIORS, seed=1, method=m).summary() for m in ("collapsed", "hmc"))
    gap = (one["mean"] - other["mean"]) / np.hypot(one["mcse_mean"], other["mcse_mean"])
    assert gap.abs().max() < 4.5
    spread = (one["sd"] - other["sd"]) / np.hypot(one["mcse_sd"], other["mcse_sd"])
    assert spread.abs().max() < 4.5


def test_what_is_sampled_how():
    fit = herds()
    posterior = fit.sample(PRIORS, draws=400, seed=1)
    assert posterior.sampler.method == "collapsed"
    pd.testing.assert_frame_equal(posterior.summary(), fit.sample(PRIORS, draws=400, seed=1).summary())
    assert np.isfinite(posterior.evidence.log)
    crossed = counts("(1 | BROOD) + (1 | LOCATION)")
    assert not has_one_factor(crossed)
    with pytest.raises(FitError, match="one grouping factor"):
        crossed.sample(method="collapsed")


def test_the_evidence_prefers_what_simulated_the_data():
    fit = herds()
    without = mixfit.mixed(HERDS.replace("period", "1"), mixfit.datasets.load("cbpp"), family="binomial").fit()
    one, other = (f.sample(PRIORS, seed=1) for f in (fit, without))
    assert one.evidence.log - other.evidence.log > 3.0
    assert one.evidence.error < 0.02
