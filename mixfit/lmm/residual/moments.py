r"""What degrees of freedom need of a fit whose residuals have a covariance with parameters.

The parameters are the coordinates of the search at the estimate and log sigma, with V in the units of the data; their
covariance is twice the inverse of the exact Hessian of -2 log-likelihood, as SAS PROC MIXED and mmrm have it. What
follows from it to first order is the same in all coordinates, so that

    Phi_A = Phi + 2 Phi {sum_ij W_ij (Q_ij - P_i Phi P_j)} Phi

is Kenward & Roger's (1997, Biometrics 53) for a V that is linear in its parameters, as an unstructured one is, and what
is called their linear variant for the others; :mod:`mixfit.lmm.residual.second_order` has what these add.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dtrtri

from mixfit.errors import FitError
from mixfit.lmm.residual.criterion import evaluate_joint
from mixfit.lmm.residual.derivatives import differentiate_joint
from mixfit.lmm.residual.information import (
    average_information,
    exact_hessian,
    loaded_rows,
    through_covariance,
)
from mixfit.lmm.residual.minimize import difference_hessian
from mixfit.lmm.residual.second_order import bent_products

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.residual.criterion import JointPlace, ResidualProblem
    from mixfit.lmm.residual.derivatives import JointDerivatives

    Array = NDArray[np.float64]

__all__ = ["ResidualInformation", "residual_information"]

# Curvatures below this share of the largest, of unit diagonal, say nothing: the same as for independent residuals.
_SMALLEST_CURVATURE = 1e-10

_NO_EXPECTED = (
    "The expected information is not computed for random effects beside residual= or dispersion=: take "
    "ddf='kenward-roger', whose covariance of the variance parameters is the observed Hessian's."
)


@dataclass(frozen=True, eq=False)
class ResidualInformation:
    """Derivatives in the coordinates of the search and log sigma, m in all, in the user's columns and units.

    Attributes
    ----------
    derivatives : JointDerivatives
    half : ndarray, shape (p, p)
        H with Phi = sigma^2 H H'.
    sigma : float
    hessian : ndarray, shape (m, m)
        Of -2 log-likelihood, beta profiled out.
    fixed : ndarray, shape (m, p, p)
        E'V_i E over sigma^2, E being V^{-1}X in the metric of X'V^{-1}X.
    """

    derivatives: JointDerivatives
    half: Array
    sigma: float
    hessian: Array
    fixed: Array

    @property
    def cov_beta(self) -> Array:
        """Phi, (p, p)."""
        return self.sigma**2 * self.half @ self.half.T

    @cached_property
    def covariance(self) -> Array:
        """Of the parameters, (m, m), on the directions in which the criterion curves upwards."""
        return _inverse_curvature(self.hessian)

    @property
    def jacobian(self) -> Array:
        """dPhi, which is -Phi P_i Phi, (m, p, p)."""
        return self.sigma**2 * self.half @ self.fixed @ self.half.T

    @cached_property
    def expected(self) -> Array:
        """Covariance of the parameters by their expected information, tr(P V_i P V_j) / 2: (m, m).

        Raises
        ------
        FitError
            Beside random effects, whose part of V no pattern of residuals has.
        """
        d, n, p = self.derivatives, self.derivatives.at.problem.n, len(self.half)
        if d.random is not None:
            raise FitError(_NO_EXPECTED)
        # tr(V^{-1}V_i V^{-1}V_j), log sigma last, whose V_i is 2 V.
        traces = np.append(2.0 * d.slopes.traces(), 4.0 * n)
        pairs = np.block([[d.slopes.pair_traces(), traces[:-1, None]], [traces[None, :]]])
        if self.derivatives.at.at.reml and p:
            own = 2.0 * self.fixed[:-1].trace(axis1=1, axis2=2)
            beside = np.append(own, 4.0 * p)
            products = np.block([[d.slopes.squares("fixed"), own[:, None]], [beside[None, :]]])
            pairs = pairs - 2.0 * products + np.tensordot(self.fixed, self.fixed, ([1, 2], [1, 2]))
        return _inverse_curvature(pairs)

    @cached_property
    def adjusted(self) -> Array:
        """Phi_A of the observed Hessian, (p, p)."""
        return self.adjusted_by(self.covariance)

    @cached_property
    def second_order(self) -> Array:
        """Phi_A of the observed Hessian, with the second derivatives of V: (p, p)."""
        bent = bent_products(self.derivatives, self.covariance)
        return np.asarray(self.adjusted - 0.5 * self.sigma**2 * self.half @ bent @ self.half.T)

    def adjusted_by(self, weights: Array) -> Array:
        """Phi_A without second derivatives of V for a covariance (m, m) of the parameters, (p, p)."""
        mixed = np.tensordot(weights, self.fixed, 1)
        inner = self._weighted_products(weights) - (mixed @ self.fixed).sum(axis=0)
        correction = self.sigma**2 * self.half @ (inner + inner.T) @ self.half.T
        return np.asarray(self.cov_beta + correction)

    def _weighted_products(self, weights: Array) -> Array:
        """sum_ij W_ij E'V_i V^{-1}V_j E, log sigma last: its V_i is 2 V."""
        d = self.derivatives
        m, p = len(weights) - 1, len(self.half)
        rows = loaded_rows(d, "fixed").reshape(m * p, -1)
        products = through_covariance(d, rows).reshape(m, p, m, p)
        out = np.einsum("ij,ipjr->pr", weights[:m, :m], products)
        beside = 2.0 * np.tensordot(weights[m, :m], self.fixed[:m], 1)
        return np.asarray(out + beside + beside.T + 4.0 * weights[m, m] * np.eye(p))


