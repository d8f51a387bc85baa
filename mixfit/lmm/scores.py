"""Products with V^{-1} at one theta: the scores Z'V^{-1}C, and Gram matrices of columns in the span of Z."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.levels import column_products, left_multiply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.lmm.criterion import Evaluation

    Array = NDArray[np.float64]
    Halves = tuple[dict[int, Array], Array]

__all__ = ["direction_products", "loaded_products", "residual_columns", "residual_forward", "score_columns"]


def residual_columns(at: Evaluation, blocks: Array) -> Array:
    """The column of y - X beta from columns [X y], on axis 1."""
    return np.matmul(at.contrast, blocks)


def residual_forward(at: Evaluation) -> tuple[dict[int, Array], Array]:
    """L^{-1} Lambda'Z'(y - X beta)."""
    own, trailing = at.forward
    return {i: residual_columns(at, y) for i, y in own.items()}, trailing @ at.contrast.T


def direction_products(
    at: Evaluation, directions: Sequence[Direction], u: Sequence[Array], scores: Mapping[int, Array]
) -> Array:
    """W'V^{-1}[W X y] over sigma^2 = 1 for w_a = Z Sigma'_a s, the r columns of a direction side by side.

    From u = T's of every factor, (k_i, r, q_i), and s of the terms with a singular template, (k_t, r, q_t).
    """
    problem = at.problem
    if not directions:
        return np.empty((0, problem.p + 1))
    r = u[0].shape[1]
    by_factor: dict[int, list[int]] = {}
    for a, d in enumerate(directions):
        by_factor.setdefault(problem.terms[d.term].factor, []).append(a)
    columns: dict[int, Array] = {}
    for i, own in by_factor.items():
        block = columns[i] = np.zeros((u[i].shape[0], len(own) * r, u[i].shape[2]))
        for x, d in enumerate([directions[a] for a in own]):
            rows = problem.terms[d.term].columns
            c = d.within(u[i][rows]) if at.is_regular else d.loading(u[i][rows], scores.get(d.term))
            block[rows, x * r : (x + 1) * r] = c
    order = [a for own in by_factor.values() for a in own]
    products = _relative_products(at, columns) if at.is_regular else _general_products(at, columns)
    if order == sorted(order):
        return products
    back = (np.argsort(order)[:, None] * r + np.arange(r)).ravel()
    return products[back[:, None], np.append(back, np.arange(len(back), products.shape[1]))]


def loaded_products(at: Evaluation, columns: Mapping[int, Array]) -> Array:
    """W'V^{-1}[W X y] over sigma^2 = 1 for W = [Z_i c_i], c_i of shape (k_i, r_i, q_i), factor by factor."""
    if not at.is_regular:
        return _general_products(at, columns)
    inverse = {i: np.asarray(np.linalg.inv(at.factor.templates[i]), dtype=float) for i in columns}
    return _relative_products(at, {i: left_multiply(inverse[i], c) for i, c in columns.items()})


def _relative_products(at: Evaluation, columns: Mapping[int, Array]) -> Array:
    """The same for c = Lambda v of the v that `columns` are.

    They are v'(I - A^{-1})v and v'u of X and y, which lose no digits however large Lambda is.
    """
    r = sum(v.shape[1] for v in columns.values())
    blocks = [np.zeros((k, r, q)) for k, q in zip(at.problem.gram.k, at.problem.gram.n_levels, strict=True)]
    own_products = np.zeros((r, r))
    start = 0
    for i, v in columns.items():
        part = slice(start, start + v.shape[1])
        blocks[i][:, part] = v
        own_products[part, part] = column_products(v, v)
        start = part.stop
    half = at.factor.forward({i: blocks[i] for i in at.factor.plan.chain}, at.factor.plan.columns.stack(blocks))
    products = at.factor.inner(half, _beside(half, at.forward))
    products[:, :r] = own_products - products[:, :r]
    return products


def _general_products(at: Evaluation, columns: Mapping[int, Array]) -> Array:
    """The same for any c."""
    gram = at.problem.gram
    products: list[list[Array]] = [[] for _ in range(gram.n_factors)]
    for i, c in columns.items():
        blocks: list[Array | None] = [None] * gram.n_factors
        blocks[i] = c
        for out, product in zip(products, gram.matvec(blocks), strict=True):
            out.append(product)
    images = [np.concatenate(parts, axis=1) for parts in products]
    half = at.factor.half(images)
    both = [np.concatenate(pair, axis=1) for pair in zip(images, gram.border, strict=True)]
    direct = [column_products(c, both[i]) for i, c in columns.items()]
    return np.concatenate(direct) - at.factor.inner(half, _beside(half, at.forward))


def _beside(one: Halves, other: Halves) -> Halves:
    """The columns of both."""
    own = {i: np.concatenate([y, other[0][i]], axis=1) for i, y in one[0].items()}
    return own, np.concatenate([one[1], other[1]], axis=1)


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
