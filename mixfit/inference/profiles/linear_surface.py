"""The deviance of a linear model, or its REML criterion, as a surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from mixfit.errors import FitError
from mixfit.inference.profiles.surface import FARTHEST_LOG, Frames, Slope, standardized_terms
from mixfit.lmm.held import evaluate_held
from mixfit.lmm.minimize import minimize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.criterion import Profile

    Array = NDArray[np.float64]

__all__ = ["LinearSurface"]


class LinearSurface:
    """The criterion of a linear model in covariances, sigma and perhaps one fixed effect.

    Parameters
    ----------
    assembly : Assembly
    at : Profile
        The criterion's minimum.
    effect : int, optional
        Fixed effect that is held; the last of the tail.
    """

    def __init__(self, assembly: Assembly, at: Profile, effect: int | None = None) -> None:
        self._assembly, self._at, self._effect = assembly, at, effect
        problem, response = assembly.problem, assembly.response
        self.tail_unit = float(np.sqrt(at.scale)) * response.scale
        n = problem.gram.n
        self.terms = standardized_terms(problem.terms, assembly.term_bases, problem.gram.n_levels, n, self.tail_unit)
        back = [np.linalg.solve(base, t) for base, t in zip(self.terms.bases, at.templates, strict=True)]
        self.center = tuple(s @ s.T for s in back)
        self.beta = self._user(at.beta)
        # a_j with beta_j = a_j'(coefficients of the orthonormal columns), and a_j'G_XX^{-1} a_j.
        self._rows = np.asarray(np.linalg.inv(assembly.fixed.triangle), dtype=float)
        half = solve_triangular(at.fixed_root, self._rows.T, lower=True) if problem.p else self._rows
        self._spread = np.sqrt(at.scale * np.einsum("ij,ij->j", half, half))
        self.errors = response.scale * self._spread
        self.resolution = max(1e-5, 10.0 * at.resolution)
        held = [1.0] if effect is not None else []
        self.tail_errors = np.array([1.0 / np.sqrt(2.0 * n), *held])

    @classmethod
    def around(cls, assembly: Assembly, templates: Sequence[Array], *, reml: bool) -> LinearSurface:
        """The surface around the minimum that is reached from `templates`, in the problem's bases."""
        return cls(assembly, minimize(assembly.problem, [templates], reml=reml).profile)

    def holding(self, effect: int) -> tuple[LinearSurface, int]:
        """The surface with a fixed effect in its tail, and its position there."""
        return LinearSurface(self._assembly, self._at, effect), 1

    def restarted(self, factors: Sequence[Array], tail: Array) -> LinearSurface:
        """The surface around the minimum that is reached from a point."""
        frames = Frames(self.terms, factors, float(np.exp(tail[0])), self._assembly.problem.gram.n)
        return LinearSurface.around(self._assembly, frames.templates, reml=self._at.reml)

    def evaluate(self, factors: Sequence[Array], tail: Array) -> Slope:
        """Evaluate at S of every term and log(sigma / sigma^) (and the held effect)."""
        problem = self._assembly.problem
        if abs(tail[0]) > FARTHEST_LOG:
            return Slope(np.inf, (), np.empty(0), self.beta)
        ratio = float(np.exp(tail[0]))
        frames = Frames(self.terms, factors, ratio, problem.gram.n)
        contrast = None
        if self._effect is not None:
            a = self._rows[self._effect]
            contrast = (a, float(a @ self._at.beta + self._spread[self._effect] * tail[1]))
        scale = self._at.scale * ratio**2
        try:
            at = evaluate_held(problem, frames.templates, scale, reml=self._at.reml, contrast=contrast)
        except FitError:
            # Too far out for double precision: no place for a step.
            return Slope(np.inf, (), np.empty(0), self.beta)
        covariances = frames.slopes(at.relative, at.absolute)
        # S S' = sigma^2 Sigma stays while sigma moves.
        along = sum(float(np.vdot(n_t @ s, s)) for n_t, s in zip(covariances, factors, strict=True))
        slope = [at.log_sigma - 2.0 * along]
        if self._effect is not None:
            slope.append(at.effect * self._spread[self._effect])
        return Slope(at.value, covariances, np.array(slope), self._user(at.beta))

    def _user(self, beta: Array) -> Array:
        response = self._assembly.response
        return self._assembly.fixed.coefficients(response.gamma + response.scale * beta)
