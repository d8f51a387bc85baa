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
    if not p or (converged and fitted is not None and not _is_any_certain(kept, fitted)):
        return
    X, sides = _doubtful_rows(kept, fitted, _FEW_ROWS * p)
    if not sides.any():
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


def _is_any_certain(kept: KeptRows, fitted: PassLaplace) -> bool:
    """Whether a response is fitted as if it could not be another."""
    b = _effects(fitted)
    return any(
        block.family.certain_sides(block.y) is not None
        and (fitted_doubt(block, block_predictor(block, fitted.gamma, b), 1.0) < CERTAIN).any()
        for block in kept.rows
    )


def _effects(fitted: PassLaplace) -> list[Array]:
    return [lv.left_multiply(t, u) for t, u in zip(fitted.factor.templates, fitted.mode.u, strict=True)]


def _doubtful_rows(kept: KeptRows, fitted: PassLaplace | None, most: int) -> tuple[Array, Array]:
    """Rows of Q and their sides to begin with; none where the family has responses without sides.

    They are those whose fitted responses are least certain, which nothing separates if nothing separates all; those
    that are most certain, which something may separate; and of every column the farthest, so that they span them all.
    """
    problem, n = kept.rows.outline, 0
    found: dict[str, tuple[Array, Array, Array]] = {}
    b = [] if fitted is None else _effects(fitted)
    for block in kept.rows:
        sides = block.family.certain_sides(block.y)
        if sides is None:
            return np.empty((0, problem.p)), np.empty(0)
        if fitted is not None:
            doubt = fitted_doubt(block, block_predictor(block, fitted.gamma, b), 1.0)
        else:
            # Any rows: those whose numbers are apart.
            apart = max(problem.n // most, 1)
            doubt = np.asarray(-(np.arange(n, n + len(block.y)) % apart), dtype=np.float64)
        n += len(block.y)
        ranks: dict[str, tuple[Array, int]] = {"doubtful": (doubt, most), "certain": (-doubt, most)}
        ranks.update({f"column {j}": (np.abs(row), 1) for j, row in enumerate(block.fixed)})
        for name, (rank, count) in ranks.items():
            found[name] = _highest(found.get(name), block.fixed.T, sides, rank, count)
    return np.concatenate([f[0] for f in found.values()]), np.concatenate([f[1] for f in found.values()])


def _highest(
    before: tuple[Array, Array, Array] | None, X: Array, sides: Array, rank: Array, most: int
) -> tuple[Array, Array, Array]:
    """Rows, sides and ranks of the highest ranks, of those before and of a block."""
    chosen = np.argpartition(-rank, most)[:most] if len(rank) > most else np.arange(len(rank))
    X, sides, rank = X[chosen], sides[chosen], rank[chosen]
    if before is None:
        return X, sides, rank
    with_before = [np.concatenate(pair) for pair in zip(before, (X, sides, rank), strict=True)]
    return _highest(None, with_before[0], with_before[1], with_before[2], most)


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