def _inverse_curvature(hessian: Array) -> Array:
    """Twice the inverse of second derivatives, on the directions in which they are positive."""
    scale = np.sqrt(np.maximum(hessian.diagonal(), 0.0))
    scale[scale == 0.0] = 1.0
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    up = values > _SMALLEST_CURVATURE * values.max()
    root = (vectors[:, up] / np.sqrt(values[up])) / scale[:, None]
    return np.asarray(2.0 * root @ root.T)


def residual_information(problem: ResidualProblem, place: JointPlace, *, reml: bool) -> ResidualInformation:
    """Differentiate at an estimate.

    Parameters
    ----------
    problem : ResidualProblem
    place : JointPlace
    reml : bool
    """
    d = differentiate_joint(evaluate_joint(problem, place, reml=reml))
    at, p = d.at.at, problem.p
    sigma = float(np.sqrt(at.scale)) * problem.response.scale
    inverse_root = dtrtri(at.fixed_root, lower=1)[0] if p else np.empty((0, 0))
    half = problem.fixed.coefficients(inverse_root.T)
    error = d.slopes.rows("error")[0]
    quadratics = loaded_rows(d, "error")[:, 0] @ error
    own = loaded_rows(d, "fixed") @ d.slopes.rows("fixed").T
    fixed = np.concatenate([0.5 * (own + own.swapaxes(1, 2)), 2.0 * np.eye(p)[None]])
    return ResidualInformation(d, half, sigma, _with_sigma(d, quadratics), fixed)


def _with_sigma(d: JointDerivatives, quadratics: Array) -> Array:
    """The Hessian in (phi, log sigma) from the profiled one.

    -2 log-likelihood has nu log sigma^2 + r^2 / sigma^2 of sigma: its second derivatives there are 4 nu, and
    2 e'V^{-1}V_i V^{-1}e / sigma^2 beside phi_i.
    """
    at = d.at.at
    profiled = exact_hessian(d) if d.random is None else difference_hessian(d, average_information(d))
    nu = at.problem.degrees(reml=at.reml)
    beside = 2.0 * quadratics / at.scale
    m = len(profiled)
    out = np.empty((m + 1, m + 1))
    out[:m, :m] = profiled + np.outer(beside, beside) / (4.0 * nu)
    out[m, :m] = out[:m, m] = beside
    out[m, m] = 4.0 * nu
    return out
