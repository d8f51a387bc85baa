r"""Adaptive Gauss-Hermite quadrature of a nonlinear model of one grouping factor, and its exact derivatives.

Group j's integral over u is taken at nodes u_r = u~_j + sigma L_j'^{-1} z_r about its mode, A_j = L_j L_j', by the
product rule of weights omega_r for the standard normal (Pinheiro & Bates 1995, JCGS 4, eq. 14). With r_j^2(u) the
penalized squares of the group's rows,

    d = n log(2 pi sigma^2) + log|A| - sum log w_i
        - 2 sum_j log sum_r omega_r exp[z_r'z_r / 2 - r_j^2(u_r) / (2 sigma^2)],

minimized over sigma wherever it is not given. One node is the Laplace approximation, and its notation is kept here:
with p_r the nodes' shares in the sum of a group and q_r = Lambda'Z'e(u_r) - u_r, minus half the gradient of r_j^2,

    dd/dlog sigma = 2 n - (2 / sigma^2) sum_jr p_r [r_j^2(u_r) + sigma q_r'L_j'^{-1} z_r],

and where the gradient of Laplace has A^{-1} stands, by the derivative dL = L Phi(L^{-1} dA L'^{-1}) of a factor,

    2 B_j = L'^{-1} [sym Phi(K') + I] L^{-1},    K = (2 / sigma) L^{-1} sum_r p_r q_r z_r',

in c_i = H_i [z_ip'Lambda (2 B) Lambda'z_i]_p; the mode has K v = Lambda'Z'c - sum_r p_r q_r / sigma^2; and half of
the derivative in T is

    sum_j { -(1 / sigma^2) sum_r p_r (Z'e_r)_j u_r' + (Z'Z)_jj T (2 B_j) + (Z'w)_j u~_j' + (Z'e)_j v_j' }.

The sum is taken at lower-triangular T, as that of generalized models is: see :mod:`mixfit.glmm.aghq`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.glmm.nodes import product_rule
from mixfit.glmm.triangles import in_covariance, lower_half, lower_triangular, with_variance
from mixfit.gram import levels as lv
from mixfit.lmm.derivatives import share_of
from mixfit.nlmm.laplace import NonlinearPoint, NonlinearSlopes
from mixfit.nlmm.mode import find_mode, pulled, solve_exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.glmm.nodes import Rule
    from mixfit.nlmm.mode import NonlinearMode
    from mixfit.nlmm.problem import NonlinearParameters, NonlinearProblem

    Array = NDArray[np.float64]

__all__ = ["NonlinearQuadraturePoint", "Quadrature"]

# 16 MB an array of slopes, a few of which fit the cache.
_CELLS_AT_ONCE = 2_000_000
# sigma has settled where dd/dlog sigma is this share of n: the value is then known to the square of it.
_SETTLED = 1e-9
# Near the Laplace approximation's sigma the slope is nearly 4 n (log sigma - its minimum): secants end within ten.
_MAX_SECANTS = 50
# One step of log sigma is no longer than this.
_LONGEST = 0.5
# So small a variance, where the data tell of it, changes A by this much: it stands for the limit at zero.
_OFF = 1e-6
# Of that variance, the step of its difference.
_RELATIVE = 1e-4


@dataclass(frozen=True, eq=False)
class _Nodes:
    """The sum over the nodes at one sigma.

    Attributes
    ----------
    u, score : ndarray, shape (k, R, q)
        Nodes, and Z'e there.
    share : ndarray, shape (R, q)
    value, log_sigma : float
        d, and its slope in log sigma.
    """

    u: Array
    score: Array
    share: Array
    value: float
    log_sigma: float


@dataclass(frozen=True, eq=False)
class NonlinearQuadraturePoint(NonlinearPoint):
    """The sum at one point: its mode is at lower-triangular T_low, and T = T_low Q for the `turns` Q."""

    nodes: _Nodes
    turns: tuple[Array, ...]


class Quadrature:
    """-2 log-likelihood by adaptive quadrature.

    Parameters
    ----------
    problem : NonlinearProblem
        Of one grouping factor.
    n_nodes : int
        A dimension.
    """

    def __init__(self, problem: NonlinearProblem, n_nodes: int) -> None:
        self.problem, self._rule = problem, product_rule(n_nodes, problem.pattern.k[0])

    def evaluate(
        self, at: NonlinearParameters, start: Sequence[Array] | None = None, scale: float | None = None
    ) -> NonlinearQuadraturePoint:
        """The sum at a point, the mode looked for from `start`; sigma^2 is profiled out or `scale`."""
        problem = self.problem.at(at.gamma)
        low, turns = zip(*map(lower_triangular, relative_factors(problem.terms, at.points)), strict=True)
        mode = find_mode(problem, at.beta, low, start)
        if scale is None:
            scale = _best_scale(problem, mode, self._rule)
        nodes = _nodes(problem, mode, scale, self._rule)
        return NonlinearQuadraturePoint(problem, at, mode, nodes.value, scale, nodes, turns)

    def slopes(self, point: NonlinearPoint) -> NonlinearSlopes:
        """Exact gradient."""
        assert isinstance(point, NonlinearQuadraturePoint)
        return _slopes(point, self._rule)

    def boundary_slopes(self, point: NonlinearPoint, slopes: NonlinearSlopes) -> dict[int, Array]:
        """N_t on the null space of every singular term, one evaluation aside for each of its entries."""
        return {x: self._null_slopes(point, x) for x in slopes.absolute}

    def _null_slopes(self, point: NonlinearPoint, index: int) -> Array:
        structure = self.problem.terms[index].structure
        null = structure.null_space(point.mode.templates[index], self.problem.seen[index])
        form = np.diag([self._slope_off(point, index, d) for d in null.T])
        if not structure.is_separable:
            for a, b in zip(*np.tril_indices(len(form), -1), strict=True):
                mixed = self._slope_off(point, index, np.sqrt(0.5) * (null[:, a] + null[:, b]))
                form[a, b] = form[b, a] = mixed - 0.5 * (form[a, a] + form[b, b])
        return np.asarray(null @ form @ null.T)

    def _slope_off(self, point: NonlinearPoint, index: int, direction: Array) -> float:
        """d/dv at T T' + v d d', v -> 0, for a null direction d of a singular term."""
        mode, own = point.mode, self.problem.terms[index].columns
        h = mode.factor.gram.diagonal[0][own, own].mean(axis=2)
        v = _OFF / max(float(direction @ h @ direction), _OFF)
        t = mode.templates[index]
        low, up, down = (with_variance(t, direction, v * x) for x in (1.0, 1.0 + _RELATIVE, 1.0 - _RELATIVE))
        templates = (*mode.templates[:index], low, *mode.templates[index + 1 :])
        beside = self.evaluate(replace(point.at, points=templates), mode.u, point.scale)
        slope = _template_slopes(beside, _moments(beside, self._rule))[own, own]
        return float(np.vdot(slope, up - down)) / (_RELATIVE * v)


def _best_scale(problem: NonlinearProblem, mode: NonlinearMode, rule: Rule) -> float:
    """The sigma^2 of the least sum at a mode, by secants of its slope from that of the Laplace approximation."""
    n = problem.n
    x = 0.5 * np.log(mode.squares / n)
    slope, curvature = _nodes(problem, mode, float(np.exp(2.0 * x)), rule).log_sigma, 4.0 * n
    for _ in range(_MAX_SECANTS):
        if abs(slope) <= _SETTLED * n:
            return float(np.exp(2.0 * x))
        step = float(np.clip(-slope / curvature, -_LONGEST, _LONGEST))
        x += step
        last, slope = slope, _nodes(problem, mode, float(np.exp(2.0 * x)), rule).log_sigma
        secant = (slope - last) / step
        if secant > 0.0:
            curvature = secant
    raise FitError(
        "The residual variance of the quadrature did not settle: take another n_agq, or the Laplace approximation, "
        "n_agq=1."
    )


def _curves(problem: NonlinearProblem, mode: NonlinearMode, u: Array) -> Iterator[tuple[slice, Array, Array]]:
    """Of a slice of the nodes at a time, residuals (r, n) and slopes (P, r, n), times the roots of the weights."""
    load, codes = problem.loads[0], problem.pattern.factors[0].codes
    fixed = np.einsum("p,pan->an", mode.beta, problem.X)
    b = lv.left_multiply(mode.factor.templates[0], u)
    size, n = fixed.shape
    step = max(1, _CELLS_AT_ONCE // (size * n))
    for first in range(0, u.shape[1], step):
        nodes = slice(first, min(first + step, u.shape[1]))
        own = b[:, nodes].take(codes, axis=2)
        phi = fixed[:, None] + np.einsum("kan,krn->arn", load, own)
        count = phi.shape[1]
        with np.errstate(all="ignore"):
            mean = problem.mean.repeated(count)(phi.reshape(size, -1), 1)
            value = mean.value.reshape(count, n)
            yield nodes, problem.root * (problem.y - value), problem.root * mean.slope.reshape(phi.shape)


def _nodes(problem: NonlinearProblem, mode: NonlinearMode, scale: float, rule: Rule) -> _Nodes:
    sigma, low_inverse = float(np.sqrt(scale)), mode.factor.chain[0].inverse
    codes, load = problem.pattern.factors[0].codes, problem.loads[0]
    k, _, q = low_inverse.shape
    spread = lv.matmul(lv.transpose(low_inverse), np.broadcast_to(rule.nodes[:, :, None], (*rule.nodes.shape, q)))
    u = mode.u[0] + sigma * spread
    squares = np.einsum("krq,krq->rq", u, u)
    score = np.empty(u.shape)
    for nodes, e, slope in _curves(problem, mode, u):
        squares[nodes] += lv.segment_sum(e * e, codes, q)
        rows = np.einsum("kan,arn->krn", load, slope * e)
        score[:, nodes] = lv.segment_sum(rows.reshape(-1, rows.shape[2]), codes, q).reshape(k, -1, q)
    log_share = rule.log_weights[:, None] - 0.5 * squares / scale
    # A node at which the curve is not finite has no share.
    lost = ~np.isfinite(log_share) | ~np.isfinite(score).all(axis=0)
    log_share[lost], squares[lost] = -np.inf, 0.0
    score[:, lost] = 0.0
    top = log_share.max(axis=0)
    share = np.exp(log_share - top)
    total = share.sum(axis=0)
    share /= total
    n = problem.n
    value = n * np.log(2.0 * np.pi * scale) + mode.factor.logdet - problem.log_weights
    value -= 2.0 * float((top + np.log(total)).sum())
    q_r = lv.left_multiply(mode.factor.templates[0].T, score) - u
    moving = squares + sigma * np.einsum("krq,krq->rq", q_r, spread)
    return _Nodes(u, score, share, float(value), 2.0 * n - 2.0 / scale * float((share * moving).sum()))


@dataclass(frozen=True, eq=False)
class _Moments:
    """What the slopes are made of.

    Attributes
    ----------
    mean_score : ndarray, shape (P, n)
        sum_r p_r J_r e_r.
    log_weight : ndarray, shape (n,)
        The derivative in the logarithm of every row's weight.
    s : ndarray, shape (k, q)
        sum_r p_r q_r.
    twice_b : ndarray, shape (k, k, q)
    w : ndarray, shape (P, n)
    v : ndarray, shape (k, 1, q)
    """

    mean_score: Array
    log_weight: Array
    s: Array
    twice_b: Array
    w: Array
    v: Array


def _moments(point: NonlinearQuadraturePoint, rule: Rule) -> _Moments:
    problem, mode, nodes = point.problem, point.mode, point.nodes
    t, codes, load = mode.factor.templates[0], problem.pattern.factors[0].codes, problem.loads[0]
    low_inverse = mode.factor.chain[0].inverse
    slope, bend, e = mode.mean.slope, mode.mean.bend, mode.residual
    mean_score, mean_square = np.zeros(slope.shape), np.zeros(problem.n)
    for own, residual, along in _curves(problem, mode, nodes.u):
        share = nodes.share[own].take(codes, axis=1)
        mean_score += np.where(share > 0.0, share * residual * along, 0.0).sum(axis=1)
        mean_square += np.where(share > 0.0, share * residual**2, 0.0).sum(axis=0)
    weighted = (lv.left_multiply(t.T, nodes.score) - nodes.u) * nodes.share
    moved = np.stack([np.einsum("krq,r->kq", weighted, z) for z in rule.nodes], axis=1)
    half = lower_half(lv.transpose(lv.matmul(low_inverse, moved))) / np.sqrt(point.scale)
    inner = lv.add_identity(half + lv.transpose(half))
    twice_b = lv.matmul(lv.matmul(lv.transpose(low_inverse), inner), low_inverse)
    form = np.matmul(t, lv.left_multiply(t, twice_b)).take(codes, axis=2)
    rows = np.einsum("kan,an->kn", load, slope)
    between = np.einsum("kan,kln,ln->an", load, form, rows)
    c = np.einsum("abn,bn->an", bend, between)
    s = weighted.sum(axis=1)
    right = pulled(problem, mode, c)[0] - s[:, None] / point.scale
    v = solve_exact(problem, mode, [right])[0]
    shift = problem.spread([lv.left_multiply(t, v)])
    along_v = np.einsum("an,an->n", slope, shift)
    w = c + np.einsum("abn,bn->an", bend, shift) * e - slope * along_v
    leverage = np.einsum("an,an->n", slope, between)
    log_weight = mean_square / point.scale - 1.0 + leverage + 2.0 * e * along_v
    return _Moments(mean_score, log_weight, s, twice_b, w, v)


def _template_slopes(point: NonlinearQuadraturePoint, m: _Moments) -> Array:
    """Half the derivative in every entry of T, shape (k, k)."""
    problem, mode, nodes = point.problem, point.mode, point.nodes
    drift = -np.einsum("arq,brq->ab", nodes.score * nodes.share, nodes.u) / point.scale
    gram = mode.factor.gram.diagonal[0]
    spread = lv.matmul(gram, lv.left_multiply(mode.factor.templates[0], m.twice_b)).sum(axis=2)
    bent, score = (problem.gathered(x)[0][:, 0] for x in (m.w, mode.mean.slope * mode.residual))
    return np.asarray(drift + spread + bent @ mode.u[0][:, 0].T + score @ m.v[:, 0].T)


def _slopes(point: NonlinearQuadraturePoint, rule: Rule) -> NonlinearSlopes:
    problem, mode, nodes = point.problem, point.mode, point.nodes
    m = _moments(point, rule)
    every = _template_slopes(point, m)
    q = problem.pattern.n_levels[0]
    # What Laplace takes from A^{-1}: the covariances of u given y over sigma^2, here those among the nodes.
    centred = nodes.u - (nodes.u * nodes.share).sum(axis=1)[:, None]
    among = np.einsum("arq,rq,brq->ab", centred, nodes.share, centred) / (q * point.scale)
    relative, quadratic, inverse = [], [], []
    absolute: dict[int, Array] = {}
    for index, (term, low, turn) in enumerate(zip(problem.terms, mode.templates, point.turns, strict=True)):
        slope = every[term.columns, term.columns]
        # Along lower-triangular T the derivatives are the lower triangle of T'N T, which is symmetric.
        part = low.T @ slope
        part = np.tril(part) + np.tril(part, -1).T
        regular = regular_columns(low)
        part = turn.T @ (part * (regular[:, None] & regular)) @ turn
        relative.append(part)
        share = np.einsum("ia,ij,ja->a", turn, among[term.columns, term.columns], turn)
        known = q * (1.0 - share)
        quadratic.append(share_of(known - part.diagonal(), known))
        inverse.append(share)
        if not regular.all():
            absolute[index] = np.asarray(in_covariance(slope, low) @ np.linalg.pinv(low))
    return NonlinearSlopes(
        relative=tuple(relative),
        absolute=absolute,
        beta=np.einsum("pan,an->p", problem.X, 2.0 * m.w - 2.0 * m.mean_score / point.scale),
        log_sigma=nodes.log_sigma,
        gamma=-2.0 * problem.log_deviations.T @ m.log_weight,
        quadratic_share=tuple(quadratic),
        inverse_share=tuple(inverse),
    )
