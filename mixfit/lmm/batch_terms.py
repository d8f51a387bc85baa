"""The random terms of rows that come in batches: where each stands, and its rows in a provisional basis."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.structure import Invariance
from mixfit.gram.pattern import FactorRows
from mixfit.gram.provisional import provisional_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.matrices.batches.read import RowBatch
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["BatchTerms"]


class BatchTerms:
    """The random terms: where each stands, and its provisional basis."""

    def __init__(self, sample: Design) -> None:
        self.random = sample.random
        groupings = list({id(r.grouping): r.grouping for r in self.random}.values())
        groupings.sort(key=lambda g: -g.n_levels)
        number = {id(g): i for i, g in enumerate(groupings)}
        self.factor = [number[id(r.grouping)] for r in self.random]
        self.n_levels = [g.n_levels for g in groupings]
        self.of_factor = [[t for t, i in enumerate(self.factor) if i == j] for j in range(len(groupings))]
        self.k = [sum(len(self.random[t].columns) for t in terms) for terms in self.of_factor]
        # A factor whose only column is an intercept.
        self.ones = tuple([c for t in own for c in self.random[t].columns] == ["Intercept"] for own in self.of_factor)
        self.P = [
            provisional_columns(r.Z)
            if r.structure.invariance is Invariance.ANY_BASIS and len(r.columns) > 1
            else np.eye(len(r.columns))
            for r in self.random
        ]

    def rows(self, batch: RowBatch, root: Array | None) -> list[FactorRows]:
        """Rows of every grouping factor, its terms side by side."""
        out = []
        for terms, q in zip(self.of_factor, self.n_levels, strict=True):
            codes = batch.codes[terms[0]]
            parts = [(batch.Z[t] @ self.P[t]).T for t in terms]
            columns = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if root is not None:
                columns = columns * root
            # A column of ones need not be multiplied by.
            ones = root is None and len(columns) == 1 and bool((columns == 1.0).all())
            out.append(FactorRows(codes, q, None if ones else columns))
        return out

    @cached_property
    def places(self) -> list[slice]:
        """Columns of every term among those of its grouping factor."""
        out = [slice(0)] * len(self.random)
        for own in self.of_factor:
            first = 0
            for t in own:
                out[t] = slice(first, first + len(self.random[t].columns))
                first = out[t].stop
        return out
