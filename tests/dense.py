"""The model as its definition says it: an n x n covariance matrix, and no shortcuts.

``y ~ N(X beta + offset, sigma**2 V0)`` with ``V0 = W**-1 + sum_t Z_t (I kron T_t T_t') Z_t'``.
Slow and obviously right: the oracle for results and for the fitter alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import block_diag, cho_factor, cho_solve
from scipy.optimize import minimize

from mixfit.covariance.steps import theta_order
from mixfit.gram.row_space import row_space
from mixfit.lmm.types import LinearEstimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.matrices.types import Design, RandomDesign
    from mixfit.results import LinearResults

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Certificate:
    """What results ask of the optimality certificate."""

    converged: bool = True
    projected_gradient: float = 0.0
    predicted_decrease: float = 0.0
    boundary: tuple[int, ...] = ()
    message: str = "the reference optimizer is satisfied"


def kept_columns(X: Array) -> NDArray[np.intp]:
    """Columns that raise the rank, from left to right."""
    kept: list[int] = []
    for j in range(X.shape[1]):
        if np.linalg.matrix_rank(X[:, [*kept, j]]) > len(kept):
            kept.append(j)
    return np.array(kept, dtype=np.intp)


def full_z(term: RandomDesign) -> Array:
    """Dense Z of one term, shape (n, q k): the columns of level 0, then those of level 1, ..."""
    n, k = term.Z.shape
    Z = np.zeros((n, term.grouping.n_levels, k))
    Z[np.arange(n), term.grouping.codes] = term.Z
    return Z.reshape(n, -1)


def relative_covariance(design: Design, templates: Sequence[Array]) -> Array:
    """Covariance of all random effects over sigma**2, terms in order of the formula."""
    blocks = [np.kron(np.eye(r.grouping.n_levels), T @ T.T) for r, T in zip(design.random, templates, strict=True)]
    return np.asarray(block_diag(*blocks))


@dataclass(frozen=True)
class Solution:
    """Everything at given templates."""

    criterion: float
    sigma: float
    beta: Array
    kept: NDArray[np.intp]
    X: Array
    Z: Array
    G0: Array
    V0: Array
    residual: Array


def solve(design: Design, templates: Sequence[Array], reml: bool) -> Solution:
    """Generalized least squares at given templates, and the profiled criterion."""
    n = len(design.y)
    kept = kept_columns(design.X)
    X = design.X[:, kept]
    y = design.y if design.offset is None else design.y - design.offset
    Z = np.hstack([full_z(term) for term in design.random])
    G0 = relative_covariance(design, templates)
    V0 = np.diag(1.0 / (np.ones(n) if design.weights is None else design.weights)) + Z @ G0 @ Z.T
    factor = cho_factor(V0)
    information = X.T @ cho_solve(factor, X)
    beta = np.linalg.solve(information, X.T @ cho_solve(factor, y))
    residual = y - X @ beta
    r2 = float(residual @ cho_solve(factor, residual))
    df = n - X.shape[1] if reml else n
    criterion = np.linalg.slogdet(V0)[1] + df * (1.0 + np.log(2.0 * np.pi * r2 / df))
    if reml:
        criterion += np.linalg.slogdet(information)[1]
    return Solution(float(criterion), float(np.sqrt(r2 / df)), beta, kept, X, Z, G0, V0, residual)


def criterion(design: Design, templates: Sequence[Array], reml: bool) -> float:
    """Profiled deviance, or REML criterion, with all constants."""
    return solve(design, templates, reml).criterion


def gradient(design: Design, templates: Sequence[Array], reml: bool) -> Array:
    """Derivative of the profiled criterion in theta, by the textbook formula.

    ``tr(Q dV0) - (df / r**2) e' V0**-1 dV0 V0**-1 e`` with Q = V0**-1, or for REML the projected
    inverse (Bates et al. 2015; Searle, Casella & McCulloch 1992, ch. 6).
    """
    s = solve(design, templates, reml)
    inverse = np.linalg.inv(s.V0)
    weighted = inverse @ s.X
    Q = inverse - weighted @ np.linalg.solve(s.X.T @ weighted, weighted.T) if reml else inverse
    a = inverse @ s.residual
    derivatives = []
    theta = free_entries(design, templates)
    for m in range(len(theta)):
        # T is linear in theta: the templates of a unit vector are the derivative
        unit = templates_of(design, np.eye(len(theta))[m])
        dV0 = np.zeros_like(s.V0)
        for term, T, dT in zip(design.random, templates, unit, strict=True):
            half = full_z(term) @ np.kron(np.eye(term.grouping.n_levels), dT @ T.T)
            part = half @ full_z(term).T
            dV0 += part + part.T
        derivatives.append(np.sum(Q * dV0) - a @ dV0 @ a / s.sigma**2)
    return np.array(derivatives)


def free_entries(design: Design, templates: Sequence[Array]) -> Array:
    """Theta of templates."""
    parts = [
        np.diagonal(T) if term.structure.is_separable else T.T[np.triu_indices(len(T))]
        for term, T in zip(design.random, templates, strict=True)
    ]
    return np.concatenate(parts)


def templates_of(design: Design, theta: Array) -> tuple[Array, ...]:
    """Templates of theta."""
    templates, start = [], 0
    for term in design.random:
        k = len(term.columns)
        T = np.zeros((k, k))
        if term.structure.is_separable:
            T[np.diag_indices(k)] = theta[start : start + k]
            start += k
        else:
            size = k * (k + 1) // 2
            T.T[np.triu_indices(k)] = theta[start : start + size]
            start += size
        templates.append(T)
    return tuple(templates)


def estimate(design: Design, templates: Sequence[Array], reml: bool) -> LinearEstimate:
    """All estimates at given templates."""
    s = solve(design, templates, reml)
    factor = cho_factor(s.V0)
    b = s.G0 @ s.Z.T @ cho_solve(factor, s.residual)
    sizes = [(term.grouping.n_levels, len(term.columns)) for term in design.random]
    ends = np.cumsum([q * k for q, k in sizes])[:-1]
    modes = tuple(part.reshape(size) for part, size in zip(np.split(b, ends), sizes, strict=True))
    return LinearEstimate(
        reml=reml,
        criterion=s.criterion,
        templates=tuple(templates),
        theta=free_entries(design, templates),
        sigma=s.sigma,
        beta=s.beta,
        cov_beta=s.sigma**2 * np.linalg.inv(s.X.T @ cho_solve(factor, s.X)),
        modes=modes,
        certificate=Certificate(),  # type: ignore[arg-type]
    )


def fit(design: Design, reml: bool) -> LinearEstimate:
    """Minimize the criterion over theta: L-BFGS, then Newton steps.

    No bounds: the criterion depends on T T' only, so the sign of a column of T is free and a
    variance of zero is an ordinary minimum.
    """

    def objective(theta: Array) -> float:
        return criterion(design, templates_of(design, theta), reml)

    def slope(theta: Array) -> Array:
        return gradient(design, templates_of(design, theta), reml)

    scales = [np.diag(1.0 / np.sqrt(np.mean(term.Z**2, axis=0))) for term in design.random]
    start = free_entries(design, scales)
    options = {"ftol": 1e-15, "gtol": 1e-8, "maxiter": 500}
    theta = minimize(objective, start, jac=slope, method="L-BFGS-B", options=options).x
    for _ in range(3):
        steps = 1e-5 * np.eye(len(theta))
        hessian = np.array([(slope(theta + h) - slope(theta - h)) / 2e-5 for h in steps])
        theta = theta - np.linalg.lstsq(hessian, slope(theta), rcond=1e-8)[0]
    templates = []
    for T in templates_of(design, theta):
        T = T * np.where(np.diagonal(T) < 0, -1.0, 1.0)
        T[np.abs(T) < 1e-7] = 0.0
        templates.append(T)
    return estimate(design, templates, reml)


def level_blocks(design: Design, covariance: Array) -> tuple[Array, ...]:
    """Diagonal blocks of a covariance of all random effects, shape (q_t, k_t, k_t) a term."""
    blocks, start = [], 0
    for term in design.random:
        q, k = term.grouping.n_levels, len(term.columns)
        part = covariance[start : start + q * k, start : start + q * k].reshape(q, k, q, k)
        blocks.append(part[np.arange(q), :, np.arange(q), :])
        start += q * k
    return tuple(blocks)


def conditional_covariance(design: Design, fitted: LinearEstimate) -> tuple[Array, ...]:
    """Cov(b_j | y) of every level at known beta and theta."""
    s = solve(design, fitted.templates, fitted.reml)
    GZ = s.G0 @ s.Z.T
    return level_blocks(design, fitted.sigma**2 * (s.G0 - GZ @ np.linalg.solve(s.V0, GZ.T)))


def joint_covariance(design: Design, fitted: LinearEstimate) -> Array:
    """Covariance of (beta_hat - beta, b_hat - b), by Henderson's mixed-model equations.

    Written for the errors directly, not through the inverse of the coefficient matrix, which
    does not exist where a template is singular.
    """
    s = solve(design, fitted.templates, fitted.reml)
    Vi = np.linalg.inv(s.V0)
    phi = np.linalg.inv(s.X.T @ Vi @ s.X)
    P = Vi - Vi @ s.X @ phi @ s.X.T @ Vi
    GZ = s.G0 @ s.Z.T
    cross = -phi @ s.X.T @ Vi @ GZ.T
    return fitted.sigma**2 * np.block([[phi, cross], [cross.T, s.G0 - GZ @ P @ GZ.T]])


class DenseModel:
    """A model with what results ask of it, every answer by dense matrices."""

    def __init__(self, design: Design, formula_text: str, data_name: str | None = None) -> None:
        self.design, self.formula_text, self.data_name = design, formula_text, data_name
        self.description = formula_text
        self.prior_table: tuple[tuple[str, str], ...] = ()
        self.note: str | None = None
        self.known_effects: dict[str, float] = {}
        self.kept = kept_columns(design.X)
        self.exog = design.X[:, self.kept]
        self.exog_names = tuple(design.exog_names[j] for j in self.kept)
        self.aliased = tuple(name for name in design.exog_names if name not in self.exog_names)
        self.row_space = row_space(design.X, self.kept)
        structures = [r.structure for r in design.random]
        self.theta_order = theta_order(structures, [r.grouping.n_levels for r in design.random])

    def fit(self, *, reml: bool = True) -> LinearResults:
        from mixfit.results import LinearResults

        return LinearResults(self, fit(self.design, reml))

    def with_response(self, y: ArrayLike, /) -> DenseModel:
        return DenseModel(replace(self.design, y=np.asarray(y, dtype=float)), self.formula_text, self.data_name)

    def conditional_covariance(self, fitted: LinearEstimate, /) -> tuple[Array, ...]:
        return conditional_covariance(self.design, fitted)

    def prediction_variance(
        self,
        fitted: LinearEstimate,
        X: Array,
        Z: Sequence[Array | None],
        codes: Sequence[NDArray[np.intp] | None],
        /,
    ) -> Array:
        rows = [X]
        for term, z, code in zip(self.design.random, Z, codes, strict=True):
            if z is None or code is None:
                rows.append(np.zeros((len(X), term.grouping.n_levels * len(term.columns))))
            else:
                rows.append(full_z(replace(term, Z=z, grouping=replace(term.grouping, codes=code))))
        L = np.hstack(rows)
        return np.asarray(np.einsum("ij,jk,ik->i", L, joint_covariance(self.design, fitted), L))
