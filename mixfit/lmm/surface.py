"""-2 log-likelihood of a linear model as a function of standardized covariances and a tail of other parameters.

A term's factor S is that of its columns brought to unit root mean square, in units of the residual standard
deviation at the optimum (of the linear predictor for generalized models): Cov(b) = unit^2 D^{-1} S S' D^{-1}, D
the columns' root mean squares. The tail holds, for linear models, log(sigma / sigma^) and, where a fixed effect is
held, its distance from the estimate in standard errors (the others are profiled out, exactly); for generalized
models the same distance of every fixed effect, and log(phi / phi^). Everything is free of units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.linalg import solve_triangular

from mixfit.covariance.templates import regular_factor
from mixfit.errors import FitError
from mixfit.lmm.held import evaluate_held
from mixfit.lmm.minimize import minimize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.coordinates import Coordinates
    from mixfit.covariance.parameter import NaturalParameter
    from mixfit.covariance.term import Term
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.criterion import Evaluation

    Array = NDArray[np.float64]

__all__ = [
    "FARTHEST_LOG",
    "NOTHING",
    "Frames",
    "LinearSurface",
    "ShapedSurface",
    "Slope",
    "SpreadSurface",
    "Surface",
    "SurfaceTerms",
    "standardized_terms",
]

# A variance ratio that, times the rows a level, is less than this is no variance.
NOTHING = 1e-9
# log sigma and log phi this far from the optimum stand for their limits: further out the densities are rounding.
FARTHEST_LOG = 12.0


@dataclass(frozen=True, eq=False)
class Slope:
    """Value and exact gradient at a point.

    Attributes
    ----------
    value : float
        Infinite where the likelihood cannot be evaluated.
    covariances : tuple of ndarray, shape (k_t, k_t)
        N_t = dd/d(S_t S_t').
    tail : ndarray
    beta : ndarray, shape (p,)
        Fixed effects there, in the user's columns and units.
    """

    value: float
    covariances: tuple[Array, ...]
    tail: Array
    beta: Array


class Charted(Protocol):
    """What a surface asks of a structure."""

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """What it is reported by."""

    def coordinates(self, natural: int | None = None) -> Coordinates:
        """Coordinates of which a natural parameter is one."""

    def coordinates_at(self, center: Array) -> Coordinates:
        """Those that serve around a minimum."""

    def standardized(self, point: Array, base: Array) -> Array:
        """What `coordinates` start from."""

    def unstandardized(self, point: Array, base: Array, ratio: float, least: float) -> Array:
        """The point of coordinates."""


@dataclass(frozen=True, eq=False)
class SurfaceTerms:
    """The random terms of a surface.

    Attributes
    ----------
    structures : tuple of Charted
    bases : tuple of ndarray, shape (k_t, k_t)
        The factor in the problem's basis is ``base @ S``.
    deviations : tuple of ndarray, shape (k_t,)
        Standard deviation of a column's effect in the user's units where its row of S has length 1.
    spacing : tuple of float
        Of each term, a small share of what S can be known to: 1 / sqrt(rows a level) where S is near zero.
    levels : tuple of int
    """

    structures: tuple[Charted, ...]
    bases: tuple[Array, ...]
    deviations: tuple[Array, ...]
    spacing: tuple[float, ...]
    levels: tuple[int, ...]

    def standardized(self, points: Sequence[Array]) -> tuple[Array, ...]:
        """What the coordinates of every term start from, of points in the problem's bases."""
        return tuple(
            structure.standardized(point, base)
            for structure, point, base in zip(self.structures, points, self.bases, strict=True)
        )

    def unstandardized(self, points: Sequence[Array], ratio: float, n: int) -> tuple[Array, ...]:
        """Points in the problem's bases, of those of the coordinates over `ratio`, in a problem with `n` rows."""
        return tuple(
            structure.unstandardized(point, base, ratio, NOTHING / n)
            for structure, point, base in zip(self.structures, points, self.bases, strict=True)
        )


def standardized_terms(
    terms: Sequence[Term], term_bases: Sequence[Array], n_levels: Sequence[int], n: int, unit: float
) -> SurfaceTerms:
    """The terms of a problem with `n` rows, S in units of `unit`."""
    lengths = [np.linalg.norm(basis, axis=0) for basis in term_bases]
    levels = tuple(n_levels[t.factor] for t in terms)
    return SurfaceTerms(
        structures=tuple(t.structure for t in terms),
        bases=tuple(basis / size for basis, size in zip(term_bases, lengths, strict=True)),
        deviations=tuple(unit / size for size in lengths),
        spacing=tuple(float(np.sqrt(q / n)) for q in levels),
        levels=levels,
    )


class Surface(Protocol):
    """-2 log-likelihood with its gradient. The center is its minimum, where the tail is zero."""

    @property
    def terms(self) -> SurfaceTerms:
        """The random terms."""

    @property
    def center(self) -> tuple[Array, ...]:
        """What the coordinates of every term start from at the minimum."""

    @property
    def tail_errors(self) -> Array:
        """Rough standard errors of the tail: its natural unit."""

    @property
    def tail_unit(self) -> float:
        """sigma, or phi, at the minimum."""

    @property
    def resolution(self) -> float:
        """Differences of the criterion below this are no differences."""

    @property
    def beta(self) -> Array:
        """Fixed effects at the minimum, in the user's columns and units."""

    @property
    def errors(self) -> Array:
        """Their standard errors, the unit of their tail."""

    def evaluate(self, factors: Sequence[Array], tail: Array) -> Slope:
        """Evaluate at S of every term and a tail."""

    def holding(self, effect: int) -> tuple[Surface, int]:
        """The surface with a fixed effect in its tail, and its position there."""

    def restarted(self, points: Sequence[Array], tail: Array) -> Surface:
        """The surface around the minimum that is reached from points of the coordinates and a tail."""


class SpreadSurface(Surface, Protocol):
    """One whose tail has the coefficients of the residuals' log standard deviations, too."""

    def log_deviation(self, number: int) -> tuple[int, float, float]:
        """A coefficient of the residuals' log standard deviations: place in the tail, value, the tail's unit."""


class ShapedSurface(Surface, Protocol):
    """One whose tail ends with the coordinates of a distribution's shapes, from those of the minimum."""

    @property
    def shape(self) -> Array:
        """Coordinates at the minimum."""

    def shape_reach(self, number: int) -> float:
        """How far from it a shape can be evaluated."""


class Frames:
    """Factors in the problem's bases, and the way back for the slopes."""

    def __init__(self, terms: SurfaceTerms, factors: Sequence[Array], ratio: float, n: int) -> None:
        self._terms, self._ratio = terms, ratio
        # A singular value t with t^2 n below 1e-9 changes log|A| by less than that and is left out.
        triples = [regular_factor(base @ s / ratio, NOTHING / n) for base, s in zip(terms.bases, factors, strict=True)]
        self.templates = tuple(t for t, _, _ in triples)
        self._inverses = [inverse for _, inverse, _ in triples]

    def slopes(self, relative: Sequence[Array], absolute: Mapping[int, Array]) -> tuple[Array, ...]:
        """N of S S' from T'N T of the templates, and from N itself off the range of those without full rank."""
        out = []
        for x, (base, t, inverse) in enumerate(zip(self._terms.bases, self.templates, self._inverses, strict=True)):
            own = inverse.T @ relative[x] @ inverse
            if x in absolute:
                onto = t @ inverse
                own = own + absolute[x] - onto.T @ absolute[x] @ onto
            out.append(base.T @ own @ base / self._ratio**2)
        return tuple(out)


class LinearSurface:
    """The criterion of a linear model in covariances, sigma and perhaps one fixed effect.

    Parameters
    ----------
    assembly : Assembly
    at : Evaluation
        The criterion's minimum.
    effect : int, optional
        Fixed effect that is held; the last of the tail.
    """

    def __init__(self, assembly: Assembly, at: Evaluation, effect: int | None = None) -> None:
        self._assembly, self._at, self._effect = assembly, at, effect
        problem, response = assembly.problem, assembly.response
        self.tail_unit = float(np.sqrt(at.scale)) * response.scale
        n = problem.gram.n
        self.terms = standardized_terms(problem.terms, assembly.term_bases, problem.gram.n_levels, n, self.tail_unit)
        self.center = self.terms.standardized(at.points)
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
    def around(cls, assembly: Assembly, points: Sequence[Array], *, reml: bool) -> LinearSurface:
        """The surface around the minimum that is reached from `points`, in the problem's bases."""
        return cls(assembly, minimize(assembly.problem, [points], reml=reml).profile)

    def holding(self, effect: int) -> tuple[LinearSurface, int]:
        """The surface with a fixed effect in its tail, and its position there."""
        return LinearSurface(self._assembly, self._at, effect), 1

    def restarted(self, points: Sequence[Array], tail: Array) -> LinearSurface:
        """The surface around the minimum that is reached from a place."""
        starts = self.terms.unstandardized(points, float(np.exp(tail[0])), self._assembly.problem.gram.n)
        return LinearSurface.around(self._assembly, starts, reml=self._at.reml)

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
