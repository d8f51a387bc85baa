r"""The entries of the inverse that derivatives, conditional variances and leverages need.

Q = Lambda A^{-1} Lambda' is the conditional covariance of b over sigma^2. It is known first for the
trailing block and then, block by block backwards, on the pattern of the factor (Takahashi, Fagan & Chen 1973):

    Q_i,R = -T L'^{-1} Y_i Q_RR,      Q_ii = T L'^{-1} (I + Y_i Q_RR Y_i') L^{-1} T'.

Sums over levels, which are all that a gradient needs, are cheaper: for them the widest block needs no product larger
than the one its elimination needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.factor.trailing import TrailingInverse
    from mixfit.gram.pattern import FactorRows, RowPattern

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "FactorPosterior",
    "between_pairs",
    "conditional_covariances",
    "full_posterior",
    "inverse_sums",
    "own_blocks",
    "posterior",
    "projected_blocks",
    "projected_sums",
    "row_forms",
    "row_leverages",
]


@dataclass(frozen=True, eq=False)
class FactorPosterior:
    """Blocks of Q = Lambda A^{-1} Lambda' that the rows of earlier chain factors meet.

    Attributes
    ----------
    trailing : TrailingInverse, or None
        Q_TT.
    own : dict of i to ndarray, shape (k_i, k_i, q_i)
        Q_ii of chain factors after the first; of the first too in a full posterior.
    nested : dict of (i, j) to ndarray, shape (k_i, k_j, q_i)
        Q_ij against the level of j that holds each level of i.
    entries : dict of i to ndarray, shape (k_i, nnz_i)
        Q_iT on the pattern of the factor's crossed block.
    sums : dict of i to ndarray, shape (k_i, k_i)
        sum_j (A^{-1})_jj of the chain factors in `own`.
    """

    trailing: TrailingInverse | None
    own: dict[int, Array] = field(default_factory=dict)
    nested: dict[tuple[int, int], Array] = field(default_factory=dict)
    entries: dict[int, Array] = field(default_factory=dict)
    sums: dict[int, Array] = field(default_factory=dict)


def posterior(factor: Factor) -> FactorPosterior:
    """Q of every block but the first chain factor's own."""
    post = FactorPosterior(None if factor.trailing is None else factor.trailing.inverse())
    for position in range(len(factor.plan.chain) - 1, 0, -1):
        _extend(factor, position, post)
    return post


def full_posterior(factor: Factor) -> FactorPosterior:
    """Q of every block, the first chain factor's own included."""
    post = posterior(factor)
    if factor.plan.chain:
        _extend(factor, 0, post)
    return post


def _extend(factor: Factor, position: int, post: FactorPosterior) -> None:
    """Add chain factor `position` to the posterior: everything after it is known."""
    plan = factor.plan
    i, after = plan.chain[position], plan.chain[position + 1 :]
    block = factor.chain[i]
    up = lv.transpose(block.inverse)
    if not after and post.trailing is None:
        post.sums[i] = lv.level_sum(up, up)
        post.own[i] = lv.matmul(lv.transpose(block.root), block.root)
        return
    back = -lv.transpose(block.root)
    middle = lv.add_identity(_ancestors(factor, i, block.nested, block.crossed, post))
    if block.crossed is not None and post.trailing is not None:
        pattern = plan.crossed[i]
        at = post.trailing.rows(i, block.crossed)
        middle += _level_products(at, block.crossed, pattern.level, pattern.n_levels)
        for j in after:
            # By fill-in, where a row meets the trailing block its ancestor's does.
            at += lv.gather_matmul(block.nested[j], pattern.level, post.entries[j].take(plan.fill[i, j], axis=1))
        post.entries[i] = lv.gather_matmul(back, pattern.level, at)
    for j in after:
        half = lv.matmul_at(block.nested[j], post.own[j], plan.parent[i, j])
        for h in after:
            if h != j:
                half += lv.matmul(block.nested[h], _between_ancestors(factor, i, h, j, post))
        if block.crossed is not None:
            pattern = plan.crossed[i]
            meet = post.entries[j].take(plan.fill[i, j], axis=1)
            half += _level_products(block.crossed, meet, pattern.level, pattern.n_levels)
        post.nested[i, j] = lv.matmul(back, half)
    post.sums[i] = lv.level_sum(lv.matmul(up, middle), up)
    post.own[i] = lv.matmul(lv.matmul(-back, middle), block.root)


