"""A Gaussian family with the identity link is the linear model: the Laplace approximation is exact there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.families.continuous import Gaussian
from mixfit.formula import parse
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.laplace import laplace
from mixfit.glmm.objective import LaplaceObjective
from mixfit.glmm.problem import GeneralizedParameters, assemble_generalized
from mixfit.matrices.build import build
from mixfit.model.generalized import GeneralizedMixedModel
from tests.dense import relative_covariance
from tests.glmm.data import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CASES = {
    "dyestuff": "Yield ~ 1 + (1|Batch)",
    "sleepstudy": "Reaction ~ Days + (Days|Subject)",
    "penicillin_plates": "diameter ~ 1 + (1|plate) + (1|sample)",
    "pastes": "strength ~ 1 + (1|batch/cask)",
    "cake": "angle ~ recipe + (1|replicate)",
    "pulp": "bright ~ 1 + (1|operator)",
}


class Started(Gaussian):
    """The family with a first dispersion that is not zero where the first means are the responses."""

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        return super().start_dispersion(y, prior, mu) or float(np.var(y))


def gaussian(
    formula: str, name: str, weights: Array | None = None, family: type[Gaussian] = Started
) -> GeneralizedMixedModel:
    """The generalized model, which `mixed` leaves to the linear one."""
    design = build(parse(formula), load(name), weights, None, "drop", None)
    return GeneralizedMixedModel(formula, design, family())


@pytest.mark.parametrize("name", CASES)
def test_same_parameters_same_deviance(name: str) -> None:
    linear = mixfit.mixed(CASES[name], load(name))
    fit = linear.fit(reml=False)
    design, phi = linear.design, fit.sigma**2 * 1.3
    beta = fit.params.to_numpy() * 1.01
    assembly = assemble_generalized(design, Gaussian())
    relative = [t + 0.1 * np.eye(len(t)) for t in fit.estimate.templates]
    # Cov(y) = phi (I + Z (T T') Z'), written out.
    z = linear.exog_re.toarray()
    covariance = phi * (np.eye(len(design.y)) + z @ relative_covariance(design, relative) @ z.T)
    residual = design.y - design.X @ beta
    wanted = np.linalg.slogdet(2.0 * np.pi * covariance)[1] + residual @ np.linalg.solve(covariance, residual)
    templates = [
        np.linalg.cholesky(phi * r @ t @ t.T @ r.T) for t, r in zip(relative, assembly.term_bases, strict=True)
    ]
    gamma = assembly.fixed.triangle @ beta
    found = laplace(assembly.problem, gamma, templates, phi)
    assert_allclose(found.value, wanted, rtol=1e-10)
    if len(assembly.problem.k) == 1:
        at = GeneralizedParameters(tuple(templates), gamma, phi)
        assert_allclose(QuadratureObjective(assembly.problem, 4).evaluate(at).value, wanted, rtol=1e-10)
        assert_allclose(LaplaceObjective(assembly.problem).evaluate(at).value, wanted, rtol=1e-10)


@pytest.mark.parametrize("name", [*CASES, "dyestuff2"])
def test_same_optimum(name: str) -> None:
    formula = CASES.get(name, CASES["dyestuff"])
    linear = mixfit.mixed(formula, load(name)).fit(reml=False)
    fit = gaussian(formula, name).fit()
    assert fit.converged
    assert fit.certificate.n_evaluations <= 60
    assert_allclose(-2.0 * fit.llf, linear.deviance, atol=1e-6)
    assert_allclose(fit.params, linear.params, rtol=1e-4)
    assert_allclose(np.sqrt(fit.estimate.phi), linear.sigma, rtol=1e-4)
    assert_allclose(fit.theta, linear.sigma * linear.theta, rtol=1e-3, atol=1e-4 * linear.sigma)
    assert fit.is_singular is linear.is_singular
    for mine, theirs in zip(fit.estimate.modes, linear.estimate.modes, strict=True):
        assert_allclose(mine, theirs, atol=1e-3 * linear.sigma)


def test_weights_divide_the_variance() -> None:
    data = load("cake")
    weights = 1.0 + np.arange(len(data)) % 3
    linear = mixfit.mixed(CASES["cake"], data, weights=weights).fit(reml=False)
    fit = gaussian(CASES["cake"], "cake", weights).fit()
    assert_allclose(-2.0 * fit.llf, linear.deviance, atol=1e-6)
    assert_allclose(fit.params, linear.params, rtol=1e-5)


@pytest.mark.parametrize("n_agq", [2, 7])
def test_quadrature_of_a_normal_integrand_is_exact(n_agq: int) -> None:
    model = gaussian(CASES["sleepstudy"], "sleepstudy")
    laplace_fit, fit = model.fit(), model.fit(n_agq=n_agq)
    assert_allclose(fit.llf, laplace_fit.llf, atol=1e-7)
    assert_allclose(fit.params, laplace_fit.params, rtol=1e-4)


def test_the_family_itself_starts() -> None:
    fit = gaussian(CASES["pulp"], "pulp", family=Gaussian).fit()
    assert fit.converged
