r"""Derivatives of a linear model's moments in its variance parameters, in the cross-product space.

V = sum_i sigma_i V_i is linear in the entries sigma_i of free covariance matrices and the residual variance. Where a
structure has parameters of its own, V_i = dV/dsigma_i, and Sigma = sum_i c_i dSigma/dsigma_i for some c. What degrees
of freedom need of V_i are

    P_i = -X'V^{-1}V_i V^{-1}X,    Q_ij = X'V^{-1}V_i V^{-1}V_j V^{-1}X,    tr(V^{-1}V_i),   tr(V^{-1}V_i V^{-1}V_j),
    y'P V_i P y,                   y'P V_i P V_j P y

(Kenward & Roger 1997, Biometrics 53; Gilmour, Thompson & Cullis 1995, Biometrics 51). For a term they follow
from Z'V^{-1}[X y] and the derivatives of log|A|; for the residual from V_0 = (V - sum_i sigma_i V_i) / sigma^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief
from mixfit.covariance.steps import split_theta
from mixfit.factor.curvature import CovarianceDirection, log_determinant_derivatives
from mixfit.factor.posterior import posterior, projected_sums
from mixfit.gram.levels import column_products
from mixfit.lmm.criterion import whiten
from mixfit.lmm.estimate import at_estimates
from mixfit.lmm.scores import loaded_products, score_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.parameter import VarianceForm
    from mixfit.covariance.term import Term
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.types import LinearEstimate

    Array = NDArray[np.float64]

__all__ = ["VarianceInformation", "VarianceParameter", "variance_information"]


@dataclass(frozen=True, eq=False)
class VarianceParameter:
    """A variance parameter of a term: an entry of its covariance matrix, or a natural parameter.

    Attributes
    ----------
    term : int
        Position of the random term in the formula.
    slope : ndarray, shape (k, k)
        dSigma, so that V_i = Z (I (x) dSigma) Z'.
    """

    term: int
    slope: Array

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class VarianceInformation:
    """Derivatives at the estimate, in the units of the data.

    Attributes
    ----------
    parameters : tuple of VarianceParameter, length m
        Of the terms; the residual variance follows as the last parameter of every array.
    values : ndarray, shape (m + 1,)
        sigma_i.
    cov_beta : ndarray, shape (p, p)
        Phi = (X'V^{-1}X)^{-1}.
    slopes : ndarray, shape (m + 1, p, p)
        P_i, the derivatives of X'V^{-1}X.
    products : ndarray, shape (m + 1, m + 1, p, p)
        Q_ij.
    traces : ndarray, shape (m + 1,)
        tr(V^{-1}V_i).
    pair_traces : ndarray, shape (m + 1, m + 1)
        tr(V^{-1}V_i V^{-1}V_j).
    quadratics : ndarray, shape (m + 1,)
        y'P V_i P y.
    pair_quadratics : ndarray, shape (m + 1, m + 1)
        y'P V_i P V_j P y.
    bends : ndarray, shape (2, m + 1, m + 1)
        <dd/dSigma, d^2 Sigma> of -2 log-likelihood, and what REML adds: zero where V is linear in the parameters.
    """

    parameters: tuple[VarianceParameter, ...]
    values: Array
    cov_beta: Array
    slopes: Array
    products: Array
    traces: Array
    pair_traces: Array
    quadratics: Array
    pair_quadratics: Array
    bends: Array

    __repr__ = brief

    def projected_traces(self) -> Array:
        """tr(P V_i P V_j): the expected second derivatives of -2 log REML, (m + 1, m + 1)."""
        middle = self.cov_beta @ self.slopes
        return (
            self.pair_traces
            - 2.0 * np.einsum("pr,ijrp->ij", self.cov_beta, self.products)
            + np.einsum("ipr,jrp->ij", middle, middle)
        )

    def score(self, *, reml: bool) -> Array:
        """First derivatives of -2 log-likelihood, beta profiled out, (m + 1,)."""
        out = self.traces - self.quadratics
        return out + np.einsum("pr,irp->i", self.cov_beta, self.slopes) if reml else out

    def observed(self, *, reml: bool) -> Array:
        """Second derivatives of -2 log-likelihood, beta profiled out, (m + 1, m + 1)."""
        out = 2.0 * self.pair_quadratics - (self.projected_traces() if reml else self.pair_traces) + self.bends[0]
        return out + self.bends[1] if reml else out


def variance_information(assembly: Assembly, estimate: LinearEstimate) -> VarianceInformation:
    """Differentiate the moments at the estimate: no work on the rows, no numeric derivatives."""
    problem = assembly.problem
    at = at_estimates(assembly, estimate)
    forms = _forms(assembly, estimate)
    parameters, directions = _directions(assembly, forms)
    gradient, hessian = log_determinant_derivatives(at.factor, directions)
    n, p, variance = problem.gram.n, problem.p, estimate.sigma**2
    # In units of sigma^2, V = sigma^2 H, with H itself for the last V_i.
    traces = np.append(gradient, n)
    pair_traces = np.block([[-hessian, gradient[:, None]], [gradient, np.full((1, 1), n)]])
    single, double = _quadratic_forms(at, directions)
    to_x = whiten(at.fixed_root, np.ascontiguousarray(single[:, p, :p])) if p else single[:, p, :p]
    # V_0 = H - sum_i (c_i / sigma^2) V_i
    back = np.eye(len(parameters) + 1)
    back[-1, :-1] = -np.concatenate([np.empty(0), *(form.shares for form in forms)]) / variance
    length = assembly.response.scale**2
    r = assembly.fixed.triangle
    return VarianceInformation(
        parameters=parameters,
        values=np.concatenate([*(form.values for form in forms), [variance]]),
        cov_beta=estimate.cov_beta,
        slopes=-(r.T @ np.tensordot(back, single[:, :p, :p], 1) @ r) / variance**2,
        products=r.T @ _both(back, double[:, :, :p, :p]) @ r / variance**3,
        traces=back @ traces / variance,
        pair_traces=_both(back, pair_traces) / variance**2,
        quadratics=length * (back @ single[:, p, p]) / variance**2,
        pair_quadratics=length * _both(back, double[:, :, p, p] - to_x @ to_x.T) / variance**3,
        bends=_bends(at, assembly, estimate),
    )


def _both(back: Array, table: Array) -> Array:
    """B A B' over the first two axes."""
    half = np.tensordot(back, table, 1)
    out: Array = np.moveaxis(np.tensordot(back, half, (1, 1)), 0, 1)
    return out


def _forms(assembly: Assembly, estimate: LinearEstimate) -> list[VarianceForm]:
    """Every term's covariance as a function of its variance parameters, in the user's columns."""
    structures = [term.structure for term in assembly.problem.terms]
    parts = split_theta(structures, estimate.theta)
    return [s.variance_form(theta, estimate.sigma) for s, theta in zip(structures, parts, strict=True)]


def _directions(
    assembly: Assembly, forms: Sequence[VarianceForm]
) -> tuple[tuple[VarianceParameter, ...], list[CovarianceDirection]]:
    """Every variance parameter, and its direction R dSigma R' in the basis of the problem."""
    problem = assembly.problem
    parameters, directions = [], []
    for t, (term, basis, form) in enumerate(zip(problem.terms, assembly.term_bases, forms, strict=True)):
        for slope in form.slopes:
            matrix = np.zeros((problem.gram.k[term.factor],) * 2)
            matrix[term.columns, term.columns] = basis @ slope @ basis.T
            parameters.append(VarianceParameter(t, slope))
            directions.append(CovarianceDirection(term.factor, matrix))
    return tuple(parameters), directions


def _bends(at: Evaluation, assembly: Assembly, estimate: LinearEstimate) -> Array:
    """<dd/dSigma, d^2 Sigma> with dd/dSigma = sum_j (Z'V^{-1}Z)_jj - s_j s_j' [- s_Xj G_XX^{-1} s_Xj']."""
    structures = [term.structure for term in assembly.problem.terms]
    parts, sigma = split_theta(structures, estimate.theta), estimate.sigma
    out = np.zeros((2, len(estimate.theta) + 1, len(estimate.theta) + 1))
    ends = np.cumsum([s.n_parameters for s in structures])
    for index, (term, basis, theta) in enumerate(zip(at.problem.terms, assembly.term_bases, parts, strict=True)):
        own = slice(ends[index] - len(theta), ends[index])
        if term.structure.variance_bends(theta, sigma, np.zeros((term.k, term.k))) is None:
            continue
        for part, n_t in zip(out, _covariance_slopes(at, term), strict=True):
            part[own, own] = term.structure.variance_bends(theta, sigma, basis.T @ n_t @ basis / sigma**2)
    return out


def _covariance_slopes(at: Evaluation, term: Term) -> tuple[Array, Array]:
    """The slope of -2 log-likelihood in a term's relative covariance, and what REML adds."""
    p, rows = at.problem.p, term.columns
    s = score_columns(at)[term.factor][rows]
    traces = projected_sums(at.factor, posterior(at.factor), term.factor)[rows, rows]
    x = whiten(at.fixed_root, s[:, :p].swapaxes(1, 2)).reshape(term.k, -1) if p else np.zeros((term.k, 1))
    return traces - s[:, p] @ s[:, p].T / at.scale, -x @ x.T


def _quadratic_forms(at: Evaluation, directions: Sequence[CovarianceDirection]) -> tuple[Array, Array]:
    """C'H^{-1}V_i H^{-1}C and C'H^{-1}V_i H^{-1}V_j H^{-1}C for C = [X, y - X beta] and V_i, the last being H.

    Shapes (m + 1, p + 1, p + 1) and (m + 1, m + 1, p + 1, p + 1).
    """
    m, r = len(directions), at.problem.p + 1
    single = np.zeros((m + 1, r, r))
    double = np.zeros((m + 1, m + 1, r, r))
    scores = score_columns(at)
    loadings: dict[int, list[Array]] = {}
    order: list[int] = []
    for i, s in enumerate(scores):
        for x, d in enumerate(directions):
            if d.factor == i:
                c = np.tensordot(d.matrix, s, 1)
                single[x] = column_products(c, s)
                loadings.setdefault(i, []).append(c)
                order.append(x)
    schur = np.zeros((r, r))
    schur[:-1, :-1] = at.fixed_root @ at.fixed_root.T
    schur[-1, -1] = at.residual
    single[m] = schur
    if m:
        products = loaded_products(at, {i: np.concatenate(c, axis=1) for i, c in loadings.items()})
        blocks = products[:, : m * r].reshape(m, r, m, r).swapaxes(1, 2)
        double[np.ix_(order, order)] = 0.5 * (blocks + blocks.transpose(1, 0, 3, 2))
    double[m], double[:, m] = single, single
    return single, double
