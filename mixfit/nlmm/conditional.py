r"""What follows from a nonlinear fit through its conditional modes: the linear mixed model beside them.

With the slopes J of the curve at the estimates, X = sum_p J_p X_p and Z = sum_p J_p Z_p, the modes move with beta by
db~/dbeta = -Q Z'X, and Cov(b | y, beta) is sigma^2 Q, Q = Lambda A^{-1} Lambda' with Gauss and Newton's A = Lambda'Z'Z
Lambda + I, by which the Laplace approximation is made (Bates & Watts 1988, Nonlinear Regression Analysis, section 2.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.factor import factorize
from mixfit.factor.posterior import conditional_covariances, posterior
from mixfit.lmm.prediction import Basis, Spread, joint_variance
from mixfit.lmm.working import WorkingModel
from mixfit.nlmm.mode import find_mode
from mixfit.nlmm.problem import NonlinearParameters
from mixfit.nlmm.working import linear_model_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.nlmm.estimate import NonlinearEstimate
    from mixfit.nlmm.mode import NonlinearMode
    from mixfit.nlmm.problem import NonlinearProblem

    Array = NDArray[np.float64]

__all__ = ["conditional_covariance", "mode_at", "place_of", "prediction_variance", "working_model_at"]


def place_of(problem: NonlinearProblem, bases: Sequence[Array], estimate: NonlinearEstimate) -> NonlinearParameters:
    """Where an estimate stands in the problem's bases."""
    points = []
    first = 0
    for term, basis in zip(problem.terms, bases, strict=True):
        theta = estimate.theta[first : first + term.structure.n_parameters]
        points.append(term.structure.point_of(theta, basis))
        first += len(theta)
    return NonlinearParameters(tuple(points), estimate.beta, estimate.gamma)


def mode_at(problem: NonlinearProblem, bases: Sequence[Array], estimate: NonlinearEstimate) -> NonlinearMode:
    """The modes at the estimates with the factor there, of the problem with the weights there."""
    at = place_of(problem, bases, estimate)
    start = problem.no_effects()
    for term, point, basis, b in zip(problem.terms, at.points, bases, estimate.modes, strict=True):
        template = term.structure.relative_factor(point)
        start[term.factor][term.columns, 0] = np.linalg.pinv(template) @ basis @ b.T
    return find_mode(problem, at.beta, at.points, start)


def conditional_covariance(
    problem: NonlinearProblem, bases: Sequence[Array], estimate: NonlinearEstimate
) -> tuple[Array, ...]:
    """Cov(b_j | y, beta) of every level of every term, (q_t, k_t, k_t)."""
    problem = problem.at(estimate.gamma)
    factor = mode_at(problem, bases, estimate).factor
    blocks = conditional_covariances(factor, posterior(factor))
    out = []
    for term, basis in zip(problem.terms, bases, strict=True):
        own = np.moveaxis(blocks[term.factor][term.columns, term.columns], 2, 0)
        back = np.linalg.inv(basis)
        out.append(estimate.sigma**2 * (back @ own @ back.T))
    return tuple(out)


def prediction_variance(
    problem: NonlinearProblem,
    bases: Sequence[Array],
    estimate: NonlinearEstimate,
    X: Array,
    Z: Sequence[Array | None],
    codes: Sequence[NDArray[np.intp] | None],
) -> Array:
    """Variance of x'beta + z'b about its true value, for rows of the linear model beside the estimates."""
    beside = working_model_at(problem, bases, estimate)
    spread = Spread(estimate.cov_beta, estimate.sigma**2)
    return joint_variance(beside.factor, beside.forward, Basis(problem.terms, bases, beside.fixed), spread, X, Z, codes)


def working_model_at(problem: NonlinearProblem, bases: Sequence[Array], estimate: NonlinearEstimate) -> WorkingModel:
    """The linear mixed model beside the estimates."""
    problem = problem.at(estimate.gamma)
    mode = mode_at(problem, bases, estimate)
    beside = linear_model_beside(problem, mode)
    linear = beside.problem
    factor = factorize(linear.gram, linear.plan, problem.factor_templates(mode.templates))
    columns = np.concatenate([beside.fixed.rows, beside.response.row[None]])
    rows = problem.rows_at(mode.mean.slope).factors
    return WorkingModel(rows, columns, factor, beside.fixed, beside.response.scale, estimate.sigma, estimate.reml)
