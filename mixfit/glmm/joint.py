r"""The joint mode of fixed effects and spherical random effects at one theta.

(gamma~, u~) minimizes -2 l(eta) + |u|^2 over both, eta = offset + Q gamma + Z Lambda u: Henderson's equations of the
working linear model, iterated. With B = Lambda'Z'WQ, each Newton step solves

    [A   B  ] [du]   [Lambda'Z'l' - u]
    [B' Q'WQ] [dg] = [Q'l'           ]

with the observed curvature as weights (the expected one in rows where the log density is not concave), and is halved
until the objective falls: :mod:`mixfit.glmm.pirls` with unpenalized columns.

The fast approximation (lme4's nAGQ = 0) has beta there, theta and phi where the Laplace criterion of that mode is
least:

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
from scipy.linalg.lapack import dposv

from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.glmm.laplace import Laplace, add_random, laplace_gradient, pull_back
from mixfit.glmm.objective import LikelihoodPoint, Objective
from mixfit.glmm.pirls import Mode, penalized_deviance, predictor
from mixfit.gram import levels as lv
from mixfit.gram.levels import column_products
from mixfit.gram.products import random_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.factor.factor import Factor
    from mixfit.glmm.problem import GeneralizedParameters, GeneralizedProblem, LikelihoodSlopes

    Array = NDArray[np.float64]
    Effects = tuple[Array, list[Array]]

__all__ = ["FastObjective", "fast_gradient", "joint_laplace", "solve_joint"]

# The mode has settled where a Newton step promises less than this (see `mixfit.glmm.pirls`).
_DECREMENT = 1e-18
# A promise below this is of the quadratic part of the objective, where Newton's whole steps square what is left.
_NEAR = 1e-3
# A change below this is of the order of the objective's own rounding, 1e-16 of some millions.
_SURE = 1e-6
# Newton takes 5 to 15 of them; more do not end at all.
_MAX_STEPS = 60
# 2^-30 of a step is 1e-9 of it: a direction that is still not lower is none.
_MAX_HALVINGS = 30
# Of X in an orthonormal basis, so about n times the smallest weight: below it means are 0 or 1 to 12 digits.
_NO_INFORMATION = 1e-12
_SEPARATED = (
    "The data say nothing of a fixed effect at the joint mode: fitted means are at the end of their range, or the "
    "groups determine it. Leave out the fixed effect that separates the response, or that the groups determine."
)


# As in `mixfit.glmm.pirls.find_mode`: what is not finite tells.
@np.errstate(all="ignore")
def joint_laplace(
    problem: GeneralizedProblem,
    points: Sequence[Array],
    phi: float,
    gamma: Array,
    start: Sequence[Array] | None = None,
) -> Laplace:
    """The Laplace approximation at the joint mode, searched from `gamma` and `start` (zero by default).

    Raises
    ------
    FitError
        Where no finite mode can be found.
    """
    templates = relative_factors(problem.terms, points)
    factor_templates = problem.factor_templates(templates)
    at, eta, objective = _from(problem, factor_templates, phi, gamma, start)
    decrement, trusted = np.inf, True
    for step in range(_MAX_STEPS):
        terms = problem.row_terms(eta, phi)
        # Near the mode the curvature is positive definite even where single rows are not concave.
        concave = bool((trusted and decrement < _NEAR) or terms.concave.all())
        weights = terms.observed if concave else np.where(terms.concave, terms.observed, terms.expected)
        factor = problem.factorize(weights, templates, problem.fixed)
        pulled = [
            lv.left_multiply(t.T, z) - u
            for t, z, u in zip(
                factor_templates, random_sums(problem.pattern.factors, terms.score[None]), at[1], strict=True
            )
        ]
        gradient = problem.fixed @ terms.score, pulled
        delta = solve_joint(factor, *gradient)
        last, decrement = decrement, float(gradient[0] @ delta[0]) + _inner(gradient[1], delta[1])
        if not decrement >= 0.0:
            decrement, trusted = np.inf, False
            continue
        if decrement <= _DECREMENT or 0.5 * last <= decrement < _SURE:
            if not concave:
                factor = problem.factorize(terms.observed, templates, problem.fixed)
            _check_information(problem, factor)
            mode = Mode(at[1], eta, terms, factor, objective, step)
            same = terms.weight is terms.observed
            own = factor if same else problem.factorize(terms.weight, templates)
            return Laplace(problem, at[0], templates, phi, mode, own, objective + own.logdet)
        # Close to the mode the objective's own rounding is larger than what a step changes: the gradient knows better,
        # until its own rounding stops the decrement from falling.
        bound = np.inf if decrement < _SURE else objective + 1e-13 * abs(objective)
        length = 1.0
        for _ in range(_MAX_HALVINGS):
            trial = at[0] + length * delta[0], [u + length * d for u, d in zip(at[1], delta[1], strict=True)]
            trial_eta = predictor(problem, problem.offset + trial[0] @ problem.fixed, factor_templates, trial[1])
            value = penalized_deviance(problem, trial_eta, trial[1], phi)
            if value < bound:
                at, eta, objective = trial, trial_eta, value
                break
            length *= 0.5
    raise FitError(
        "The joint modes of fixed and random effects did not settle: they run away. "
        "Look for groups whose responses are all at one end, or for a fixed effect that separates the response."
    )


def solve_joint(factor: Factor, fixed: Array, blocks: Sequence[Array]) -> Effects:
    """Solve the bordered system for right-hand sides (p,) and (k_i, 1, q_i); the factor's border is Q.

    Raises
    ------
    FitError
        Where the system is not positive definite.
    """
    gram, p = factor.gram, len(fixed)
    border = [lv.left_multiply(t.T, b) for t, b in zip(factor.templates, gram.border, strict=True)]
    both = factor.solve([np.concatenate(pair, axis=1) for pair in zip(border, blocks, strict=True)])
    if not p:
        return fixed, both
    products = [column_products(b, u) for b, u in zip(border, both, strict=True)]
    schur = np.column_stack([gram.corner, fixed]) - np.sum(products, axis=0)
    gamma, info = dposv(schur[:, :p], schur[:, p], lower=1)[1:]
    if info:
        raise FitError(_SEPARATED)
    return gamma, [u[:, p:] - np.einsum("kpq,p->kq", u[:, :p], gamma)[:, None] for u in both]


def _check_information(problem: GeneralizedProblem, factor: Factor) -> None:
    """Refuse a mode that only stopped because nothing moves any more: Q'WQ of a family without units is near zero."""
    information = np.linalg.eigvalsh(factor.gram.corner)
    if not problem.family.has_dispersion and (information < _NO_INFORMATION).any():
        raise FitError(_SEPARATED)


