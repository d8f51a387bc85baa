"""What a mixed model is by its definition, in dense n x n matrices: slow and independent of the package.

y - offset ~ N(X beta, sigma^2 V), V = W^{-1} + sum_t Z_t (T_t T_t' for every level) Z_t'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve, qr
from scipy.optimize import minimize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.matrices.types import Design, RandomDesign

    Array = NDArray[np.float64]

__all__ = [
    "Solution",
    "best_criterion",
    "criterion",
    "expand",
    "free_entries",
    "gradient",
    "kept_columns",
    "solve",
    "templates_of",
]


def expand(term: RandomDesign) -> Array:
    """Dense Z of a term, shape (n, q, k)."""
    n, k = term.Z.shape
    Z = np.zeros((n, term.grouping.n_levels, k))
    Z[np.arange(n), term.grouping.codes] = term.Z
    return Z


def kept_columns(X: Array) -> list[int]:
    """Columns that earlier ones do not determine."""
    kept: list[int] = []
    for j in range(X.shape[1]):
        both = X[:, [*kept, j]] / np.maximum(np.linalg.norm(X[:, [*kept, j]], axis=0), 1e-300)
        if abs(qr(both, mode="r")[0][len(kept), len(kept)]) > 1e-8:
            kept.append(j)
    return kept


@dataclass(frozen=True)
class Solution:
    """Generalized least squares at given templates.

    Attributes
    ----------
    V, inverse : ndarray, shape (n, n)
    P : ndarray, shape (n, n)
        V^{-1} - V^{-1} X (X'V^{-1}X)^{-1} X'V^{-1}.
    """

    criterion: float
    sigma: float
    beta: Array
    cov_beta: Array
    X: Array
    V: Array
    inverse: Array
    P: Array
    residual: Array


def covariance(design: Design, templates: Sequence[Array]) -> Array:
    """V."""
    n = len(design.y)
    V = np.diag(np.ones(n) if design.weights is None else 1.0 / design.weights)
    for term, t in zip(design.random, templates, strict=True):
        half = (expand(term) @ t).reshape(n, -1)
        V += half @ half.T
    return V


def solve(design: Design, templates: Sequence[Array], *, reml: bool) -> Solution:
    """Profile beta and sigma out at given templates."""
    n = len(design.y)
    X = design.X[:, kept_columns(design.X)]
    y = design.y if design.offset is None else design.y - design.offset
    V = covariance(design, templates)
    inverse = cho_solve(cho_factor(V), np.eye(n))
    information = X.T @ inverse @ X
    beta = np.linalg.solve(information, X.T @ inverse @ y)
    residual = y - X @ beta
    r2 = residual @ inverse @ residual
    nu = n - X.shape[1] if reml else n
    value = np.linalg.slogdet(V)[1] + nu * (1.0 + np.log(2.0 * np.pi * r2 / nu))
    if reml:
        value += np.linalg.slogdet(information)[1]
    cov = np.linalg.inv(information)
    return Solution(
        float(value),
        float(np.sqrt(r2 / nu)),
        beta,
        r2 / nu * cov,
        X,
        V,
        inverse,
        inverse - inverse @ X @ cov @ X.T @ inverse,
        residual,
    )


def criterion(design: Design, templates: Sequence[Array], *, reml: bool) -> float:
    """Profiled deviance, or REML criterion, with all constants."""
    return solve(design, templates, reml=reml).criterion


def absolute_slopes(design: Design, at: Solution, *, reml: bool) -> list[Array]:
    """Derivative of the criterion in the relative covariance T T' of every term, (k, k)."""
    Q = at.P if reml else at.inverse
    s = at.inverse @ at.residual
    out = []
    for term in design.random:
        Z = expand(term)
        score = np.einsum("nqk,n->qk", Z, s)
        out.append(np.einsum("nqa,nm,mqb->ab", Z, Q, Z, optimize=True) - score.T @ score / at.sigma**2)
    return out


def gradient(design: Design, templates: Sequence[Array], *, reml: bool) -> list[Array]:
    """Derivative of the criterion in every entry of each template: 2 N T."""
    at = solve(design, templates, reml=reml)
    slopes = absolute_slopes(design, at, reml=reml)
    return [2.0 * n @ t for n, t in zip(slopes, templates, strict=True)]


def _positions(design: Design) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    out = []
    for term in design.random:
        k = len(term.columns)
        if term.structure.is_separable:
            out.append((np.arange(k), np.arange(k)))
        else:
            col, row = np.triu_indices(k)
            out.append((row, col))
    return out


def free_entries(design: Design, templates: Sequence[Array]) -> Array:
    """Theta, column by column, term by term."""
    return np.concatenate([t[at] for t, at in zip(templates, _positions(design), strict=True)])


def templates_of(design: Design, theta: Array) -> list[Array]:
    """Templates of theta."""
    out, first = [], 0
    for term, at in zip(design.random, _positions(design), strict=True):
        t = np.zeros((len(term.columns),) * 2)
        t[at] = theta[first : first + len(at[0])]
        first += len(at[0])
        out.append(t)
    return out


def best_criterion(
    design: Design, *, reml: bool, starts: int, near: Sequence[Array] | None = None, seed: int = 0
) -> tuple[float, list[Array]]:
    """Lowest criterion of quasi-Newton searches, and its templates.

    They start at the identity, at random places, and, given `near`, twice beside those templates.

    The criterion depends on T T' alone, so that theta needs no bounds: the sign of a column is free.
    """
    rng = np.random.default_rng(seed)
    scale = np.concatenate(
        [
            1.0 / np.sqrt((term.Z**2).mean(axis=0))[row]
            for term, (row, _) in zip(design.random, _positions(design), strict=True)
        ]
    )

    def objective(x: Array) -> tuple[float, Array]:
        templates = templates_of(design, scale * x)
        value = criterion(design, templates, reml=reml)
        slope = scale * free_entries(design, gradient(design, templates, reml=reml))
        return value, slope

    best, where = np.inf, np.ones_like(scale)
    diagonal = free_entries(design, [np.eye(len(t.columns)) for t in design.random])
    first_guesses = [diagonal]
    first_guesses += [rng.normal(size=len(scale)) * 10.0 ** rng.uniform(-2, 1) for _ in range(starts - 1)]
    if near is not None:
        here = free_entries(design, near) / scale
        first_guesses += [here + 1e-3 * rng.normal(size=len(scale)) for _ in range(2)]
    for first in first_guesses:
        found = minimize(
            objective,
            first,
            jac=True,
            method="L-BFGS-B",
            options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 300},
        )
        if found.fun < best:
            best, where = float(found.fun), found.x
    return best, templates_of(design, scale * where)
