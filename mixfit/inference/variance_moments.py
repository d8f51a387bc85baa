r"""Variances of the terms of a linear model as functions of its variance parameters, and the covariance of these.

Of a term of one standard deviation the variance is its square: of pedigrees that of the base population, of trees that
are scaled to a height of one that of a tip. Of other terms it is the mean of z'Sigma z over the rows. The covariance of
the parameters is the inverse of their observed information, so that by the delta method the variance of a function of
variances, such as their sum or a share in it, is rate' covariance rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief
from mixfit.covariance.steps import split_theta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.fitted.protocols import Fit, LinearFit
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["VarianceMoments", "term_variances", "variance_moments"]

# Eigenvalues of the information, of unit diagonal, below which a combination of variances is not determined.
_UNDETERMINED = 1e-10


@dataclass(frozen=True, eq=False)
class VarianceMoments:
    """Variances of the random terms and of the residual, with their rates in the parameters.

    Attributes
    ----------
    values : ndarray, shape (terms + 1,)
        Of every term in the order of the formula, the residual's last.
    rates : ndarray, shape (terms + 1, k)
        Their derivatives in the parameters: the entries of the covariances, and the residual variance last.
    covariance : ndarray, shape (k, k)
        Of the parameters.
    """

    values: Array
    rates: Array
    covariance: Array

    __repr__ = brief

    def variance_of(self, rate: Array) -> float:
        """Of a function with given derivatives in the variances of terms and residual, shape (terms + 1,)."""
        slope = rate @ self.rates
        return float(slope @ self.covariance @ slope)


def term_variances(fit: Fit) -> tuple[Array, list[Array]]:
    """The variance of every random term, and its derivatives in the variance parameters of the term."""
    random, estimate = fit.model.design.random, fit.estimate
    thetas = split_theta([term.structure for term in random], estimate.theta)
    found = [_term_variance(term, theta, estimate.unit) for term, theta in zip(random, thetas, strict=True)]
    return np.array([variance for variance, _ in found]), [gradient for _, gradient in found]


def variance_moments(fit: LinearFit) -> VarianceMoments:
    """The variances of a linear model with one residual variance, and how well they are known."""
    values, gradients = term_variances(fit)
    covariance = 2.0 * _positive_inverse(fit.variance_information.observed(reml=fit.reml))
    ends = np.cumsum([0, *(len(g) for g in gradients)])
    rates = np.zeros((len(gradients) + 1, len(covariance)))
    for t, gradient in enumerate(gradients):
        rates[t, ends[t] : ends[t + 1]] = gradient
    rates[-1, -1] = 1.0
    return VarianceMoments(np.append(values, fit.estimate.unit**2), rates, covariance)


def _term_variance(term: RandomDesign, theta: Array, unit: float) -> tuple[float, Array]:
    """The variance of a term, and its derivatives in the variance parameters."""
    structure: Structure = term.structure
    form = structure.variance_form(theta, unit)
    moments = term.Z.T @ term.Z / len(term.Z)
    gradient = np.einsum("ij,aij->a", moments, form.slopes)
    variance = float(gradient @ form.shares)
    if structure.n_deviations == 1 and variance > 0.0:
        # In units of the diagonal of a known matrix, which is that of the rows on average.
        base = float(structure.natural_values(theta, unit)[0]) ** 2 * float(np.trace(moments))
        return base, gradient * base / variance
    return variance, gradient


def _positive_inverse(hessian: Array) -> Array:
    """Inverse on the directions in which the criterion curves upwards."""
    scale = np.sqrt(np.maximum(hessian.diagonal(), 0.0))
    scale[scale == 0.0] = 1.0
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    up = values > _UNDETERMINED
    half = (vectors[:, up] / np.sqrt(values[up])) / scale[:, None]
    return np.asarray(half @ half.T)
