r"""Templates of many replicates, as orthogonal columns.

A template is kept as T = O diag(d) with O orthogonal and d >= 0, block by block: the same T T' as any other
factor, no entry large beside its own variance. Where a d is zero, the column of O is a direction without variance.
The *frame* has the columns of T where there is variance and those of O where there is none: in these coordinates
every derivative is regular (see `mixfit.lmm.derivatives`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]
    Flags = NDArray[np.bool_]

__all__ = ["Directions", "Frame", "directions", "frame"]


@dataclass(frozen=True, eq=False)
class Frame:
    """R templates.

    Attributes
    ----------
    axes : ndarray, shape (k, k, R)
        O, block-diagonal.
    lengths : ndarray, shape (k, R)
        d.
    """

    axes: Array
    lengths: Array

    @property
    def null(self) -> Flags:
        """Columns without variance, (k, R)."""
        return self.lengths == 0.0

    @property
    def templates(self) -> Array:
        """T, (k, k, R)."""
        return self.axes * self.lengths

    def take(self, at: Index) -> Frame:
        """The templates of some replicates."""
        return Frame(self.axes[:, :, at], self.lengths[:, at])

    def put(self, at: Index, other: Frame) -> None:
        """Replace the templates of some replicates."""
        self.axes[:, :, at] = other.axes
        self.lengths[:, at] = other.lengths


def frame(templates: Array, blocks: Sequence[slice]) -> Frame:
    """Bring templates (k, k, R) into orthogonal columns; their columns of zeros stay directions without variance."""
    k, _, r = templates.shape
    axes, lengths = np.zeros((k, k, r)), np.zeros((k, r))
    for block in blocks:
        t = templates[block, block]
        if len(t) == 1:
            axes[block, block], lengths[block] = 1.0, np.abs(t[0])
            continue
        rank = t.any(axis=0).sum(axis=0)
        vectors, values, _ = np.linalg.svd(np.moveaxis(t, 2, 0))
        axes[block, block] = np.moveaxis(vectors, 0, 2)
        lengths[block] = np.where(np.arange(len(t))[:, None] < rank, values.T, 0.0)
    return Frame(axes, lengths)


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions in which every template may move: column j along column i of the frame, i >= j of one block.

    Attributes
    ----------
    row, column : ndarray of intp, shape (m,)
        i and j.
    """

    row: Index
    column: Index

    @property
    def pivot(self) -> Flags:
        """Directions along the column itself: log standard deviations."""
        return self.row == self.column

    def weights(self, at: Frame) -> Array:
        """What a unit step along column i of the frame adds to column j, (m, R).

        A column turns out of the range of T in proportion to its length. Where j itself has no variance there is
        nothing to turn, and the weight is 0.
        """
        null = at.null
        turning = null[self.row] & ~self.pivot[:, None]
        return np.where(turning, at.lengths[self.column], (~null[self.column]).astype(float))

    def move(self, at: Frame, step: Array, vanishing: Flags | None = None) -> Array:
        """T R(step), (k, k, R): columns exp(step_jj) T_j plus the off-diagonal moves; vanishing columns zero.

        `step` is (m, R); `vanishing`, (k, R), says which columns.
        """
        null = at.null
        basis = at.axes * np.where(null, 1.0, at.lengths)
        coefficients = np.zeros(basis.shape)
        k = np.arange(len(null))
        coefficients[k, k] = ~null
        off = ~self.pivot
        coefficients[self.row[off], self.column[off]] = (step * self.weights(at))[off]
        grown = np.exp(step[self.pivot])
        coefficients[:, self.column[self.pivot]] *= grown
        if vanishing is not None:
            coefficients *= ~vanishing
        moved: Array = np.einsum("abr,bcr->acr", basis, coefficients)
        return moved


def directions(blocks: Sequence[slice]) -> Directions:
    """Every direction of a block-diagonal template."""
    pairs = [(i, j) for b in blocks for j in range(b.start, b.stop) for i in range(j, b.stop)]
    row, column = np.array(pairs, dtype=np.intp).T
    return Directions(row, column)