def _from(
    problem: GeneralizedProblem,
    factor_templates: Sequence[Array],
    phi: float,
    gamma: Array,
    start: Sequence[Array] | None,
) -> tuple[Effects, Array, float]:
    """The better of `start` and zero random effects, with predictor and objective there."""
    zero = [np.zeros((k, 1, q)) for k, q in zip(problem.k, problem.n_levels, strict=True)]
    best: tuple[Effects, Array, float] | None = None
    for u in [zero] if start is None else [zero, list(start)]:
        eta = predictor(problem, problem.offset + gamma @ problem.fixed, factor_templates, u)
        value = penalized_deviance(problem, eta, u, phi)
        if np.isfinite(value) and (best is None or value < best[2]):
            best = (gamma, u), eta, value
    if best is None:
        raise FitError(
            f"The {problem.family!r} log-likelihood is not finite at the start: fitted means leave the support. "
            "Try another link, or rescale the covariates."
        )
    return best


def _inner(a: Sequence[Array], b: Sequence[Array]) -> float:
    return sum(float(np.vdot(x, y)) for x, y in zip(a, b, strict=True))


class FastObjective(Objective[LikelihoodPoint]):
    """The Laplace criterion at the joint mode, a function of theta and phi: points have no gamma.

    Parameters
    ----------
    problem : GeneralizedProblem
    gamma : ndarray, shape (p,)
        Where the search for the joint mode starts.
    """

    def __init__(self, problem: GeneralizedProblem, gamma: Array) -> None:
        super().__init__(problem)
        self._start: tuple[Array, list[Array] | None] = gamma, None

    def evaluate(self, at: GeneralizedParameters) -> LikelihoodPoint:
        """-2 log-likelihood by the Laplace approximation at the joint mode."""
        center = joint_laplace(self.problem.at(at.shape), at.points, at.phi, *self._start)
        return LikelihoodPoint(at, center, center.value)

    def slopes(self, point: LikelihoodPoint) -> LikelihoodSlopes:
        """Exact gradient in theta and log phi."""
        return fast_gradient(point.center)

    def settle(self, point: LikelihoodPoint) -> None:
        """Look for the next joint modes from this one."""
        self._start = point.center.gamma, point.center.mode.u

    def information(self, point: LikelihoodPoint, directions: Sequence[Direction]) -> Array:
        """Curvature of the working linear model, beta profiled out."""
        whole = super().information(point, directions)
        m = len(directions)
        kept = np.r_[:m, m + self.problem.p : len(whole)]
        return whole[np.ix_(kept, kept)]


def fast_gradient(at: Laplace) -> LikelihoodSlopes:
    """Exact gradient in (theta, phi) of the Laplace criterion at a joint mode."""
    return replace(laplace_gradient(at, _joint_adjoint), gamma=np.empty(0))


def _joint_adjoint(at: Laplace, c: Array) -> tuple[list[Array], Array]:
    x, v = solve_joint(at.mode.observed, at.problem.fixed @ c, pull_back(at, c))
    return v, x @ at.problem.fixed + add_random(at, v)
