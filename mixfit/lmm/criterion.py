r"""Profiled deviance and REML criterion of a linear mixed model at one theta.

With G the Schur complement of [X y] in the bordered cross-products (DESIGN 2.1),

    d(theta)    = log|A| - sum log w + n [1 + log(2 pi r^2 / n)]
    REML(theta) = log|A| + log|G_XX| - sum log w + (n - p) [1 + log(2 pi r^2 / (n - p))]

(Bates, Maechler, Bolker & Walker 2015, JSS 67(1), eqs. 34 and 42).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dtrsm, dtrsv

from mixfit.cholesky.factor import factorize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.cholesky.factor import Factor
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["Profile", "block_inner", "evaluate", "whiten"]


@dataclass(frozen=True)
class Profile:
    """The criterion at one theta, with all that its derivatives reuse.

    Attributes
    ----------
    problem : Problem
    reml : bool
    templates : tuple of ndarray
        Relative factors of the terms.
    factor : Factor
    forward : tuple
        L^{-1} Lambda'Z'[X y].
    fixed_root : ndarray, shape (p, p)
        Lower Cholesky factor of G_XX = X'V^{-1}X.
    beta : ndarray, shape (p,)
        In the orthonormal basis, relative to the least-squares fit, in units of y's residual length.
    residual : float
        r^2 in units of the squared residual length.
    value : float
        The criterion with all its constants.
    """

    problem: Problem
    reml: bool
    templates: tuple[Array, ...]
    factor: Factor
    forward: tuple[dict[int, Array], Array]
    fixed_root: Array
    beta: Array
    residual: float
    value: float

    @property
    def scale(self) -> float:
        """sigma^2 in units of the squared residual length."""
        return self.residual / self.problem.degrees(reml=self.reml)


def evaluate(problem: Problem, templates: Sequence[Array], *, reml: bool) -> Profile:
    """Evaluate the criterion at the relative factors `templates`, one a term."""
    gram, p = problem.gram, problem.p
    factor = factorize(gram, problem.plan, problem.factor_templates(templates))
    forward = factor.forward(*factor.scaled(gram.border))
    schur = gram.corner - block_inner(forward, forward)
    root = np.linalg.cholesky(schur[:p, :p]) if p else np.empty((0, 0))
    half = dtrsv(root, schur[:p, p], lower=1) if p else np.empty(0)
    beta = dtrsv(root, half, lower=1, trans=1) if p else half
    residual = float(schur[p, p] - half @ half)
    nu = problem.degrees(reml=reml)
    value = factor.logdet - problem.log_weights + nu * (
        1.0 + np.log(2.0 * np.pi * residual / nu) + 2.0 * problem.log_scale
    )
    if reml:
        value += 2.0 * float(np.log(root.diagonal()).sum()) + problem.log_x
    return Profile(
        problem, reml, tuple(templates), factor, forward, root, beta, residual, float(value)
    )


def block_inner(a: tuple[dict[int, Array], Array], b: tuple[dict[int, Array], Array]) -> Array:
    """A'B of two block columns."""
    total = a[1].T @ b[1]
    for i, left in a[0].items():
        right = b[0][i]
        if left.shape[0] == 1:
            total = total + left[0] @ right[0].T
        else:
            total = total + np.tensordot(left, right, axes=([0, 2], [0, 2]))
    return total


def whiten(root: Array, columns: Array) -> Array:
    """columns @ root'^{-1} for columns (..., p) of X: the last axis in the metric of G_XX."""
    flat = columns.reshape(-1, len(root))
    out: Array = dtrsm(1.0, root, flat.T, lower=1).T
    return out.reshape(columns.shape)