def _level_products(left: Array, right: Array, level: Index, size: int) -> Array:
    """sum of l_e r_e' over the entries of each level: (r, nnz) and (c, nnz) give (r, c, size)."""
    return np.array([[np.bincount(level, x * y, size) for y in right] for x in left])


def _between_ancestors(factor: Factor, i: int, h: int, j: int, post: FactorPosterior) -> Array:
    """Q_hj at the levels of h and j that hold each level of i."""
    parent = factor.plan.parent
    if (h, j) in post.nested:
        return post.nested[h, j].take(parent[i, h], axis=2)
    return lv.transpose(post.nested[j, h].take(parent[i, j], axis=2))


def _ancestors(factor: Factor, i: int, nested: dict[int, Array], crossed: Array | None, post: FactorPosterior) -> Array:
    """Y Q Y' a level, all parts of Q but Q_TT: (k, k, q)."""
    plan = factor.plan
    out = np.zeros((plan.k[i], plan.k[i], plan.width[i]))
    after = list(nested)
    for position, j in enumerate(after):
        parent = plan.parent[i, j]
        half = lv.matmul_at(nested[j], post.own[j], parent)
        out += lv.matmul(half, lv.transpose(nested[j]))
        for h in after[position + 1 :]:
            half = lv.matmul(nested[j], _between_ancestors(factor, i, j, h, post))
            both = lv.matmul(half, lv.transpose(nested[h]))
            out += both + lv.transpose(both)
        if crossed is not None:
            pattern = plan.crossed[i]
            half = lv.gather_matmul(nested[j], pattern.level, post.entries[j].take(plan.fill[i, j], axis=1))
            both = _level_products(half, crossed, pattern.level, pattern.n_levels)
            out += both + lv.transpose(both)
    return out


def conditional_covariances(factor: Factor, post: FactorPosterior) -> list[Array]:
    """Q_jj of every level of every factor, shape (k_i, k_i, q_i): Cov(b | y, beta) / sigma^2."""
    plan = factor.plan
    if post.trailing is not None and not plan.chain:
        return [post.trailing.blocks(j) for j in plan.trailing]
    first = plan.chain[0]
    block = factor.chain[first]
    middle = lv.add_identity(_ancestors(factor, first, block.nested, block.crossed, post))
    if block.crossed is not None and post.trailing is not None:
        pattern = plan.crossed[first]
        at = post.trailing.rows(first, block.crossed)
        middle += _level_products(at, block.crossed, pattern.level, pattern.n_levels)
    own = {**post.own, first: lv.matmul(lv.matmul(lv.transpose(block.root), middle), block.root)}
    if post.trailing is not None:
        own.update({j: post.trailing.blocks(j) for j in plan.trailing})
    return [own[i] for i in range(len(plan.k))]


def inverse_sums(factor: Factor, post: FactorPosterior) -> list[Array]:
    """sum_j (A^{-1})_jj over the levels of every factor: (k_i, k_i) each."""
    plan = factor.plan
    out = dict(post.sums)
    for i in plan.chain:
        if i in out:
            continue
        block = factor.chain[i]
        up = lv.transpose(block.inverse)
        nested = {j: lv.matmul(up, y) for j, y in block.nested.items()}
        crossed = None if block.crossed is None else lv.gather_matmul(up, plan.crossed[i].level, block.crossed)
        out[i] = lv.level_sum(up, up) + _row_sums(factor, i, nested, crossed, post)
    if post.trailing is not None:
        out.update({j: post.trailing.inverse_sums(j) for j in plan.trailing})
    return [out[i] for i in range(len(plan.k))]


def projected_sums(factor: Factor, post: FactorPosterior, i: int) -> Array:
    r"""sum_j (Z'V^{-1}Z)_jj of factor i, also where its template is singular: (k, k).

    Chain: sum_j F_j E_j - E_j' G_j Q G_j' E_j with E = (I + Sigma F)^{-1} = I - K F.
    """
    if post.trailing is not None and i not in factor.chain:
        return post.trailing.projected_sums(i)
    block = factor.chain[i]
    own, nested, e_transposed = _projected_parts(factor, i)
    crossed = (
        None
        if block.coupling_crossed is None
        else lv.gather_matmul(e_transposed, factor.plan.crossed[i].level, block.coupling_crossed)
    )
    own = own.sum(axis=2)
    return 0.5 * (own + own.T) - _row_sums(factor, i, nested, crossed, post)


