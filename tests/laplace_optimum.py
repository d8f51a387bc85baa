"""The best of several optima of a generalized likelihood by another optimizer: what a fit must be no worse than.

SciPy's L-BFGS-B on the entries of the templates, from variances of all sizes and from the fit itself. It shares values
and gradients with what is tested, which are compared with dense matrices and differences elsewhere, and no step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.objective import LaplaceObjective
from mixfit.glmm.problem import GeneralizedParameters
from mixfit.glmm.start import linear_start, start_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.glmm.objective import Objective
    from mixfit.glmm.problem import GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["RawCriterion", "best_optimum"]

# A place without a value, in a line search.
NOWHERE = 1e10
# Of the slopes at what counts as an optimum: not of a place where the search ran into one without a value.
STATIONARY = 1e-2


@dataclass(frozen=True, eq=False)
class RawCriterion:
    """-2 log-likelihood in the entries of the templates, fixed effects in units of a predictor, and the tail."""

    problem: GeneralizedProblem
    n_agq: int

    @cached_property
    def objective(self) -> Objective[Any]:
        """Laplace's approximation or quadrature."""
        return LaplaceObjective(self.problem) if self.n_agq == 1 else QuadratureObjective(self.problem, self.n_agq)

    @cached_property
    def entries(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Free entries of every template."""
        return [(np.arange(t.k),) * 2 if t.structure.is_separable else np.tril_indices(t.k) for t in self.problem.terms]

    @cached_property
    def unit(self) -> float:
        """Of an orthonormal column, what changes its predictors by 1."""
        return float(np.sqrt(self.problem.fixed.shape[1]))

    def packed(self, at: GeneralizedParameters) -> Array:
        """Coordinates of a point."""
        factors = [np.linalg.cholesky(t @ t.T + 1e-8 * np.eye(len(t))) for t in self._factors(at)]
        own = [t[rows, cols] for t, (rows, cols) in zip(factors, self.entries, strict=True)]
        tail = [np.log(at.phi)] * self.problem.family.has_dispersion
        return np.concatenate([*own, at.gamma / self.unit, tail, at.shape])

    def _factors(self, at: GeneralizedParameters) -> tuple[Array, ...]:
        return relative_factors(self.problem.terms, at.points)

    def point(self, x: Array) -> GeneralizedParameters:
        """The point of coordinates."""
        points, start = [], 0
        for t, (rows, cols) in zip(self.problem.terms, self.entries, strict=True):
            own = np.zeros((t.k, t.k))
            own[rows, cols] = x[start : start + len(rows)]
            # A pivot of zero has no slope of its own in these coordinates.
            tiny = np.abs(own.diagonal()) < 1e-6
            own[np.diag_indices(t.k)] = np.where(tiny, 1e-6, own.diagonal())
            points.append(own)
            start += len(rows)
        gamma, tail = x[start : start + self.problem.p] * self.unit, x[start + self.problem.p :]
        known = self.problem.family.known_phi
        phi, shape = (float(np.exp(np.clip(tail[0], -20, 20))), tail[1:]) if known is None else (known, tail)
        return GeneralizedParameters(tuple(points), gamma, phi, shape)

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Value and gradient."""
        at = self.point(x)
        try:
            found = self.objective.evaluate(at)
            slopes = self.objective.slopes(found)
        except FitError:
            return NOWHERE, np.zeros(len(x))
        own = [
            (2.0 * np.linalg.solve(t.T, relative))[rows, cols]
            for t, relative, (rows, cols) in zip(at.points, slopes.relative, self.entries, strict=True)
        ]
        gradient = np.concatenate([*own, slopes.gamma * self.unit, slopes.tail])
        good = np.isfinite(found.value) and np.isfinite(gradient).all()
        return (found.value, gradient) if good else (NOWHERE, np.zeros(len(x)))


def best_optimum(criterion: RawCriterion, fitted: GeneralizedParameters, seed: int, n_starts: int = 6) -> float:
    """The lowest optimum from the fit, and from variances of all sizes and some of zero."""
    problem, rng = criterion.problem, np.random.default_rng(seed)
    gamma, phi = linear_start(problem)
    glm = GeneralizedParameters((), gamma, phi, start_shapes(problem, gamma))
    best = np.inf
    for number in range(n_starts):
        sizes = [np.exp(rng.normal(size=t.k) * 1.5) * np.where(rng.random(t.k) < 0.2, 1e-3, 1.0) for t in problem.terms]
        at = fitted if number == 0 else replace(glm, points=tuple(map(np.diag, sizes)))
        with np.errstate(all="ignore"):
            found = minimize(criterion, criterion.packed(at), jac=True, method="L-BFGS-B", options={"maxiter": 200})
        if found.fun < best and np.abs(found.jac).max() < STATIONARY:
            best = float(found.fun)
    return best
