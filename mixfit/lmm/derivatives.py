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
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dtrtri

from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import free_directions
from mixfit.factor.posterior import inverse_sums, posterior, projected_sums
from mixfit.lmm.criterion import whiten
from mixfit.lmm.given import given_direction, tied_information, tied_slope
from mixfit.lmm.scores import loaded_products, residual_forward

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.factor.posterior import Posterior
    from mixfit.lmm.criterion import Evaluation

    Array = NDArray[np.float64]

__all__ = [
    "Derivatives",
    "average_information",
    "differentiate",
    "edge_curvature",
    "load_direction",
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
    modes : list of ndarray, shape (k_i, 1, q_i)
        u of every factor.
    modes_x : list of ndarray, shape (k_i, p, q_i)
        u_X of every factor, X in the metric of G_XX; empty but for REML.
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
    modes: list[Array]
    modes_x: list[Array]
    scores: dict[int, Array]


def differentiate(at: Evaluation) -> Derivatives:
    """Exact gradient and average information of the criterion at a profile."""
    problem = at.problem
    columns = _residual_columns(at)
    own, trailing = at.forward
    u, b = at.factor.backward({i: np.matmul(columns, y) for i, y in own.items()}, trailing @ columns.T)
    post = posterior(at.factor)
    inverse = inverse_sums(at.factor, post)
    relative, inverse_share, quadratic_share = [], [], []
    for term, t in zip(problem.terms, at.templates, strict=True):
        i, rows = term.factor, term.columns
        outer = _outer_products(u[i][rows])
        quadratic = outer[0] / at.scale
        known = problem.gram.n_levels[i] * np.eye(term.k) - inverse[i][rows, rows]
        if len(outer) > 1:
            known -= outer[1:].sum(axis=0)
        regular = regular_columns(t)
        relative.append((known - quadratic) * (regular[:, None] & regular))
        inverse_share.append(inverse[i][rows, rows].diagonal() / problem.gram.n_levels[i])
        quadratic_share.append(share_of(quadratic.diagonal(), known.diagonal()))
    absolute, scores = _singular_terms(at, columns, b, post)
    directions = free_directions(problem.terms, at.points, problem.seen)
    gradient = np.array([d.slope(relative[d.term], absolute.get(d.term)) for d in directions])
    tied = given_direction(problem.terms, directions)
    if tied is not None:
        gradient[tied] += tied_slope(at.residual, at.scale, problem.degrees(reml=at.reml))
    factors = [problem.terms[d.term].factor for d in directions]
    u_y, own_scores = [x[:, :1] for x in u], {x: s[:, :1] for x, s in scores.items()}
    loadings = [load_direction(at, d, u_y, own_scores)[:, 0] for d in directions]
    average = average_information(at, loadings, factors, tied)
    return Derivatives(
        tuple(relative),
        absolute,
        tuple(inverse_share),
        tuple(quadratic_share),
        tuple(directions),
        gradient,
        average,
        average + _boundary_curvature(directions, absolute),
        u_y,
        [x[:, 1:] for x in u] if len(columns) > 1 else [],
        scores,
    )


def share_of(part: Array, whole: Array) -> Array:
    """part / whole, NaN where there is no whole."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0.0)


def modes(at: Evaluation) -> list[Array]:
    """Conditional modes b of every factor, (k_i, 1, q_i), in units of the residual length."""
    return at.factor.backward(*residual_forward(at))[1]


def _residual_columns(at: Evaluation) -> Array:
    """Combinations of [X y], as rows: y - X beta and, for REML, the columns of X in the metric of G_XX."""
    p = at.problem.p
    if not (at.reml and p):
        return at.contrast
    columns = np.zeros((p + 1, p + 1))
    columns[0] = at.contrast
    columns[1:, :p] = dtrtri(at.fixed_root, lower=1)[0]
    return columns


def _outer_products(u: Array) -> Array:
    """sum over levels of u_c u_c' for every column c, u of shape (k, c, q): (c, k, k)."""
    by_column = u.swapaxes(0, 1)
    return np.matmul(by_column, by_column.swapaxes(1, 2))


def _singular_terms(
    at: Evaluation, columns: Array, b: list[Array], post: Posterior
) -> tuple[dict[int, Array], dict[int, Array]]:
    """N_t, and s with s_X beside it, of every term whose template is singular."""
    problem, gram = at.problem, at.problem.gram
    singular = [x for x, t in enumerate(at.templates) if not regular_columns(t).all()]
    if not singular:
        return {}, {}
    fitted = gram.matvec(b)
    absolute, scores = {}, {}
    sums: dict[int, Array] = {}
    for index in singular:
        term = problem.terms[index]
        i, own = term.factor, term.columns
        if i not in sums:
            sums[i] = projected_sums(at.factor, post, i)
        s = scores[index] = (np.matmul(columns, gram.border[i]) - fitted[i])[own]
        outer = _outer_products(s)
        absolute[index] = sums[i][own, own] - outer[0] / at.scale - outer[1:].sum(axis=0)
    return absolute, scores


def load_direction(at: Evaluation, d: Direction, u: Sequence[Array], scores: Mapping[int, Array]) -> Array:
    """c = Sigma'_a s, so that V_a V^{-1}C = Z c, in the block of the term's factor: (k_i, r, q_i).

    From u = T's of every factor, (k_i, r, q_i), and s of the terms with a singular template, (k_t, r, q_t).
    """
    term = at.problem.terms[d.term]
    own = u[term.factor][term.columns]
    c = np.zeros((at.problem.gram.k[term.factor], *own.shape[1:]))
    c[term.columns] = d.loading(own, scores.get(d.term))
    return c


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
    c = np.zeros((at.problem.gram.k[term.factor], s.shape[1]))
    c[term.columns] = change @ s
    return float(average_information(at, [c], [term.factor])[0, 0]), float(np.vdot(c[term.columns], s)) / at.scale


def average_information(at: Evaluation, loadings: list[Array], factors: list[int], tied: int | None = None) -> Array:
    """(1 / sigma^2) times the Schur complement of [X y] in the V^{-1}-products of w_a = Z c_a.

    `loadings` are c_a, shape (k_i, q_i), each in the block of its factor. Where sigma is not at its best but known with
    a term, the complement of X, and `tied` says which w moves sigma besides.
    """
    problem = at.problem
    if not loadings:
        return np.empty((0, 0))
    order = sorted(range(len(factors)), key=factors.__getitem__)
    columns = {
        i: np.array([loadings[a] for a in order if factors[a] == i]).swapaxes(0, 1) for i in sorted(set(factors))
    }
    schur = loaded_products(at, columns)
    m = len(order)
    to_x = whiten(at.fixed_root, schur[:, m : m + problem.p]) if problem.p else schur[:, m:m]
    to_y = schur[:, -1] - schur[:, m : m + problem.p] @ at.beta
    information = schur[:, :m] - to_x @ to_x.T
    if not problem.has_given:
        information -= to_y[:, None] * (to_y / at.residual)
    elif tied is not None:
        information = tied_information(information, to_y, at.residual, order.index(tied))
    information = information / at.scale
    if order != sorted(order):
        back = np.argsort(order)
        information = information[back[:, None], back]
    return 0.5 * (information + information.T)
