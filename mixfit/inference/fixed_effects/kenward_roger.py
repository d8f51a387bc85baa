r"""Kenward & Roger's (1997, Biometrics 53:983-997) small-sample covariance and F tests.

With W = 2 [tr(P V_i P V_j)]^{-1} the asymptotic covariance of the REML estimates of the variance parameters,

    Phi_A = Phi + 2 Phi { sum_ij W_ij (Q_ij - P_i Phi P_j) } Phi,

and an F statistic from Phi_A, scaled by lambda and referred to m = ddf degrees of freedom so that its first two
moments are those of an F in the balanced cases where that is exact. The variance parameters are the covariance
entries, in which V is linear: nothing is special at a boundary, and the result does not depend on the basis of
the random columns. (pbkrtest: Halekoh & Hojsgaard 2014, JSS 59(9).)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.information import VarianceInformation

    Array = NDArray[np.float64]

__all__ = ["Adjustment", "ScaledF", "adjust", "kenward_roger_df", "scaled_f"]

# Eigenvalues of the scaled information below this share are those of parameters that cannot be told apart.
_RANK = 1e-10
# Two numbers of order one that would be equal but for rounding.
_ZERO = 1e-14
# pbkrtest's own tolerance, kept so that statistics agree.
_NEARLY_TWO = 0.01


@dataclass(frozen=True, eq=False)
class Adjustment:
    """The adjusted covariance, and what tests with it need.

    Attributes
    ----------
    cov_beta : ndarray, shape (p, p)
        Phi.
    adjusted : ndarray, shape (p, p)
        Phi_A.
    slopes : ndarray, shape (m, p, p)
        Phi P_i Phi.
    weights : ndarray, shape (m, m)
        W.
    """

    cov_beta: Array
    adjusted: Array
    slopes: Array
    weights: Array


@dataclass(frozen=True)
class ScaledF:
    """An F statistic before scaling, its scale lambda and its degrees of freedom."""

    statistic: float
    ndf: int
    ddf: float
    scale: float


def adjust(information: VarianceInformation, *, observed: bool = False) -> Adjustment:
    """Adjust the covariance of the fixed effects of a REML fit.

    Parameters
    ----------
    information : VarianceInformation
    observed : bool
        Whether W is the inverse of the observed information of the variance parameters, as in SAS, not of the expected.
    """
    phi, slopes = information.cov_beta, information.slopes
    traces = information.projected_traces()
    # REML says nothing of the variance of columns within the span of X, for which P V_i P is rounding.
    unknown = traces.diagonal() <= _RANK * information.pair_traces.diagonal()
    traces[unknown] = 0.0
    traces[:, unknown] = 0.0
    if observed:
        hessian = information.observed(reml=True)
        hessian[unknown] = 0.0
        hessian[:, unknown] = 0.0
        traces = hessian
    weights = 2.0 * _symmetric_inverse(traces)
    # sum_ij W_ij P_i Phi P_j, with one index summed first
    mixed = np.tensordot(weights, slopes, 1)
    inner = np.tensordot(weights, information.products, 2) - (mixed @ phi @ slopes).sum(axis=0)
    correction = phi @ (inner + inner.T) @ phi
    return Adjustment(phi, phi + correction, phi @ slopes @ phi, weights)


def _symmetric_inverse(table: Array) -> Array:
    """Inverse of a covariance-like matrix; generalized where parameters cannot be told apart."""
    scale = np.sqrt(np.maximum(table.diagonal(), 0.0))
    scale[scale == 0.0] = 1.0
    values, vectors = np.linalg.eigh(table / np.outer(scale, scale))
    kept = values > _RANK * values.max()
    half = (vectors[:, kept] / np.sqrt(values[kept])) / scale[:, None]
    inverse: Array = half @ half.T
    return inverse


def kenward_roger_df(a: Adjustment, L: Array) -> Array:
    """Degrees of freedom of every row of L (q, p) by itself, shape (q,); NaN for a row of zeros.

    For one row A_1 = A_2 = A and the formulas of `scaled_f` reduce to 2 / A, with lambda = 1.
    """
    variances = np.einsum("qp,pr,qr->q", L, a.cov_beta, L)
    gradients = np.einsum("qp,xpr,qr->qx", L, a.slopes, L, optimize=True)
    spread = np.einsum("qx,xy,qy->q", gradients, a.weights, gradients)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2.0 * variances**2 / spread)


def scaled_f(a: Adjustment, L: Array, difference: Array) -> ScaledF:
    """Test L beta = rhs for q independent rows with L Phi L' = I; `difference` is L beta - rhs, (q,)."""
    q = len(L)
    statistic = float(difference @ np.linalg.solve(L @ a.adjusted @ L.T, difference)) / q
    moving = L @ a.slopes @ L.T
    traces = np.trace(moving, axis1=1, axis2=2)
    a1 = traces @ a.weights @ traces
    a2 = np.einsum("ij,iab,jba->", a.weights, moving, moving, optimize=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ddf, scale = _moments_of_f(q, a1, a2)
    return ScaledF(statistic, q, ddf, scale)


def _moments_of_f(q: int, a1: np.float64, a2: np.float64) -> tuple[float, float]:
    """ddf and lambda from A_1 and A_2 (Kenward & Roger 1997, section 3)."""
    b = (a1 + 6.0 * a2) / (2.0 * q)
    g = ((q + 1.0) * a1 - (q + 4.0) * a2) / ((q + 2.0) * a2)
    common = 3.0 * q + 2.0 * (1.0 - g)
    c1, c2, c3 = g / common, (q - g) / common, (q + 2.0 - g) / common
    v0, v1, v2 = 1.0 + c1 * b, 1.0 - c2 * b, 1.0 - c3 * b
    mean = 1.0 - a2 / q
    # In balanced cases numerator and denominator vanish together.
    ratio = np.float64(1.0) if abs(mean) < _ZERO and abs(v1) < _ZERO else mean / v1
    rho = ratio**2 * v0 / (v2 * q)
    ddf = 4.0 + (q + 2.0) / (q * rho - 1.0)
    # lambda has a pole at 2, where pbkrtest leaves the statistic as it is
    return float(ddf), 1.0 if abs(ddf - 2.0) < _NEARLY_TWO else float(ddf * mean / (ddf - 2.0))
