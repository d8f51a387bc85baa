r"""A second look: whether a search that begins without pooling ends lower than one that begins with all groups alike.

The first start has the fixed effects of a model without random effects, and variances for what that leaves. Where the
likelihood has a second optimum, random models show it at the other end: levels that go their own ways, with variances
that large, and fixed effects of what happens within levels. Such models have

- rows whose log density is not concave, so that no variance at all and a large one are optima both;
- random columns without a fixed effect, as intercepts beside ``0 + x``: what all levels share is told by the fixed
  effects of other columns or by large variances;
- variances at zero beside others, which may explain the same, as in ``(1 | g/h)`` and ``(x || g)``.

Others are not looked at twice. The place has wide random effects about the first optimum, their joint mode with the
fixed effects, and of every term the variances that one step of the EM algorithm makes of it (Laird & Ware 1982),
Sigma = mean over levels of b b' + Cov(b | y).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.posterior import conditional_covariances, posterior
from mixfit.glmm.joint import joint_laplace
from mixfit.glmm.working import expected_factor
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.objective import LikelihoodPoint
    from mixfit.glmm.problem import GeneralizedParameters, GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["is_doubtful", "is_same", "leaves_out", "unpooled"]

# Variances beside those that a level's rows tell as much of as not: with a tenth of it the mode is pooled still, ten
# times as much takes single trials to the ends of their range.
_WIDE = 1e2
# The same where a column is left out and no response is at an end: effects may be a hundred times what is left of them.
_WIDEST = 1e4
# Share of a column's length that the fixed effects must leave for it to be left out.
_LEFT_OUT = 1e-6
# Of a row: below it responses are fitted with certainty, and what separates them is the matter.
_NO_INFORMATION = 1e-12
# Logarithm of a ratio of variances, and difference of -2 log-likelihood, that no two optima are as close as.
_CLOSE = 0.2
_NO_DIFFERENCE = 0.1


def is_doubtful(point: LikelihoodPoint) -> bool:
    """Whether the likelihood may have another optimum than this one."""
    terms = point.center.problem.terms
    working = point.center.mode.terms
    if not all(term.structure.free_blocks for term in terms) or working.expected.max() < _NO_INFORMATION:
        return False
    if not working.concave.all():
        return True
    on_bound = any(term.structure.is_on_bound(at) for term, at in zip(terms, point.at.points, strict=True))
    several = sum(len(term.structure.free_blocks) for term in terms) > 1
    return (on_bound and several) or leaves_out(point)


def leaves_out(point: LikelihoodPoint) -> bool:
    """Whether any random column has no fixed effect."""
    problem = point.center.problem
    return any(_is_left_out(problem, term) for term in problem.terms)


def _is_left_out(problem: GeneralizedProblem, term: Term) -> bool:
    """Whether any column of a term is outside the space of the fixed effects."""
    columns = problem.pattern.factors[term.factor].columns
    own = np.ones((1, problem.fixed.shape[1])) if columns is None else columns[term.columns]
    rest = own - (own @ problem.fixed.T) @ problem.fixed
    lengths = np.einsum("kn,kn->k", own, own)
    return bool((np.einsum("kn,kn->k", rest, rest) > _LEFT_OUT**2 * lengths).any())


def unpooled(point: LikelihoodPoint) -> GeneralizedParameters:
    """The place with levels that go their own ways.

    Raises
    ------
    FitError
        Where wide random effects have no mode.
    """
    at, center = point.at, point.center
    problem = center.problem
    sides = problem.family.certain_sides(problem.y)
    width = _WIDEST if leaves_out(point) and (sides is None or not sides.any()) else _WIDE
    wide = [
        term.structure.starts(np.divide(width, told, out=np.zeros_like(told), where=told > _NO_INFORMATION))[0]
        for term, told in zip(problem.terms, _told(center), strict=True)
    ]
    mode = joint_laplace(problem, wide, at.phi, at.gamma)
    covariances = conditional_covariances(mode.factor, posterior(mode.factor))
    points = []
    for term, template in zip(problem.terms, mode.templates, strict=True):
        b = lv.left_multiply(template, mode.mode.u[term.factor][term.columns])[:, 0]
        spread = covariances[term.factor][term.columns, term.columns]
        points.append(term.structure.starts((b**2 + np.einsum("aaq->aq", spread)).mean(axis=1))[0])
    return replace(at, points=problem.shown(points), gamma=mode.gamma)


def _told(center: Laplace) -> list[Array]:
    """Mean information of a level's rows about each column of every term."""
    problem = center.problem
    gram = expected_factor(center).gram
    return [
        np.einsum("aaq->a", gram.diagonal[t.factor][t.columns, t.columns]) / problem.n_levels[t.factor]
        for t in problem.terms
    ]


def is_same(a: LikelihoodPoint, b: LikelihoodPoint) -> bool:
    """Whether two places are so close that a search from one ends at the other."""
    if abs(a.value - b.value) > _NO_DIFFERENCE:
        return False
    told = _told(a.center)
    for squares, s, t in zip(told, a.center.templates, b.center.templates, strict=True):
        root = np.sqrt(squares)[:, None]
        one, other = ((root * x) @ (root * x).T + np.eye(len(x)) for x in (s, t))
        ratio = np.linalg.eigvals(np.linalg.solve(one, other)).real
        if np.abs(np.log(np.maximum(ratio, np.finfo(float).tiny))).max() > _CLOSE:
            return False
    return True
