r"""How well the fixed effects of many replicates are known, and how well that is known.

Cov(beta) = sigma^2 C with C = (X'H^{-1}X)^{-1}, V = sigma^2 H. Along a direction of Sigma / sigma^2, dH = H_i,

    dC = C X'H^{-1} H_i H^{-1} X C,

and the exact Hessian of the REML criterion in these directions and s = log sigma^2 is

    d_ij = -tr(P H_i P H_j) + 2 y'P H_i P H_j P y / sigma^2,    d_is = y'P H_i P y / sigma^2,    d_ss = nu

(of the deviance with H^{-1} for P in the trace), on the boundary with what Sigma bends by (see
:mod:`mixfit.lmm.batch.boundary`). With S_j = Z_j'H^{-1}Z_j and x_j = Z_j'H^{-1}X C^{1/2} of level j, in the frame, and
E_i the change of Sigma,

    tr(P H_i P H_j) = sum_j tr(E_i S_j E_j S_j) - 2 sum_j tr(S_j E_i x_j x_j' E_j) + tr(G_i G_j),
    G_i = sum_j x_j'E_i x_j = C^{-1/2} dC C'^{-1/2},

sums over the distinct F. All that is asked of them is the same in any coordinates, since the criterion is flat in the
directions that it may move in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.batch.boundary import examine, null_curvature
from mixfit.lmm.batch.frame import directions
from mixfit.lmm.batch.moments import SharedMoments
from mixfit.lmm.batch.slopes import along_both, differentiate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.basis import FixedBasis
    from mixfit.lmm.batch.minimize import Optima
    from mixfit.lmm.batch.moments import ResponseMoments
    from mixfit.lmm.batch.profile import Profiles
    from mixfit.lmm.batch.slopes import Slopes

    Array = NDArray[np.float64]

__all__ = ["FixedErrors", "fixed_errors"]

# Of the Hessian scaled to a diagonal of ones: directions of less curvature are those that nothing is known of.
_SMALLEST_CURVATURE = 1e-10


@dataclass(frozen=True, eq=False)
class FixedErrors:
    """Covariances of the fixed effects of R replicates, and their derivatives in m variances and in log sigma^2.

    Attributes
    ----------
    root : ndarray, shape (R, p, p)
        Cov(beta) = root root'.
    slopes : ndarray, shape (R, m + 1, p, p)
        dCov(beta) = root slopes root'.
    covariance : ndarray, shape (R, m + 1, m + 1)
        Of the parameters, twice the inverse of the Hessian of -2 log-likelihood.
    """

    root: Array
    slopes: Array
    covariance: Array

    def satterthwaite(self, rows: Array) -> tuple[Array, Array]:
        """Variances and Satterthwaite's degrees of freedom 2 v^2 / g'Ag of rows (R, q, p) of L: both (R, q)."""
        half = rows @ self.root
        variances = np.einsum("rqz,rqz->rq", half, half)
        gradients = np.einsum("rqz,rmzw,rqw->rqm", half, self.slopes, half, optimize=True)
        spread = np.einsum("rqm,rmn,rqn->rq", gradients, self.covariance, gradients, optimize=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            return variances, np.asarray(2.0 * variances**2 / spread)


def fixed_errors(
    fixed: FixedBasis, moments: ResponseMoments, optima: Optima, sigma: Array, *, reml: bool
) -> FixedErrors:
    """What is known of the fixed effects at optima; `sigma` (R,) in units of the responses.

    Parameters
    ----------
    fixed : FixedBasis
    moments : ResponseMoments
    optima : Optima
    sigma : ndarray, shape (R,)
    reml : bool

    Returns
    -------
    FixedErrors
    """
    levels, at, frame = moments.levels, optima.profiles, optima.frame
    assert isinstance(levels, SharedMoments)
    p, r = levels.problem.p, len(moments)
    toward, slopes = directions(levels.blocks), differentiate(moments, at, frame)
    weights = toward.weights(frame)
    both = weights[:, None] * weights
    within = _sum_of_x(moments, at, slopes)
    g = weights[:, None, None] * (within.total[toward.row, toward.column] + within.total[toward.column, toward.row])

    traces = along_both(toward, np.einsum("daru,bcru,u->abcdr", slopes.spread, slopes.spread, levels.count))
    if reml and p:
        traces -= 2.0 * along_both(toward, np.einsum("daru,bcru->abcdr", slopes.spread, within.by_level))
    hessian = -both * traces
    if reml and p:
        hessian -= np.einsum("mzwr,nzwr->mnr", g, g)
    hessian += 2.0 * both * slopes.doubled(toward) / at.scale
    if frame.null.any():
        hessian += null_curvature(examine(slopes, frame, levels.blocks), toward, frame, weights)
    m = len(weights)
    whole = np.zeros((m + 1, m + 1, r))
    whole[:m, :m] = hessian
    whole[:m, m] = whole[m, :m] = 2.0 * weights * slopes.scores.sum(axis=3)[toward.row, toward.column] / at.scale
    whole[m, m] = at.residual / at.scale
    every = np.arange(m)
    whole[every, every] += weights == 0.0
    slope = np.concatenate([g, np.broadcast_to(np.eye(p)[:, :, None], (1, p, p, r))])
    back = fixed.coefficients(at.fixed_root.swapaxes(0, 1).reshape(p, -1)).reshape(p, p, r) * sigma
    return FixedErrors(
        np.moveaxis(back, 2, 0), np.moveaxis(slope, 3, 0), 2.0 * _positive_inverse(np.moveaxis(whole, 2, 0))
    )


@dataclass(frozen=True, eq=False)
class _OfX:
    """sum_j x_ja x_jb' over all levels, (k, k, p, p, R), and its trace over those of each F, (k, k, R, U)."""

    total: Array
    by_level: Array


def _sum_of_x(moments: ResponseMoments, at: Profiles, slopes: Slopes) -> _OfX:
    levels, w, root = moments.levels, slopes.to_score, at.fixed_root
    assert isinstance(levels, SharedMoments)
    k, p, r = levels.k, levels.problem.p, len(moments)
    pairs = np.einsum("acru,bdru->abrcdu", w, w).reshape(k * k * r, -1)
    summed = (pairs @ np.moveaxis(levels.xx, 4, 2).reshape(-1, p * p)).reshape(k, k, r, p, p)
    total = np.einsum("zxr,abrxy,wyr->abzwr", root, summed, root, optimize=True)
    inverse = np.einsum("zxr,zyr->rxy", root, root).reshape(r, p * p)
    traced = (inverse @ np.moveaxis(levels.xx, 4, 0).reshape(-1, p * p).T).reshape(r, -1, k, k)
    return _OfX(total, np.einsum("acru,rucd,bdru->abru", w, traced, w, optimize=True))


def _positive_inverse(hessian: Array) -> Array:
    """Inverses (R, m, m) on the directions in which the criterion curves upwards, free of the parameters' units."""
    scale = np.sqrt(np.maximum(np.diagonal(hessian, axis1=1, axis2=2), 0.0))
    scale[scale == 0.0] = 1.0
    values, vectors = np.linalg.eigh(hessian / (scale[:, :, None] * scale[:, None]))
    inverse = np.where(values > _SMALLEST_CURVATURE, 1.0 / np.where(values > 0.0, values, 1.0), 0.0)
    half = vectors * np.sqrt(inverse)[:, None] / scale[:, :, None]
    return np.asarray(half @ half.swapaxes(1, 2))
