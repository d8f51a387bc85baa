r"""Adaptive Gauss-Hermite quadrature as an objective, for models of one grouping factor, and its exact derivatives.

With p_r the nodes' shares in the sum and q_r = grad g(u_r), the nodes move with the parameters through u~ and L;
the derivative of a Cholesky factor, dL = L Phi(L^{-1} dA L'^{-1}), collects what they contribute in 2 B_j, symmetric,

    B = L'^{-1} sym{Phi((L^{-1} sum_r p_r q_r z_r')') + I/2} L^{-1},

which stands where the Laplace gradient has A^{-1}, and in s = sum_r p_r q_r beside Lambda'Z'c.

Turning u turns the product rule, so that the sum is a function of Sigma = T T' for lower-triangular T only. At a
singular T its slope in a variance along a null direction is not that of the integral (Price 1958); it is taken
along lower-triangular T a little off the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import relative_factors
from mixfit.factor.posterior import row_forms
from mixfit.glmm.cluster_slopes import Clustered, ClusterSlopes
from mixfit.glmm.laplace import laplace_of
from mixfit.glmm.nodes import evaluate_nodes, node_rows, product_rule
from mixfit.glmm.objective import LikelihoodPoint, Objective
from mixfit.glmm.problem import LikelihoodSlopes
from mixfit.glmm.triangles import in_covariance, lower_half, lower_triangular, with_variance
from mixfit.gram import levels as lv
from mixfit.gram.products import random_predictor, random_sums
from mixfit.lmm.derivatives import share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.nodes import NodePoint, Rule
    from mixfit.glmm.problem import GeneralizedParameters, GeneralizedProblem

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["QuadratureObjective", "QuadraturePoint", "quadrature_slopes", "slope_off_boundary"]

# So small a variance, where the data tell of it, changes A by this much: it stands for the limit at zero.
_OFF = 1e-6
# Of that variance, the step of its difference.
_RELATIVE = 1e-4


@dataclass(frozen=True, eq=False)
class QuadraturePoint(LikelihoodPoint):
    """Adaptive quadrature at one point.

    Attributes
    ----------
    nodes : NodePoint
        At lower-triangular templates of the same covariances.
    turns : tuple of ndarray, shape (k_t, k_t)
        Q, orthogonal, with T = T_low Q for the templates T of `at`.
    """

    nodes: NodePoint
    turns: tuple[Array, ...]


class QuadratureObjective(Objective[QuadraturePoint]):
    """Adaptive quadrature of -2 log-likelihood, for models of one grouping factor.

    A product rule turns with the columns of T. The sum is taken at the lower-triangular T, so that it is a function of
    T T' alone like every other criterion.

    Parameters
    ----------
    problem : GeneralizedProblem
    n_nodes : int
        A dimension.
    """

    def __init__(self, problem: GeneralizedProblem, n_nodes: int) -> None:
        super().__init__(problem)
        self._rule = product_rule(n_nodes, problem.k[0])

    def evaluate(self, at: GeneralizedParameters) -> QuadraturePoint:
        """-2 log-likelihood by adaptive quadrature."""
        factors = relative_factors(self.problem.terms, at.points)
        low, turns = zip(*map(lower_triangular, factors), strict=True)
        center = laplace_of(self.problem.at(at.shape), at.gamma, low, at.phi, self._near)
        nodes = evaluate_nodes(center, self._rule)
        return QuadraturePoint(at, center, nodes.value, nodes, turns)

    def slopes(self, point: QuadraturePoint) -> LikelihoodSlopes:
        """Exact gradient."""
        return quadrature_slopes(point.nodes, self._rule, point.turns)

    def cluster_slopes(self, point: QuadraturePoint, cluster: Index, n_clusters: int) -> ClusterSlopes:
        """Exact gradient of what every cluster of observations adds."""
        return quadrature_cluster_slopes(point.nodes, self._rule, point.turns, Clustered(cluster, n_clusters))

    def boundary_slopes(self, point: QuadraturePoint, slopes: LikelihoodSlopes) -> dict[int, Array]:
        """N_t on the null space of every singular term, one evaluation aside for each of its entries."""
        return {x: self._null_slopes(point.center, x) for x in slopes.absolute}

    def _null_slopes(self, center: Laplace, index: int) -> Array:
        structure = self.problem.terms[index].structure
        null = structure.null_space(center.templates[index], self.problem.seen[index])
        form = np.diag([self._slope_off(center, index, n) for n in null.T])
        if not structure.is_separable:
            for a, b in zip(*np.tril_indices(len(form), -1), strict=True):
                mixed = self._slope_off(center, index, np.sqrt(0.5) * (null[:, a] + null[:, b]))
                form[a, b] = form[b, a] = mixed - 0.5 * (form[a, a] + form[b, b])
        return np.asarray(null @ form @ null.T)

    def _slope_off(self, center: Laplace, index: int, direction: Array) -> float:
        self.n_aside += 1
        return slope_off_boundary(center, self._rule, index, direction)


@dataclass(frozen=True, eq=False)
class NodeMoments:
    """What the slopes are made of: means over the nodes, and how the nodes move.

    Attributes
    ----------
    score_mean : ndarray, shape (n,)
    node_scores : ndarray, shape (k, R, q)
        Z'l' at every node.
    loglik_tail : ndarray, shape (t, n)
    s : ndarray, shape (k, q)
    twice_b : ndarray, shape (k, k, q)
    leverage, c, shift : ndarray, shape (n,)
        z'(2B)z, that times dW/d eta, and Z Lambda v.
    v : ndarray, shape (k, q)
    """

    score_mean: Array
    node_scores: Array
    loglik_tail: Array
    s: Array
    twice_b: Array
    leverage: Array
    c: Array
    shift: Array
    v: Array


def node_moments(at: NodePoint, rule: Rule) -> NodeMoments:
    center = at.center
    problem, mode = center.problem, center.mode
    factors, t = problem.pattern.factors, center.factor.templates[0]
    score_mean, node_scores, loglik_tail = _node_derivatives(at)
    weighted = (lv.left_multiply(t.T, node_scores) - at.u) * at.share
    s = weighted.sum(axis=1)
    moved = np.stack([np.einsum("krq,r->kq", weighted, z) for z in rule.nodes], axis=1)
    inner = lv.transpose(lv.matmul(at.low_inverse, moved))
    half = 0.5 * (lower_half(inner) + lv.transpose(lower_half(inner)))
    for a in range(problem.k[0]):
        half[a, a] += 0.5
    twice_b = 2.0 * lv.matmul(lv.matmul(lv.transpose(at.low_inverse), half), at.low_inverse)
    leverage = row_forms(factors[0], lv.left_multiply(t, _right(twice_b, t)))
    c = mode.terms.slopes(leverage)
    pulled = lv.left_multiply(t.T, random_sums(factors, c[None])[0]) - 2.0 * s[:, None]
    v = mode.observed.solve([pulled])[0][:, 0]
    shift = random_predictor(factors, [lv.left_multiply(t, v[:, None])])[0]
    return NodeMoments(score_mean, node_scores, loglik_tail, s, twice_b, leverage, c, shift, v)


def quadrature_slopes(at: NodePoint, rule: Rule, turns: Sequence[Array]) -> LikelihoodSlopes:
    """Exact gradient of the sum over the nodes, for the templates T = T_low Q of the `turns` Q.

    Along lower-triangular T the derivatives are the lower triangle of T'N T, which is symmetric.
    """
    center = at.center
    problem, mode = center.problem, center.mode
    q, m = problem.n_levels[0], node_moments(at, rule)
    row = -2.0 * m.score_mean + m.c - mode.terms.observed * m.shift
    others = problem.tail_terms(mode.eta, center.phi)
    moved = [float((m.leverage * d.weight + m.shift * d.score).sum()) for d in others]
    tail = -2.0 * m.loglik_tail.sum(axis=1) + moved
    whole = group_slopes(at, m).sum(axis=2)
    relative: list[Array] = []
    quadratic: list[Array] = []
    inverse: list[Array] = []
    absolute: dict[int, Array] = {}
    # What Laplace takes from A^{-1}: the covariances of u given y, here those among the nodes.
    centred = at.u - (at.u * at.share).sum(axis=1)[:, None]
    among = np.einsum("arq,rq,brq->ab", centred, at.share, centred) / q
    for index, (term, own, turn) in enumerate(zip(problem.terms, center.templates, turns, strict=True)):
        part = whole[term.columns, term.columns]
        part = np.tril(part) + np.tril(part, -1).T
        regular = regular_columns(own)
        part = turn.T @ (part * (regular[:, None] & regular)) @ turn
        relative.append(part)
        share = np.einsum("ia,ij,ja->a", turn, among[term.columns, term.columns], turn)
        known = q * (1.0 - share)
        quadratic.append(share_of(known - part.diagonal(), known))
        inverse.append(share)
        if not regular.all():
            slope = _template_slopes(at, m)[term.columns, term.columns]
            absolute[index] = np.asarray(in_covariance(slope, own) @ np.linalg.pinv(own))
    return LikelihoodSlopes(tuple(relative), absolute, problem.fixed @ row, tail, tuple(quadratic), tuple(inverse))


def group_slopes(at: NodePoint, m: NodeMoments) -> Array:
    """T'N T of every group, of which the lower triangle is a derivative: (k, k, q)."""
    mode, t = at.center.mode, at.center.factor.templates[0]
    u = mode.u[0][:, 0]
    drift = -2.0 * np.einsum("arq,brq->abq", lv.left_multiply(t.T, m.node_scores) * at.share, at.u)
    spread = 2.0 * lv.matmul(lv.congruence(t, at.center.factor.gram.diagonal[0]), m.twice_b)
    across = (m.v + 2.0 * m.s)[:, None] * u + u[:, None] * m.v
    return np.asarray(0.5 * (drift + spread + across))


