r"""-2 log-likelihood of a model whose residuals have a covariance, as a function of all variance parameters.

As of :mod:`mixfit.lmm.surface`: the residuals' structures stand behind the random terms, both relative to sigma of the
optimum, which is no parameter beside a structure's standard deviations. The tail holds log(sigma / sigma^) where no
structure has them, the coefficients of the log standard deviations less their estimates, and a fixed effect that is
held. With sigma^2 explicit and the residuals e of the restricted fixed effects the slopes are those of
:mod:`mixfit.lmm.residual.derivatives`, by the envelope theorem.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from mixfit.covariance.directions import ParameterDirection
from mixfit.covariance.parametric import Parametric
from mixfit.errors import FitError
from mixfit.lmm.held import evaluate_held
from mixfit.lmm.residual.covariance import PatternForm
from mixfit.lmm.residual.criterion import JointEvaluation, JointPlace, whitened_problem
from mixfit.lmm.residual.derivatives import residual_rows
from mixfit.lmm.residual.form import ResidualPoint
from mixfit.lmm.residual.minimize import minimize_joint
from mixfit.lmm.residual.pattern_slopes import pattern_slopes
from mixfit.lmm.residual.series_slopes import series_slopes
from mixfit.lmm.surface import FARTHEST_LOG, NOTHING, Frames, Slope, SurfaceTerms, standardized_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.parameter import NaturalParameter
    from mixfit.lmm.residual.criterion import ResidualProblem
    from mixfit.lmm.residual.form import ResidualFactor

    Array = NDArray[np.float64]

__all__ = ["Placed", "PointCoordinates", "ResidualSurface"]


@dataclass(frozen=True, eq=False)
class PointCoordinates:
    """Parameters psi of a structure whose matrix of all places is never formed; slopes come in psi itself.

    Attributes
    ----------
    structure : Parametric
        Of one standard deviation.
    n : int
        Rows.
    """

    structure: Parametric
    n: int
    is_default: bool = True

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.structure.natural)

    def at(self, parameter: NaturalParameter) -> int:
        """Its place."""
        return self.structure.natural.index(parameter)

    def bounds(self) -> tuple[Array, Array]:
        """Those of psi."""
        return self.structure.box()

    def factor(self, x: Array) -> Array:
        """Psi, as a row."""
        return x[None]

    def point(self, x: Array) -> Array:
        """Psi."""
        return x

    def coordinates(self, standardized: Array) -> Array:
        """Psi."""
        return standardized

    def gradient(self, x: Array, n: Array) -> Array:
        """Psi's slopes are what stands for N."""
        return n[0]

    def spacing(self, x: Array, smallest: float, levels: int) -> Array:
        """Of a positive number its size, of others half their range, over sqrt(2 n)."""
        pairs = zip(self.structure.natural, x, strict=True)
        sizes = [abs(v) if p.scale == "log" else 0.5 * (p.upper - p.lower) for p, v in pairs]
        return np.maximum(sizes, smallest) / np.sqrt(2.0 * self.n)

    def natural_values(self, x: Array, units: Array) -> Array:
        """What is reported, the standard deviation in its unit."""
        return self.structure.reported(np.append(x[0] * units[0], x[1:]))

    def working_slope(self, x: Array, parameter: NaturalParameter) -> Array:
        """Derivative of what is reported, on its scale."""
        a = self.at(parameter)
        rate = parameter.rate(float(self.structure.reported(x)[a]))
        return np.asarray(rate * self.structure.reported_slopes(x)[a])


@dataclass(frozen=True, eq=False)
class Placed:
    """A structure known by the places within blocks alone, as surfaces take structures."""

    structure: Parametric
    n: int

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """The structure's."""
        return self.structure.natural

    def coordinates(self, natural: int | None = None) -> PointCoordinates:
        """Psi, whichever parameter is asked for."""
        return PointCoordinates(self.structure, self.n)

    def coordinates_at(self, center: Array) -> PointCoordinates:
        """The same."""
        return self.coordinates()

    def standardized(self, point: Array, base: Array) -> Array:
        """Psi."""
        return point

    def unstandardized(self, point: Array, base: Array, ratio: float, least: float) -> Array:
        """Psi of a smaller standard deviation."""
        return np.append(point[0] / ratio, point[1:])


