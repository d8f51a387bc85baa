r"""What follows from a generalized fit through its conditional modes.

The mode moves with beta by db~/dbeta = -Q Z'WX (implicit function theorem, Q = Lambda A^{-1} Lambda' with the
observed curvature W), and Cov(b | y, beta) is Q in the Gaussian approximation at the mode. So the formulas of
the linear model hold, with the working weights for weights and sigma = 1; the uncertainty of theta enters
through Cov(beta^) alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.templates import change_basis
from mixfit.factor.posterior import conditional_covariances, posterior
from mixfit.glmm.held import without_held
from mixfit.glmm.laplace import Laplace, laplace_of
from mixfit.lmm.prediction import Basis, Spread, joint_variance
from mixfit.lmm.working import WorkingModel
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.lmm.known import KnownEffects

    Array = NDArray[np.float64]

__all__ = [
    "conditional_covariance",
    "covariances_of",
    "generalized_working_model",
    "laplace_at",
    "predictor_variance",
    "variance_by",
]


def laplace_at(assembly: GeneralizedAssembly, estimate: GeneralizedEstimate) -> Laplace:
    """The Laplace approximation at the estimates, modes and factor included.

    As the fit left it; after a pickle evaluated anew from the modes, for zero ones may lie outside the support.
    """
    found = estimate.at.get(lambda: _evaluated(assembly, estimate))
    assert isinstance(found, Laplace)
    return found


def _evaluated(assembly: GeneralizedAssembly, estimate: GeneralizedEstimate) -> Laplace:
    problem = assembly.problem
    templates = [
        change_basis(t, np.asarray(np.linalg.inv(basis), dtype=float))
        for t, basis in zip(estimate.every_template, assembly.term_bases, strict=True)
    ]
    u = [np.zeros((k, 1, q)) for k, q in zip(problem.k, problem.n_levels, strict=True)]
    for term, t, basis, b in zip(problem.terms, templates, assembly.term_bases, estimate.every_mode, strict=True):
        known = term.structure.relationship
        independent = b.T if known is None else known.increments_of(b.T)
        u[term.factor][term.columns, 0] = np.linalg.pinv(t) @ basis @ independent
    return laplace_of(
        problem.at(estimate.shape), assembly.fixed.triangle @ estimate.every_beta, templates, estimate.phi, start=u
    )


def conditional_covariance(
    assembly: GeneralizedAssembly, estimate: GeneralizedEstimate, of: str = MEAN
) -> tuple[Array, ...]:
    """Cov(b_j | y) of every level of every term of a predictor at the mode, (q_t, k_t, k_t)."""
    out = covariances_of(assembly, laplace_at(assembly, estimate).factor)
    for part in assembly.parts:
        if part.name == of:
            return tuple(out[t] for t in part.terms)
    return tuple(out)


def covariances_of(assembly: GeneralizedAssembly, factor: Factor) -> list[Array]:
    """The same of the terms of all predictors, from the factor at the mode."""
    blocks = conditional_covariances(factor, posterior(factor))
    out = []
    for term, basis in zip(assembly.problem.terms, assembly.term_bases, strict=True):
        own = np.moveaxis(blocks[term.factor][term.columns, term.columns], 2, 0)
        back = np.linalg.inv(basis)
        out.append(back @ own @ back.T)
    return out


def predictor_variance(
    assembly: GeneralizedAssembly,
    estimate: GeneralizedEstimate,
    X: Array,
    Z: Sequence[Array | None],
    codes: Sequence[NDArray[np.intp] | None],
) -> Array:
    """Variance of x'beta + z'b about its true value, rows of X (m, p), Z (m, k_t) and codes (m,).

    Of several predictors these are the mean's, or the fixed effects and random terms of all of them in turn.
    """
    problem = assembly.problem
    center = laplace_at(assembly, estimate)
    factor = problem.factorize(center.mode.terms.observed, center.templates, problem.fixed)
    return variance_by(factor, assembly, estimate, X, Z, codes)


def variance_by(
    factor: Factor,
    assembly: GeneralizedAssembly,
    estimate: GeneralizedEstimate,
    X: Array,
    Z: Sequence[Array | None],
    codes: Sequence[NDArray[np.intp] | None],
) -> Array:
    """The same by the factor at the mode with the observed curvature, whose border is X of the fit."""
    problem = assembly.problem
    forward = factor.half(factor.gram.border)
    basis, covariance = Basis(problem.terms, assembly.term_bases, assembly.fixed), estimate.cov_beta
    if assembly.parts:
        # The mean's effects come first among those of all predictors.
        X = np.column_stack([X, np.zeros((len(X), problem.p - X.shape[1]))])
        others = (None,) * (len(problem.terms) - len(Z))
        Z, codes, covariance = (*Z, *others), (*codes, *others), estimate.cov_every_beta
    return joint_variance(factor, forward, basis, Spread(covariance, 1.0), X, Z, codes)


def generalized_working_model(
    assembly: GeneralizedAssembly, estimate: GeneralizedEstimate, held: KnownEffects | None = None
) -> WorkingModel:
    """The linear mixed model of the last scoring step, at the conditional modes (see `mixfit.lmm.working`).

    Fixed effects that are `held` are in its offset.
    """
    center = laplace_at(assembly, estimate)
    assembly = assembly if held is None else without_held(assembly, held)
    problem = assembly.problem
    mode, templates = center.mode, center.templates
    weights = mode.terms.expected
    working = mode.eta - problem.offset + mode.terms.score / weights
    columns = np.concatenate([problem.fixed, working[None]])
    factor = problem.factorize(weights, templates, columns)
    root = np.sqrt(weights)
    rows = tuple(
        replace(f, columns=root[None] if f.columns is None else f.columns * root) for f in problem.pattern.factors
    )
    return WorkingModel(rows, columns * root, factor, assembly.fixed, 1.0, None, reml=False)
