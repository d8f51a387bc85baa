"""Products with V^{-1} at one theta: the scores Z'V^{-1}C, and Gram matrices of columns in the span of Z."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import regular_columns
from mixfit.gram.levels import column_products, left_multiply

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.criterion import Evaluation

    Array = NDArray[np.float64]

__all__ = ["loaded_products", "residual_columns", "residual_forward", "score_columns"]


def residual_columns(at: Evaluation, blocks: Array) -> Array:
    """The column of y - X beta from columns [X y], on axis 1."""
    return np.matmul(at.contrast, blocks)


def residual_forward(at: Evaluation) -> tuple[dict[int, Array], Array]:
    """L^{-1} Lambda'Z'(y - X beta)."""
    own, trailing = at.forward
    return {i: residual_columns(at, y) for i, y in own.items()}, trailing @ at.contrast.T


def loaded_products(at: Evaluation, columns: dict[int, Array]) -> Array:
    """W'V^{-1}[W X y] over sigma^2 = 1 for W = [Z_i c_i], c_i of shape (k_i, r_i, q_i), factor by factor.

    Where c = Lambda v they are v'(I - A^{-1})v and v'u of X and y, which lose no digits however large Lambda is.
    """
    scaled = {}
    for i, c in columns.items():
        t = at.factor.templates[i]
        if not regular_columns(t).all():
            return _general_products(at, columns)
        scaled[i] = c / t[0, 0] if t.shape == (1, 1) else left_multiply(np.asarray(np.linalg.inv(t), dtype=float), c)
    width = [v.shape[1] for v in scaled.values()]
    ends = np.cumsum(width)
    r = int(ends[-1])
    blocks = [np.zeros((k, r, q)) for k, q in zip(at.problem.gram.k, at.problem.gram.n_levels, strict=True)]
    own_products = np.zeros((r, r))
    for (i, v), end, size in zip(scaled.items(), ends, width, strict=True):
        part = slice(end - size, end)
        blocks[i][:, part] = v
        own_products[part, part] = column_products(v, v)
    half = at.factor.forward({i: blocks[i] for i in at.factor.plan.chain}, at.factor.plan.columns.stack(blocks))
    return np.concatenate([own_products - at.factor.inner(half, half), at.factor.inner(half, at.forward)], axis=1)


def _general_products(at: Evaluation, columns: dict[int, Array]) -> Array:
    """The same for any c."""
    gram = at.problem.gram
    products: list[list[Array]] = [[] for _ in range(gram.n_factors)]
    for i, c in columns.items():
        blocks: list[Array | None] = [None] * gram.n_factors
        blocks[i] = c
        for out, product in zip(products, gram.matvec(blocks), strict=True):
            out.append(product)
    images = [np.concatenate(parts, axis=1) for parts in products]
    own, trailing = half = at.factor.half(images)
    both = [np.concatenate(pair, axis=1) for pair in zip(images, gram.border, strict=True)]
    direct = [column_products(c, both[i]) for i, c in columns.items()]
    both_half = (
        {i: np.concatenate([y, at.forward[0][i]], axis=1) for i, y in own.items()},
        np.concatenate([trailing, at.forward[1]], axis=1),
    )
    return np.concatenate(direct) - at.factor.inner(half, both_half)


def score_columns(at: Evaluation) -> list[Array]:
    """Z'V^{-1}[X, y - X beta] over sigma^2 = 1, in blocks (k_i, p + 1, q_i)."""
    p = at.problem.p
    own, trailing = residual_forward(at)
    both = {i: np.concatenate([at.forward[0][i][:, :p], e], axis=1) for i, e in own.items()}
    _, b = at.factor.backward(both, np.concatenate([at.forward[1][:, :p], trailing], axis=1))
    fitted = at.problem.gram.matvec(b)
    return [
        np.concatenate([z[:, :p], residual_columns(at, z)], axis=1) - f
        for z, f in zip(at.problem.gram.border, fitted, strict=True)
    ]
