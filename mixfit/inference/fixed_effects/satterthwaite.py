r"""Satterthwaite's degrees of freedom from the exact observed Hessian in (theta, sigma).

For a contrast l with v = l'Phi l at the estimates, df = 2 v^2 / (g'A g), where g is the gradient of v in
(theta, sigma) and A, twice the inverse of the Hessian of -2 log-likelihood, their asymptotic covariance
(Giesbrecht & Burns 1985, Biometrics 41; Kuznetsova, Brockhoff & Christensen 2017, JSS 82(13), whose lmerTest
takes g and A by numeric differentiation).

At a singular fit theta is on its boundary: v does not change with a zero standard deviation, so that the
degrees of freedom are those of the model without the term, and directions in which neither the criterion nor
v changes are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import split_theta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.lmm.information import VarianceInformation

    Array = NDArray[np.float64]

__all__ = ["SAME_DF", "DfMoments", "combine_df", "curves_upwards", "in_theta", "moments", "satterthwaite_df"]

# Of the scaled Hessian; differences know it to about 1e-7, exact derivatives to 1e-12.
_SMALLEST_CURVATURE = 1e-10
# A scaled curvature below minus this is no rounding, nor what an optimum that is certified may have left.
_DOWNWARDS = 1e-4
#: lmerTest's own tolerance: equal degrees of freedom are not combined, but kept.
SAME_DF = 1e-8


@dataclass(frozen=True, eq=False)
class DfMoments:
    """What Satterthwaite's formula needs.

    Attributes
    ----------
    cov_beta : ndarray, shape (p, p)
        Phi.
    jacobian : ndarray, shape (m, p, p)
        dPhi / d(theta, sigma).
    covariance : ndarray, shape (m, m)
        A, the asymptotic covariance of (theta, sigma).
    """

    cov_beta: Array
    jacobian: Array
    covariance: Array


def moments(
    information: VarianceInformation, structures: Sequence[Structure], theta: Array, *, reml: bool
) -> DfMoments:
    """Change from the variance parameters to (theta, sigma) at the estimate."""
    first, hessian = in_theta(information, structures, theta, reml=reml)
    phi = information.cov_beta
    slopes = -phi @ information.slopes @ phi
    return DfMoments(phi, np.tensordot(first.T, slopes, 1), 2.0 * _positive_inverse(hessian))


def in_theta(
    information: VarianceInformation, structures: Sequence[Structure], theta: Array, *, reml: bool
) -> tuple[Array, Array]:
    """Derivatives of the variance parameters in (theta, sigma), and the Hessian there, both (m + 1, m + 1)."""
    sigma = float(np.sqrt(information.values[-1]))
    first, second = _parametrization(structures, split_theta(structures, theta), sigma)
    hessian = first.T @ information.observed(reml=reml) @ first
    return first, hessian + np.tensordot(information.score(reml=reml), second, 1)


def curves_upwards(
    information: VarianceInformation, structures: Sequence[Structure], theta: Array, *, reml: bool
) -> bool:
    """Whether the criterion curves downwards in no direction of (theta, sigma), rounding aside."""
    hessian = in_theta(information, structures, theta, reml=reml)[1]
    scale = np.sqrt(np.abs(hessian.diagonal()))
    scale[scale == 0.0] = 1.0
    return bool(np.linalg.eigvalsh(hessian / np.outer(scale, scale)).min(initial=0.0) > -_DOWNWARDS)


def _parametrization(structures: Sequence[Structure], thetas: Sequence[Array], sigma: float) -> tuple[Array, Array]:
    """Derivatives of the variance parameters and of sigma^2 in (theta, sigma).

    Shapes (m + 1, m + 1) and (m + 1, m + 1, m + 1): theta has as many entries as the terms have variance parameters.
    """
    m = sum(len(theta) for theta in thetas)
    first = np.zeros((m + 1, m + 1))
    second = np.zeros((m + 1, m + 1, m + 1))
    start = 0
    for structure, theta in zip(structures, thetas, strict=True):
        form = structure.variance_form(theta, sigma)
        own = np.arange(start, start + len(theta))
        place = np.append(own, m)
        first[np.ix_(own, place)] = form.first
        second[np.ix_(own, place, place)] = form.second
        start += len(theta)
    first[-1, -1], second[-1, -1, -1] = 2.0 * sigma, 2.0
    return first, second


def _positive_inverse(hessian: Array) -> Array:
    """Inverse on the directions in which the criterion curves upwards, free of the parameters' units."""
    scale = np.sqrt(np.maximum(hessian.diagonal(), 0.0))
    scale[scale == 0.0] = 1.0
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    up = values > _SMALLEST_CURVATURE
    half = (vectors[:, up] / np.sqrt(values[up])) / scale[:, None]
    inverse: Array = half @ half.T
    return inverse


def satterthwaite_df(m: DfMoments, L: Array) -> Array:
    """Degrees of freedom of every row of L (q, p) by itself, shape (q,); NaN for a row of zeros."""
    variances = np.einsum("qp,pr,qr->q", L, m.cov_beta, L)
    gradients = np.einsum("qp,xpr,qr->qx", L, m.jacobian, L, optimize=True)
    spread = np.einsum("qx,xy,qy->q", gradients, m.covariance, gradients)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2.0 * variances**2 / spread)


def combine_df(df: Array) -> float:
    """Denominator degrees of freedom of a mean of squared independent t statistics with `df` (q,).

    The F distribution of the same mean: E = sum df / (df - 2) / q = ddf / (ddf - 2) (Fai & Cornelius 1996,
    J. Stat. Comput. Simul. 54); 2 where one of several has no mean, as in lmerTest.

    Examples
    --------
    >>> combine_df(np.array([10.0, 10.0])), round(combine_df(np.array([10.0, 20.0])), 3)
    (10.0, 13.077)
    """
    if (np.abs(np.diff(df)) < SAME_DF).all():
        return float(df.mean())
    if (df <= 2.0).any():
        return 2.0
    total = float((df / (df - 2.0)).sum())
    return 2.0 * total / (total - len(df))
