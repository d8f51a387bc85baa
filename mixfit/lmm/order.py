"""The order in which the factorization takes the columns of Z: its fill-reducing permutation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.problem import Problem

__all__ = ["elimination_order"]


def elimination_order(problem: Problem) -> NDArray[np.intp]:
    """Columns of Z (terms in order of the formula, the columns of a level side by side) as they are eliminated.

    Chain factors come first, level by level; then the trailing factors, as their block takes them: column by column
    where it is dense, in an order of minimum degree where it is sparse (see `mixfit.factor.plan`).
    """
    plan = problem.plan
    position = {i: x for x, i in enumerate(plan.chain)}
    place = np.empty(plan.columns.m, dtype=np.intp)
    if plan.block is not None:
        place[plan.block.order] = np.arange(plan.columns.m)
    keys = []
    for term in problem.terms:
        level, column = np.indices((plan.width[term.factor], term.k)).reshape(2, -1)
        column = column + term.first
        if term.factor in position:
            keys.append(np.stack([column, level, np.full_like(level, position[term.factor])]))
        else:
            at = place[plan.columns.offset[term.factor] + column * plan.width[term.factor] + level]
            keys.append(np.stack([at, np.zeros_like(at), np.full_like(at, len(position))]))
    order: NDArray[np.intp] = np.lexsort(np.concatenate(keys, axis=1))
    return order