class ResidualSurface:
    """The deviance of a model with a covariance of residuals.

    Parameters
    ----------
    problem : ResidualProblem
    minimum : JointEvaluation
        The criterion's minimum by maximum likelihood.
    has_structure : bool
        Whether the residuals' structures have parameters; otherwise sigma and the log standard deviations are all.
    effect : int, optional
        Fixed effect that is held; the last of the tail.
    """

    def __init__(
        self, problem: ResidualProblem, minimum: JointEvaluation, *, has_structure: bool, effect: int | None = None
    ) -> None:
        self._problem, self._minimum, self._effect = problem, minimum, effect
        self._has_structure = has_structure
        at, form, n = minimum.at, problem.form, problem.n
        self.tail_unit = float(np.sqrt(at.scale)) * problem.response.scale
        levels = at.problem.gram.n_levels
        self._random = standardized_terms(problem.terms, problem.term_bases, levels, n, self.tail_unit)
        self.terms = self._with_residuals()
        points = (*minimum.place.random, *(minimum.place.residual.points if has_structure else ()))
        self.center = self.terms.standardized(points)
        self.beta = self._user(at.beta)
        self._rows = np.asarray(np.linalg.inv(problem.fixed.triangle), dtype=float)
        half = solve_triangular(at.fixed_root, self._rows.T, lower=True) if problem.p else self._rows
        self._spread = np.sqrt(at.scale * np.einsum("ij,ij->j", half, half))
        self.errors = problem.response.scale * self._spread
        self.resolution = max(1e-5, 10.0 * at.resolution)
        rough = 1.0 / np.sqrt(2.0 * n)
        sigma = [] if has_structure else [rough]
        self.tail_errors = np.array([*sigma, *(rough / form.sizes()), *([1.0] if effect is not None else [])])

    @classmethod
    def around(cls, problem: ResidualProblem, place: JointPlace, *, has_structure: bool) -> ResidualSurface:
        """The surface around the minimum that is reached from a place."""
        found = minimize_joint(problem, [place], reml=False).derivatives.at
        return cls(problem, found, has_structure=has_structure)

    @property
    def log_sd(self) -> Array:
        """Coefficients of the log standard deviations at the minimum, (g,)."""
        return self._minimum.place.residual.gamma

    @property
    def first_log_sd(self) -> int:
        """Place of the first of them in the tail."""
        return 0 if self._has_structure else 1

    def log_deviation(self, number: int) -> tuple[int, float, float]:
        """A coefficient of the log standard deviations: place in the tail, value, and the tail's unit of it."""
        return self.first_log_sd + number, float(self.log_sd[number]), 1.0

    def holding(self, effect: int) -> tuple[ResidualSurface, int]:
        """The surface with a fixed effect in its tail, and its position there."""
        held = ResidualSurface(self._problem, self._minimum, has_structure=self._has_structure, effect=effect)
        return held, len(self.tail_errors)

    def restarted(self, points: Sequence[Array], tail: Array) -> ResidualSurface:
        """The surface around the minimum that is reached from a place."""
        ratio, gamma = self._tail(tail)
        found = self.terms.unstandardized(points, ratio, self._problem.n)
        r = len(self._problem.terms)
        residual = found[r:] if self._has_structure else self._minimum.place.residual.points
        place = JointPlace(found[:r], ResidualPoint(tuple(residual), gamma))
        return ResidualSurface.around(self._problem, place, has_structure=self._has_structure)

    def evaluate(self, factors: Sequence[Array], tail: Array) -> Slope:
        """Evaluate at S of every term and structure, or at psi, and a tail."""
        problem, r = self._problem, len(self._problem.terms)
        ratio, gamma = self._tail(tail)
        contrast = None
        if self._effect is not None:
            a = self._rows[self._effect]
            contrast = (a, float(a @ self._minimum.at.beta + self._spread[self._effect] * tail[-1]))
        try:
            if not self._has_structure and abs(tail[0]) > FARTHEST_LOG:
                raise FitError("Beyond what doubles tell apart.")
            factor = self._factor(factors[r:], gamma)
            whitened, rows = whitened_problem(problem, factor)
            frames = Frames(self._random, factors[:r], ratio, problem.n)
            held = evaluate_held(whitened, frames.templates, self._minimum.at.scale * ratio**2, contrast=contrast)
        except FitError:
            # Too far out for double precision, or singular: no place for a step.
            return Slope(np.inf, (), np.empty(0), self.beta)
        psi = [s[0] for s in factors[r:]] if problem.form.has_own_points and self._has_structure else None
        place = JointPlace((), ResidualPoint(self._minimum.place.residual.points if psi is None else tuple(psi), gamma))
        # The residuals are those of the restricted fixed effects.
        at = JointEvaluation(place, problem, replace(held.at, beta=held.beta), factor, rows)
        random = frames.slopes(held.relative, held.absolute)
        own, log_sd = self._slopes(at)
        sigma = []
        if not self._has_structure:
            # S S' = sigma^2 Sigma stays while sigma moves.
            along = sum(float(np.vdot(n_t @ s, s)) for n_t, s in zip(random, factors, strict=True))
            sigma = [held.log_sigma - 2.0 * along]
        effect = [] if self._effect is None else [held.effect * self._spread[self._effect]]
        return Slope(held.value, (*random, *own), np.array([*sigma, *log_sd, *effect]), self._user(held.beta))

    def _with_residuals(self) -> SurfaceTerms:
        random, problem = self._random, self._problem
        if not self._has_structure:
            return random
        form, n = problem.form, problem.n
        structures = [Placed(s, n) if form.has_own_points and isinstance(s, Parametric) else s for s in form.structures]
        sizes = [1 if form.has_own_points else s.k for s in form.structures]
        blocks = max(1, n // form.structures[0].k)
        return SurfaceTerms(
            structures=(*random.structures, *structures),
            bases=(*random.bases, *(np.eye(k) for k in sizes)),
            deviations=(*random.deviations, *(np.full(k, self.tail_unit) for k in sizes)),
            spacing=(*random.spacing, *(NOTHING for _ in sizes)),
            levels=(*random.levels, *(blocks for _ in sizes)),
        )

    def _tail(self, tail: Array) -> tuple[float, Array]:
        """The ratio of sigma to that of the optimum, and gamma."""
        first = self.first_log_sd
        ratio = float(np.exp(np.clip(tail[0], -FARTHEST_LOG, FARTHEST_LOG))) if first else 1.0
        return ratio, self.log_sd + tail[first : first + self._problem.form.g]

    def _factor(self, factors: Sequence[Array], gamma: Array) -> ResidualFactor:
        form = self._problem.form
        if not self._has_structure:
            return form.factor(ResidualPoint(self._minimum.place.residual.points, gamma))
        if form.has_own_points:
            return form.factor(ResidualPoint(tuple(s[0] for s in factors), gamma))
        assert isinstance(form, PatternForm)
        return form.factor_of(np.stack([s @ s.T for s in factors]), gamma)

    def _slopes(self, at: JointEvaluation) -> tuple[list[Array], Array]:
        """N of the structures, or slopes in psi, and those in gamma."""
        form, rows = self._problem.form, residual_rows(at)
        if not (form.has_own_points and self._has_structure):
            own = pattern_slopes(at, (), rows)
            return (list(own.structure_slopes) if self._has_structure else []), own.gradient()
        points, nothing = at.place.residual.points, np.empty((0, 0))
        directions = tuple(
            ParameterDirection(part, nothing, m, nothing, None, m == 0, False)
            for part, point in enumerate(points)
            for m in range(len(point))
        )
        make = pattern_slopes if isinstance(form, PatternForm) else series_slopes
        gradient, out, start = make(at, directions, rows).gradient(), [], 0
        for structure, point in zip(form.structures, points, strict=True):
            assert isinstance(structure, Parametric)
            rates = structure.rates(point).diagonal()
            along = gradient[start : start + len(point)]
            out.append(np.divide(along, rates, out=np.zeros(len(point)), where=rates != 0.0)[None])
            start += len(point)
        return out, gradient[start:]

    def _user(self, beta: Array) -> Array:
        response = self._problem.response
        return self._problem.fixed.coefficients(response.gamma + response.scale * beta)
