"""The rows of groups whose designs differ, read at once: what they are fitted from together.

A column of the data, or a product of columns, is of each group what it is of all. What a transform learns from its rows
is not, nor are the columns of a factor some of whose levels a group lacks: such groups are read one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import MixfitError
from mixfit.formula import parse
from mixfit.lmm.batch.designs import DesignRows, can_stack
from mixfit.matrices.build import build
from mixfit.model.many_sources import RowGroups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from mixfit.formula import MixedFormula
    from mixfit.model.many_sources import FitSource

    Index = NDArray[np.intp]
    Flags = NDArray[np.bool_]

__all__ = ["StackedDesigns", "stacked_designs"]

# Options that leave a design what its columns are.
_NEUTRAL = {"na_action", "solver"}
# Numbers of the cross-products of levels, beyond which designs are fitted in another block: 32 MB.
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, eq=False)
class StackedDesigns:
    """Rows of designs, those of as many levels next to one another.

    Attributes
    ----------
    members : ndarray of intp, shape (R,)
        Their numbers in the source.
    rows : DesignRows
    """

    members: Index
    rows: DesignRows

    def blocks(self) -> Iterator[StackedDesigns]:
        """Parts that keep within a modest memory."""
        rows = self.rows
        k, p, count = sum(s.k for s in rows.structures), rows.X.shape[1], len(self.members)
        # The last design of a block has the most levels.
        levels = np.maximum.reduceat(rows.level, np.searchsorted(rows.design, np.arange(count))) + 1
        first = 0
        while first < count:
            cells = np.arange(1, count - first + 1) * levels[first:] * k * k * (p * p + p + 10)
            last = first + max(1, int(np.searchsorted(cells, _CELLS_AT_ONCE)))
            own = slice(*np.searchsorted(rows.design, [first, last]).tolist())
            part = DesignRows(
                rows.design[own] - first,
                rows.level[own],
                rows.y[own],
                rows.X[own],
                [z[own] for z in rows.Z],
                rows.structures,
            )
            yield StackedDesigns(self.members[first:last], part)
            first = last


def stacked_designs(source: FitSource, members: Index, options: Mapping[str, Any]) -> StackedDesigns | None:
    """The designs of those of `members` that can be read at once; None where that is of no use."""
    if not isinstance(source, RowGroups) or not set(options) <= _NEUTRAL or options.get("solver", "auto") != "auto":
        return None
    formula = parse(source.formula, random=None)
    if not _is_plain(formula) or not source.has_columns:
        return None
    usual = np.zeros(len(source.keys), dtype=bool)
    usual[members] = True
    # Plain columns learn nothing from rows that are left out.
    source, incomplete = source.split()
    if options.get("na_action") == "raise":
        usual[incomplete] = False
    usual &= _has_all(source, formula)
    group = source.group
    own = usual[group]
    if not own.any():
        return None
    try:
        design = build(formula, source.frame[own].reset_index(drop=True), check=False)
    except MixfitError:
        # One group may be what cannot be read, and says so by itself.
        return None
    structures = [term.structure for term in design.random]
    if design.n_rows != int(own.sum()) or not can_stack(structures, design.X.shape[1]):
        return None
    # Levels are numbered within their groups.
    at, n_levels = group[own], design.random[0].grouping.n_levels
    cells, cell = np.unique(at * n_levels + design.random[0].grouping.codes, return_inverse=True)
    of_group = cells // n_levels
    level = (np.arange(len(cells)) - np.searchsorted(of_group, of_group))[cell]
    sizes, levels = np.bincount(at, minlength=len(usual)), np.bincount(of_group, minlength=len(usual))
    effects = levels * sum(s.k for s in structures)
    # More rows than effects of either kind leave a residual; of others `mixfit.matrices` says what is wrong, if it is.
    usual &= (levels >= 2) & (effects + design.X.shape[1] < sizes)
    which = np.flatnonzero(usual)
    if not len(which):
        return None
    ordered = which[np.argsort(levels[which], kind="stable")]
    number = np.full(len(usual), -1, dtype=np.intp)
    number[ordered] = np.arange(len(ordered))
    order = np.argsort(number[at], kind="stable")
    order = order[np.count_nonzero(number[at] < 0) :]
    rows = DesignRows(
        number[at][order],
        level[order],
        design.y[order],
        design.X[order],
        [r.Z[order] for r in design.random],
        structures,
    )
    return StackedDesigns(ordered, rows)


def _is_plain(formula: MixedFormula) -> bool:
    """Whether all columns are products of columns of the data, and all random terms of one grouping factor."""
    terms = formula.random
    return (
        not formula.uses_dot
        and not formula.offsets
        and formula.bare is not None
        and len({term.group for term in terms}) == 1
        and all(term.bare is not None and not term.options for term in terms)
        and len({(term.bare, term.structure) for term in terms}) == len(terms)
    )


def _has_all(source: RowGroups, formula: MixedFormula) -> Flags:
    """Groups whose numbers are finite, and that have all levels of all factors among their columns."""
    assert formula.bare is not None
    terms = [formula.bare, *(term.bare or () for term in formula.random)]
    names = {name for own in terms for term in own for name in term} | {source.response}
    out = np.ones(len(source.keys), dtype=bool)
    for name in sorted(names):
        column = source.frame[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            unusual = ~np.isfinite(column.to_numpy(dtype=np.float64, na_value=np.nan))
            out[source.group[unusual]] = False
        else:
            codes, levels = pd.factorize(column)
            pairs = np.unique(source.group * len(levels) + codes)
            out &= np.bincount(pairs // len(levels), minlength=len(out)) == len(levels)
    return out
