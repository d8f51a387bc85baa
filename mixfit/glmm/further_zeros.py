"""Zeros beside those of a count's own family: where they come to none, and whether there is another optimum with some.

A probability of further zeros explains zeros in excess, and so does a dispersion: a likelihood may have an optimum for
each. A search that ends without further zeros is followed by one from where half of the zeros are further ones, and
counts have no dispersion.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_expit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.glmm.objective import LikelihoodPoint
    from mixfit.glmm.problem import GeneralizedParameters, GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["has_zeros", "may_hide_zeros", "with_few_zeros", "with_some_zeros", "with_zeros", "without_zeros"]

# The logit below which further zeros are few, one in twenty: what they add falls as the exponential of the predictor.
_FEW = -3.0
# And that of one in eight, to start from: one in four hundred takes twice as many evaluations where there are more.
_SOME = -2.0
# Range of a column of the orthonormal basis, beside its values, that is rounding of a constant.
_CONSTANT = 1e-10


def _constant_of_zeros(problem: GeneralizedProblem) -> tuple[int, float] | None:
    """Place of further zeros' constant among the fixed effects, and its column's value; None beside random effects."""
    stack = problem.stack
    if stack is None or stack.predictors.zero is None or stack.predictors.zero in stack.random:
        return None
    if not stack.n_fixed[stack.predictors.zero]:
        return None
    place = sum(stack.n_fixed[: stack.predictors.zero])
    column = stack.single(problem.fixed[place])[stack.predictors.zero]
    value = float(column[0])
    return (place, value) if np.ptp(column) < _CONSTANT * abs(value) else None


def _logits(problem: GeneralizedProblem, gamma: Array) -> Array:
    """Fixed part of the zeros' predictor, (n,)."""
    assert problem.stack is not None
    return np.asarray(problem.stack.single(problem.offset + gamma @ problem.fixed)[problem.stack.predictors.zero])


def _has_few_zeros(problem: GeneralizedProblem, gamma: Array) -> bool:
    """Whether further zeros are few in every row."""
    return float(_logits(problem, gamma).max()) < _FEW


def with_some_zeros(problem: GeneralizedProblem, gamma: Array) -> Array:
    """Coefficients with a constant of the zeros from which the slopes tell where to go: next to none has none."""
    short = _SOME - float(_logits(problem, gamma).max()) if _constant_of_zeros(problem) is not None else 0.0
    return _shifted(problem, gamma, short) if short > 0.0 else gamma


def with_few_zeros(problem: GeneralizedProblem, gamma: Array) -> Array | None:
    """Coefficients with few further zeros in any row, where the density is as concave as the family's own; or None."""
    if _constant_of_zeros(problem) is None:
        return None
    return _shifted(problem, gamma, 2.0 * _FEW - float(_logits(problem, gamma).max()))


def _shifted(problem: GeneralizedProblem, gamma: Array, change: float) -> Array:
    """Coefficients with the zeros' constant moved by a change of all logits."""
    constant = _constant_of_zeros(problem)
    assert constant is not None
    out = gamma.copy()
    out[constant[0]] += change / constant[1]
    return out


def may_hide_zeros(point: LikelihoodPoint) -> bool:
    """Whether a dispersion may stand for further zeros of which there are none."""
    problem = point.center.problem
    if _constant_of_zeros(problem) is None or not (problem.family.has_dispersion and problem.family.has_zero):
        return False
    return _has_few_zeros(problem, point.at.gamma) and bool((problem.y == 0.0).any())


def has_zeros(point: LikelihoodPoint) -> bool:
    """Whether further zeros stand for what a dispersion, or the family's own zeros, may stand for too."""
    problem = point.center.problem
    if _constant_of_zeros(problem) is None or not problem.family.has_zero:
        return False
    return float(_logits(problem, point.at.gamma).max()) > 2.0 * _FEW


def without_zeros(point: LikelihoodPoint) -> GeneralizedParameters:
    """The place with few further zeros."""
    gamma = with_few_zeros(point.center.problem, point.at.gamma)
    assert gamma is not None
    return replace(point.at, gamma=gamma)


def with_zeros(point: LikelihoodPoint) -> GeneralizedParameters:
    """The place with half of the zeros further ones, the same means of all counts, and next to no dispersion."""
    problem, at = point.center.problem, point.at
    stack, family = problem.stack, problem.family
    assert stack is not None
    before = _logits(problem, at.gamma)
    logit = float(stack.predictors.constants(family, problem.y, problem.prior)[stack.predictors.zero])
    gamma = _shifted(problem, at.gamma, logit - float(before.mean()))
    eta = stack.single(problem.offset + gamma @ problem.fixed)[0]
    mean = family.link.mean(eta) * np.exp(log_expit(-before) - log_expit(-_logits(problem, gamma)))
    p = stack.n_fixed[0]
    own = np.stack([stack.single(row)[0] for row in problem.fixed[:p]]) if p else np.empty((0, len(eta)))
    gamma[:p] += own @ (family.link.eta(mean) - eta)
    # Of counts that are what is expected of them: next to none.
    phi = family.start_dispersion(problem.y, problem.prior, family.start_mean(problem.y, problem.prior))
    return replace(at, gamma=gamma, phi=phi)
