r"""Exact gradients at places close to a known mode, by one array operation each: what differences are made of.

With one grouping factor no level meets another, and r places are one problem of r copies of the rows, whose r q levels
have templates, fixed effects and phi by copy. So near, Newton's whole steps from the known mode lead to all modes at
once. The quantities are those of :mod:`mixfit.glmm.pirls` and :mod:`mixfit.glmm.laplace`; small problems are all
overhead, of which r places have no more here than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import relative_factors
from mixfit.factor.posterior import row_forms
from mixfit.glmm.laplace import term_slopes
from mixfit.glmm.pirls import NEAR, is_settled
from mixfit.glmm.problem import LikelihoodSlopes
from mixfit.gram import levels as lv
from mixfit.gram.pattern import FactorRows, RowPattern
from mixfit.gram.products import random_predictor, random_sums, weighted_products

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.families.declared import Terms
    from mixfit.glmm.pirls import Mode
    from mixfit.glmm.problem import GeneralizedParameters, GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["can_copy", "slopes_of_copies"]

# Rows of all copies. Beyond it the arrays leave the cache, and the work is more than the overhead.
_MOST_ROWS = 20_000
# Newton's steps square what is left, and take three from a thousandth of a standard error.
_MAX_STEPS = 8


def can_copy(problem: GeneralizedProblem, r: int) -> bool:
    """Whether r places are worth one array operation: one factor, few rows, and one family for all places."""
    if len(problem.pattern.factors) != 1 or problem.plan.chain != (0,) or problem.stack is not None:
        return False
    plain = problem.pattern.factors[0].relationship is None and not problem.family.free
    return plain and r * problem.n <= _MOST_ROWS


@dataclass(frozen=True, eq=False)
class _Copies:
    """Copies of a problem.

    Attributes
    ----------
    pattern : RowPattern
        Of the rows of all copies, (r n,).
    template : ndarray, shape (k, k, r q)
    fixed_eta : ndarray, shape (r, n)
    phi : ndarray, shape (r, 1), or float
        One for all where it is known.
    """

    problem: GeneralizedProblem
    pattern: RowPattern
    template: Array
    fixed_eta: Array
    phi: Array | float

    def pulled(self, rows: Array) -> Array:
        """Lambda'Z'c of every copy's rows c (r, n): (k, 1, r q)."""
        return lv.matmul(lv.transpose(self.template), random_sums(self.pattern.factors, rows.reshape(1, -1))[0])

    def added(self, u: Array) -> Array:
        """Z Lambda u, (r, n)."""
        row = random_predictor(self.pattern.factors, [lv.matmul(self.template, u)])
        return np.asarray(row.reshape(self.fixed_eta.shape))

    def half_inverse(self, weights: Array) -> Array:
        """L^{-1} of every level's A = L L', (k, k, r q)."""
        blocks = weighted_products(self.pattern, np.empty((0, weights.size)), weights.ravel()).diagonal[0]
        inner = lv.matmul(lv.transpose(self.template), lv.matmul(blocks, self.template))
        return lv.lower_inverse(lv.cholesky(lv.add_identity(inner)))


def _copies(problem: GeneralizedProblem, places: Sequence[GeneralizedParameters], templates: Array) -> _Copies:
    rows, r = problem.pattern.factors[0], len(places)
    codes = (rows.codes + rows.n_levels * np.arange(r)[:, None]).ravel()
    columns = None if rows.columns is None else np.tile(rows.columns, (1, r))
    return _Copies(
        problem=problem,
        pattern=RowPattern((FactorRows(codes, r * rows.n_levels, columns),), {}),
        template=templates.repeat(rows.n_levels, axis=2),
        fixed_eta=problem.offset + np.stack([at.gamma for at in places]) @ problem.fixed,
        phi=np.array([[at.phi] for at in places]) if problem.family.has_dispersion else places[0].phi,
    )


# Outside the support terms are not finite, nor is a factor of what is not positive definite: the decrement tells.
@np.errstate(all="ignore")
def slopes_of_copies(
    problem: GeneralizedProblem, near: Mode, places: Sequence[GeneralizedParameters]
) -> list[LikelihoodSlopes] | None:
    """The gradient of the Laplace approximation at every place, of a problem that `can_copy`.

    None where a place needs more than Newton's whole steps from `near`, or, for columns without variance, other slopes.
    """
    own = [relative_factors(problem.terms, at.points) for at in places]
    regular = [[regular_columns(t) for t in templates] for templates in own]
    if not all(columns.all() for each in regular for columns in each):
        return None
    copies = _copies(problem, places, np.stack([problem.factor_templates(t)[0] for t in own], axis=2))
    found = _modes(copies, near)
    if found is None:
        return None
    u, eta, terms, observed = found
    half = observed if terms.weight is terms.observed else copies.half_inverse(terms.weight)
    root = lv.matmul(copies.template, lv.transpose(half))
    leverage = row_forms(copies.pattern.factors[0], lv.matmul(root, lv.transpose(root))).reshape(eta.shape)
    c = terms.slopes(leverage)
    v = _solve(observed, copies.pulled(c))
    shift = copies.added(v)
    gamma = (-2.0 * terms.score + c - terms.observed * shift) @ problem.fixed.T
    tail = [
        (leverage * d.weight + shift * d.score).sum(axis=1) - 2.0 * d.loglik.sum(axis=1)
        for d in problem.family.tail_terms(problem.y, problem.prior, eta, copies.phi)
    ]
    k, r, q = len(u), len(places), problem.n_levels[0]
    inverse = lv.matmul(lv.transpose(half), half).reshape(k, k, r, q).sum(axis=3)
    u, v = u.reshape(k, r, q), v.reshape(k, r, q)
    out = []
    for a in range(r):
        relative, quadratic, known = term_slopes(
            problem, [inverse[:, :, a]], regular[a], [u[:, a : a + 1]], [v[:, a : a + 1]]
        )
        out.append(LikelihoodSlopes(relative, {}, gamma[a], np.array([d[a] for d in tail]), quadratic, known))
    return out


def _modes(copies: _Copies, near: Mode) -> tuple[Array, Array, Terms, Array] | None:
    """u, eta, the terms there and L^{-1} of every level with the observed curvature."""
    problem, r = copies.problem, len(copies.fixed_eta)
    u = np.tile(near.u[0], (1, 1, r))
    before, done = np.full(r, np.inf), np.zeros(r, dtype=bool)
    for _ in range(_MAX_STEPS):
        eta = copies.fixed_eta + copies.added(u)
        terms = problem.family.terms(problem.y, problem.prior, eta, copies.phi)
        half = copies.half_inverse(terms.observed)
        gradient = copies.pulled(terms.score) - u
        delta = _solve(half, gradient)
        decrement = (gradient * delta).reshape(len(u), r, -1).sum(axis=(0, 2))
        if not ((decrement >= 0.0) & (decrement <= NEAR)).all():
            return None
        done |= is_settled(decrement, before)
        if done.all():
            return u, eta, terms, half
        u, before = u + delta, decrement
    return None


def _solve(half: Array, blocks: Array) -> Array:
    """A^{-1} d of every level."""
    return lv.matmul(lv.transpose(half), lv.matmul(half, blocks))
