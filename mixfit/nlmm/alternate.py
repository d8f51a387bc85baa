r"""Lindstrom & Bates' alternating algorithm (1990, Biometrics 46): nlme's, and the start of the Laplace approximation.

Two steps are repeated until theta stands still: the joint mode of (beta, u) at theta, by penalized nonlinear least
squares, and theta in the linear model beside it, by maximum likelihood or REML. Where the log standard deviations of
the residuals are linear in columns, their coefficients gamma are estimated with theta, and weigh the rows of the next
mode.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.lmm.minimize import minimize
from mixfit.lmm.residual.criterion import JointPlace
from mixfit.lmm.residual.information import average_information
from mixfit.lmm.residual.minimize import difference_hessian, minimize_joint
from mixfit.lmm.residual.start import joint_starts
from mixfit.lmm.start import start_points
from mixfit.nlmm.mode import joint_mode
from mixfit.nlmm.working import LinearModelBeside, linear_model_beside, spread_model_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.residual.form import ResidualForm
    from mixfit.nlmm.mode import NonlinearMode
    from mixfit.nlmm.problem import NonlinearProblem
    from mixfit.optimize.certificate import Certificate

    Array = NDArray[np.float64]

__all__ = ["Alternation", "VarianceStep", "alternate"]

# Largest relative change of a covariance at which the algorithm has settled.
_SETTLED = 1e-9
# It converges linearly, in some ten rounds; one that cycles ends here.
_MAX_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class VarianceStep:
    """The variances of the linear model beside a mode.

    Attributes
    ----------
    beside : LinearModelBeside
    profile : Evaluation
    certificate : Certificate
    gamma : ndarray, shape (g,)
        Of the log standard deviations of the residuals over log sigma.
    cov_gamma : ndarray, shape (g, g)
    """

    beside: LinearModelBeside
    profile: Evaluation
    certificate: Certificate
    gamma: Array
    cov_gamma: Array


@dataclass(frozen=True, eq=False)
class Alternation:
    """Where the algorithm stands.

    Attributes
    ----------
    mode : NonlinearMode
        Of beta and u together, at the `variances` but for the last round's change.
    variances : VarianceStep
    problem : NonlinearProblem
        With the weights that the mode was found with.
    n_rounds : int
    settled : bool
    """

    mode: NonlinearMode
    variances: VarianceStep
    problem: NonlinearProblem
    n_rounds: int
    settled: bool


def alternate(
    problem: NonlinearProblem,
    beta: Array,
    points: Sequence[Array],
    *,
    reml: bool,
    form: ResidualForm | None = None,
    rounds: int = _MAX_ROUNDS,
    settled: float = _SETTLED,
) -> Alternation:
    """Alternate from `beta` and `points`, at most so many rounds, until covariances change by less than `settled`.

    With `form` the coefficients of the residuals' log standard deviations are estimated too; they are zero without.

    Raises
    ------
    FitError
        Where the first joint mode cannot be found.
    """
    found: Alternation | None = None
    old = _covariances(problem, points)
    gamma = np.zeros(problem.log_deviations.shape[1])
    start: list[Array] | None = None
    for number in range(1, rounds + 1):
        weighted = problem.at(gamma)
        try:
            mode = joint_mode(weighted, beta, points, start)
            if form is None:
                step = _variances(weighted, mode, points, reml=reml, first=found is None)
            else:
                step = _variances_and_spread(problem, form, weighted, mode, points, gamma, reml=reml)
        except FitError:
            if found is None:
                raise
            break
        points, beta, start = step.profile.points, mode.beta, mode.u
        new = _covariances(problem, points)
        moved = float(np.abs(step.gamma - gamma).max(initial=0.0))
        change = max((_change(a, b) for a, b in zip(old, new, strict=True)), default=0.0)
        found = Alternation(mode, step, weighted, number, max(change, moved) <= settled)
        old, gamma = new, step.gamma
        if found.settled:
            break
    assert found is not None
    return found


def _variances(
    problem: NonlinearProblem, mode: NonlinearMode, points: Sequence[Array], *, reml: bool, first: bool
) -> VarianceStep:
    beside = linear_model_beside(problem, mode)
    starts = [list(points), *(start_points(beside.problem) if first else ())]
    optimum = minimize(beside.problem, starts, reml=reml)
    g = problem.log_deviations.shape[1]
    return VarianceStep(beside, optimum.profile, optimum.certificate, np.zeros(g), np.zeros((g, g)))


def _variances_and_spread(
    problem: NonlinearProblem,
    form: ResidualForm,
    weighted: NonlinearProblem,
    mode: NonlinearMode,
    points: Sequence[Array],
    gamma: Array,
    *,
    reml: bool,
) -> VarianceStep:
    rows = spread_model_beside(problem, form, weighted, mode)
    starts = joint_starts(rows)
    here = JointPlace(tuple(points), replace(starts[0].residual, gamma=gamma))
    optimum = minimize_joint(rows, [here, *starts], reml=reml)
    d, g = optimum.derivatives, len(gamma)
    curvature = difference_hessian(d, average_information(d))
    covariance = 2.0 * np.asarray(np.linalg.pinv(curvature, hermitian=True))[-g:, -g:]
    beside = LinearModelBeside(d.at.at.problem, rows.fixed, rows.response)
    return VarianceStep(beside, d.at.at, optimum.certificate, d.at.place.residual.gamma, covariance)


def _covariances(problem: NonlinearProblem, points: Sequence[Array]) -> list[Array]:
    return [t @ t.T for t in relative_factors(problem.terms, points)]


def _change(old: Array, new: Array) -> float:
    size = max(float(np.abs(old).max(initial=0.0)), float(np.abs(new).max(initial=0.0)))
    return float(np.abs(new - old).max(initial=0.0)) / size if size > 0.0 else 0.0