def quadrature_cluster_slopes(at: NodePoint, rule: Rule, turns: Sequence[Array], clustered: Clustered) -> ClusterSlopes:
    """The gradient of `quadrature_slopes`, by clusters that hold groups whole."""
    center, m = at.center, node_moments(at, rule)
    problem, terms = center.problem, center.mode.terms
    row = -2.0 * m.score_mean + m.c - terms.observed * m.shift
    others = problem.tail_terms(center.mode.eta, center.phi)
    tail = [
        clustered.sums(m.leverage * d.weight + m.shift * d.score) - 2.0 * clustered.sums(own)
        for d, own in zip(others, m.loglik_tail, strict=True)
    ]
    whole = clustered.levels(group_slopes(at, m), problem.pattern.factors[0].codes)
    relative = []
    for term, own, turn in zip(problem.terms, center.templates, turns, strict=True):
        part = whole[:, term.columns, term.columns]
        part = np.tril(part) + np.tril(part, -1).swapaxes(1, 2)
        regular = regular_columns(own)
        relative.append(turn.T @ (part * (regular[:, None] & regular)) @ turn)
    gamma = clustered.columns([clustered.sums(x * row) for x in problem.fixed])
    return ClusterSlopes(tuple(relative), {}, gamma, clustered.columns(tail))


