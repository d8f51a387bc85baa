"""Rows of a generalized model that are on disk, as the problems of their blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mixfit.glmm.problem import GeneralizedProblem
from mixfit.gram.pattern import FactorRows, RowPattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.gram.products import Gram
    from mixfit.gram.row_store import RowStore, StoredRows

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Outline", "RowBlocks", "outline_pattern"]


@dataclass(frozen=True, eq=False)
class Outline(GeneralizedProblem):
    """A problem without its rows.

    Attributes
    ----------
    n_rows : int
    total : tuple of ndarray, shape (k_i, k_i)
        Z'Z of each factor's columns over all rows.
    """

    n_rows: int = 0
    total: tuple[Array, ...] = ()

    @property
    def n(self) -> int:
        """Number of observations."""
        return self.n_rows

    def squares(self, factor: int) -> Array:
        """Z'Z of a factor's columns over all rows, (k_i, k_i)."""
        return self.total[factor]


def outline_pattern(gram: Gram, ones: Sequence[bool]) -> RowPattern:
    """The pattern of cross-products without rows; which factors have a single column of `ones`."""
    nothing = np.empty(0, dtype=np.intp)
    factors = tuple(
        FactorRows(nothing, q, None if one else np.empty((k, 0)))
        for k, q, one in zip(gram.k, gram.n_levels, ones, strict=True)
    )
    return RowPattern(factors, {key: (pairs.row, pairs.col, nothing) for key, pairs in gram.pairs.items()})


@dataclass(eq=False)
class RowBlocks:
    """The rows of a model, a problem for each block of them; every iteration is a pass over all.

    A block's columns on disk are the response, the offset where there is one, those of X and those of Z by factor, in
    provisional bases.

    Attributes
    ----------
    outline : Outline
    store : RowStore
    fixed : ndarray, shape (c, p)
        M with Q = X~ M.
    maps : tuple of ndarray, shape (k_i, k_i), or None
        C with Z_basis = Z~ C of every factor; None for a single column of ones, which is not on disk.
    has_offset : bool
    log_constant : float
        What of the log-likelihood of all rows depends on no parameter.
    n_passes : int
        Passes begun so far.
    """

    outline: Outline
    store: RowStore
    fixed: Array
    maps: tuple[Array | None, ...]
    has_offset: bool
    log_constant: float
    n_passes: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[GeneralizedProblem]:
        """The blocks."""
        self.n_passes += 1
        return map(self._problem, self.store.blocks())

    def _problem(self, block: StoredRows) -> GeneralizedProblem:
        outline, y = self.outline, block.columns[0]
        first = 1 + self.has_offset
        after = first + len(self.fixed)
        factors = []
        for codes, q, c in zip(block.codes, outline.n_levels, self.maps, strict=True):
            end = after + (0 if c is None else len(c))
            factors.append(FactorRows(codes, q, None if c is None else c.T @ block.columns[after:end]))
            after = end
        known = outline.pattern.entries.items()
        entries = {key: (row, col, own) for (key, (row, col, _)), own in zip(known, block.entries, strict=True)}
        return GeneralizedProblem(
            family=outline.family,
            y=y,
            prior=np.ones(len(y)),
            offset=block.columns[1] if self.has_offset else np.zeros(len(y)),
            fixed=self.fixed.T @ block.columns[first : first + len(self.fixed)],
            pattern=RowPattern(tuple(factors), entries),
            plan=outline.plan,
            terms=outline.terms,
        )
