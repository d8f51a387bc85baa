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

    Chain factors come first, level by level; then the trailing factors, column by column, as the dense block
    holds them (see `mixfit.factor.plan`).
    """
    plan = problem.plan
    position = {i: x for x, i in enumerate((*plan.chain, *plan.trailing))}
    keys = []
    for term in problem.terms:
        level, column = np.indices((plan.width[term.factor], term.k)).reshape(2, -1)
        column = column + term.first
        outer, inner = (level, column) if term.factor in plan.chain else (column, level)
        keys.append(np.stack([inner, outer, np.full_like(level, position[term.factor])]))
    order: NDArray[np.intp] = np.lexsort(np.concatenate(keys, axis=1))
    return order
