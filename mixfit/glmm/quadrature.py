r"""Adaptive Gauss-Hermite quadrature for one grouping factor, with its exact gradient.

Group j's integral over u (k columns) is taken at nodes u_r = u~_j + L_j'^{-1} z_r, u~_j the conditional mode and
A_j = L_j L_j' its curvature, by the product rule with weights omega_r for the standard normal
(Pinheiro & Bates 1995; Liu & Pierce 1994):

    log L_j = -log|L_j| + log sum_r omega_r exp{g_j(u_r) + z_r'z_r / 2},   g_j(u) = l_j(u) - |u|^2 / 2.

One node is the Laplace approximation. With p_r the nodes' shares in the sum and q_r = grad g(u_r), the nodes
move with the parameters through u~ and L; the derivative of a Cholesky factor, dL = L Phi(L^{-1} dA L'^{-1}),
collects what they contribute in 2 B_j, symmetric,

    B = L'^{-1} sym{Phi((L^{-1} sum_r p_r q_r z_r')') + I/2} L^{-1},

which stands where the Laplace gradient has A^{-1}, and in s = sum_r p_r q_r beside Lambda'Z'c.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from mixfit.cholesky import levels as lv
from mixfit.glmm.curvature import variance_curvature, working_information
from mixfit.glmm.laplace import laplace
from mixfit.glmm.pirls import solve
from mixfit.glmm.point import Slopes
from mixfit.gram.products import random_predictor, random_sums
from mixfit.lmm.derivatives import share_of
from mixfit.optimize.steps import regular_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.pirls import Mode
    from mixfit.glmm.point import Parameters
    from mixfit.glmm.problem import GeneralizedProblem
    from mixfit.optimize.direction import Direction

    Array = NDArray[np.float64]

__all__ = ["QuadratureObjective", "Rule", "product_rule"]

_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Rule:
    """Nodes for the standard normal in k dimensions.

    Attributes
    ----------
    nodes : ndarray, shape (k, R)
    log_weights : ndarray, shape (R,)
        log omega_r + z_r'z_r / 2.
    """

    nodes: Array
    log_weights: Array


def product_rule(n_nodes: int, k: int) -> Rule:
    """The Gauss-Hermite product rule of n_nodes**k nodes."""
    x, w = np.polynomial.hermite_e.hermegauss(n_nodes)
    log_w = np.log(w) - 0.5 * np.log(2.0 * np.pi) + 0.5 * x**2
    index = np.array(list(product(range(n_nodes), repeat=k))).T
    return Rule(x[index], log_w[index].sum(axis=0))


@dataclass(frozen=True, eq=False)
class _Point:
    """The mode and the nodes at one (beta, theta, phi).

    Attributes
    ----------
    center : Laplace
    low_inverse : ndarray, shape (k, k, q)
        L^{-1} of every group.
    u : ndarray, shape (k, R, q)
    share : ndarray, shape (R, q)
        p_r of every group.
    value : float
    """

    center: Laplace
    low_inverse: Array
    u: Array
    share: Array
    value: float


class QuadratureObjective:
    """Adaptive quadrature of -2 log-likelihood, for models of one grouping factor."""

    def __init__(self, problem: GeneralizedProblem, n_nodes: int) -> None:
        self.problem = problem
        self._rule = product_rule(n_nodes, problem.k[0])
        self._at: _Point | None = None
        self._start: Mode | None = None

    def value(self, at: Parameters) -> float:
        """-2 log-likelihood by adaptive quadrature."""
        center = laplace(self.problem, at.gamma, at.templates, at.phi, self._start)
        self._at = _evaluate(center, self._rule)
        return self._at.value

    def slopes(self) -> Slopes:
        """Exact gradient at the point last evaluated."""
        self._start = self._point.center.mode
        return _slopes(self._point, self._rule)

    def information(self, directions: Sequence[Direction]) -> Array:
        """Curvature of the working linear model."""
        return working_information(self._point.center, directions)

    def variance_curvature(self, term: int, direction: Array) -> tuple[float, float]:
        """Working-model curvature along the variance of a boundary direction."""
        return variance_curvature(self._point.center, term, direction)

    @property
    def center(self) -> Laplace:
        """The Laplace approximation at the point last evaluated."""
        return self._point.center

    @property
    def _point(self) -> _Point:
        if self._at is None:
            raise RuntimeError("evaluate a point first")
        return self._at


def _evaluate(center: Laplace, rule: Rule) -> _Point:
    low_inverse = center.factor.chain[0].inverse
    u = center.mode.u[0] + lv.matmul(lv.transpose(low_inverse), _spread(rule, low_inverse.shape[2]))
    log_share = rule.log_weights[:, None] - 0.5 * np.einsum("krq,krq->rq", u, u)
    problem = center.problem
    codes, q = problem.pattern.factors[0].codes, low_inverse.shape[2]
    for nodes, eta in _node_rows(center, u):
        with np.errstate(all="ignore"):
            loglik = problem.family.log_kernel(problem.y, problem.prior, eta, center.phi)
        for r, row in zip(range(nodes.start, nodes.stop), loglik, strict=True):
            log_share[r] += np.bincount(codes, row, q)
    top = log_share.max(axis=0)
    share = np.exp(log_share - top)
    total = share.sum(axis=0)
    log_root = sum(np.log(low_inverse[s, s]) for s in range(len(low_inverse)))
    value = -2.0 * (float((log_root + top + np.log(total)).sum()) + problem.log_constant)
    return _Point(center, low_inverse, u, share / total, value)


def _spread(rule: Rule, q: int) -> Array:
    return np.broadcast_to(rule.nodes[:, :, None], (*rule.nodes.shape, q))


def _node_rows(center: Laplace, u: Array) -> Iterator[tuple[slice, Array]]:
    """Linear predictors (r, n) of a slice of the nodes at a time."""
    problem = center.problem
    fixed = problem.offset + center.gamma @ problem.fixed
    b = lv.left_multiply(center.factor.templates[0], u)
    step = max(1, _CELLS_AT_ONCE // len(fixed))
    for start in range(0, u.shape[1], step):
        nodes = slice(start, min(start + step, u.shape[1]))
        yield nodes, fixed + random_predictor(problem.pattern.factors, [b[:, nodes]])


def _slopes(at: _Point, rule: Rule) -> Slopes:
    center = at.center
    problem, mode = center.problem, center.mode
    factors, t = problem.pattern.factors, center.factor.templates[0]
    k, q = problem.k[0], problem.n_levels[0]
    score_mean, node_scores, loglik_phi, curvature_mean = _node_derivatives(at)
    gradient = lv.left_multiply(t.T, node_scores) - at.u
    weighted = gradient * at.share
    s = weighted.sum(axis=1)
    moved = np.stack([np.einsum("krq,r->kq", weighted, z) for z in rule.nodes], axis=1)
    inner = lv.transpose(lv.matmul(at.low_inverse, moved))
    half = 0.5 * (_lower_half(inner) + lv.transpose(_lower_half(inner)))
    for a in range(k):
        half[a, a] += 0.5
    up = lv.transpose(at.low_inverse)
    twice_b = 2.0 * lv.matmul(lv.matmul(up, half), at.low_inverse)
    leverage = _row_forms(factors[0].columns, factors[0].codes, lv.left_multiply(t, _right(twice_b, t)))
    c = leverage * mode.terms.weight_slope
    pulled = lv.left_multiply(t.T, random_sums(factors, c[None])[0]) - 2.0 * s[:, None]
    v = solve(mode.observed, [pulled])[0][:, 0]
    shift = random_predictor(factors, [lv.left_multiply(t, v[:, None])])[0]
    row = -2.0 * score_mean + c - mode.terms.observed * shift
    log_phi = 0.0
    if problem.family.has_dispersion:
        d = problem.family.dispersion_terms(problem.y, problem.prior, mode.eta, center.phi)
        log_phi = -2.0 * loglik_phi + float((leverage * d.weight + shift * d.score).sum())
    u = mode.u[0][:, 0]
    drift = -2.0 * np.einsum("arq,brq->ab", (gradient + at.u) * at.share, at.u)
    a_less_one = lv.congruence(t, center.factor.gram.diagonal[0])
    spread = 2.0 * lv.matmul(a_less_one, twice_b).sum(axis=2)
    whole = 0.5 * (drift + spread + (v + 2.0 * s) @ u.T + u @ v.T)
    relative, absolute, quadratic, inverse = [], {}, [], []
    share = np.einsum("aaq->a", twice_b) / q
    for index, (term, own) in enumerate(zip(problem.terms, center.templates, strict=True)):
        part = whole[term.columns, term.columns]
        regular = regular_columns(own)
        relative.append(part * (regular[:, None] & regular))
        known = q * (1.0 - share[term.columns])
        quadratic.append(share_of(known - part.diagonal(), known))
        inverse.append(share[term.columns])
        if not regular.all():
            absolute[index] = _price(at, node_scores, curvature_mean)[term.columns, term.columns]
    return Slopes(tuple(relative), absolute, problem.fixed @ row, log_phi, tuple(quadratic), tuple(inverse))


def _node_derivatives(at: _Point) -> tuple[Array, Array, float, Array]:
    """Posterior means over the nodes: l' by row; Z'l' by node and group; dl/dlog phi; observed curvature."""
    center = at.center
    problem = center.problem
    codes = problem.pattern.factors[0].codes
    k, _, q = at.u.shape
    score_mean, curvature_mean = np.zeros(len(codes)), np.zeros(len(codes))
    scores = np.empty((k, at.u.shape[1], q))
    loglik_phi = 0.0
    for nodes, eta in _node_rows(center, at.u):
        terms = problem.family.terms(problem.y, problem.prior, eta, center.phi)
        share = at.share[nodes].take(codes, axis=1)
        score_mean += np.einsum("rn,rn->n", share, terms.score)
        curvature_mean += np.einsum("rn,rn->n", share, np.broadcast_to(terms.observed, share.shape))
        scores[:, nodes] = random_sums(problem.pattern.factors, terms.score)[0]
        if problem.family.has_dispersion:
            d = problem.family.dispersion_terms(problem.y, problem.prior, eta, center.phi)
            loglik_phi += float(np.vdot(share, d.loglik))
    return score_mean, scores, loglik_phi, curvature_mean


