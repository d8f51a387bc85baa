r"""Nodes and value of adaptive Gauss-Hermite quadrature for one grouping factor.

Group j's integral over u (k columns) is taken at nodes u_r = u~_j + L_j'^{-1} z_r, u~_j the conditional mode and
A_j = L_j L_j' its curvature, by the product rule with weights omega_r for the standard normal
(Pinheiro & Bates 1995; Liu & Pierce 1994):

    log L_j = -log|L_j| + log sum_r omega_r exp{g_j(u_r) + z_r'z_r / 2},   g_j(u) = l_j(u) - |u|^2 / 2.

One node is the Laplace approximation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.gram import levels as lv
from mixfit.gram.products import random_predictor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.glmm.laplace import Laplace

    Array = NDArray[np.float64]

__all__ = ["NodePoint", "Rule", "check_rule", "evaluate_nodes", "node_rows", "product_rule"]

# A product rule of 10 nodes in four columns would be 10,000 nodes a group.
_MAX_COLUMNS = 3
# numpy's nodes and weights are no longer finite in double precision from about 375 on.
_MAX_NODES = 300
# 16 MB an array, a few of which fit the cache that rows stream through.
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


def check_rule(n_agq: int, k: Sequence[int], terms: Sequence[Term]) -> None:
    """Refuse quadrature where the likelihood is no product of small integrals, or the rule has too many points.

    Parameters
    ----------
    n_agq : int
    k : sequence of int
        Random columns of every grouping factor.
    terms : sequence of Term

    Raises
    ------
    FitError
    """
    if n_agq > _MAX_NODES:
        raise FitError(
            f"n_agq is at most {_MAX_NODES}, not {n_agq}: the weights of longer rules leave double precision. "
            "Take fewer points."
        )
    if len(k) > 1:
        raise FitError(
            f"n_agq > 1 needs one grouping factor, and this model has {len(k)}: adaptive quadrature is for "
            "models such as (1|g) or (x|g), in all predictors. Use n_agq=1, the Laplace approximation, for nested or "
            "crossed factors."
        )
    if any(term.structure.relationship is not None for term in terms):
        raise FitError(
            "n_agq > 1 is for levels that are independent, and those of a known covariance are related. Use n_agq=1, "
            "the Laplace approximation."
        )
    if k[0] > _MAX_COLUMNS:
        raise FitError(
            f"n_agq > 1 takes up to {_MAX_COLUMNS} random columns a group, and this model has {k[0]}: the "
            "product rule would need n_agq to that power of nodes. Use n_agq=1, the Laplace approximation."
        )


def product_rule(n_nodes: int, k: int) -> Rule:
    """The Gauss-Hermite product rule of n_nodes**k nodes."""
    x, w = np.polynomial.hermite_e.hermegauss(n_nodes)
    log_w = np.log(w) - 0.5 * np.log(2.0 * np.pi) + 0.5 * x**2
    index = np.array(list(product(range(n_nodes), repeat=k))).T
    return Rule(x[index], log_w[index].sum(axis=0))


@dataclass(frozen=True, eq=False)
class NodePoint:
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


def evaluate_nodes(center: Laplace, rule: Rule) -> NodePoint:
    """The sum over the nodes about a conditional mode."""
    low_inverse = center.factor.chain[0].inverse
    u = center.mode.u[0] + lv.matmul(lv.transpose(low_inverse), _spread(rule, low_inverse.shape[2]))
    log_share = rule.log_weights[:, None] - 0.5 * np.einsum("krq,krq->rq", u, u)
    problem = center.problem
    codes, q = problem.pattern.factors[0].codes[: len(problem.y)], low_inverse.shape[2]
    for nodes, eta in node_rows(center, u):
        with np.errstate(all="ignore"):
            loglik = problem.row_loglik(eta, center.phi)
        for r, row in zip(range(nodes.start, nodes.stop), loglik, strict=True):
            log_share[r] += np.bincount(codes, row, q)
    top = log_share.max(axis=0)
    share = np.exp(log_share - top)
    total = share.sum(axis=0)
    log_root = sum(np.log(low_inverse[s, s]) for s in range(len(low_inverse)))
    value = -2.0 * (float((log_root + top + np.log(total)).sum()) + problem.log_constant)
    return NodePoint(center, low_inverse, u, share / total, value)


def _spread(rule: Rule, q: int) -> Array:
    return np.broadcast_to(rule.nodes[:, :, None], (*rule.nodes.shape, q))


def node_rows(center: Laplace, u: Array) -> Iterator[tuple[slice, Array]]:
    """Linear predictors (r, rows) of a slice of the nodes at a time."""
    problem = center.problem
    fixed = problem.offset + center.gamma @ problem.fixed
    b = lv.left_multiply(center.factor.templates[0], u)
    step = max(1, _CELLS_AT_ONCE // len(fixed))
    for start in range(0, u.shape[1], step):
        nodes = slice(start, min(start + step, u.shape[1]))
        yield nodes, fixed + random_predictor(problem.pattern.factors, [b[:, nodes]])
