"""Separation of rows that are on disk.

A direction that separates some rows is held against all, and those it does not separate join them, until it separates
all or nothing separates some (cutting planes; Kelley 1960, J. SIAM 8, 703-712).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.glmm.passes import block_predictor
from mixfit.glmm.separation import CERTAIN, fitted_doubt, refuse_separation, smallest_direction
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.glmm.kept_rows import KeptRows
    from mixfit.glmm.passes import PassLaplace

    Array = NDArray[np.float64]

__all__ = ["refuse_separation_by_passes"]

# Rows a column that are looked at first, and that join at a time.
_FEW_ROWS = 50
# Each round adds rows that its direction does not separate; two or three settle it, and more say that none is found.
_MOST_ROUNDS = 20
# Share of the largest margin below which a row is on the plane: the linear program's tolerance.
_ROUNDING = 1e-6


def refuse_separation_by_passes(
    kept: KeptRows, names: Sequence[str], response: str, fitted: PassLaplace | None, *, converged: bool
) -> None:
    """Raise FitError where fixed effects separate the response, if a fit may have run away with them.

    Parameters
    ----------
    kept : KeptRows
    names : sequence of str, length p
        Of the fixed effects that are not aliased.
    response : str
    fitted : PassLaplace, or None
        Where the search ended; None where it found no place.
    converged : bool
        Whether that is an optimum. Where it is one and no response is fitted with certainty, nothing separates them.
    """
    p = len(names)
    X, sides, surest = _doubtful_rows(kept, fitted, _FEW_ROWS * p)
    if not p or (converged and surest >= CERTAIN) or not sides.any():
        return
    unit = np.sqrt(kept.rows.outline.n)
    for _ in range(_MOST_ROUNDS):
        direction = smallest_direction(unit * X, sides)
        if direction is None:
            return
        more, more_sides = _not_separated(kept, direction, _FEW_ROWS * p)
        if not len(more):
            refuse_separation(X @ kept.assembly.fixed.triangle, names, response, sides)
            return
        X, sides = np.concatenate([X, more]), np.concatenate([sides, more_sides])


def _doubtful_rows(kept: KeptRows, fitted: PassLaplace | None, most: int) -> tuple[Array, Array, float]:
    """Rows of Q and their sides to begin with, and the least doubt of any row.

    They are those whose fitted responses are least certain, which nothing separates if nothing separates all; those
    that are most certain, which something may separate; and of every column the farthest, so that they span them all.
    """
    problem, n = kept.rows.outline, 0
    found: dict[str, tuple[Array, Array, Array]] = {}
    b = []
    if fitted is not None:
        b = [lv.left_multiply(t, u) for t, u in zip(fitted.factor.templates, fitted.mode.u, strict=True)]
    surest = np.inf
    for block in kept.rows:
        sides = block.family.certain_sides(block.y)
        if sides is None:
            return np.empty((0, problem.p)), np.empty(0), np.inf
        # Without a fit, any rows: those whose numbers are apart.
        apart = max(problem.n // max(most, 1), 1)
        doubt: Array = np.asarray(-(np.arange(n, n + len(block.y)) % apart), dtype=np.float64)
        if fitted is not None:
            doubt = fitted_doubt(block, block_predictor(block, fitted.gamma, b), 1.0)
        surest, n = min(surest, float(doubt.min(initial=np.inf))), n + len(block.y)
        ranks: dict[str, tuple[Array, int]] = {"doubtful": (doubt, most), "certain": (-doubt, most)}
        ranks.update({f"column {j}": (np.abs(row), 1) for j, row in enumerate(block.fixed)})
        for name, (rank, count) in ranks.items():
            found[name] = _highest(found.get(name), block.fixed.T, sides, rank, count)
    return np.concatenate([f[0] for f in found.values()]), np.concatenate([f[1] for f in found.values()]), surest


def _highest(
    before: tuple[Array, Array, Array] | None, X: Array, sides: Array, rank: Array, most: int
) -> tuple[Array, Array, Array]:
    """Rows, sides and ranks of the highest ranks, of those before and of a block."""
    if before is not None:
        rank = np.concatenate([before[2], rank])
        X, sides = np.concatenate([before[0], X]), np.concatenate([before[1], sides])
    chosen = np.argsort(-rank, kind="stable")[:most]
    return X[chosen], sides[chosen], rank[chosen]


def _not_separated(kept: KeptRows, direction: Array, most: int) -> tuple[Array, Array]:
    """Rows of Q and sides on the wrong side of a direction, the farthest first, at most so many."""
    found = None
    unit = np.sqrt(kept.rows.outline.n)
    largest = 0.0
    for block in kept.rows:
        of_block = block.family.certain_sides(block.y)
        assert of_block is not None
        margin = unit * (direction @ block.fixed)
        largest = max(largest, float(np.abs(margin).max(initial=0.0)))
        beyond = np.where(of_block == 0.0, np.abs(margin), -of_block * margin)
        found = _highest(found, block.fixed.T, of_block, beyond, most)
    assert found is not None
    wrong = found[2] > _ROUNDING * largest
    return found[0][wrong], found[1][wrong]
