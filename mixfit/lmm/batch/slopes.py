r"""Exact gradient and average information of the criterion, for many replicates at once.

In the frame B of a template (its columns T_j with variance, unit directions O_j without), with s_j = Z_j'V^{-1}e
and P_j = Z_j'V^{-1}Z_j of level j,

    B's_j = W_u e_j,    B'P_j B = I - A_u^{-1},    W_u = A_u^{-1} T'           (rows of columns with variance)
    B's_j = O'(I - F_u M_u) e_j,    O'(F_u - F_u M_u F_u) O                    (rows of columns without)

where e_j = B_yj - B_Xj beta. So N = dd/dSigma (see :mod:`mixfit.lmm.derivatives`) is, in the frame, a sum over the
distinct F of W_u (sum_j e_j e_j') W_u', and the average information needs the moments sum_j e_j B_Xj' besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.batch.frame import Directions, Frame
    from mixfit.lmm.batch.moments import ResponseMoments
    from mixfit.lmm.batch.profile import Profiles

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Slopes", "along_both", "differentiate", "gradient", "information"]


@dataclass(frozen=True, eq=False)
class Slopes:
    """First derivatives in the frame, and what second derivatives are made of.

    Attributes
    ----------
    slope : ndarray, shape (k, k, R)
        B'N B.
    quadratic_share, inverse_share : ndarray, shape (k, R)
        As in :class:`mixfit.lmm.derivatives.Derivatives`.
    scores : ndarray, shape (k, k, R, U)
        sum_j B's_j s_j'B over the levels of each distinct F.
    spread : ndarray, shape (k, k, R, U)
        B'P_j B.
    along_x : ndarray, shape (k, k, p, R)
        sum_j B's_j (B'Z_j'V^{-1}X), X in the metric of G_XX.
    to_score : ndarray, shape (k, k, R, U)
        W_u.
    residual, scale : ndarray, shape (R,)
    """

    slope: Array
    quadratic_share: Array
    inverse_share: Array
    scores: Array
    spread: Array
    along_x: Array
    to_score: Array
    residual: Array
    scale: Array

    def doubled(self, toward: Directions) -> Array:
        """y'P H_E P H_E' P y of every pair of directions E, (m, m, R), each a unit step of its column.

        With E = e_i e_j' + e_j e_i': sum_j s_j'E P_j E' s_j, less its projection on X.
        """
        i, j = toward.row, toward.column
        total = along_both(toward, np.einsum("adru,bcru->abcdr", self.scores, self.spread))
        x = self.along_x[i, j] + self.along_x[j, i]
        return total - np.einsum("mxr,nxr->mnr", x, x)

    def along(self, vectors: Array) -> tuple[Array, Array]:
        """Information and quadratic part of the slope of the variance along vectors of the frame, (k, R): (R,)."""
        scores = np.einsum("ar,abru,br->ru", vectors, self.scores, vectors, optimize=True)
        spread = np.einsum("ar,abru,br->ru", vectors, self.spread, vectors, optimize=True)
        x = np.einsum("ar,abxr,br->xr", vectors, self.along_x, vectors, optimize=True)
        total = scores.sum(axis=1)
        direct = np.einsum("ru,ru->r", scores, spread)
        information = (direct - np.einsum("xr,xr->r", x, x) - total**2 / self.residual) / self.scale
        return information, total / self.scale


def differentiate(moments: ResponseMoments, at: Profiles, frame: Frame) -> Slopes:
    """Derivatives at profiles whose templates are those of `frame`."""
    levels = moments.levels
    k, p = levels.k, levels.p
    shape = (k, k, len(moments), moments.yy.shape[3])
    inverse = lv.matmul(lv.transpose(at.inverse_root), at.inverse_root)
    to_score = lv.matmul(lv.transpose(at.inverse_root), lv.transpose(at.scaled_root))
    spread = -inverse
    lv.add_identity(spread)
    if frame.null.any():
        to_score, spread = _with_null(frame, levels.over(shape[2]), at, to_score, spread, shape[3])

    error_x, error = _errors(moments, at.beta)
    scores = lv.matmul(lv.matmul(to_score, error.reshape(k, k, -1)), lv.transpose(to_score)).reshape(shape)
    spread, w = spread.reshape(shape), to_score.reshape(shape)
    quadratic = scores.sum(axis=3) / at.scale
    known = levels.total(spread)
    if at.reml and p:
        inverse_xx = np.einsum("xzr,xyr->zyr", at.fixed_root, at.fixed_root)
        x = levels.through_fixed(inverse_xx).reshape(k, k, -1)
        known -= lv.matmul(lv.matmul(to_score, x), lv.transpose(to_score)).reshape(shape).sum(axis=3)
    slope = known - quadratic
    diagonal = np.arange(k), np.arange(k)
    whole, part = known[diagonal], quadratic[diagonal]
    along_x = np.einsum("bdru,adxru->abxr", w, np.einsum("acru,cdxru->adxru", w, error_x))
    return Slopes(
        slope=0.5 * (slope + slope.swapaxes(0, 1)),
        quadratic_share=np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0.0),
        inverse_share=levels.mean(inverse.reshape(shape)[diagonal]),
        scores=scores,
        spread=spread,
        along_x=np.einsum("zxr,abxr->abzr", at.fixed_root, along_x),
        to_score=w,
        residual=at.residual,
        scale=at.scale,
    )


def _errors(moments: ResponseMoments, beta: Array) -> tuple[Array, Array]:
    """sum_j e_j B_Xj', (k, k, p, R, U), and sum_j e_j e_j', (k, k, R, U)."""
    fitted = moments.levels.fitted(beta)
    error_x = moments.xy - fitted
    y_fitted = np.einsum("abxru,xr->abru", moments.xy, beta)
    return error_x, moments.yy - y_fitted.swapaxes(0, 1) - np.einsum("abxru,xr->abru", error_x, beta)


def _with_null(
    frame: Frame, gram: Array, at: Profiles, to_score: Array, spread: Array, distinct: int
) -> tuple[Array, Array]:
    """Add the rows of the directions without variance to W and B'P B."""
    null = np.repeat(frame.axes * frame.null, distinct, axis=2)
    m = lv.matmul(at.scaled_root, lv.transpose(at.scaled_root))
    through = lv.matmul(gram, m)
    own = lv.matmul(lv.transpose(null), lv.matmul(gram - lv.matmul(through, gram), null))
    cross = lv.matmul(lv.transpose(null), lv.matmul(gram, lv.transpose(to_score)))
    rest = lv.add_identity(-through)
    return to_score + lv.matmul(lv.transpose(null), rest), spread + own + cross + lv.transpose(cross)


