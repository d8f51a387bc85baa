r"""Curvature of the profiled criterion in the parameters of random effects and residuals together.

Without random effects V = R, and the derivatives of R alone give the expected information and the exact second
derivatives (the formula of :mod:`mixfit.lmm.hessian`). On strongly correlated rows the average information is no
curvature; the expected one is. With random effects the average information is what is cheap (Gilmour, Thompson & Cullis
1995), and the exact second derivatives are differences of the exact gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import random_predictor, random_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.residual.derivatives import JointDerivatives
    from mixfit.lmm.residual.slopes import Part

    Array = NDArray[np.float64]

__all__ = ["average_information", "exact_hessian", "expected_information", "loaded_rows", "through_covariance"]


def expected_information(d: JointDerivatives) -> Array:
    """Expected second derivatives in the residuals' parameters, sigma profiled out, without random effects: (I, I).

    Those of maximum likelihood also for REML, which differ by the share that fixed effects have of the rows: what
    tr(PV_i PV_j) takes is several times what it saves.
    """
    traces = d.slopes.traces()
    return d.slopes.pair_traces() - np.outer(traces, traces) / d.at.at.problem.gram.n


def exact_hessian(d: JointDerivatives) -> Array:
    """Exact second derivatives in the residuals' parameters, without random effects: (I, I)."""
    at, slopes = d.at.at, d.slopes
    scale, p = at.scale, d.at.problem.p
    quadratics = slopes.quadratics()
    quadratic = 2.0 * slopes.squares("error")
    if p:
        to_x = _fixed_errors(d)
        quadratic -= 2.0 * to_x @ to_x.T
    out = quadratic / scale - np.outer(quadratics, quadratics) / (scale * at.residual) - slopes.pair_traces()
    if at.reml and p:
        products = fixed_products(d)
        # tr(G^{-1}X_i G^{-1}X_j)
        out += 2.0 * slopes.squares("fixed") - np.tensordot(products, products, ([1, 2], [1, 2]))
    return out + slopes.bends()


def _fixed_errors(d: JointDerivatives) -> Array:
    """E'A_i e, (I, p)."""
    fixed = d.slopes.rows("fixed")
    out = np.empty((d.slopes.size, len(fixed)))
    for own, w in d.slopes.loaded("error"):
        out[own] = w[:, 0] @ fixed.T
    return out


def fixed_products(d: JointDerivatives) -> Array:
    """E'A_i E, (I, p, p)."""
    fixed = d.slopes.rows("fixed")
    out = np.empty((d.slopes.size, len(fixed), len(fixed)))
    for own, w in d.slopes.loaded("fixed"):
        out[own] = w @ fixed.T
    return out


def loaded_rows(d: JointDerivatives, which: Part) -> Array:
    """V_i V^{-1}C whitened, for C = y - X beta, or the columns of X in the metric of G_XX: (m, c, n).

    In the order of the form, random terms first.
    """
    out = []
    if d.random is not None:
        rows, terms = d.at.random_rows, d.at.at.problem.terms
        # V^{-1}C whitened are the rows of e and E themselves.
        sums = random_sums(rows, d.slopes.rows(which))
        for direction in d.random.directions:
            term = terms[direction.term]
            own = rows[term.factor]
            assert own.columns is not None
            loaded = np.tensordot(direction.change(), sums[term.factor][term.columns], 1)
            out.append(random_predictor([FactorRows(own.codes, own.n_levels, own.columns[term.columns])], [loaded]))
    out += [row for _, some in d.slopes.loaded(which) for row in some]
    return np.array(out).reshape(len(out), *d.slopes.rows(which).shape)


def through_covariance(d: JointDerivatives, rows: Array) -> Array:
    """W V^{-1} W' of whitened rows W, (c, n)."""
    out = rows @ rows.T
    if d.random is not None:
        half = d.at.at.factor.half(random_sums(d.at.random_rows, rows))
        out -= d.at.at.factor.inner(half, half)
    return np.asarray(out)


def average_information(d: JointDerivatives) -> Array:
    """Average information in all coordinates: e'V^{-1}V_i P V_j V^{-1}e / s^2, sigma profiled out."""
    at = d.at.at
    w = loaded_rows(d, "error")[:, 0]
    to_x, to_y = w @ d.slopes.rows("fixed").T, w @ d.slopes.rows("error")[0]
    out = (through_covariance(d, w) - to_x @ to_x.T - np.outer(to_y, to_y / at.residual)) / at.scale
    return 0.5 * (out + out.T)
