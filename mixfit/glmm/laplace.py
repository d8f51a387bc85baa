r"""The Laplace approximation of -2 log-likelihood and its exact gradient.

    d(beta, theta, phi) = -2 l(eta~) + |u~|^2 + log|A(W(eta~))|

u~ minimizes the first two terms, so that they move only directly; log|A| also moves with u~. With the leverages
h_i = z_i'Q z_i, c = h dW/d eta and v = A_o^{-1} Lambda'Z'c (A_o: observed curvature), the implicit-function
theorem gives

    dd/dbeta    = X'(-2 l' + c - W_o Z Lambda v)
    T'N_t T     = sum_j [I - (A^{-1})_jj] - sum_j u_j u_j' + (1/2) sum_j (u_j v_j' + v_j u_j')
    dd/dlog phi = sum_i (-2 dl + h dW + (Z Lambda v) dl')_i, and so for every parameter psi of the family

in the coordinates of :mod:`mixfit.lmm.derivatives`, where half of dd/dT in T E_ij is (T'N T)_ij. (The scheme of
Skaug & Fournier 2006, with the determinant's derivative in closed form.)

Where log densities are not concave A need not be larger than I. A mode may merge with a saddle then: log|A| falls to
minus infinity, and the approximation with it, whatever the integral does. Such places are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.factor.posterior import full_posterior, inverse_sums, projected_sums, row_leverages
from mixfit.glmm.pirls import find_mode
from mixfit.glmm.problem import LikelihoodSlopes
from mixfit.gram import levels as lv
from mixfit.gram.products import random_predictor, random_sums
from mixfit.lmm.derivatives import share_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.factor.posterior import FactorPosterior
    from mixfit.glmm.pirls import Mode
    from mixfit.glmm.problem import GeneralizedProblem

    Array = NDArray[np.float64]
    Adjoint = Callable[["Laplace", Array], tuple[list[Array], Array]]

# Curvature of the integrand along some u beside that of the density of u, 1, below which there is no approximation: its
# normal density then has three standard deviations of u for its own. With a tenth of it the same five of 90 random
# models are refused.
_SHALLOW = 0.1
# Inverse iterations, each of which leaves a tenth or less of what the others tell beside so small an eigenvalue.
_ITERATIONS = 5

__all__ = [
    "Laplace",
    "LaplaceMoves",
    "absolute_slopes",
    "add_random",
    "laplace",
    "laplace_gradient",
    "laplace_moves",
    "laplace_of",
    "least_curvature",
    "pull_back",
    "term_slopes",
]


@dataclass(frozen=True, eq=False)
class Laplace:
    """The approximation at one (beta, theta, phi).

    Attributes
    ----------
    gamma : ndarray, shape (p,)
        Coefficients of the orthonormal fixed columns.
    templates : tuple of ndarray
    phi : float
    mode : Mode
    factor : Factor
        Factor of A with the weights W that define the approximation.
    value : float
        -2 log-likelihood.
    """

    problem: GeneralizedProblem
    gamma: Array
    templates: tuple[Array, ...]
    phi: float
    mode: Mode
    factor: Factor
    value: float

    @cached_property
    def regular(self) -> tuple[NDArray[np.bool_], ...]:
        """Which columns of each template carry variance."""
        return tuple(regular_columns(t) for t in self.templates)


def laplace(
    problem: GeneralizedProblem,
    gamma: Array,
    points: Sequence[Array],
    phi: float,
    near: Mode | None = None,
) -> Laplace:
    """Evaluate the Laplace approximation, the mode's search starting from that of a nearby point: see `find_mode`."""
    return laplace_of(problem, gamma, relative_factors(problem.terms, points), phi, near)


def laplace_of(
    problem: GeneralizedProblem,
    gamma: Array,
    templates: Sequence[Array],
    phi: float,
    near: Mode | None = None,
    start: Sequence[Array] | None = None,
) -> Laplace:
    """The Laplace approximation at the relative factors `templates`, one a term, of any structure.

    Raises
    ------
    FitError
        Where there is no finite mode, or the integrand is all but flat there.
    """
    mode = find_mode(problem, problem.offset + gamma @ problem.fixed, templates, phi, near, start)
    if not mode.terms.concave.all() and least_curvature(mode.observed) < _SHALLOW:
        raise FitError(
            f"The Laplace approximation breaks down: the {problem.family!r} log-likelihood is not concave, and at the "
            "conditional modes it takes nearly all curvature from the density of the random effects. The search "
            "found no optimum before that. Leave random terms out, look for a predictor that runs away (of zeros that "
            "the distribution explains by itself, of means that are zero), or give start=, as of a smaller model."
        )
    same = mode.terms.weight is mode.terms.observed
    factor = mode.observed if same else problem.factorize(mode.terms.weight, templates)
    return Laplace(problem, gamma, tuple(templates), phi, mode, factor, mode.objective + factor.logdet)


def least_curvature(factor: Factor) -> float:
    """The smallest eigenvalue of A, from above, by inverse iteration."""
    rng = np.random.default_rng(0)
    shapes = [(k, 1, q) for k, q in zip(factor.gram.k, factor.gram.n_levels, strict=True)]
    u = [rng.normal(size=shape) for shape in shapes]
    value = 1.0
    for _ in range(_ITERATIONS):
        length = np.sqrt(sum(float(np.vdot(x, x)) for x in u))
        u = [x / length for x in u]
        solved = factor.solve(u)
        value = sum(float(np.vdot(x, y)) for x, y in zip(u, solved, strict=True))
        u = solved
    return 1.0 / value if value > 0.0 else 0.0