def projected_blocks(factor: Factor, post: FactorPosterior, i: int) -> Array | None:
    """(Z'V^{-1}Z)_jj of every level of a factor in which and in whose ancestors nothing is crossed: (k, k, q)."""
    if i not in factor.chain or factor.chain[i].coupling_crossed is not None:
        return None
    own, nested, _ = _projected_parts(factor, i)
    out = 0.5 * (own + lv.transpose(own))
    return np.asarray(out - _ancestors(factor, i, nested, None, post)) if nested else out


def _projected_parts(factor: Factor, i: int) -> tuple[Array, dict[int, Array], Array]:
    """E_j'F_j, E_j'G_j by ancestor, and E_j'."""
    block = factor.chain[i]
    k_matrix = lv.matmul(lv.transpose(block.root), block.root)
    e_transposed = lv.add_identity(-lv.matmul(block.swept, k_matrix))
    nested = {j: lv.matmul(e_transposed, g) for j, g in block.coupling.items()}
    return lv.matmul(e_transposed, block.swept), nested, e_transposed


def _row_sums(factor: Factor, i: int, nested: dict[int, Array], crossed: Array | None, post: FactorPosterior) -> Array:
    """sum over levels of Y Q Y', with any Y on the pattern of factor i: (k, k)."""
    out = np.zeros((factor.plan.k[i],) * 2)
    if nested:
        out += _ancestors(factor, i, nested, crossed, post).sum(axis=2)
    if crossed is not None and post.trailing is not None:
        out += post.trailing.row_sums(i, crossed)
    return out


def row_leverages(factor: Factor, post: FactorPosterior, pattern: RowPattern) -> Array:
    """z_i'Q z_i of every row, for a posterior made by `full_posterior`: shape (n,)."""
    out = np.zeros(len(pattern.factors[0].codes))
    for i, f in enumerate(pattern.factors):
        _add_forms(out, f.columns, f.columns, own_blocks(post, i), f.codes)
    for (i, j), (row, _, entry) in pattern.entries.items():
        f, g = pattern.factors[i], pattern.factors[j]
        _add_forms(out, f.columns, g.columns, 2.0 * between_pairs(factor, post, i, j, row), entry)
    return out


def row_forms(rows: FactorRows, blocks: Array) -> Array:
    """z_i'B_j z_i of every row, from B (k, k, q) of its level j: shape (n,)."""
    out = np.zeros(len(rows.codes))
    _add_forms(out, rows.columns, rows.columns, blocks, rows.codes)
    return out


def own_blocks(post: FactorPosterior, i: int) -> Array:
    """Q_ll at every level of factor i, for a posterior made by `full_posterior`: (k_i, k_i, q_i)."""
    return post.own[i] if post.trailing is None or i in post.own else post.trailing.blocks(i)


def _add_forms(out: Array, left: Array | None, right: Array | None, blocks: Array, at: Index) -> None:
    if blocks.shape[2] == 1 and left is not None and right is not None:
        out += np.einsum("bn,bn->n", blocks[:, :, 0].T @ left, right)
        return
    for a in range(blocks.shape[0]):
        for b in range(blocks.shape[1]):
            part = blocks[a, b].take(at)
            if left is not None:
                part *= left[a]
            if right is not None:
                part *= right[b]
            out += part


def between_pairs(factor: Factor, post: FactorPosterior, i: int, j: int, row: Index) -> Array:
    """Q_ij at the pairs of levels that occur together, `row` being those of i: (k_i, k_j, pairs)."""
    plan = factor.plan
    if (i, j) in post.nested:
        return post.nested[i, j].take(row, axis=2)
    if i in post.entries:
        return post.entries[i][:, plan.scatter[i, j].reshape(plan.k[j], -1)]
    if j in post.entries:
        return lv.transpose(post.entries[j][:, plan.scatter[j, i].reshape(plan.k[i], -1)])
    assert post.trailing is not None
    return post.trailing.between(i, j)