def _price(at: _Point, node_scores: Array, curvature_mean: Array) -> Array:
    """N = sum_j E[Z'W_o Z - Z'l'(Z'l')' | y], the exact integral's slope in the covariance (Price 1958)."""
    factor = at.center.problem.pattern.factors[0]
    columns = np.ones((1, len(curvature_mean))) if factor.columns is None else factor.columns
    return (columns * curvature_mean) @ columns.T - np.einsum("arq,brq->ab", node_scores * at.share, node_scores)


def _lower_half(a: Array) -> Array:
    """Phi: the lower triangle with half its diagonal, of every level."""
    out = np.zeros(a.shape)
    for i in range(len(a)):
        out[i, :i] = a[i, :i]
        out[i, i] = 0.5 * a[i, i]
    return out


def _right(a: Array, t: Array) -> Array:
    """A_j T'."""
    return np.matmul(t, a)


def _row_forms(columns: Array | None, codes: NDArray[np.intp], blocks: Array) -> Array:
    """z_i'B_j z_i of every row."""
    if columns is None:
        return blocks[0, 0].take(codes)
    out = np.zeros(len(codes))
    for a in range(len(blocks)):
        for b in range(len(blocks)):
            out += columns[a] * columns[b] * blocks[a, b].take(codes)
    return out
