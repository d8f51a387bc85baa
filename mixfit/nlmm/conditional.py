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

__all__ = ["conditional_covariance", "mode_at", "place_of", "working_model_at"]


def place_of(problem: NonlinearProblem, bases: Sequence[Array], estimate: NonlinearEstimate) -> NonlinearParameters:
    """Where an estimate stands in the problem's bases."""
    points = []
    first = 0
    for term, basis in zip(problem.terms, bases, strict=True):
        theta = estimate.theta[first : first + term.structure.n_parameters]
        points.append(term.structure.point_of(theta, basis))
        first += len(theta)
    return NonlinearParameters(tuple(points), estimate.beta)


def mode_at(problem: NonlinearProblem, bases: Sequence[Array], estimate: NonlinearEstimate) -> NonlinearMode:
    """The modes at the estimates with the factor there, looked for from the estimated ones."""
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
    factor = mode_at(problem, bases, estimate).factor
    blocks = conditional_covariances(factor, posterior(factor))
    out = []
    for term, basis in zip(problem.terms, bases, strict=True):
        own = np.moveaxis(blocks[term.factor][term.columns, term.columns], 2, 0)
        back = np.linalg.inv(basis)
        out.append(estimate.sigma**2 * (back @ own @ back.T))
    return tuple(out)


def working_model_at(problem: NonlinearProblem, bases: Sequence[Array], estimate: NonlinearEstimate) -> WorkingModel:
    """The linear mixed model beside the estimates."""
    mode = mode_at(problem, bases, estimate)
    beside = linear_model_beside(problem, mode)
    linear = beside.problem
    factor = factorize(linear.gram, linear.plan, problem.factor_templates(mode.templates))
    columns = np.concatenate([beside.fixed.rows, beside.response.row[None]])
    rows = problem.rows_at(mode.mean.slope).factors
    return WorkingModel(rows, columns, factor, beside.fixed, beside.response.scale, estimate.sigma, estimate.reml)