def _template_slopes(at: NodePoint, m: NodeMoments) -> Array:
    """Half the derivative in every entry of T, of any rank: T' times this is `whole` above."""
    center = at.center
    mode, t = center.mode, center.factor.templates[0]
    ends = np.stack([m.c - mode.terms.observed * m.shift, mode.terms.score])
    bent, score = random_sums(center.problem.pattern.factors, ends)[0].swapaxes(0, 1)
    drift = -2.0 * np.einsum("arq,brq->ab", m.node_scores * at.share, at.u)
    spread = 2.0 * lv.matmul(center.factor.gram.diagonal[0], lv.left_multiply(t, m.twice_b)).sum(axis=2)
    return np.asarray(0.5 * (drift + spread + bent @ mode.u[0][:, 0].T + score @ m.v.T))


def slope_off_boundary(center: Laplace, rule: Rule, index: int, direction: Array) -> float:
    """d/dv at T T' + v d d', v -> 0, for a null direction d of a singular term."""
    t, own = center.templates[index], center.problem.terms[index].columns
    h = center.factor.gram.diagonal[0][own, own].mean(axis=2)
    # So small a variance changes A by 1e-6 or less, and the slope by as much.
    v = _OFF / max(float(direction @ h @ direction), _OFF)
    low, up, down = (with_variance(t, direction, v * x) for x in (1.0, 1.0 + _RELATIVE, 1.0 - _RELATIVE))
    templates = [*center.templates[:index], low, *center.templates[index + 1 :]]
    at = evaluate_nodes(laplace_of(center.problem, center.gamma, templates, center.phi, center.mode), rule)
    slopes = _template_slopes(at, node_moments(at, rule))[own, own]
    return float(np.vdot(slopes, up - down)) / (_RELATIVE * v)


def _node_derivatives(at: NodePoint) -> tuple[Array, Array, Array]:
    """Posterior means over the nodes: l' by row; Z'l' by node and group; dl/dpsi of the tail by observation."""
    center = at.center
    problem = center.problem
    codes = problem.pattern.factors[0].codes
    k, _, q = at.u.shape
    score_mean = np.zeros(len(codes))
    scores = np.empty((k, at.u.shape[1], q))
    loglik_tail = np.zeros((problem.family.n_tail, len(problem.y)))
    for nodes, eta in node_rows(center, at.u):
        share = at.share[nodes].take(codes, axis=1)
        # A node of one row outside the support has no share, and no derivatives either.
        with np.errstate(all="ignore"):
            score = _shared(share, problem.row_terms(eta, center.phi).score)
            score_mean += np.einsum("rn,rn->n", share, score)
            scores[:, nodes] = random_sums(problem.pattern.factors, score)[0]
            own = share[:, : len(problem.y)]
            others = problem.tail_terms(eta, center.phi)
            for a, d in enumerate(others):
                loglik_tail[a] += np.einsum("rn,rn->n", own, _shared(own, d.loglik))
    return score_mean, scores, loglik_tail


def _shared(share: Array, values: Array) -> Array:
    """Values (r, n) at the nodes that have a share of the sum, zero at the others."""
    return np.where(share > 0.0, values, 0.0)


def _right(a: Array, t: Array) -> Array:
    """A_j T'."""
    return np.matmul(t, a)
