r"""Covariances that another one of the same factor contains: nothing tells the two apart.

Where the columns of one term are combinations of those of another, Z_1 = Z_2 C in every row, and the covariance of the
other is free, Z_1 b_1 + Z_2 b_2 = Z_2 (C b_1 + b_2) has a covariance C Sigma_1 C' + Sigma_2 that Sigma_2 alone may be:
``(x | g) + (x + z | g)`` is ``(x + z | g)``. Of all its optima, which have the same likelihood and predictions, the one
with Sigma_1 = 0 is taken; a search among the others would follow rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mixfit.gram.basis import RANK_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term

    Array = NDArray[np.float64]

__all__ = ["contained_columns"]

# What combinations leave of a column's sum of squares where they are the column is rounding, 1e-15 or so of the whole.
_CONTAINED = 1e-12


class _Block(NamedTuple):
    """Columns of a term that have a free covariance of their own."""

    term: int
    columns: slice
    factor: int
    places: tuple[int, ...]


def contained_columns(terms: Sequence[Term], squares_of: Callable[[int], Array]) -> list[NDArray[np.bool_]] | None:
    """Of every term, which columns (k_t,) another free covariance contains; None where there are none.

    Parameters
    ----------
    terms : sequence of Term
    squares_of : callable
        Of a grouping factor, the cross-products of its columns over all rows, (k_i, k_i).
    """
    if any(term.structure.is_given or term.structure.relationship is not None for term in terms):
        return None
    blocks = [
        _Block(t, own, term.factor, tuple(range(term.first + own.start, term.first + own.stop)))
        for t, term in enumerate(terms)
        for own in term.structure.free_blocks
    ]
    out = [np.zeros(term.k, dtype=bool) for term in terms]
    squares: dict[int, Array] = {}
    left: set[int] = set()
    # The smaller first, and of two that contain each other the later: what is left out contains nothing.
    order = sorted(range(len(blocks)), key=lambda b: (len(blocks[b].places), -b))
    for b in order:
        one = blocks[b]
        others = [o for o in order if o != b and o not in left and blocks[o].factor == one.factor]
        if not others:
            continue
        if one.factor not in squares:
            squares[one.factor] = squares_of(one.factor)
        if any(_contains(squares[one.factor], blocks[o], one) for o in others):
            left.add(b)
            out[one.term][one.columns] = True
    return out if left else None


def _contains(squares: Array, larger: _Block, smaller: _Block) -> bool:
    """Whether the columns of a block are combinations of those of another one, by their cross-products."""
    if len(larger.places) < len(smaller.places):
        return False
    own, inner = np.array(larger.places), np.array(smaller.places)
    values, vectors = np.linalg.eigh(squares[np.ix_(own, own)])
    seen = values > RANK_TOLERANCE * max(values[-1], np.finfo(float).tiny)
    along = (vectors[:, seen] / np.sqrt(values[seen])).T @ squares[np.ix_(own, inner)]
    whole = squares[inner, inner]
    return bool((whole - np.einsum("ab,ab->b", along, along) <= _CONTAINED * whole).all())
