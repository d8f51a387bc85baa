"""-2 log-likelihood of a generalized model as a surface."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import FitError
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.given import place_of
from mixfit.glmm.minimize import minimize
from mixfit.glmm.objective import LaplaceObjective
from mixfit.glmm.problem import GeneralizedParameters
from mixfit.lmm.surface import FARTHEST_LOG, Frames, Slope, standardized_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.glmm.objective import Objective
    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.glmm.types import GeneralizedEstimate

    Array = NDArray[np.float64]

__all__ = ["GeneralizedSurface", "surface_around"]


def surface_around(assembly: GeneralizedAssembly, estimate: GeneralizedEstimate) -> GeneralizedSurface:
    """The surface around an estimate."""
    covariance = estimate.cov_every_beta if estimate.further else estimate.cov_beta
    return GeneralizedSurface(assembly, place_of(assembly, estimate), np.sqrt(np.diagonal(covariance)), estimate.n_agq)


class GeneralizedSurface:
    """-2 log-likelihood, by Laplace or quadrature, in covariances, fixed effects and the dispersion.

    Parameters
    ----------
    assembly : GeneralizedAssembly
    at : GeneralizedParameters
        The minimum.
    errors : ndarray, shape (p,)
        Standard errors of the fixed effects there.
    n_agq : int
        Quadrature points a dimension; 1 is the Laplace approximation.
    """

    def __init__(self, assembly: GeneralizedAssembly, at: GeneralizedParameters, errors: Array, n_agq: int) -> None:
        self._assembly, self._at, self.errors, self._n_agq = assembly, at, errors, n_agq
        problem = assembly.problem
        self._objective: Objective[Any] = (
            LaplaceObjective(problem) if n_agq == 1 else QuadratureObjective(problem, n_agq)
        )
        self.tail_unit = at.phi
        # Product rules depend, a little, on how the columns of a factor are turned.
        self.resolution = 1e-5 if n_agq == 1 or max(problem.k) == 1 else 1e-2
        n = len(problem.y)
        self.terms = standardized_terms(problem.terms, assembly.term_bases, problem.n_levels, n, 1.0)
        self.center = self.terms.standardized(at.points)
        self.beta = assembly.fixed.coefficients(at.gamma)
        family = problem.family
        self.tail_errors = np.concatenate([np.ones(problem.p), np.full(family.n_tail, 1.0 / np.sqrt(n))])
        self.shape = at.shape
        self._reach = np.full(problem.p + family.n_tail, np.inf)
        if family.has_dispersion:
            self._reach[problem.p] = FARTHEST_LOG
        if family.shapes:
            # A coordinate that is not the parameter itself leads to limits of it.
            turned = [family.shapes[i].value is not float for i in family.free]
            self._reach[problem.p + int(family.has_dispersion) :][turned] = FARTHEST_LOG

    def shape_reach(self, number: int) -> float:
        """How far from the minimum a shape's coordinate can be evaluated."""
        return float(self._reach[len(self._reach) - len(self.shape) + number])

    def holding(self, effect: int) -> tuple[GeneralizedSurface, int]:
        """The surface itself: its tail begins with the fixed effects."""
        return self, effect

    def restarted(self, points: Sequence[Array], tail: Array) -> GeneralizedSurface:
        """The surface around the minimum that is reached from a place."""
        starts = self.terms.unstandardized(points, 1.0, len(self._assembly.problem.y))
        at = replace(self._parameters([np.eye(len(b)) for b in self.terms.bases], tail)[0], points=starts)
        return GeneralizedSurface(self._assembly, minimize(self._objective, at).point.at, self.errors, self._n_agq)

    def evaluate(self, factors: Sequence[Array], tail: Array) -> Slope:
        """Evaluate at S of every term, the fixed effects, log(phi / phi^) and the shapes' distances."""
        if (np.abs(tail) > self._reach).any():
            return Slope(np.inf, (), np.empty(0), self.beta)
        at, frames = self._parameters(factors, tail)
        fixed = self._assembly.fixed
        beta = fixed.coefficients(at.gamma)
        try:
            point = self._objective.evaluate(at)
        except FitError:
            # Too far out for the mode to be found: no place for a step.
            point = None
        if point is None or not np.isfinite(point.value):
            return Slope(np.inf, (), np.empty(0), beta)
        self._objective.settle(point)
        slopes = self._objective.slopes(point)
        tail_slope = np.concatenate([self.errors * (fixed.triangle.T @ slopes.gamma), slopes.tail])
        return Slope(point.value, frames.slopes(slopes.relative, slopes.absolute), tail_slope, beta)

    def _parameters(self, factors: Sequence[Array], tail: Array) -> tuple[GeneralizedParameters, Frames]:
        problem = self._assembly.problem
        p = problem.p
        frames = Frames(self.terms, factors, 1.0, len(problem.y))
        gamma = self._at.gamma + self._assembly.fixed.triangle @ (self.errors * tail[:p])
        return GeneralizedParameters(frames.templates, gamma, *self._at.stepped(problem.family, tail[p:])), frames
