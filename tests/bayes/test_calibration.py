"""Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018, arXiv:1804.06788).

Parameters drawn from the prior have uniform ranks among draws from the posterior of data simulated from them.
"""

import numpy as np
import pytest
from scipy import stats

import mixfit
from mixfit.bayes import Decov, Exponential, HalfNormal, InvWishart, Normal, Priors, StudentT

REPLICATES, DRAWS = 50, 400

MODELS = {
    "one level": (
        "bright ~ 1 + (1 | operator)",
        "pulp",
        Priors(intercept=Normal(60, 1), sigma=Exponential(2.0), covariance=Decov()),
    ),
    "slopes": (
        "Reaction ~ Days + (Days | Subject)",
        "sleepstudy",
        Priors(
            intercept=StudentT(5, 300, 50),
            fixed=Normal(0, 10),
            sigma=Exponential(0.05),
            covariance=InvWishart(5, scale=((400.0, 0.0), (0.0, 25.0))),
        ),
    ),
    "crossed": (
        "diameter ~ 1 + (1 | plate) + (1 | sample)",
        "penicillin_plates",
        Priors(intercept=Normal(23, 2), sd=HalfNormal(1.0), sigma=Exponential(2.0)),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_ranks_are_uniform(name):
    formula, data, priors = MODELS[name]
    fit = mixfit.mixed(formula, mixfit.datasets.load(data)).fit()
    truth = fit.sample(priors, prior_only=True, draws=REPLICATES * 4, seed=1)
    responses = truth.simulate(seed=2)
    parameters = truth.to_frame()
    ranks = []
    for i in range(REPLICATES):
        again = fit.refit(responses.iloc[:, i].to_numpy())
        drawn = again.sample(priors, draws=DRAWS, seed=i).to_frame()
        ranks.append((drawn.to_numpy() < parameters.iloc[i].to_numpy()).mean(axis=0))
    p = [stats.kstest(own, "uniform").pvalue for own in np.array(ranks).T]
    assert min(p) > 0.01 / len(p), dict(zip(parameters.columns, p, strict=True))