def pull_back(at: Laplace, c: Array) -> list[Array]:
    """Lambda'Z'c, in blocks (k_i, 1, q_i)."""
    sums = random_sums(at.problem.pattern.factors, c[None])
    return [lv.left_multiply(t.T, z) for t, z in zip(at.factor.templates, sums, strict=True)]


def add_random(at: Laplace, u: Sequence[Array]) -> Array:
    """Z Lambda u, shape (n,)."""
    b = [lv.left_multiply(t, x) for t, x in zip(at.factor.templates, u, strict=True)]
    row: Array = random_predictor(at.problem.pattern.factors, b)[0]
    return row


def _mode_adjoint(at: Laplace, c: Array) -> tuple[list[Array], Array]:
    v = at.mode.observed.solve(pull_back(at, c))
    return v, add_random(at, v)


@dataclass(frozen=True, eq=False)
class LaplaceMoves:
    """What the slopes are made of: how log|A| and the modes move.

    Attributes
    ----------
    post : FactorPosterior
    leverage, bent, shift : ndarray, shape (n,)
        h, c - W_o Z Lambda v and Z Lambda v.
    v : list of ndarray, shape (k_i, 1, q_i)
    """

    post: FactorPosterior
    leverage: Array
    bent: Array
    shift: Array
    v: list[Array]


def laplace_moves(at: Laplace, adjoint: Adjoint = _mode_adjoint) -> LaplaceMoves:
    """The same at one point; `adjoint` is how the mode moves: v and Z Lambda v from c."""
    terms = at.mode.terms
    post = full_posterior(at.factor)
    leverage = row_leverages(at.factor, post, at.problem.pattern)
    c = terms.slopes(leverage)
    v, shift = adjoint(at, c)
    return LaplaceMoves(post, leverage, c - terms.observed * shift, shift, v)


def laplace_gradient(at: Laplace, adjoint: Adjoint = _mode_adjoint) -> LikelihoodSlopes:
    """Exact gradient of the Laplace approximation; `adjoint` as of `laplace_moves`."""
    problem, mode = at.problem, at.mode
    moves = laplace_moves(at, adjoint)
    row = -2.0 * mode.terms.score + moves.bent
    others = problem.tail_terms(mode.eta, at.phi)
    tail = [float((moves.leverage * d.weight + moves.shift * d.score).sum() - 2.0 * d.loglik.sum()) for d in others]
    relative, quadratic_share, inverse_share = term_slopes(
        problem, inverse_sums(at.factor, moves.post), at.regular, mode.u, moves.v
    )
    return LikelihoodSlopes(
        relative=relative,
        absolute=_singular_terms(at, moves.post, mode.terms.score, moves.bent),
        gamma=problem.fixed @ row,
        tail=np.array(tail),
        quadratic_share=quadratic_share,
        inverse_share=inverse_share,
    )


def term_slopes(
    problem: GeneralizedProblem,
    inverse: Sequence[Array],
    regular: Sequence[NDArray[np.bool_]],
    modes: Sequence[Array],
    moved: Sequence[Array],
) -> tuple[tuple[Array, ...], tuple[Array, ...], tuple[Array, ...]]:
    """T'N_t T of every term with its shares, from sum_j (A^{-1})_jj of every factor and u, v in blocks (k_i, 1, q_i).

    See `LikelihoodSlopes`.
    """
    relative, quadratic_share, inverse_share = [], [], []
    for term, own_regular in zip(problem.terms, regular, strict=True):
        own, i = term.columns, term.factor
        u, w = modes[i][own, 0], moved[i][own, 0]
        known = problem.n_levels[i] * np.eye(term.k) - inverse[i][own, own]
        cross = u @ w.T
        quadratic = u @ u.T - 0.5 * (cross + cross.T)
        relative.append((known - quadratic) * (own_regular[:, None] & own_regular))
        quadratic_share.append(share_of(quadratic.diagonal(), known.diagonal()))
        inverse_share.append(inverse[i][own, own].diagonal() / problem.n_levels[i])
    return tuple(relative), tuple(quadratic_share), tuple(inverse_share)


def _singular_terms(at: Laplace, post: FactorPosterior, score: Array, bent: Array) -> dict[int, Array]:
    """N_t of every term whose template is singular: s = Z'l' and s_v = Z'(c - W_o Z Lambda v) for u and v."""
    singular = [x for x, regular in enumerate(at.regular) if not regular.all()]
    if not singular:
        return {}
    s = random_sums(at.problem.pattern.factors, np.stack([score, bent]))
    return absolute_slopes(at.problem, at.factor, post, singular, [x[:, 0] for x in s], [x[:, 1] for x in s])


def absolute_slopes(
    problem: GeneralizedProblem,
    factor: Factor,
    post: FactorPosterior,
    singular: Sequence[int],
    scores: Sequence[Array],
    bent: Sequence[Array],
) -> dict[int, Array]:
    """N_t of the terms `singular`, of Z'l' and Z'(c - W_o Z Lambda v) in blocks (k_i, q_i)."""
    out = {}
    for index in singular:
        term = problem.terms[index]
        own = term.columns
        sums = projected_sums(factor, post, term.factor)[own, own]
        a, b = scores[term.factor][own], bent[term.factor][own]
        cross = a @ b.T
        out[index] = sums - a @ a.T + 0.5 * (cross + cross.T)
    return out
