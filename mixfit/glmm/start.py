"""Start values: a generalized linear model of the fixed effects, then moment estimates of theta."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.basis import fixed_basis, response_basis
from mixfit.gram.products import cross_products
from mixfit.lmm.problem import Problem
from mixfit.lmm.start import start_templates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.glmm.problem import GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["linear_start", "theta_start"]

_ITERATIONS = 25
_SETTLED = 1e-4
_SMALLEST_WEIGHT = 1e-10


def linear_start(problem: GeneralizedProblem) -> tuple[Array, float]:
    """Coefficients of the orthonormal columns and phi of the model without random effects."""
    family, y, prior = problem.family, problem.y, problem.prior
    eta = family.link.eta(family.start_mean(y, prior))
    phi = 1.0
    gamma: Array = np.zeros(problem.p)
    last = np.inf
    for step in range(_ITERATIONS):
        # At the start the means may be the responses themselves, and then nothing is left to estimate it from.
        if family.has_dispersion and step:
            phi = family.start_dispersion(y, prior, family.link.mean(eta))
        terms = family.terms(y, prior, eta, phi)
        weight = np.maximum(terms.expected, _SMALLEST_WEIGHT)
        working = eta - problem.offset + terms.score / weight
        weighted = problem.fixed * weight
        if problem.p:
            gamma = np.asarray(np.linalg.solve(weighted @ problem.fixed.T, weighted @ working))
        eta = problem.offset + gamma @ problem.fixed
        with np.errstate(all="ignore"):
            value = -2.0 * float(family.loglik(y, prior, eta, phi).sum())
        if not np.isfinite(value) or abs(last - value) < _SETTLED * (abs(value) + 1.0):
            break
        last = value
    return gamma, phi


def theta_start(problem: GeneralizedProblem, gamma: Array, phi: float) -> list[Array]:
    """Henderson's moment estimates in the working linear model at the fixed predictor."""
    eta = problem.offset + gamma @ problem.fixed
    terms = problem.family.terms(problem.y, problem.prior, eta, phi)
    root = np.sqrt(np.maximum(terms.expected, _SMALLEST_WEIGHT))
    fixed = fixed_basis(problem.fixed * root)
    response = response_basis(fixed, root * (gamma @ problem.fixed) + terms.score / root)
    if response is None:
        return [np.eye(t.k) for t in problem.terms]
    rows = [replace(f, columns=root[None] if f.columns is None else f.columns * root) for f in problem.pattern.factors]
    gram = cross_products(rows, np.concatenate([fixed.rows, response.row[None]]))
    linear = Problem(gram, problem.plan, problem.terms, len(fixed.rows), 0.0, 0.0, 0.0)
    sigma = response.scale / np.sqrt(len(problem.y) - len(fixed.rows))
    return [t * min(sigma, 1.0) for t in start_templates(linear)[0]]
