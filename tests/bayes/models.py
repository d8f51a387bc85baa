"""Linear models on bundled data, and their marginal density by dense matrices."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.stats import multivariate_normal

import mixfit
from mixfit.bayes import Flat, HalfT, InvWishart, Normal, Priors, StudentT, Wishart
from mixfit.bayes.collapsed import CollapsedPosterior
from mixfit.bayes.resolve import resolve

SCALE = ((50.0, 10.0), (10.0, 20.0))
SLEEP = "Reaction ~ Days + (Days | Subject)"
# Formula, data, priors: one of every kind of design, of structure and of prior.
CASES = {
    "decov": (SLEEP, "sleepstudy", "rstanarm"),
    "t and half t": (SLEEP, "sleepstudy", "brms"),
    "improper": (SLEEP, "sleepstudy", "blme"),
    "inverse Wishart": (SLEEP, "sleepstudy", Priors(covariance=InvWishart(4, scale=SCALE))),
    "Wishart": (SLEEP, "sleepstudy", Priors(covariance=Wishart(4, scale=SCALE), fixed={"Days": Flat()})),
    "relative": (SLEEP, "sleepstudy", Priors(covariance=InvWishart(5, scale=0.5, relative=True))),
    "independent": (
        "Reaction ~ Days + (Days || Subject)",
        "sleepstudy",
        Priors(sd=HalfT(3, 10), fixed=StudentT(3, 0, 5)),
    ),
    "three columns": ("Reaction ~ Days + (Days + I(Days**2) | Subject)", "sleepstudy", "rstanarm"),
    "one level": ("Yield ~ 1 + (1 | Batch)", "dyestuff", Priors(intercept=Normal(1500, 100))),
    "nested": ("strength ~ 1 + (1 | batch/cask)", "pastes", "rstanarm"),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin_plates", "brms"),
    "no intercept": ("Reaction ~ 0 + Days + (1 | Subject)", "sleepstudy", "rstanarm"),
    "compound symmetry": ("Reaction ~ Days + cs(Days | Subject)", "sleepstudy", "rstanarm"),
    "autoregressive": ("Reaction ~ Days + ar1(0 + Days | Subject)", "sleepstudy", "brms"),
}


@cache
def posterior_of(case: str) -> CollapsedPosterior:
    formula, data, priors = CASES[case]
    fit = mixfit.mixed(formula, mixfit.datasets.load(data)).fit()
    return CollapsedPosterior(fit, resolve(priors, fit.model, residual=True))


def places(density: CollapsedPosterior, count: int, seed: int = 0, spread: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return density.start() + spread * rng.standard_normal((count, density.size))


def differences(density, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of a log density at places (R, d)."""
    out = np.empty(x.shape)
    for a in range(x.shape[1]):
        move = step * np.eye(x.shape[1])[a]
        out[:, a] = (density.evaluate(x + move).value - density.evaluate(x - move).value) / (2.0 * step)
    return out


def dense_marginal(density: CollapsedPosterior, x: np.ndarray) -> float:
    """log p(y | theta, sigma, v) at one place, normal priors in place of flat ones refused."""
    design, X = density.fit.model.design, density.fit.model.exog
    log_v = iter(x[density.log_v])
    inverse = np.linalg.inv(density.priors.contrasts)
    mean, variance = [], []
    for prior in density.priors.fixed:
        if isinstance(prior, StudentT):
            mean.append(prior.location)
            variance.append(prior.scale**2 * np.exp(next(log_v)))
        else:
            mean.append(prior.mean)
            variance.append(prior.sd**2)
    n, sigma = len(design.y), float(np.exp(x[density.log_sigma]))
    v = sigma**2 * np.diag(np.ones(n) if design.weights is None else 1.0 / design.weights)
    for at, own, r in zip(density.terms, density.priors.coordinates, design.random, strict=True):
        t = sigma * own.templates(x[None, at])[0]
        z = np.zeros((n, r.grouping.n_levels, len(r.columns)))
        z[np.arange(n), r.grouping.codes] = r.Z
        v += np.einsum("nqa,ab,mqb->nm", z, t @ t.T, z)
    centre = X @ inverse @ np.array(mean)
    v += X @ inverse @ np.diag(variance) @ inverse.T @ X.T
    y = design.y if design.offset is None else design.y - design.offset
    return float(multivariate_normal(centre, v).logpdf(y))
