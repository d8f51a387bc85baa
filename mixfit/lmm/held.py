r"""The criterion of a linear model with sigma explicit and, perhaps, one combination of fixed effects held.

    d(T, sigma)    = log|A| - sum log w + n log(2 pi sigma^2) + r^2 / sigma^2
    REML(T, sigma) = d + log|G_XX| - p log(2 pi sigma^2)

With a'beta = c held, r^2 grows by (c - a'beta^)^2 / a'G_XX^{-1}a and beta moves to beta^ + G_XX^{-1} a
(c - a'beta^) / a'G_XX^{-1}a: the constrained least-squares problem, solved in the Schur complement that the
evaluation has anyway. By the envelope theorem the derivatives are those of :mod:`mixfit.lmm.derivatives` with
the residual of that beta and the explicit sigma:

    N_t = sum_j (Z'V^{-1}Z)_jj - s s' / sigma^2,        dd/dlog sigma = 2 n - 2 r^2 / sigma^2  (T fixed),
    dd/dc = 2 (c - a'beta^) / (sigma^2 a'G_XX^{-1}a).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dtrsv

from mixfit.covariance.directions import regular_columns
from mixfit.factor.posterior import inverse_sums, posterior, projected_sums
from mixfit.lmm.criterion import evaluate, whiten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.posterior import FactorPosterior
    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["HeldPoint", "evaluate_held"]


@dataclass(frozen=True, eq=False)
class HeldPoint:
    """The criterion and its exact gradient at one (T, sigma).

    Attributes
    ----------
    value : float
    beta : ndarray, shape (p,)
        The constrained optimum, in the problem's basis and units.
    relative : tuple of ndarray, shape (k_t, k_t)
        T'N_t T of the terms with a regular template; zero in the columns without variance of others.
    absolute : dict of int to ndarray, shape (k_t, k_t)
        N_t of the terms with a singular template.
    log_sigma : float
        Derivative in log sigma at fixed T.
    effect : float
        Derivative in c; 0 where nothing is held.
    at : Evaluation
        With nothing held.
    """

    value: float
    beta: Array
    relative: tuple[Array, ...]
    absolute: dict[int, Array]
    log_sigma: float
    effect: float
    at: Evaluation


def evaluate_held(
    problem: Problem,
    templates: Sequence[Array],
    scale: float,
    *,
    reml: bool = False,
    contrast: tuple[Array, float] | None = None,
) -> HeldPoint:
    """Evaluate at relative factors and sigma^2 = `scale`, in units of the squared residual length.

    Parameters
    ----------
    problem : Problem
    templates : sequence of ndarray, shape (k_t, k_t)
        In the problem's bases; columns without variance are zero.
    scale : float
    reml : bool
    contrast : tuple of ndarray, shape (p,), and float, optional
        a and c of the restriction a'beta = c, in the problem's basis and units. With `reml` it has no meaning.
    """
    at = evaluate(problem, templates, reml=reml, scale=scale)
    nu = problem.degrees(reml=reml)
    residual, beta, effect = at.residual, at.beta, 0.0
    if contrast is not None:
        residual, beta, effect = _hold(at, *contrast)
        effect /= scale
    value = at.value + (residual - at.residual) / scale
    relative, absolute = _slopes(at, beta, scale) if problem.terms else ((), {})
    return HeldPoint(float(value), beta, relative, absolute, 2.0 * (nu - residual / scale), effect, at)


def _hold(at: Evaluation, a: Array, c: float) -> tuple[float, Array, float]:
    """r^2 and beta with a'beta = c, and 2 (c - a'beta^) / a'G_XX^{-1}a."""
    half = dtrsv(at.fixed_root, a, lower=1)
    variance = float(half @ half)
    gap = c - float(a @ at.beta)
    beta = at.beta + dtrsv(at.fixed_root, half, lower=1, trans=1) * (gap / variance)
    return at.residual + gap**2 / variance, beta, 2.0 * gap / variance


def _slopes(at: Evaluation, beta: Array, scale: float) -> tuple[tuple[Array, ...], dict[int, Array]]:
    problem, factor, p = at.problem, at.factor, at.problem.p
    own, trailing = at.forward
    columns = np.concatenate([-beta, [1.0]])[:, None]
    if at.reml and p:
        # Beside the residual y - X beta, the columns X in the metric of G_XX.
        columns = np.concatenate([columns, np.vstack([whiten(at.fixed_root, np.eye(p)), np.zeros((1, p))])], axis=1)
    # s s' enters over sigma^2, the columns of X as they are.
    weight = np.ones(columns.shape[1])
    weight[0] = 1.0 / scale
    u, b = factor.backward({i: _combine(y, columns) for i, y in own.items()}, trailing @ columns)
    post = posterior(factor)
    inverse = inverse_sums(factor, post)
    relative = []
    for term, t in zip(problem.terms, at.templates, strict=True):
        rows = term.columns
        known = problem.gram.n_levels[term.factor] * np.eye(term.k) - inverse[term.factor][rows, rows]
        regular = regular_columns(t)
        relative.append((known - _outer(u[term.factor][rows], weight)) * (regular[:, None] & regular))
    return tuple(relative), _singular_slopes(at, b, columns, weight, post)


def _singular_slopes(
    at: Evaluation, b: list[Array], columns: Array, weight: Array, post: FactorPosterior
) -> dict[int, Array]:
    problem, gram = at.problem, at.problem.gram
    singular = [x for x, t in enumerate(at.templates) if not regular_columns(t).all()]
    if not singular:
        return {}
    fitted = gram.matvec(b)
    out = {}
    for index in singular:
        term = problem.terms[index]
        i, rows = term.factor, term.columns
        s = (_combine(gram.border[i], columns) - fitted[i])[rows]
        out[index] = projected_sums(at.factor, post, i)[rows, rows] - _outer(s, weight)
    return out


def _combine(blocks: Array, columns: Array) -> Array:
    """Columns (r, c) applied to blocks (k, r, q): (k, c, q)."""
    return np.matmul(columns.T, blocks)


def _outer(u: Array, weight: Array) -> Array:
    """sum over levels and columns of weight u u', for u of shape (k, c, q)."""
    flat = (u * np.sqrt(weight)[:, None]).reshape(len(u), -1)
    return flat @ flat.T
