r"""The entries of the inverse that derivatives and conditional variances need.

Q = Lambda A^{-1} Lambda' is the conditional covariance of b over sigma^2. It is known first for the
trailing block and then, block by block backwards, on the pattern of the factor (Takahashi's recursion):

    Q_i,R = -T L'^{-1} Y_i Q_RR,      Q_ii = T L'^{-1} (I + Y_i Q_RR Y_i') L^{-1} T'.

Sums over levels, which are all that a gradient needs, are cheaper: :mod:`mixfit.factor.sums`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import lapack

from mixfit.factor.factor import scale_trailing
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "Posterior",
    "ancestors",
    "conditional_covariances",
    "diagonal_blocks",
    "full_posterior",
    "posterior",
    "symmetrized",
]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Blocks of Q = Lambda A^{-1} Lambda' that the first chain factor's rows meet.

    Attributes
    ----------
    trailing : ndarray, shape (m, m)
        S^{-1} with Q_TT = Lambda_T S^{-1} Lambda_T', lower triangle, Fortran order.
    own : dict of i to ndarray, shape (k_i, k_i, q_i)
        Q_ii of chain factors after the first.
    nested : dict of (i, j) to ndarray, shape (k_i, k_j, q_i)
        Q_ij against the level of j that holds each level of i.
    crossed : dict of i to ndarray, shape (k_i, m, q_i)
        Q_iT of chain factors after the first.
    entries : dict of i to ndarray, shape (k_i, nnz_i)
        Q_iT of the first chain factor, on the pattern of its crossed block.
    sums : dict of i to ndarray, shape (k_i, k_i)
        sum_j (A^{-1})_jj of the chain factors in `own`.
    table : list of ndarray, shape (m, m)
        Q_TT, both triangles, where it was formed.
    """

    trailing: Array
    own: dict[int, Array]
    nested: dict[tuple[int, int], Array]
    crossed: dict[int, Array]
    entries: dict[int, Array] = field(default_factory=dict)
    sums: dict[int, Array] = field(default_factory=dict)
    table: list[Array] = field(default_factory=list)


def posterior(factor: Factor) -> Posterior:
    """Q of every block but the first chain factor's own."""
    plan = factor.plan
    inverse = lapack.dpotri(factor.trailing, lower=1)[0] if plan.m else np.empty((0, 0))
    post = Posterior(inverse, {}, {}, {})
    if len(plan.chain) > 1:
        full = trailing_covariance(factor, post) if plan.m else inverse
        for position in range(len(plan.chain) - 1, 0, -1):
            _extend(factor, position, full, post)
    return post


def full_posterior(factor: Factor) -> Posterior:
    """Q of every block, the first chain factor's own included."""
    post = posterior(factor)
    full = trailing_covariance(factor, post) if factor.plan.m else post.trailing
    _extend(factor, 0, full, post)
    post.table.append(full)
    return post


def trailing_covariance(factor: Factor, post: Posterior) -> Array:
    """Q_TT = Lambda_T S^{-1} Lambda_T', both triangles."""
    transposed = [t.T for t in factor.templates]
    scaled = scale_trailing(factor.gram, factor.plan, transposed, post.trailing.copy(order="F"))
    return symmetrized(scaled)


def symmetrized(lower: Array) -> Array:
    """The whole of a symmetric matrix from its lower triangle."""
    out = np.tril(lower)
    out += np.tril(lower, -1).T
    return out


