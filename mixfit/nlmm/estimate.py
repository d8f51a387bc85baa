"""Fit a nonlinear mixed model's problem, and what the fit hands to the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.brief import brief
from mixfit.nlmm.alternate import alternate
from mixfit.nlmm.laplace import NonlinearLaplace
from mixfit.nlmm.minimize import minimize
from mixfit.nlmm.problem import NonlinearParameters
from mixfit.nlmm.quadrature import Quadrature
from mixfit.optimize.certificate import Certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.residual.form import ResidualForm
    from mixfit.nlmm.alternate import Alternation
    from mixfit.nlmm.mode import NonlinearMode
    from mixfit.nlmm.problem import NonlinearProblem

    Array = NDArray[np.float64]

__all__ = ["NonlinearEstimate", "estimate"]

# Rounds of the alternating algorithm that a start is worth: more of them are slower than Newton's steps.
_ROUNDS_OF_START = 8
# The Laplace approximation's minimum is farther from where they end than this.
_START_SETTLED = 1e-2


@dataclass(frozen=True, eq=False, repr=False)
class NonlinearEstimate:
    """The estimates of a nonlinear mixed model.

    Attributes
    ----------
    method : {"laplace", "lb"}
    reml : bool
        Only of the alternating algorithm.
    criterion : float
        -2 log-likelihood with all its constants: by Laplace or quadrature, or that of the linear model beside the
        estimates.
    templates : tuple of ndarray, shape (k_t, k_t)
        Relative factors: Cov(b of one level of term t) = sigma**2 T_t T_t'.
    theta : ndarray, shape (m,)
    sigma : float
    beta : ndarray, shape (p,)
    cov_beta : ndarray, shape (p, p)
        From the exact Hessian in all parameters; of the alternating algorithm sigma^2 (X'V^-1X)^-1.
    modes : tuple of ndarray, shape (q_t, k_t)
    fitted : ndarray, shape (n,)
        The curve at the modes.
    certificate : Certificate
    gamma : ndarray, shape (g,)
        Of the log standard deviations of the residuals over log sigma.
    cov_gamma : ndarray, shape (g, g)
    n_agq : int
        Quadrature points a dimension; 1 is the Laplace approximation.
    """

    method: Literal["laplace", "lb"]
    reml: bool
    criterion: float
    templates: tuple[Array, ...]
    theta: Array
    sigma: float
    beta: Array
    cov_beta: Array
    modes: tuple[Array, ...]
    fitted: Array
    certificate: Certificate
    gamma: Array
    cov_gamma: Array
    n_agq: int = 1

    __repr__ = brief

    @property
    def unit(self) -> float:
        """What the templates are relative to: sigma."""
        return self.sigma


def estimate(
    problem: NonlinearProblem,
    bases: Sequence[Array],
    beta: Array,
    points: Sequence[Array],
    *,
    method: Literal["laplace", "lb"],
    reml: bool,
    n_agq: int = 1,
    form: ResidualForm | None = None,
) -> NonlinearEstimate:
    """Fit from `beta` and `points`; `bases` carry the terms back to the user's columns.

    The alternating algorithm takes the residuals' log standard deviations from `form`.
    """
    if method == "lb":
        return _of_alternation(problem, bases, alternate(problem, beta, points, reml=reml, form=form))
    start = alternate(problem, beta, points, reml=False, rounds=_ROUNDS_OF_START, settled=_START_SETTLED)
    nothing = np.zeros(problem.log_deviations.shape[1])
    first = NonlinearParameters(tuple(start.variances.profile.points), start.mode.beta, nothing)
    optimum = minimize(NonlinearLaplace(problem), first)
    if n_agq > 1:
        optimum = minimize(Quadrature(problem, n_agq), optimum.found.at)
    point, m = optimum.found, len(optimum.local.directions)
    covariance = 2.0 * np.asarray(np.linalg.pinv(optimum.curvature, hermitian=True))[m:, m:]
    thetas = _thetas(problem, bases, point.at.points)
    return NonlinearEstimate(
        method="laplace",
        reml=False,
        criterion=point.value,
        templates=tuple(t.structure.template(own) for t, own in zip(problem.terms, thetas, strict=True)),
        theta=np.concatenate(thetas),
        sigma=float(np.sqrt(point.scale)),
        beta=point.at.beta,
        cov_beta=covariance[: problem.p, : problem.p],
        modes=_modes(problem, bases, point.mode),
        fitted=point.mode.mean.value / point.problem.root,
        certificate=optimum.certificate,
        gamma=point.at.gamma,
        cov_gamma=covariance[problem.p :, problem.p :],
        n_agq=n_agq,
    )


def _of_alternation(problem: NonlinearProblem, bases: Sequence[Array], found: Alternation) -> NonlinearEstimate:
    step, mode = found.variances, found.mode
    profile = step.profile
    thetas = _thetas(problem, bases, profile.points)
    sigma = float(np.sqrt(profile.scale)) * step.beside.response.scale
    inner = step.certificate
    certificate = Certificate(
        converged=found.settled and inner.converged,
        projected_gradient=inner.projected_gradient,
        predicted_decrease=inner.predicted_decrease,
        boundary=inner.boundary,
        tolerance=inner.tolerance,
        n_evaluations=found.n_rounds,
        message="theta stands still" if found.settled else "the alternating algorithm did not settle",
    )
    return NonlinearEstimate(
        method="lb",
        reml=profile.reml,
        criterion=profile.value,
        templates=tuple(t.structure.template(own) for t, own in zip(problem.terms, thetas, strict=True)),
        theta=np.concatenate(thetas),
        sigma=sigma,
        beta=mode.beta,
        cov_beta=sigma**2 * np.asarray(np.linalg.pinv(step.beside.information(profile), hermitian=True)),
        modes=_modes(problem, bases, mode),
        fitted=mode.mean.value / found.problem.root,
        certificate=certificate,
        gamma=step.gamma,
        cov_gamma=step.cov_gamma,
    )


def _thetas(problem: NonlinearProblem, bases: Sequence[Array], points: Sequence[Array]) -> list[Array]:
    return [
        term.structure.theta_of(point, basis) for term, point, basis in zip(problem.terms, points, bases, strict=True)
    ]


def _modes(problem: NonlinearProblem, bases: Sequence[Array], mode: NonlinearMode) -> tuple[Array, ...]:
    out = []
    for term, basis in zip(problem.terms, bases, strict=True):
        own = mode.b[term.factor][term.columns, 0]
        out.append(np.ascontiguousarray(np.linalg.solve(basis, own).T))
    return tuple(out)
