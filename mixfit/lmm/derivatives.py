r"""Exact gradient and average information of the profiled criterion.

Everything follows from the derivative in the relative covariance Sigma_t = T T' of a term,

    N_t = dd/dSigma_t = sum_j (Z'V^{-1}Z)_jj - (nu / r^2) sum_j s_j s_j' [- sum_j s_Xj G_XX^{-1} s_Xj'],

s = Z'V^{-1}(y - X beta), the last part for REML only, nu = n or n - p. In the coordinates that
a template is *relative* to itself, T -> T(I + Delta), only T'N T is needed, and with T's = u that is

    T'N_t T = sum_j [I - (A^{-1})_jj] - (nu / r^2) sum_j u_j u_j' [- sum_j u_Xj G_XX^{-1} u_Xj'],

which is regular and free of cancellation for any invertible T. Where T is singular N_t itself is formed: it
is what decides whether the boundary holds. The curvature is the average information of Gilmour, Thompson &
Cullis (1995, Biometrics 51): w_a = Z Sigma'_a s for each parameter, and the Schur complement of [X y] in the
V^{-1}-products of the w_a, over sigma^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import free_directions
from mixfit.factor.posterior import inverse_sums, posterior, projected_sums
from mixfit.gram.levels import level_sum
from mixfit.lmm.given import given_direction, tied_information, tied_slope
from mixfit.lmm.scores import direction_products, loaded_products, residual_forward

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.factor.posterior import FactorPosterior
    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.one_factor import Swept

    Array = NDArray[np.float64]

__all__ = [
    "Derivatives",
    "average_information",
    "differentiate",
    "edge_curvature",
    "modes",
    "share_of",
]


@dataclass(frozen=True, eq=False)
class Derivatives:
    """First and second derivatives at one theta.

    Attributes
    ----------
    relative : tuple of ndarray, shape (k_t, k_t)
        T'N_t T of every term.
    absolute : dict of int to ndarray, shape (k_t, k_t)
        N_t of the terms with a singular template.
    inverse_share : tuple of ndarray, shape (k_t,)
        Mean diagonal of A^{-1} over the levels, by column of the term: 1 where the data say nothing.
    quadratic_share : tuple of ndarray, shape (k_t,)
        Ratio of the quadratic part of T'N T to its other parts, on the diagonal: 1 at a stationary point.
    directions : tuple of Direction
    gradient : ndarray, shape (m,)
        Derivative of the criterion along each direction.
    average : ndarray, shape (m, m)
        Average information in the same coordinates.
    information : ndarray, shape (m, m)
        The same with the curvature of Sigma = T T' beside a boundary.
    every_mode : callable
        u of every factor, (k_i, 1 or 1 + p, q_i): see `modes` and `modes_x`.
    scores : dict of int to ndarray, shape (k_t, 1 or 1 + p, q_t)
        s, and for REML s_X beside it, of the terms with a singular template.
    """

    relative: tuple[Array, ...]
    absolute: dict[int, Array]
    inverse_share: tuple[Array, ...]
    quadratic_share: tuple[Array, ...]
    directions: tuple[Direction, ...]
    gradient: Array
    average: Array
    information: Array
    every_mode: Callable[[], list[Array]]
    scores: dict[int, Array]

    @cached_property
    def modes(self) -> list[Array]:
        """u of every factor, (k_i, 1, q_i)."""
        return [u[:, :1] for u in self.every_mode()]

    @cached_property
    def modes_x(self) -> list[Array]:
        """u_X of every factor, (k_i, p, q_i), X in the metric of G_XX; of no columns but for REML."""
        return [u[:, 1:] for u in self.every_mode()]


def differentiate(at: Evaluation) -> Derivatives:
    """Exact gradient and average information of the criterion at a profile."""
    return _by_level(at) if at.swept is None else _in_one(at, at.swept)


def _in_one(at: Evaluation, swept: Swept) -> Derivatives:
    """The same from the sums of a small problem, at templates whose columns all have variance."""
    problem = at.problem
    found = swept.slopes(_every_column(at), at.residual, at.scale, reml=at.reml)
    share = share_of(found.quadratic, found.known)
    directions = free_directions(problem.terms, at.points, problem.seen)
    one = swept.problem
    return Derivatives(
        tuple(found.relative[t.columns, t.columns] for t in problem.terms),
        {},
        tuple(found.inverse_share[t.columns] for t in problem.terms),
        tuple(share[t.columns] for t in problem.terms),
        tuple(directions),
        2.0 * found.relative[one.row, one.column],
        found.information,
        found.information,
        partial(_modes_of, at),
        {},
    )


def _modes_of(at: Evaluation) -> list[Array]:
    columns, (own, trailing) = _residual_columns(at), at.forward
    return at.factor.backward({i: np.matmul(columns, y) for i, y in own.items()}, trailing @ columns.T)[0]


def _by_level(at: Evaluation) -> Derivatives:
    """The same from the factor."""
    problem = at.problem
    columns = _residual_columns(at)
    own, trailing = at.forward
    u, b = at.factor.backward({i: np.matmul(columns, y) for i, y in own.items()}, trailing @ columns.T)
    post = posterior(at.factor)
    inverse = inverse_sums(at.factor, post)
    relative, inverse_share, quadratic_share = [], [], []
    for term, regular in zip(problem.terms, at.regular, strict=True):
        i, rows = term.factor, term.columns
        quadratic = level_sum(u[i][rows, :1], u[i][rows, :1]) / at.scale
        known = problem.gram.n_levels[i] * np.eye(term.k) - inverse[i][rows, rows]
        if len(columns) > 1:
            known -= level_sum(u[i][rows, 1:], u[i][rows, 1:])
        relative.append(known - quadratic if regular.all() else (known - quadratic) * (regular[:, None] & regular))
        inverse_share.append(inverse[i][rows, rows].diagonal() / problem.gram.n_levels[i])
        quadratic_share.append(share_of(quadratic.diagonal(), known.diagonal()))
    absolute, scores = _singular_terms(at, columns, b, post)
    directions = free_directions(problem.terms, at.points, problem.seen)
    gradient = np.array([d.slope(relative[d.term], absolute.get(d.term)) for d in directions])
    tied = given_direction(problem.terms, directions)
    if tied is not None:
        gradient[tied] += tied_slope(at.residual, at.scale, problem.degrees(reml=at.reml))
    u_y, own_scores = [x[:, :1] for x in u], {x: s[:, :1] for x, s in scores.items()}
    average = average_information(at, direction_products(at, directions, u_y, own_scores), tied)
    return Derivatives(
        tuple(relative),
        absolute,
        tuple(inverse_share),
        tuple(quadratic_share),
        tuple(directions),
        gradient,
        average,
        average + _boundary_curvature(directions, absolute) if absolute else average,
        lambda: u,
        scores,
    )


def share_of(part: Array, whole: Array) -> Array:
    """part / whole, NaN where there is no whole."""
    if all(x > 0.0 for x in whole.tolist()):
        return np.asarray(part / whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0.0)


def modes(at: Evaluation) -> list[Array]:
    """Conditional modes b of every factor, (k_i, 1, q_i), in units of the residual length."""
    if at.swept is not None:
        return [at.swept.effects(at.contrast[0], at.problem.gram.border[0])[:, None]]
    return at.factor.backward(*residual_forward(at))[1]


def _residual_columns(at: Evaluation) -> Array:
    """Combinations of [X y], as rows: y - X beta and, for REML, the columns of X in the metric of G_XX."""
    return _every_column(at) if at.reml else at.contrast


def _every_column(at: Evaluation) -> Array:
    """y - X beta, and the columns of X in the metric of G_XX, as rows (1 + p, p + 1)."""
    p = at.problem.p
    columns = np.zeros((p + 1, p + 1))
    columns[0, :p], columns[0, p] = -at.beta, 1.0
    columns[1:, :p] = at.fixed_inverse
    return columns


def _singular_terms(
    at: Evaluation, columns: Array, b: list[Array], post: FactorPosterior
) -> tuple[dict[int, Array], dict[int, Array]]:
    """N_t, and s with s_X beside it, of every term whose template is singular."""
    problem, gram = at.problem, at.problem.gram
    if at.is_regular:
        return {}, {}
    singular = [x for x, regular in enumerate(at.regular) if not regular.all()]
    fitted = gram.matvec(b)
    absolute, scores = {}, {}
    sums: dict[int, Array] = {}
    for index in singular:
        term = problem.terms[index]
        i, own = term.factor, term.columns
        if i not in sums:
            sums[i] = projected_sums(at.factor, post, i)
        s = scores[index] = (np.matmul(columns, gram.border[i]) - fitted[i])[own]
        absolute[index] = sums[i][own, own] - level_sum(s[:, :1], s[:, :1]) / at.scale
        if len(columns) > 1:
            absolute[index] -= level_sum(s[:, 1:], s[:, 1:])
    return absolute, scores


def _boundary_curvature(directions: list[Direction], absolute: dict[int, Array]) -> Array:
    """2 <N, T'_a T'_b'>: what Sigma = T T' curves by where N does not vanish, off the range of T.

    At a regular optimum N T = 0 makes this vanish; beside a boundary it is what holds the rank.
    """
    out = np.zeros((len(directions), len(directions)))
    for index, n_t in absolute.items():
        values, vectors = np.linalg.eigh(n_t)
        positive = (vectors * np.maximum(values, 0.0)) @ vectors.T
        own = [(a, d.turning) for a, d in enumerate(directions) if d.term == index and d.turning is not None]
        for x, (a, step) in enumerate(own):
            for b, other in own[x:]:
                out[a, b] = out[b, a] = 2.0 * float(np.vdot(step, positive @ other))
    return out


def edge_curvature(at: Evaluation, derivatives: Derivatives, index: int, change: Array) -> tuple[float, float]:
    """Average information along a change of a term's Sigma on its boundary, and the quadratic part of the slope."""
    term = at.problem.terms[index]
    s: Array
    if index in derivatives.scores:
        s = derivatives.scores[index][:, 0]
    else:
        s = np.asarray(np.linalg.solve(at.templates[index].T, derivatives.modes[term.factor][term.columns, 0]))
    c = np.zeros((at.problem.gram.k[term.factor], 1, s.shape[1]))
    c[term.columns, 0] = change @ s
    information = average_information(at, loaded_products(at, {term.factor: c}))
    return float(information[0, 0]), float(np.vdot(c[:, 0][term.columns], s)) / at.scale


def average_information(at: Evaluation, products: Array, tied: int | None = None) -> Array:
    """(1 / sigma^2) times the Schur complement of [X y] in W'V^{-1}[W X y], (m, m + p + 1), for w_a = V_a V^{-1}y.

    Where sigma is not at its best but known with a term, the complement of X, and `tied` says which w moves sigma
    besides.
    """
    m, p = len(products), at.problem.p
    if not m:
        return np.empty((0, 0))
    to_y = products[:, -1] - products[:, m : m + p] @ at.beta
    information = products[:, :m]
    if not at.problem.has_given:
        information = information - to_y[:, None] * (to_y / at.residual)
    if p:
        to_x = at.fixed_inverse @ products[:, m : m + p].T
        information = information - to_x.T @ to_x
    if tied is not None:
        information = tied_information(information, to_y, at.residual, tied)
    information = information / at.scale
    return 0.5 * (information + information.T)
