"""Cross-products of other columns of the same rows: linear maps of the blocks, no work on the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.products import Gram, Pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["transformed"]


def transformed(gram: Gram, maps: Sequence[Array | None], border: Array | None) -> Gram:
    """Cross-products of [Z_i C_i] and [X y] M from those of [Z_i] and [X y].

    Parameters
    ----------
    gram : Gram
    maps : sequence of ndarray, shape (k_i, c_i), or None
        C_i of every grouping factor, None for the identity; a factor left without columns is left out.
    border : ndarray, shape (r, s), or None
        M, None for the identity.

    Returns
    -------
    Gram
    """
    C = [np.eye(k) if given is None else given for k, given in zip(gram.k, maps, strict=True)]
    M = np.eye(len(gram.corner)) if border is None else border
    kept = [i for i, c in enumerate(C) if c.shape[1]]
    number = {old: new for new, old in enumerate(kept)}
    return Gram(
        tuple(_both_sides(C[i], gram.diagonal[i], C[i]) for i in kept),
        {
            (number[i], number[j]): Pairs(pairs.row, pairs.col, _both_sides(C[i], pairs.values, C[j]))
            for (i, j), pairs in gram.pairs.items()
            if i in number and j in number
        },
        tuple(_both_sides(C[i], gram.border[i], M) for i in kept),
        M.T @ gram.corner @ M,
        gram.n,
    )


def _both_sides(left: Array, blocks: Array, right: Array) -> Array:
    """L'B R of every block B = blocks[:, :, q]."""
    return np.einsum("ac,abq,bd->cdq", left, blocks, right, optimize=True)
