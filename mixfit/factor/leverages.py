"""Leverages of rows: quadratic forms in the blocks of Q at the levels of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.posterior import diagonal_blocks
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.factor.plan import Plan
    from mixfit.factor.posterior import Posterior
    from mixfit.gram.pattern import RowPattern

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["row_leverages"]


def row_leverages(factor: Factor, post: Posterior, pattern: RowPattern) -> Array:
    """z_i'Q z_i of every row, for a posterior made by `full_posterior`: shape (n,)."""
    plan = factor.plan
    full = post.table[0]
    out = np.zeros(len(pattern.factors[0].codes))
    for i, f in enumerate(pattern.factors):
        own = post.own[i] if i in post.own else diagonal_blocks(factor, full, i)
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
