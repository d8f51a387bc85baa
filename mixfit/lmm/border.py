r"""G, the Schur complement of [X y] in the bordered cross-products; from the rows where cross-products have lost it.

With C = [X y] and u = A^{-1} Lambda'Z'C,

    G = C'C - C'Z Lambda u = C'V^{-1}C = E'E + u'u,      E = C - Z Lambda u.

The difference loses the digits by which C'C is larger than G: all of them once the effects' standard deviation is 1e8
times the residual's. The sum of squares has nothing to lose. It is G + D'A^{-1}D for a u that is off by A^{-1}D, with
D = Lambda'Z'E - u, so that one pass over the rows is enough whatever u is worth, and gives a better u besides: a step
of iterative refinement (Bjorck 1996, Numerical Methods for Least Squares Problems, section 2.9).

r^2 = G_yy - G_yX G_XX^{-1} G_Xy is such a difference once more where X has a share in what y has within levels. With
beta from it, the E and u of y - X beta are combinations of those of [X y], and their squares have nothing to lose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dtrsv
from scipy.linalg.lapack import dpotrf

from mixfit.errors import FitError
from mixfit.gram.levels import left_multiply
from mixfit.gram.products import random_predictor, random_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.gram.products import Rows

    Array = NDArray[np.float64]
    Halves = tuple[dict[int, Array], Array]

__all__ = ["Border", "FixedEffects", "eliminate", "fixed_effects", "inner_products", "is_cancelled", "loss"]

# What is left of a square by the difference before its digits are asked of the rows: eight of sixteen are then gone.
_CANCELLED = 1e-7


@dataclass(frozen=True, eq=False)
class FixedEffects:
    """What G tells.

    Attributes
    ----------
    root : ndarray, shape (p, p)
        Lower Cholesky factor of G_XX.
    beta : ndarray, shape (p,)
        G_XX^{-1} G_Xy.
    residual : float
        r^2.
    """

    root: Array
    beta: Array
    residual: float


@dataclass(frozen=True, eq=False)
class Border:
    """[X y] after the elimination of Z.

    Attributes
    ----------
    forward : tuple
        L^{-1} Lambda'Z'[X y].
    fixed : FixedEffects
    from_rows : bool
    """

    forward: Halves
    fixed: FixedEffects
    from_rows: bool


def fixed_effects(schur: Array, near: Array | None = None) -> FixedEffects:
    """Of G (p + 1, p + 1), of [X y] or of [X, y - X beta] for a beta that is `near`.

    Raises
    ------
    FitError
        Where G_XX is singular.
    """
    p = len(schur) - 1
    if not p:
        return FixedEffects(np.empty((0, 0)), np.empty(0), float(schur[p, p]))
    root, info = dpotrf(schur[:p, :p], lower=1, clean=1)
    if info:
        raise FitError(
            f"X'V^-1X is not positive definite at column {info}: the fixed effects cannot be told from the "
            "random effects in double precision. Leave out the fixed effect that the groups determine."
        )
    half = dtrsv(root, schur[:p, p], lower=1)
    beta = dtrsv(root, half, lower=1, trans=1)
    return FixedEffects(root, beta if near is None else near + beta, float(schur[p, p] - half @ half))


def is_cancelled(fixed: FixedEffects, schur: Array) -> bool:
    """Whether the difference r^2 has lost too many digits of G_yy."""
    return not fixed.residual > _CANCELLED * float(schur[-1, -1])


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
    if gram.rows is None:
        return Border(forward, fixed_effects(schur), from_rows=False)
    if (schur.diagonal() > _CANCELLED * gram.corner.diagonal()).all():
        fixed = fixed_effects(schur)
        if not is_cancelled(fixed, schur):
            return Border(forward, fixed, from_rows=False)
    return _from_rows(factor, forward, gram.rows)


def _from_rows(factor: Factor, forward: Halves, rows: Rows) -> Border:
    u, b = factor.backward(*forward)
    rest = rows.columns - random_predictor(rows.factors, b)
    sums = random_sums(rows.factors, rest)
    defect = [left_multiply(t.T, s) - v for t, s, v in zip(factor.templates, sums, u, strict=True)]
    half = factor.forward({i: defect[i] for i in factor.plan.chain}, factor.plan.columns.stack(defect))
    schur = rest @ rest.T + inner_products(u) - factor.inner(half, half)
    better = {i: y + half[0][i] for i, y in forward[0].items()}, forward[1] + half[1]
    fixed = fixed_effects(schur)
    # C (p + 1, p + 1) with [X y] C' = [X, y - X beta].
    near = np.eye(len(schur))
    near[-1, :-1] = -fixed.beta
    rest, u = near @ rest, [near @ v for v in u]
    schur = rest @ rest.T + inner_products(u) - near @ factor.inner(half, half) @ near.T
    return Border(better, fixed_effects(schur, fixed.beta), from_rows=True)
