r"""Exact second derivatives of the profiled criterion, in cross-products.

Along parameters a, b of the relative covariances, with V_a = Z Sigma'_a Z', P = V^{-1} - V^{-1}X G_XX^{-1} X'V^{-1},
e = y - X beta, sigma^2 = r^2 / nu and N = dd/dSigma,

    d_ab = 2 e'V^{-1}V_a P V_b V^{-1}e / sigma^2 - (e'V^{-1}V_a V^{-1}e) (e'V^{-1}V_b V^{-1}e) / (sigma^2 r^2)
           - tr(V^{-1}V_a V^{-1}V_b) + <N, Sigma''_ab>
           [+ 2 tr(G_XX^{-1} X'V^{-1}V_a V^{-1}V_b V^{-1}X) - tr(G_XX^{-1} X_a G_XX^{-1} X_b)],

X_a = X'V^{-1}V_a V^{-1}X, the last part for REML only. The first two terms are twice the average information plus the
outer product of the gradient's quadratic parts over nu; the third is the second derivative of log|A| along Sigma (see
:mod:`mixfit.factor.curvature`). Average information is what is left of the mean of these terms and their expectations
(Gilmour, Thompson & Cullis 1995, Biometrics 51): where the data are far from what the model expects of them, such as
effects whose mean is not zero and stands in no fixed effect, it is no curvature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.curvature import CovarianceDirection, log_determinant_derivatives
from mixfit.lmm.derivatives import load_direction
from mixfit.lmm.given import given_direction, tied_hessian
from mixfit.lmm.scores import loaded_products

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.derivatives import Derivatives

    Array = NDArray[np.float64]

__all__ = ["exact_hessian"]

# Numbers that the loaded columns of X may hold at a time.
_CELLS_AT_ONCE = 4_000_000


def exact_hessian(at: Evaluation, derivatives: Derivatives) -> Array:
    """Second derivatives of the criterion along `derivatives.directions`, (m, m), at the profile they belong to."""
    directions = derivatives.directions
    if not directions:
        return np.empty((0, 0))
    _, hessian = log_determinant_derivatives(at.factor, [_covariance_direction(at, d) for d in directions])
    quadratic = _quadratics(at, derivatives, derivatives.modes, 0, 1)[:, 0, 0] / at.scale
    tied = given_direction(at.problem.terms, directions)
    if tied is not None:
        hessian += tied_hessian(2.0 * derivatives.average, quadratic, at.residual / at.scale, tied)
    else:
        hessian += 2.0 * derivatives.average + np.outer(quadratic, quadratic) / at.problem.degrees(reml=at.reml)
    if at.reml and at.problem.p:
        hessian += _restricted(at, derivatives)
    return hessian + _bend(at, derivatives)


def _covariance_direction(at: Evaluation, d: Direction) -> CovarianceDirection:
    """Sigma'_a in the columns of the factor."""
    term = at.problem.terms[d.term]
    whole = np.zeros((at.problem.gram.k[term.factor],) * 2)
    whole[term.columns, term.columns] = d.change()
    return CovarianceDirection(term.factor, whole)


def _quadratics(at: Evaluation, derivatives: Derivatives, modes: list[Array], first: int, last: int) -> Array:
    """C'V^{-1}V_a V^{-1}C for the columns whose u are `modes`, (m, r, r).

    Their s are the columns `first` to `last` of the scores.
    """
    out = []
    for d in derivatives.directions:
        term = at.problem.terms[d.term]
        scores = derivatives.scores.get(d.term)
        out.append(d.form(modes[term.factor][term.columns], None if scores is None else scores[:, first:last]))
    return np.array(out)


def _restricted(at: Evaluation, derivatives: Derivatives) -> Array:
    """Second derivatives of log|G_XX| less the share of Sigma'': 2 tr(X'V^{-1}V_a V^{-1}V_b V^{-1}X) - tr(X_a X_b)."""
    p, m = at.problem.p, len(derivatives.directions)
    slopes = _quadratics(at, derivatives, derivatives.modes_x, 1, 1 + p).reshape(m, p * p)
    factors = [at.problem.terms[d.term].factor for d in derivatives.directions]
    order = [a for i in sorted(set(factors)) for a in range(m) if factors[a] == i]
    cells = m * sum(k * q for k, q in zip(at.problem.gram.k, at.problem.gram.n_levels, strict=True))
    width = max(1, _CELLS_AT_ONCE // cells)
    products = np.zeros((m, m))
    for start in range(0, p, width):
        stop = min(start + width, p)
        modes = [u[:, start:stop] for u in derivatives.modes_x]
        scores = {x: s[:, 1 + start : 1 + stop] for x, s in derivatives.scores.items()}
        loadings = [load_direction(at, d, modes, scores) for d in derivatives.directions]
        columns = {
            i: np.concatenate([c for c, f in zip(loadings, factors, strict=True) if f == i], axis=1)
            for i in sorted(set(factors))
        }
        r = stop - start
        whole = loaded_products(at, columns)[:, : m * r].reshape(m, r, m, r)
        products[np.ix_(order, order)] += np.einsum("arbr->ab", whole)
    return products + products.T - slopes @ slopes.T


def _bend(at: Evaluation, derivatives: Derivatives) -> Array:
    """<N, Sigma''_ab>: what Sigma curves by in the coordinates of the steps."""
    directions = derivatives.directions
    out = np.zeros((len(directions),) * 2)
    for index, (term, point) in enumerate(zip(at.problem.terms, at.points, strict=True)):
        own = [a for a, d in enumerate(directions) if d.term == index]
        known = derivatives.relative[index], derivatives.absolute.get(index)
        out[np.ix_(own, own)] = term.structure.bend_slopes([directions[a] for a in own], point, *known)
    return out
