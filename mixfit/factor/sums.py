"""Sums over levels of the inverse's blocks: all of it that the gradient of a criterion needs.

For them the widest block needs no product larger than the one its elimination needed:
sum_j tr(A^{-1})_jj = sum_j tr M_j^{-1} + <Q_TT, sum_j M_j^{-1}...>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import lapack

from mixfit.factor.factor import scale_crossed, scale_rows, swept_trailing
from mixfit.factor.posterior import ancestors, symmetrized
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.factor.posterior import Posterior

    Array = NDArray[np.float64]

__all__ = ["inverse_sums", "projected_sums"]


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
    p = symmetrized(swept_trailing(plan, factor.chain))
    width = gram.k[i] * gram.n_levels[i]
    columns = p[:, plan.offset[i] : plan.offset[i] + width]
    scaled = scale_rows(plan, [t.T for t in factor.templates], gram, columns)
    half, _ = lapack.dtrtrs(factor.trailing, scaled, lower=1)
    q, k = gram.n_levels[i], gram.k[i]
    parts = half.reshape(len(p), k, q)
    reduction = np.einsum("maq,mbq->ab", parts, parts)
    return _trace_blocks(p, plan.offset[i], k, q) - reduction


def _quadratic_sum(factor: Factor, i: int, nested: dict[int, Array], crossed: Array | None, post: Posterior) -> Array:
    """sum over levels of Y Q Y', with any Y on the pattern of factor i: (k, k)."""
    out = ancestors(factor, i, nested, crossed, post).sum(axis=2) if nested else 0.0
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


def _trace_blocks(lower: Array, first: int, k: int, q: int) -> Array:
    out = np.empty((k, k))
    for a in range(k):
        for b in range(a + 1):
            rows, cols = slice(first + a * q, first + (a + 1) * q), slice(first + b * q, first + (b + 1) * q)
            out[a, b] = out[b, a] = np.trace(lower[rows, cols])
    return out
