r"""The profiled deviance or REML criterion of many replicates, each at its own theta.

With M_u = T (T'F_u T + I)^{-1} T' the Schur complement of [X y] is

    G = [X y]'[X y] - sum_u sum_{j in u} B_j' M_u B_j,

a contraction of M with the moments; the rest is as in :mod:`mixfit.lmm.criterion` (Bates, Maechler, Bolker &
Walker 2015, JSS 67(1), eqs. 34 and 42).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.batch.moments import ResponseMoments

    Array = NDArray[np.float64]

__all__ = ["Profiles", "evaluate"]

# A sum's rounding, two bits above the last.
_ROUNDING = 4.0 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Profiles:
    """The criterion of R replicates, with what its derivatives reuse.

    Attributes
    ----------
    reml : bool
    inverse_root : ndarray, shape (k, k, R * U)
        L^{-1} with L L' = T'F T + I.
    scaled_root : ndarray, shape (k, k, R * U)
        T L'^{-1}, a root of M.
    fixed_root : ndarray, shape (p, p, R)
        Inverse of the lower Cholesky factor of G_XX.
    beta : ndarray, shape (p, R)
        As in :class:`mixfit.lmm.criterion.Evaluation`.
    residual, value, resolution : ndarray, shape (R,)
        Likewise; the value is infinite where A or G_XX is not positive definite in double precision.
    scale : ndarray, shape (R,)
        sigma^2 in units of the squared residual length.
    """

    reml: bool
    inverse_root: Array
    scaled_root: Array
    fixed_root: Array
    beta: Array
    residual: Array
    value: Array
    resolution: Array
    scale: Array


def evaluate(moments: ResponseMoments, templates: Array, *, reml: bool) -> Profiles:
    """Evaluate the criterion at one template (k, k) for each replicate, (k, k, R)."""
    levels = moments.levels
    k, p, r, u = levels.k, levels.p, len(moments), moments.yy.shape[3]
    t = np.repeat(templates, u, axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        low = lv.cholesky(lv.add_identity(lv.matmul(lv.transpose(t), lv.matmul(levels.over(r), t))))
        inverse_root = lv.lower_inverse(low)
    scaled_root = lv.matmul(t, lv.transpose(inverse_root))
    m = lv.matmul(scaled_root, lv.transpose(scaled_root)).reshape(k, k, r, u)
    diagonal = low[np.arange(k), np.arange(k)].reshape(k, r, u)
    logdet = 2.0 * levels.total(np.log(diagonal).sum(axis=0))

    schur_xx = np.eye(p)[:, :, None] - levels.fixed_products(m)
    schur_xy = -np.einsum("abru,abxru->xr", m, moments.xy)
    schur_yy = 1.0 - np.einsum("abru,abru->r", m, moments.yy)
    with np.errstate(invalid="ignore", divide="ignore"):
        fixed_low = lv.cholesky(schur_xx)
        fixed_root = lv.lower_inverse(fixed_low)
    half = np.einsum("xyr,yr->xr", fixed_root, schur_xy)
    beta = np.einsum("yxr,yr->xr", fixed_root, half)
    residual = np.maximum(schur_yy - np.einsum("xr,xr->r", half, half), _ROUNDING)
    nu = levels.degrees(reml=reml)
    value = logdet - levels.log_weights + nu * (1.0 + np.log(2.0 * np.pi * residual / nu) + 2.0 * moments.log_scale)
    if reml:
        value += 2.0 * np.log(fixed_low[np.arange(p), np.arange(p)]).sum(axis=0) + levels.log_x
    resolution = _ROUNDING * (np.abs(value) + nu / residual)
    value[np.isnan(value)] = np.inf
    return Profiles(reml, inverse_root, scaled_root, fixed_root, beta, residual, value, resolution, residual / nu)
