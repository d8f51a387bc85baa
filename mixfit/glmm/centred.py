r"""Models of ordered categories in columns that are centred, so that thresholds and coefficients stay apart.

A column far from zero is nearly the constant, and its coefficient moves with all thresholds. With m the means of the
location columns, and nominal columns w = m_w + d_w w', the same model has

    tau' = tau - m'beta,    eta' = eta - m'beta,    alpha_w' = d_w alpha_w,    alpha_1' = alpha_1 + sum_w m_w alpha_w,

where the constant is among what alpha_1 may be; and columns of scale effects have a mean square of one. All of it is
linear: psi = M psi' + s m'beta, with s the parameters of thresholds that are one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.ordinal import Ordinal
    from mixfit.glmm.types import GeneralizedEstimate

    Array = NDArray[np.float64]

__all__ = ["FromCentred", "centred"]

# What rounding leaves of J s - 1 where the constant is one of the thresholds that a structure has.
_ROUNDING = 1e-8


@dataclass(frozen=True, eq=False)
class FromCentred:
    """How the parameters of the columns as they are follow from those of centred ones.

    Attributes
    ----------
    family : Ordinal
        With centred nominal columns, and scaled ones of the scale.
    means : ndarray, shape (c,)
        Of the columns of location.
    M : ndarray, shape (k, k)
        psi from psi'.
    one : ndarray, shape (k,)
        s.
    """

    family: Ordinal
    means: Array
    M: Array
    one: Array

    __repr__ = brief

    def outward(self, estimate: GeneralizedEstimate, kept: NDArray[np.intp]) -> GeneralizedEstimate:
        """Estimates for the columns as they are; `kept` are those with a coefficient."""
        means = self.means[kept]
        S, moved = np.outer(self.one, means), float(means @ estimate.beta)
        across = estimate.cov_beta_shape @ self.M.T
        both = S @ across
        own = self.M @ estimate.cov_shape @ self.M.T + both + both.T + S @ estimate.cov_beta @ S.T
        return replace(
            estimate,
            shape=self.M @ estimate.shape + self.one * moved,
            shape_errors=np.sqrt(np.maximum(own.diagonal(), 0.0)),
            cov_shape=own,
            cov_beta_shape=across + estimate.cov_beta @ S.T,
            eta=estimate.eta + moved,
        )

    def inward(self, estimate: GeneralizedEstimate, kept: NDArray[np.intp]) -> GeneralizedEstimate:
        """Estimates for centred columns, but for the covariances."""
        moved = float(self.means[kept] @ estimate.beta)
        shape = np.asarray(np.linalg.solve(self.M, estimate.shape - self.one * moved), dtype=np.float64)
        return replace(estimate, shape=shape, eta=estimate.eta - moved)


def centred(family: Ordinal, X: Array) -> FromCentred:
    """Centre the columns of location X (n, c) and those of a family, where its thresholds allow it."""
    J = family.thresholds.J
    a, n_nominal, n_scale = J.shape[1], len(family.nominal), len(family.scale)
    constant = family.thresholds.nearest(np.ones(len(J)))
    free = bool(np.abs(J @ constant - 1.0).max() < _ROUNDING)
    M = np.eye(a * n_nominal + n_scale)
    nominal = family.nominal.copy()
    for c in range(1, n_nominal):
        mean, spread = float(nominal[c].mean()), float(nominal[c].std())
        nominal[c] = (nominal[c] - mean) / spread
        own = slice(c * a, (c + 1) * a)
        M[own, own] /= spread
        M[:a, own] = -mean / spread * np.eye(a)
    size = np.sqrt(np.mean(family.scale**2, axis=1)) if n_scale else np.empty(0)
    scale = family.scale / size[:, None]
    M[a * n_nominal :, a * n_nominal :] /= size[:, None] if n_scale else 1.0
    one = np.zeros(len(M))
    one[:a] = constant
    inner = family.rows(nominal.T if n_nominal > 1 else None, scale.T if n_scale else None)
    return FromCentred(inner, X.mean(axis=0) * free, M, one)
