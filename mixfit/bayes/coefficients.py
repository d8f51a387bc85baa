r"""Coefficients of a linear model given its covariances: normal priors beside the data's cross-products.

See :mod:`mixfit.bayes.collapsed`, whose notation this is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.distributions import Flat, Normal, StudentT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.batch.singly import AtThetas

    Array = NDArray[np.float64]

__all__ = ["CoefficientPriors", "GivenCoefficients", "SolvedCoefficients", "coefficient_priors", "solve"]


@dataclass(frozen=True, eq=False)
class CoefficientPriors:
    """The normal priors of contrasts in the basis of the problem: rows a_i, distances t_i = m_i - a_i'beta_ls.

    Attributes
    ----------
    rows : ndarray, shape (c, p)
    target, scale : ndarray, shape (c,)
    mixed : ndarray of intp
        Which of them have a mixing variance.
    df : ndarray
        Degrees of freedom of these.
    """

    rows: Array
    target: Array
    scale: Array
    mixed: NDArray[np.intp]
    df: Array

    def log_precision(self, log_v: Array) -> Array:
        """log w (R, c)."""
        out = np.tile(-2.0 * np.log(self.scale), (len(log_v), 1))
        out[:, self.mixed] -= log_v
        return out


@dataclass(frozen=True, eq=False)
class GivenCoefficients:
    """What R places say of the coefficients: sigma^2, P, P m and m'P m, in units of the residual length."""

    scale2: Array
    precision: Array
    pull: Array
    constant: Array


@dataclass(frozen=True, eq=False)
class SolvedCoefficients:
    """beta_bar, K's lower factor, inverse and log determinant, e, and the two parts of the minimum of the quadratic."""

    beta: Array
    low: Array
    inverse: Array
    log_k: Array
    residual: Array
    fitted: Array
    prior: Array


def solve(at: AtThetas, c: GivenCoefficients) -> SolvedCoefficients:
    """The coefficients given theta, sigma and v."""
    g, p = at.schur, at.schur.shape[1] - 1
    k = g[:, :p, :p] + c.scale2[:, None, None] * c.precision
    low = np.asarray(np.linalg.cholesky(k), dtype=float)
    inverse = np.asarray(np.linalg.inv(k), dtype=float)
    beta = np.einsum("rij,rj->ri", inverse, g[:, :p, p] + c.scale2[:, None] * c.pull)
    residual = np.concatenate([-beta, np.ones((len(beta), 1))], axis=1)
    fitted = np.einsum("ri,rij,rj->r", residual, g, residual)
    prior = np.einsum("ri,rij,rj->r", beta, c.precision, beta) - 2.0 * np.einsum("ri,ri->r", beta, c.pull) + c.constant
    log_k = 2.0 * np.log(np.einsum("rii->ri", low)).sum(axis=1)
    return SolvedCoefficients(beta, low, inverse, log_k, residual, fitted, prior)


def coefficient_priors(assembly: Assembly, priors: ResolvedPriors) -> CoefficientPriors:
    """Contrasts with a normal or t prior, as functions of the coefficients of the orthonormal columns."""
    fixed, response = assembly.fixed, assembly.response
    kept = [i for i, prior in enumerate(priors.fixed) if not isinstance(prior, Flat)]
    rows = priors.contrasts[kept] @ (np.linalg.inv(fixed.triangle) if len(fixed.triangle) else np.empty((0, 0)))
    location, scale, mixed, df = [], [], [], []
    for place, i in enumerate(kept):
        prior = priors.fixed[i]
        if isinstance(prior, StudentT):
            location.append(prior.location)
            scale.append(prior.scale)
            mixed.append(place)
            df.append(prior.df)
        else:
            assert isinstance(prior, Normal)
            location.append(prior.mean)
            scale.append(prior.sd)
    target = np.array(location) - rows @ response.gamma
    return CoefficientPriors(
        rows * response.scale, target, np.array(scale), np.array(mixed, dtype=np.intp), np.array(df)
    )
