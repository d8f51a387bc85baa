"""Covariances of the random effects that rows of one block have in common: what whitened rows of Z are weighed by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.posterior import between_pairs, full_posterior, own_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mixfit.gram.pattern import RowPattern
    from mixfit.lmm.residual.criterion import JointEvaluation

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["LevelCovariances", "level_covariances", "levels_of"]

# Numbers that are held at a time: 160 MB.
_CELLS_AT_ONCE = 20_000_000


@dataclass(frozen=True, eq=False)
class LevelCovariances:
    """Q = Lambda A^{-1} Lambda' of the levels of each factor, and of those that occur together.

    Attributes
    ----------
    pattern : RowPattern
    k : tuple of int
        Columns of the factors.
    own : list of ndarray, shape (k, k, q)
    pairs : dict of ndarray, shape (k_i, k_j, pairs)
    """

    pattern: RowPattern
    k: tuple[int, ...]
    own: list[Array]
    pairs: dict[tuple[int, int], Array]


def levels_of(at: JointEvaluation) -> LevelCovariances:
    """Q at an evaluation."""
    factor, rows = at.at.factor, at.problem.rows
    post = full_posterior(factor)
    own = [own_blocks(post, i) for i in range(len(rows.pattern.factors))]
    entries = rows.pattern.entries.items()
    pairs = {(i, j): between_pairs(factor, post, i, j, row) for (i, j), (row, _, _) in entries}
    return LevelCovariances(rows.pattern, rows.k, own, pairs)


def level_covariances(levels: LevelCovariances, rows: Index) -> Iterator[tuple[slice, Array]]:
    """Q of the levels that each of some rows is of, all columns side by side, (rows, width, width): slices of them."""
    step = max(1, _CELLS_AT_ONCE // sum(levels.k) ** 2)
    for first in range(0, len(rows), step):
        part = slice(first, min(first + step, len(rows)))
        yield part, _covariances(levels, rows[part])


def _covariances(levels: LevelCovariances, rows: Index) -> Array:
    pattern = levels.pattern
    ends = np.cumsum([0, *levels.k])
    q = np.empty((len(rows), int(ends[-1]), int(ends[-1])))
    for i, f in enumerate(pattern.factors):
        mine = slice(ends[i], ends[i + 1])
        q[:, mine, mine] = np.moveaxis(levels.own[i][..., f.codes[rows]], -1, 0)
        for j in range(i + 1, len(pattern.factors)):
            theirs = slice(ends[j], ends[j + 1])
            between = np.moveaxis(levels.pairs[i, j][..., pattern.entries[i, j][2][rows]], -1, 0)
            q[:, mine, theirs], q[:, theirs, mine] = between, between.swapaxes(1, 2)
    return q
