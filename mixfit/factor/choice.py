"""Which trailing block: by what a factorization of each would cost, counted before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import block_array, coo_array, csc_array, csr_matrix, vstack
from scipy.sparse.csgraph import reverse_cuthill_mckee

from mixfit.errors import DesignError
from mixfit.factor.dense_trailing import dense_block, dense_cost
from mixfit.factor.iterative_trailing import iterative_block
from mixfit.factor.schur_pattern import level_joins, sampled_share, schur_pattern
from mixfit.factor.schur_trailing import eliminated, laid_out, schur_block, schur_cost
from mixfit.factor.sparse_trailing import sparse_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixfit.arguments import Solver
    from mixfit.factor.crossed import Crossed
    from mixfit.factor.schur_trailing import SchurBlock
    from mixfit.factor.trailing import MakeTrailing, TrailingBlock, TrailingColumns
    from mixfit.gram.products import Gram

__all__ = ["chosen_block", "trailing_maker"]

# Below so many columns LAPACK factors the block in less than a millisecond, as long as a few fronts take.
_FEW_COLUMNS = 300
# Trailing levels whose partners are counted to tell how many meet, and the share above which elimination fills in what
# is left whatever the order: of a band that wide a dense factorization takes as long.
_SAMPLED = 16
_MOST_MEET = 0.3
# Of no more columns than these, each meeting no more others than these, minimum degree is found within a second or two
# even where levels meet at random. Elsewhere it is looked for only where an order by breadth, which takes no time,
# leaves less than a dense factorization: crossings at random of 100,000 levels would take hours to be told.
_FEW_ENOUGH = 20_000
_FEW_MEET = 12
# Levels in as many chain levels as this times the median are eliminated last.
_CROWDED = 20.0
# A multiplication in small fronts, and all that goes with it, takes as long as so many of LAPACK's in one large matrix:
# fits took as long by either at twice as many (random crossings), and half as long by fronts at six times (a grid).
_FRONT_PRICE = 4.0


def trailing_maker(gram: Gram, solver: Solver) -> MakeTrailing:
    """How the trailing block is made: as `solver` says, or as costs less.

    Raises
    ------
    DesignError
        Where levels are related, and `solver` asks for another block than the sparse one.
    """
    if gram.relationships:
        if solver not in ("auto", "sparse"):
            raise DesignError(
                f"solver={solver!r}: effects of levels whose covariance is known are solved for as sparse matrices. "
                "Leave out solver=."
            )
        return sparse_block
    makers: dict[Solver, MakeTrailing] = {
        "auto": chosen_block,
        "dense": dense_block,
        "sparse": schur_block,
        "iterative": iterative_block,
    }
    return makers[solver]


def chosen_block(gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> TrailingBlock:
    """The sparse block where it costs less than the dense one; DesignError where the machine can hold neither."""
    return _sparse_if_cheaper(gram, columns, patterns) or dense_block(gram, columns, patterns)


def _sparse_if_cheaper(gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> SchurBlock | None:
    if columns.m < _FEW_COLUMNS:
        return None
    dense = dense_cost(columns, patterns)
    share = sampled_share(columns, patterns, _SAMPLED)
    if share > _MOST_MEET:
        return None
    at_once = columns.m <= _FEW_ENOUGH and share * columns.m <= _FEW_MEET
    if not at_once and _FRONT_PRICE * _profile_flops(columns, patterns) > dense.flops:
        return None
    pattern = schur_pattern(gram, columns, patterns)
    found = eliminated(pattern)
    cost = schur_cost(found, patterns)
    cheaper = dense.is_too_large or _FRONT_PRICE * cost.flops < dense.flops
    return laid_out(pattern, found, gram, patterns) if cheaper and not cost.is_too_large else None


def _profile_flops(columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> float:
    """Multiplications of a factorization within its profile, in reverse Cuthill and McKee's order.

    That is found on the graph of chain levels and trailing levels that meet, where a clique is a node of its own.
    Trailing levels that most others meet (years, say) are left out of it: they are eliminated last.
    """
    joins = csc_array(vstack(list(level_joins(columns, patterns))))
    met = np.diff(joins.indptr)
    few = met <= _CROWDED * np.median(met)
    n_last = len(met) - np.count_nonzero(few)
    joins = joins[:, few]
    n, size = joins.shape
    order = reverse_cuthill_mckee(csr_matrix(block_array([[None, joins.T], [joins, None]])), symmetric_mode=True)
    place = np.empty(size, dtype=np.intp)
    place[order[order < size]] = np.arange(size)
    entries = coo_array(joins)
    leader, first = np.full(n, size), np.arange(size)
    np.minimum.at(leader, entries.row, place[entries.col])
    np.minimum.at(first, place[entries.col], leader[entries.row])
    # As many columns a level as there are on average.
    each = columns.m / size
    return float(each**3 * ((np.arange(size) - first + 1.0 + n_last) ** 2).sum())