def gradient(slopes: Slopes, toward: Directions, weights: Array) -> Array:
    """Derivative of the criterion along every direction, (m, R); 0 along those of weight 0."""
    return 2.0 * weights * slopes.slope[toward.row, toward.column]


def information(slopes: Slopes, toward: Directions, weights: Array) -> Array:
    """Average information in the same coordinates, (m, m, R), 1 along directions of weight 0.

    With E = e_i e_j' + e_j e_i', entry (E, E') is [sum_j s_j'E P_j E' s_j - its projection on X and y] / sigma^2.
    """
    total = slopes.doubled(toward)
    y = 2.0 * slopes.scores[toward.row, toward.column].sum(axis=2)
    total -= y[:, None] * y / slopes.residual
    total *= weights[:, None] * weights / slopes.scale
    m = np.arange(len(weights))
    total[m, m] += weights == 0.0
    return total


def along_both(toward: Directions, form: Array) -> Array:
    """tr(A E B E') for E = e_i e_j' + e_j e_i' of every pair of directions, (m, m, R).

    `form` (k, k, k, k, R) has the sum of A_da B_bc at (a, b, c, d).
    """
    i, j = toward.row, toward.column
    pairs = ((i, j), (j, i))
    return np.sum([form[a[:, None], b[:, None], c, d] for a, b in pairs for c, d in pairs], axis=0)
