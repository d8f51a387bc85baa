r"""The entries of the inverse that derivatives and conditional variances need.

Q = Lambda A^{-1} Lambda' is the conditional covariance of b over sigma^2. It is known first for the
trailing block and then, block by block backwards, on the pattern of the factor (Takahashi's recursion):

    Q_i,R = -T L'^{-1} Y_i Q_RR,      Q_ii = T L'^{-1} (I + Y_i Q_RR Y_i') L^{-1} T'.

Only sums over levels are wanted while fitting, and for those the widest block needs no product larger than
the one its elimination needed: sum_j tr(A^{-1})_jj = sum_j tr M_j^{-1} + <Q_TT, sum_j M_j^{-1}...> (DESIGN 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import lapack

from mixfit.cholesky import levels as lv
from mixfit.cholesky.factor import scale_crossed, scale_rows, scale_trailing, swept_trailing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.cholesky.factor import Factor
    from mixfit.cholesky.plan import Plan
    from mixfit.gram.products import RowPattern

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "Posterior",
    "conditional_covariances",
    "full_posterior",
    "inverse_sums",
    "posterior",
    "projected_sums",
    "row_leverages",
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


def row_leverages(factor: Factor, post: Posterior, pattern: RowPattern) -> Array:
    """z_i'Q z_i of every row, for a posterior made by `full_posterior`: shape (n,)."""
    plan = factor.plan
    full = post.table[0]
    out = np.zeros(len(pattern.factors[0].codes))
    for i, f in enumerate(pattern.factors):
        own = post.own[i] if i in post.own else _diagonal_blocks(factor, full, i)
        _add_forms(out, f.columns, f.columns, own, f.codes)
    for (i, j), (row, col, entry) in pattern.entries.items():
        f, g = pattern.factors[i], pattern.factors[j]
        _add_forms(out, f.columns, g.columns, 2.0 * _between_pairs(plan, post, full, i, j, row, col), entry)
    return out


def _add_forms(out: Array, left: Array | None, right: Array | None, blocks: Array, at: Index) -> None:
    for a in range(blocks.shape[0]):
        for b in range(blocks.shape[1]):
            part = blocks[a, b].take(at)
            if left is not None:
                part *= left[a]
            if right is not None:
                part *= right[b]
            out += part


def _between_pairs(plan: Plan, post: Posterior, full: Array, i: int, j: int, row: Index, col: Index) -> Array:
    """Q_ij at pairs of levels: (k_i, k_j, nnz)."""
    if (i, j) in post.nested:
        return post.nested[i, j].take(row, axis=2)
    if i in post.entries:
        # The first factor is eliminated before anything fills in: its entries are the pairs of levels.
        return post.entries[i][:, plan.scatter[i, j].reshape(plan.k[j], -1)]
    if i in post.crossed:
        q = plan.width[j]
        return np.stack([post.crossed[i][:, plan.offset[j] + b * q + col, row] for b in range(plan.k[j])], 1)
    if j in post.crossed:
        return lv.transpose(_between_pairs(plan, post, full, j, i, col, row))
    rows = plan.offset[i] + np.arange(plan.k[i])[:, None, None] * plan.width[i] + row
    cols = plan.offset[j] + np.arange(plan.k[j])[None, :, None] * plan.width[j] + col
    out: Array = full[rows, cols]
    return out


def trailing_covariance(factor: Factor, post: Posterior) -> Array:
    """Q_TT = Lambda_T S^{-1} Lambda_T', both triangles."""
    transposed = [t.T for t in factor.templates]
    scaled = scale_trailing(factor.gram, factor.plan, transposed, post.trailing.copy(order="F"))
    return _symmetrize(scaled)


def _symmetrize(lower: Array) -> Array:
    out = np.tril(lower)
    out += np.tril(lower, -1).T
    return out


def _extend(factor: Factor, position: int, full: Array, post: Posterior) -> None:
    """Add chain factor `position` to the posterior: everything after it is known."""
    plan = factor.plan
    i, after = plan.chain[position], plan.chain[position + 1 :]
    block = factor.chain[i]
    back = -lv.transpose(block.root)
    middle = lv.add_identity(_ancestors(factor, i, block.nested, block.crossed, post))
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


def _ancestors(factor: Factor, i: int, nested: dict[int, Array], crossed: Array | None, post: Posterior) -> Array:
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