def _extend(factor: Factor, position: int, full: Array, post: Posterior) -> None:
    """Add chain factor `position` to the posterior: everything after it is known."""
    plan = factor.plan
    i, after = plan.chain[position], plan.chain[position + 1 :]
    block = factor.chain[i]
    back = -lv.transpose(block.root)
    middle = lv.add_identity(ancestors(factor, i, block.nested, block.crossed, post))
    if block.crossed is not None:
        pattern = plan.crossed[i]
        # No earlier block asks for more of the first one than its pattern.
        product = pattern.matmul(block.crossed, full) if position else None
        at = (
            pattern.matmul_entries(block.crossed, full)
            if product is None
            else product[:, pattern.column, pattern.level]
        )
        for a in range(middle.shape[0]):
            for b in range(middle.shape[0]):
                middle[a, b] += np.bincount(pattern.level, at[a] * block.crossed[b], pattern.n_levels)
        for j in after:
            parent, known = plan.parent[i, j], post.crossed[j]
            if product is None:
                meet = known[:, pattern.column, parent[pattern.level]]
                at += lv.gather_matmul(block.nested[j], pattern.level, meet)
            else:
                product += lv.matmul(block.nested[j], known.take(parent, axis=2))
        if product is None:
            post.entries[i] = lv.gather_matmul(back, pattern.level, at)
        else:
            post.crossed[i] = lv.matmul(back, product)
    for j in after:
        half = lv.matmul(block.nested[j], post.own[j].take(plan.parent[i, j], axis=2))
        for h in after:
            if h != j:
                half += lv.matmul(block.nested[h], _between(factor, i, h, j, post))
        if block.crossed is not None:
            pattern = plan.crossed[i]
            meet = post.crossed[j][:, pattern.column, plan.parent[i, j][pattern.level]]
            for a in range(half.shape[0]):
                for b in range(half.shape[1]):
                    half[a, b] += np.bincount(pattern.level, block.crossed[a] * meet[b], pattern.n_levels)
        post.nested[i, j] = lv.matmul(back, half)
    up = lv.transpose(block.inverse)
    post.sums[i] = lv.level_sum(lv.matmul(up, middle), up)
    post.own[i] = lv.matmul(lv.matmul(-back, middle), block.root)


def _between(factor: Factor, i: int, h: int, j: int, post: Posterior) -> Array:
    """Q_hj at the levels of h and j that hold each level of i."""
    parent = factor.plan.parent
    if (h, j) in post.nested:
        return post.nested[h, j].take(parent[i, h], axis=2)
    return lv.transpose(post.nested[j, h].take(parent[i, j], axis=2))


def ancestors(factor: Factor, i: int, nested: dict[int, Array], crossed: Array | None, post: Posterior) -> Array:
    """Y Q Y' a level, all parts of Q but Q_TT: (k, k, q)."""
    plan = factor.plan
    k, q = factor.gram.k[i], factor.gram.n_levels[i]
    out = np.zeros((k, k, q))
    after = list(nested)
    for position, j in enumerate(after):
        parent = plan.parent[i, j]
        half = lv.matmul(nested[j], post.own[j].take(parent, axis=2))
        out += lv.matmul(half, lv.transpose(nested[j]))
        for h in after[position + 1 :]:
            half = lv.matmul(nested[j], _between(factor, i, j, h, post))
            both = lv.matmul(half, lv.transpose(nested[h]))
            out += both + lv.transpose(both)
        if crossed is not None:
            pattern = plan.crossed[i]
            meet = post.crossed[j][:, pattern.column, parent[pattern.level]]
            half = lv.gather_matmul(nested[j], pattern.level, meet)
            for a in range(k):
                for b in range(k):
                    meeting = np.bincount(pattern.level, half[a] * crossed[b], q)
                    out[a, b] += meeting
                    out[b, a] += meeting
    return out


def conditional_covariances(factor: Factor, post: Posterior) -> list[Array]:
    """Q_jj of every level of every factor, shape (k_i, k_i, q_i): Cov(b | y, beta) / sigma^2."""
    plan, gram = factor.plan, factor.gram
    out: list[Array] = [np.empty(0)] * gram.n_factors
    for i in plan.chain[1:]:
        out[i] = post.own[i]
    full = trailing_covariance(factor, post) if plan.m else post.trailing
    first = plan.chain[0]
    block = factor.chain[first]
    middle = lv.add_identity(ancestors(factor, first, block.nested, block.crossed, post))
    if block.crossed is not None:
        pattern = plan.crossed[first]
        for a in range(len(middle)):
            for b in range(a + 1):
                form = pattern.quadratic(full, block.crossed[a], block.crossed[b])
                middle[a, b] += form
                if a != b:
                    middle[b, a] += form
    out[first] = lv.matmul(lv.matmul(lv.transpose(block.root), middle), block.root)
    for j in plan.trailing:
        out[j] = diagonal_blocks(factor, full, j)
    return out


def diagonal_blocks(factor: Factor, full: Array, j: int) -> Array:
    """Q_jj of every level of a trailing factor."""
    k, q, first = factor.gram.k[j], factor.gram.n_levels[j], factor.plan.offset[j]
    at = first + np.arange(k)[:, None] * q + np.arange(q)
    out: Array = full[at[:, None], at[None]]
    return out
