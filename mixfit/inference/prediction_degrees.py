r"""Degrees of freedom of predictions by the fixed part: of means, and of observations of new levels.

The variance of an observation about its prediction is T = x'Phi x + sum_t z'Sigma_t z + sigma^2 / w. With g its
gradient in the variance parameters and A their covariance, Satterthwaite's degrees of freedom are 2 T^2 / g'A g, as
those of a contrast are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import ParameterDirection
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.fixed_effects.contrasts import contrast_tests
from mixfit.inference.fixed_effects.denominator import KenwardRoger, denominator
from mixfit.inference.fixed_effects.satterthwaite import in_theta, moments
from mixfit.lmm.residual.moments import ResidualInformation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import LinearFit
    from mixfit.fitted.residual_covariance import StructuredFit

    Array = NDArray[np.float64]

__all__ = ["mean_degrees", "observation_degrees", "structured_degrees"]


def mean_degrees(fit: LinearFit, X: Array, variance: Array, kind: str) -> tuple[Array, Array]:
    """Variances (m,) of means of the rows X (m, c) by the method `kind`, and their degrees of freedom."""
    variance, df = variance.copy(), np.full(len(variance), np.inf)
    # A mean that is known has no degrees of freedom, and one that the data do not tell is missing.
    known = variance > 0.0
    if known.any():
        tests = contrast_tests(fit, X[known][:, fit.model.kept], kind)
        variance[known], df[known] = tests.se**2, tests.df
    return variance, df


def observation_degrees(fit: LinearFit, X: Array, Z: Sequence[Array], residual: Array, kind: str) -> Array:
    """Degrees of freedom of observations of new levels, (m,).

    Parameters
    ----------
    fit : LinearFit
        With independent residuals.
    X : ndarray, shape (m, c)
    Z : sequence of ndarray, shape (m, k_t)
    residual : ndarray, shape (m,)
        Residual variances over sigma^2.
    kind : {"satterthwaite", "kenward-roger", "residual", "z"}
    """
    if kind in ("residual", "z"):
        return np.full(len(X), float(fit.nobs - len(fit.estimate.beta)) if kind == "residual" else np.inf)
    method, rows = denominator(fit, kind), X[:, fit.model.kept]
    own = fit.reml_fit if isinstance(method, KenwardRoger) else fit
    known = own.variance_information
    # Sigma_t is linear in the parameters of a term or, to first order, changes by its slopes.
    slopes = [np.einsum("ia,ab,ib->i", Z[p.term], p.slope, Z[p.term]) for p in known.parameters]
    gradient = np.column_stack([*slopes, residual])
    spreads = (z @ own.estimate.templates[t] for t, z in enumerate(Z))
    scattered = own.scale * (residual + sum(np.einsum("ia,ia->i", s, s) for s in spreads))
    total = np.einsum("ip,pr,ir->i", rows, known.cov_beta, rows) + scattered
    if isinstance(method, KenwardRoger):
        moving, covariance = -method.adjustment.slopes, method.adjustment.weights
    else:
        structures, theta = [term.structure for term in fit.model.design.random], fit.estimate.theta
        gradient = gradient @ in_theta(known, structures, theta, reml=fit.reml)[0]
        found = moments(known, structures, theta, reml=fit.reml)
        moving, covariance = found.jacobian, found.covariance
    gradient = gradient + np.einsum("ip,xpr,ir->ix", rows, moving, rows, optimize=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2.0 * total**2 / np.einsum("ix,xy,iy->i", gradient, covariance, gradient))


def structured_degrees(fit: StructuredFit, X: Array, Z: Sequence[Array], residual: Array, kind: str) -> Array:
    """The same where residuals have a covariance with parameters: of new levels and new blocks, (m,).

    Parameters
    ----------
    fit : StructuredFit
    X : ndarray, shape (m, c)
        The rows of the fit, in their order, or rows whose residuals have one standard deviation.
    Z : sequence of ndarray, shape (m, k_t)
    residual : ndarray, shape (m,)
        Residual variances over sigma^2.
    kind : {"satterthwaite", "kenward-roger", "residual", "z"}
    """
    if kind in ("residual", "z"):
        return np.full(len(X), float(fit.nobs - len(fit.estimate.beta)) if kind == "residual" else np.inf)
    method, rows = denominator(fit, kind), X[:, fit.model.kept]
    own = fit.reml_fit if isinstance(method, KenwardRoger) else fit
    known = own.variance_information
    assert isinstance(known, ResidualInformation)
    assert is_structured(own)
    covariance = method.adjustment.weights if isinstance(method, KenwardRoger) else known.covariance
    mean = np.einsum("ip,pr,ir->i", rows, known.cov_beta, rows)
    spreads = (z @ own.estimate.templates[t] for t, z in enumerate(Z))
    scattered = own.scale * (residual + sum(np.einsum("ia,ia->i", s, s) for s in spreads))
    slopes = own.scale * np.column_stack([*_random_slopes(own, known, Z), *_residual_slopes(own, known, residual)])
    gradient = np.column_stack([slopes, 2.0 * scattered])
    gradient += np.einsum("ip,xpr,ir->ix", rows, known.jacobian, rows, optimize=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2.0 * (mean + scattered) ** 2 / np.einsum("ix,xy,iy->i", gradient, covariance, gradient))


def _random_slopes(fit: StructuredFit, known: ResidualInformation, Z: Sequence[Array]) -> list[Array]:
    """z'Sigma'z over sigma^2 along the search's directions of random terms."""
    random, out = known.derivatives.random, []
    for direction in () if random is None else random.directions:
        z = np.linalg.solve(fit.model.problem.term_bases[direction.term].T, Z[direction.term].T).T
        out.append(np.einsum("ia,ab,ib->i", z, direction.change(), z))
    return out


def _residual_slopes(fit: StructuredFit, known: ResidualInformation, residual: Array) -> list[Array]:
    """Slopes of the rows' residual variances over sigma^2; shapes of correlations, and sigma's own, move none."""
    design, d = fit.model.residual, known.derivatives
    is_own = len(residual) == len(design.part)
    out = []
    for direction in d.directions:
        structure, point = design.structures[direction.term], d.at.place.residual.points[direction.term]
        row = np.zeros(len(residual))
        if is_own:
            mine = design.part == direction.term
            if point.ndim > 1 or structure.n_deviations > 1:
                variances = np.einsum("ab,ab->a", *(2 * [structure.relative_factor(point)]))
                rates = direction.change().diagonal() / variances
                row[mine] = residual[mine] * rates[design.place[mine]]
            elif isinstance(direction, ParameterDirection) and direction.is_deviation:
                row[mine] = 2.0 * residual[mine]
        out.append(row)
    gammas = design.spread.T if is_own else np.zeros((design.spread.shape[1], len(residual)))
    return [*out, *(2.0 * residual * z for z in gammas)]