def _quadratic_sum(factor: Factor, i: int, nested: dict[int, Array], crossed: Array | None, post: Posterior) -> Array:
    """sum over levels of Y Q Y', with any Y on the pattern of factor i: (k, k)."""
    out = _ancestors(factor, i, nested, crossed, post).sum(axis=2) if nested else 0.0
    if crossed is None:
        return np.zeros((factor.gram.k[i],) * 2) + out
    pattern, kernel = factor.plan.crossed[i], post.trailing
    scaled = scale_crossed(factor.gram, factor.plan, factor.templates, i, crossed)
    k = len(scaled)
    trailing = np.empty((k, k))
    for a in range(k):
        trailing[a, a] = pattern.norm(kernel, scaled[a])
        for b in range(a):
            trailing[a, b] = trailing[b, a] = pattern.inner(kernel, scaled[a], scaled[b])
    return trailing + out


def inverse_sums(factor: Factor, post: Posterior) -> list[Array]:
    """sum_j (A^{-1})_jj over the levels of every factor: (k_i, k_i) each."""
    plan = factor.plan
    out: list[Array] = [np.empty(0)] * factor.gram.n_factors
    for i in plan.chain:
        if i in post.sums:
            out[i] = post.sums[i]
            continue
        block = factor.chain[i]
        up = lv.transpose(block.inverse)
        nested = {j: lv.matmul(up, y) for j, y in block.nested.items()}
        crossed = None if block.crossed is None else lv.gather_matmul(up, plan.crossed[i].level, block.crossed)
        out[i] = lv.level_sum(up, up) + _quadratic_sum(factor, i, nested, crossed, post)
    for j in plan.trailing:
        out[j] = _trace_blocks(post.trailing, plan.offset[j], factor.gram.k[j], factor.gram.n_levels[j])
    return out


def _trace_blocks(lower: Array, first: int, k: int, q: int) -> Array:
    out = np.empty((k, k))
    for a in range(k):
        for b in range(a + 1):
            rows, cols = slice(first + a * q, first + (a + 1) * q), slice(first + b * q, first + (b + 1) * q)
            out[a, b] = out[b, a] = np.trace(lower[rows, cols])
    return out


def projected_sums(factor: Factor, post: Posterior, i: int) -> Array:
    r"""sum_j (Z'V^{-1}Z)_jj of factor i, also where its template is singular: (k, k).

    Chain: sum_j F_j E_j - E_j' G_j Q G_j' E_j with E = (I + Sigma F)^{-1} = I - K F. Trailing:
    the blocks of P - P Lambda S^{-1} Lambda' P.
    """
    plan, gram = factor.plan, factor.gram
    if i in factor.chain:
        block = factor.chain[i]
        k_matrix = lv.matmul(lv.transpose(block.root), block.root)
        e_transposed = lv.add_identity(-lv.matmul(block.swept, k_matrix))
        nested = {j: lv.matmul(e_transposed, g) for j, g in block.coupling.items()}
        crossed = (
            None
            if block.coupling_crossed is None
            else lv.gather_matmul(e_transposed, plan.crossed[i].level, block.coupling_crossed)
        )
        own = lv.matmul(e_transposed, block.swept).sum(axis=2)
        return 0.5 * (own + own.T) - _quadratic_sum(factor, i, nested, crossed, post)
    p = _symmetrize(swept_trailing(plan, factor.chain))
    width = gram.k[i] * gram.n_levels[i]
    columns = p[:, plan.offset[i] : plan.offset[i] + width]
    scaled = scale_rows(plan, [t.T for t in factor.templates], gram, columns)
    half, _ = lapack.dtrtrs(factor.trailing, scaled, lower=1)
    q, k = gram.n_levels[i], gram.k[i]
    parts = half.reshape(len(p), k, q)
    reduction = np.einsum("maq,mbq->ab", parts, parts)
    return _trace_blocks(p, plan.offset[i], k, q) - reduction


def conditional_covariances(factor: Factor, post: Posterior) -> list[Array]:
    """Q_jj of every level of every factor, shape (k_i, k_i, q_i): Cov(b | y, beta) / sigma^2."""
    plan, gram = factor.plan, factor.gram
    out: list[Array] = [np.empty(0)] * gram.n_factors
    for i in plan.chain[1:]:
        out[i] = post.own[i]
    full = trailing_covariance(factor, post) if plan.m else post.trailing
    first = plan.chain[0]
    block = factor.chain[first]
    middle = lv.add_identity(_ancestors(factor, first, block.nested, block.crossed, post))
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
        out[j] = _diagonal_blocks(factor, full, j)
    return out


def _diagonal_blocks(factor: Factor, full: Array, j: int) -> Array:
    """Q_jj of every level of a trailing factor."""
    k, q, first = factor.gram.k[j], factor.gram.n_levels[j], factor.plan.offset[j]
    at = first + np.arange(k)[:, None] * q + np.arange(q)
    out: Array = full[at[:, None], at[None]]
    return out
