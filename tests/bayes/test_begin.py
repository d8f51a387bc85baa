"""What keeps sampling from beginning is named."""

import numpy as np
import pytest

import mixfit
from mixfit.bayes import Priors, Uniform
from mixfit.errors import PriorError


def test_a_prior_that_excludes_the_estimate():
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + ar1(0 + Days | Subject)", sleep).fit()
    name = next(n for n in fit.sample(seed=1, draws=100).summary().index if n.startswith("cor("))
    with pytest.raises(PriorError, match="covariance of Subject has no density at the estimates"):
        fit.sample(Priors(theta={name: Uniform(-0.9, -0.8)}))


def test_a_likelihood_without_a_value(monkeypatch):
    cbpp = mixfit.datasets.load("cbpp")
    fit = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial").fit()
    family = type(fit.family)
    monkeypatch.setattr(family, "log_kernel", lambda self, y, prior, eta, phi: np.full(np.shape(eta), np.nan))
    for method in ("collapsed", "hmc"):
        with pytest.raises(PriorError, match="likelihood is not finite"):
            fit.sample(method=method, seed=1)
