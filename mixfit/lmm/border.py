r"""G, the Schur complement of [X y] in the bordered cross-products; from the rows where cross-products have lost it.

With C = [X y] and u = A^{-1} Lambda'Z'C,

    G = C'C - C'Z Lambda u = C'V^{-1}C = E'E + u'u,      E = C - Z Lambda u.

The difference loses the digits by which C'C is larger than G: all of them once the effects' standard deviation is 1e8
times the residual's. The sum of squares has nothing to lose. It is G + D'A^{-1}D for a u that is off by A^{-1}D, with
D = Lambda'Z'E - u, so that one pass over the rows is enough whatever u is worth, and gives a better u besides: a step
of iterative refinement (Bjorck 1996, Numerical Methods for Least Squares Problems, section 2.9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.levels import left_multiply
from mixfit.gram.products import random_predictor, random_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.gram.products import Rows

    Array = NDArray[np.float64]
    Halves = tuple[dict[int, Array], Array]

__all__ = ["Border", "eliminate", "inner_products", "loss"]

# What is left of a square by the difference before its digits are asked of the rows: eight of sixteen are then gone.
_CANCELLED = 1e-7


@dataclass(frozen=True, eq=False)
class Border:
    """[X y] after the elimination of Z.

    Attributes
    ----------
    forward : tuple
        L^{-1} Lambda'Z'[X y].
    schur : ndarray, shape (p + 1, p + 1)
        G.
    from_rows : bool
    """

    forward: Halves
    schur: Array
    from_rows: bool


def loss(corner: float, left: float, *, from_rows: bool) -> float:
    """By how much rounding is above that of the size of `left`, what G leaves of a square `corner`."""
    return math.sqrt(corner / left) if from_rows else corner / left


def inner_products(blocks: Sequence[Array]) -> Array:
    """u'u of columns in blocks (k_i, r, q_i): (r, r)."""
    flat = [np.moveaxis(u, 1, 0).reshape(u.shape[1], -1) for u in blocks]
    return np.asarray(sum(u @ u.T for u in flat))


def eliminate(factor: Factor) -> Border:
    """G and the way to it, from the cross-products or, where they cancel and the rows are at hand, from these."""
    gram = factor.gram
    forward = factor.half(gram.border)
    schur = gram.corner - factor.inner(forward, forward)
    if gram.rows is None or (schur.diagonal() > _CANCELLED * gram.corner.diagonal()).all():
        return Border(forward, schur, from_rows=False)
    return _from_rows(factor, forward, gram.rows)


def _from_rows(factor: Factor, forward: Halves, rows: Rows) -> Border:
    u, b = factor.backward(*forward)
    rest = rows.columns - random_predictor(rows.factors, b)
    sums = random_sums(rows.factors, rest)
    defect = [left_multiply(t.T, s) - v for t, s, v in zip(factor.templates, sums, u, strict=True)]
    half = factor.forward({i: defect[i] for i in factor.plan.chain}, factor.plan.columns.stack(defect))
    schur = rest @ rest.T + inner_products(u) - factor.inner(half, half)
    better = {i: y + half[0][i] for i, y in forward[0].items()}, forward[1] + half[1]
    return Border(better, schur, from_rows=True)
