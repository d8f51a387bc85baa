r"""The fast approximation (lme4's nAGQ = 0): beta at the joint mode, theta and phi by the Laplace criterion there.

    f(theta, phi) = -2 l(eta~) + |u~|^2 + log|A(W(eta~))|,   (gamma~, u~) the joint mode.

log|A| is not stationary in the joint mode, which moves with theta. Differentiating its equations, the adjoint of that
movement is (v, x),

    [A_o              Lambda'Z'W_o Q] [v]   [Lambda'Z'c]
    [Q'W_o Z Lambda   Q'W_o Q       ] [x] = [Q'c       ],      c = h dW/d eta,

and the gradient is the Laplace approximation's (:mod:`mixfit.glmm.laplace`) with this v, and Z Lambda v + Q x in place
of Z Lambda v: the mode of an augmented u, whose first columns are not penalized.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.glmm.curvature import working_information
from mixfit.glmm.joint import joint_laplace, solve_joint
from mixfit.glmm.laplace import add_random, laplace_gradient, pull_back
from mixfit.glmm.objective import WorkingCurvature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.point import Parameters, Slopes
    from mixfit.glmm.problem import GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["FastObjective", "fast_gradient", "working_covariance"]


class FastObjective(WorkingCurvature):
    """The Laplace criterion at the joint mode, a function of theta and phi: points have no gamma.

    Parameters
    ----------
    problem : GeneralizedProblem
    gamma : ndarray, shape (p,)
        Where the search for the joint mode starts.
    """

    is_invariant = True

    def __init__(self, problem: GeneralizedProblem, gamma: Array) -> None:
        self.problem = problem
        self.n_aside = 0
        self._at: Laplace | None = None
        self._start: tuple[Array, list[Array] | None] = gamma, None

    def value(self, at: Parameters) -> float:
        """-2 log-likelihood by the Laplace approximation at the joint mode."""
        self._at = joint_laplace(self.problem, at.points, at.phi, *self._start)
        return self._at.value

    def slopes(self) -> Slopes:
        """Exact gradient in theta and log phi at the point last evaluated."""
        self._start = self.center.gamma, self.center.mode.u
        return fast_gradient(self.center)

    def information(self, directions: Sequence[Direction]) -> Array:
        """Curvature of the working linear model, beta profiled out."""
        whole = super().information(directions)
        m = len(directions)
        kept = np.r_[:m, m + self.problem.p : len(whole)]
        return whole[np.ix_(kept, kept)]

    @property
    def center(self) -> Laplace:
        """The Laplace approximation at the joint mode of the point last evaluated."""
        if self._at is None:
            raise RuntimeError("evaluate a point first")
        return self._at


def fast_gradient(at: Laplace) -> Slopes:
    """Exact gradient in (theta, phi) of the Laplace criterion at a joint mode."""
    return replace(laplace_gradient(at, _joint_adjoint), gamma=np.empty(0))


def _joint_adjoint(at: Laplace, c: Array) -> tuple[list[Array], Array]:
    x, v = solve_joint(at.mode.observed, at.problem.fixed @ c, pull_back(at, c))
    return v, x @ at.problem.fixed + add_random(at, v)


def working_covariance(at: Laplace) -> Array:
    """(Q'V^{-1}Q)^{-1} of the working linear model with expected weights: Cov(gamma~) at known theta and phi."""
    p = at.problem.p
    return 2.0 * np.asarray(np.linalg.pinv(working_information(at, [])[:p, :p], rcond=1e-14, hermitian=True))
