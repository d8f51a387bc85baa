"""-2 log-likelihood of a nonlinear model as a surface, for profiles and curvatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.gram.basis import term_basis
from mixfit.lmm.surface import FARTHEST_LOG, Frames, Slope, SurfaceTerms
from mixfit.nlmm.minimize import minimize
from mixfit.nlmm.problem import NonlinearParameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.nlmm.laplace import Approximation, NonlinearPoint

    Array = NDArray[np.float64]

__all__ = ["NonlinearSurface"]


class NonlinearSurface:
    """The approximated likelihood in covariances, sigma, the fixed effects and log standard deviations of residuals.

    A column of a random term is brought to unit root mean square in the linear model beside the minimum, where its row
    is that of its parameter times the slope of the curve.

    Parameters
    ----------
    approximation : Approximation
    bases : sequence of ndarray, shape (k_t, k_t)
        Of the problem's terms, R_t with Z = Z_basis R_t.
    at : NonlinearPoint
        The minimum, sigma profiled out.
    errors : ndarray, shape (p,)
        Standard errors of the fixed effects there.
    spread_errors : ndarray, shape (g,)
        Those of gamma.
    """

    def __init__(
        self,
        approximation: Approximation,
        bases: Sequence[Array],
        at: NonlinearPoint,
        errors: Array,
        spread_errors: Array,
    ) -> None:
        self._approximation, self._bases, self._at = approximation, bases, at
        self.errors, self.spread_errors = errors, spread_errors
        problem = at.problem
        self.tail_unit = float(np.sqrt(at.scale))
        self.resolution = max(1e-5, 10.0 * at.resolution)
        self.terms = _terms(bases, at)
        self.center = self.terms.standardized(at.at.points)
        self.beta = at.at.beta
        self.gamma = at.at.gamma
        ones = np.ones(problem.p + len(self.gamma))
        self.tail_errors = np.concatenate([[1.0 / np.sqrt(2.0 * problem.n)], ones])

    def holding(self, effect: int) -> tuple[NonlinearSurface, int]:
        """The surface itself: its tail has the fixed effects after log sigma."""
        return self, 1 + effect

    def log_deviation(self, number: int) -> tuple[int, float, float]:
        """A coefficient of the residuals' log standard deviations: place in the tail, value at the minimum, unit."""
        return 1 + len(self.beta) + number, float(self.gamma[number]), float(self.spread_errors[number])

    def restarted(self, points: Sequence[Array], tail: Array) -> NonlinearSurface:
        """The surface around the minimum that is reached from a place."""
        starts = self.terms.unstandardized(points, float(np.exp(tail[0])), self._at.problem.n)
        found = minimize(self._approximation, self._place(starts, tail)).found
        return NonlinearSurface(self._approximation, self._bases, found, self.errors, self.spread_errors)

    def _place(self, points: tuple[Array, ...], tail: Array) -> NonlinearParameters:
        p = len(self.beta)
        beta, gamma = self.beta + self.errors * tail[1 : 1 + p], self.gamma + self.spread_errors * tail[1 + p :]
        return NonlinearParameters(points, beta, gamma)

    def evaluate(self, factors: Sequence[Array], tail: Array) -> Slope:
        """Evaluate at S of every term, log(sigma / sigma^) and the distances of fixed effects and gamma."""
        problem = self._at.problem
        nowhere = Slope(np.inf, (), np.empty(0), self.beta)
        if abs(tail[0]) > FARTHEST_LOG:
            return nowhere
        ratio = float(np.exp(tail[0]))
        frames = Frames(self.terms, factors, ratio, problem.n)
        place = self._place(frames.templates, tail)
        try:
            point = self._approximation.evaluate(place, self._at.mode.u, self._at.scale * ratio**2)
        except FitError:
            # Too far out for the modes to be found: no place for a step.
            return nowhere
        slopes = self._approximation.slopes(point)
        covariances = frames.slopes(slopes.relative, slopes.absolute)
        # S S' = sigma^2 Sigma stays while sigma moves.
        along = sum(float(np.vdot(n_t @ s, s)) for n_t, s in zip(covariances, factors, strict=True))
        effects = [self.errors * slopes.beta, self.spread_errors * slopes.gamma]
        tail_slope = np.concatenate([[slopes.log_sigma - 2.0 * along], *effects])
        return Slope(point.value, covariances, tail_slope, place.beta)


def _terms(bases: Sequence[Array], at: NonlinearPoint) -> SurfaceTerms:
    """The random terms, S in units of sigma and of the columns' root mean squares beside the minimum."""
    problem = at.problem
    rows = problem.rows_at(at.mode.mean.slope).factors
    own_bases, deviations = [], []
    for term, basis in zip(problem.terms, bases, strict=True):
        columns = rows[term.factor].columns
        assert columns is not None
        _, beside = term_basis(np.ascontiguousarray(basis.T @ columns[term.columns]), term.structure.invariance)
        lengths = np.linalg.norm(beside, axis=0)
        own_bases.append(basis / lengths)
        deviations.append(np.sqrt(at.scale) / lengths)
    levels = tuple(problem.pattern.n_levels[t.factor] for t in problem.terms)
    return SurfaceTerms(
        structures=tuple(t.structure for t in problem.terms),
        bases=tuple(own_bases),
        deviations=tuple(deviations),
        spacing=tuple(float(np.sqrt(q / problem.n)) for q in levels),
        levels=levels,
    )
