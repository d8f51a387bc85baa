r"""The posterior of a linear model's covariance parameters, coefficients and effects integrated out exactly.

Contrasts c_i = a_i'beta have normal priors N(m_i, 1 / w_i), or flat ones, w_i = 0. In units of the residual length s of
y, with G of [X y] at T, P = sum w_i a_i a_i', and beta_bar the minimum of

    q(beta) = (beta - beta_hat)'G_XX (beta - beta_hat) / sigma^2 + (beta - m)'P (beta - m),

    -2 log p(y | T, sigma) = n log(2 pi sigma^2) - log|W| + log|A| + r^2 / sigma^2 + q(beta_bar)
                             + log|K| - p log(2 pi sigma^2) - sum log w_i + n_w log 2 pi + log|X'WX|,

K = G_XX + sigma^2 P, where G_XX is that of orthonormal X. With B = [K^{-1} on X] + e e' / sigma^2, e = [-beta_bar; 1],
its slopes in the covariances are those of log|A| + <B, G> (the envelope theorem), and

    d / d log sigma = 2 (n - p) - 2 |y - X beta_bar|^2_V / sigma^2 + 2 sigma^2 tr(K^{-1} P)          (T fixed).

A t prior is normal given its mixing variance v, w = 1 / (scale^2 v), v inverse gamma with df / 2 twice: log v is one
more coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.coefficients import GivenCoefficients, SolvedCoefficients, coefficient_priors, solve
from mixfit.bayes.positive import InvGamma
from mixfit.covariance.steps import split_theta
from mixfit.errors import FitError, PriorError
from mixfit.lmm.batch.singly import many_thetas
from mixfit.lmm.batch.thetas import Sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import LinearFit
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.batch.singly import Thetas
    from mixfit.lmm.batch.thetas import SweptRows

    Array = NDArray[np.float64]

__all__ = ["CollapsedPosterior", "Conditional", "Evaluated"]

_LOG_2PI = float(np.log(2.0 * np.pi))
# Logarithms of relative standard deviations, and other coordinates, beyond which double precision has no density left:
# exp(16)^2 is 8e13, times the squares of a column near 1 / eps.
_FARTHEST = 16.0
_FARTHEST_OTHER = 300.0
# Correlations, and what else has two bounds, beyond which a covariance is singular: 1 - tanh(10) is 4e-9.
_FARTHEST_SHAPE = 10.0
# Numbers of rows times places that are held at a time.
_CELLS_AT_ONCE = 400_000


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The log density at R places.

    Attributes
    ----------
    value : ndarray, shape (R,)
        log p(y, theta, sigma), constants included; -inf where there is none.
    slope : ndarray, shape (R, d), or None
    likelihood : ndarray, shape (R,)
        log p(y | theta, sigma) alone.
    """

    value: Array
    slope: Array | None
    likelihood: Array


@dataclass(frozen=True, eq=False)
class Conditional:
    """Coefficients and effects drawn at R places, in the user's columns and units.

    Attributes
    ----------
    beta : ndarray, shape (R, p)
    effects : tuple of ndarray, shape (R, q_t, k_t)
    """

    beta: Array
    effects: tuple[Array, ...]


class CollapsedPosterior:
    """log p(y, theta, sigma) of a linear model; coordinates are those of the terms, log sigma, and log v.

    Parameters
    ----------
    fit : LinearFit
    priors : ResolvedPriors
    """

    integrates = True
    """Whether coefficients are integrated out; at their maximum given theta, sigma and v otherwise."""

    def __init__(self, fit: LinearFit, priors: ResolvedPriors) -> None:
        self.fit, self.priors = fit, priors
        self._assembly: Assembly = fit.model.assembly
        if self._assembly.stage.residual is not None:
            raise PriorError("There is no posterior of a residual structure yet: leave it out.")
        self._normals = coefficient_priors(self._assembly, priors)
        ends = np.cumsum([*priors.sizes, 1, len(self._normals.mixed)])
        self._parts = [slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        self.size = int(ends[-1])

    @cached_property
    def _thetas(self) -> Thetas:
        return many_thetas(self._assembly.problem)

    @property
    def is_dear(self) -> bool:
        """Whether places are evaluated one by one."""
        return self._thetas.block == 1

    @property
    def terms(self) -> list[slice]:
        """Coordinates of each term."""
        return self._parts[:-2]

    @property
    def log_sigma(self) -> int:
        """The coordinate that is log sigma."""
        return self._parts[-2].start

    @property
    def log_v(self) -> slice:
        """The coordinates of mixing variances."""
        return self._parts[-1]

    def start(self) -> Array:
        """A place (d,) near the fit's estimates."""
        estimate, random = self.fit.estimate, self.fit.model.design.random
        thetas = split_theta([r.structure for r in random], estimate.theta)
        out = np.zeros(self.size)
        for at, own, theta, r in zip(self.terms, self.priors.coordinates, thetas, random, strict=True):
            out[at] = own.start(theta, np.sqrt(np.mean(r.Z**2, axis=0)))
        out[self.log_sigma] = np.log(estimate.sigma)
        return out

    def evaluate(self, x: Array, *, slopes: bool = False) -> Evaluated:
        """At places (R, d), as many at a time as memory allows."""
        value, likelihood = np.full(len(x), -np.inf), np.full(len(x), -np.inf)
        slope = np.zeros(x.shape) if slopes else None
        for at in self._blocks(self._inside(x)):
            value[at], likelihood[at], own = self._evaluate(x[at], slopes)
            if slope is not None:
                slope[at] = own
        return Evaluated(value, slope, likelihood)

    def _inside(self, x: Array) -> NDArray[np.intp]:
        """The places where double precision has a density."""
        least, most = np.full(self.size, -_FARTHEST_OTHER), np.full(self.size, _FARTHEST_OTHER)
        random = self.fit.model.design.random
        for at, own, r in zip(self.terms, self.priors.coordinates, random, strict=True):
            length = 0.5 * np.log(np.mean(r.Z**2, axis=0))
            d = own.n_deviations
            most[at.start : at.start + d] = _FARTHEST - (length if d == len(length) else length.mean())
            least[at.start + d : at.stop], most[at.start + d : at.stop] = -_FARTHEST_SHAPE, _FARTHEST_SHAPE
        return np.flatnonzero(((x > least) & (x < most)).all(axis=1))

    def _blocks(self, places: NDArray[np.intp], cells: int = 1) -> Iterator[NDArray[np.intp]]:
        """Places side by side, fewer where each takes many cells."""
        step = min(self._thetas.block, max(1, _CELLS_AT_ONCE // cells))
        return (places[a : a + step] for a in range(0, len(places), step))

    def _draw_blocks(self, x: Array) -> Iterator[NDArray[np.intp]]:
        """Draws side by side; one by one those of each distinct place, which is then factorized once."""
        if not self.is_dear:
            return self._blocks(np.arange(len(x)))
        _, place = np.unique(x, axis=0, return_inverse=True)
        order = np.argsort(place.reshape(-1), kind="stable")
        return iter(np.split(order, np.flatnonzero(np.diff(place.reshape(-1)[order])) + 1))

    def _templates(self, x: Array) -> list[Array]:
        """Templates of the grouping factors in the problem's bases, (R, k_i, k_i)."""
        problem = self._assembly.problem
        out = [np.zeros((len(x), k, k)) for k in problem.gram.k]
        for at, own, term, basis in zip(
            self.terms, self.priors.coordinates, problem.terms, self._assembly.term_bases, strict=True
        ):
            out[term.factor][:, term.columns, term.columns] = basis @ own.templates(x[:, at])
        return out

    def _evaluate(self, x: Array, slopes: bool) -> tuple[Array, Array, Array]:
        problem, normals = self._assembly.problem, self._normals
        at, c = self._thetas.at(self._templates(x)), self._coefficients(x)
        solved, log_w = solve(at, c), normals.log_precision(x[:, self.log_v])
        log_sigma = x[:, self.log_sigma]
        p, nu, inverse, volume = problem.p, problem.gram.n, np.zeros(solved.inverse.shape), np.zeros(len(x))
        if self.integrates:
            nu, inverse, volume = nu - p, solved.inverse, problem.log_x + solved.log_k
        minus_twice = (
            nu * (_LOG_2PI + 2.0 * log_sigma)
            - problem.log_weights
            + at.logdet
            + volume
            + solved.fitted / c.scale2
            + solved.prior
            - log_w.sum(axis=1)
            + log_w.shape[1] * _LOG_2PI
        )
        likelihood = -0.5 * minus_twice
        value, out = self._log_prior(x)
        value = value + likelihood
        if slopes:
            pull = np.zeros((len(x), p + 1, p + 1))
            pull[:, :p, :p] = inverse
            pull += solved.residual[:, :, None] * solved.residual[:, None] / c.scale2[:, None, None]
            by_factor = at.slopes(pull)
            for place, own, term in zip(self.terms, self.priors.coordinates, problem.terms, strict=True):
                h = by_factor[term.factor][:, term.columns, term.columns]
                out[:, place] -= 0.5 * own.slopes(x[:, place], h)
            trace = np.einsum("rij,rji->r", inverse, c.precision)
            out[:, self.log_sigma] -= nu - solved.fitted / c.scale2 + c.scale2 * trace
            spread = np.einsum("ci,rij,cj->rc", normals.rows, inverse, normals.rows)
            gap = solved.beta @ normals.rows.T - normals.target
            by_v = 1.0 - np.exp(log_w) * (c.scale2[:, None] * spread + gap**2)
            out[:, self.log_v] -= 0.5 * by_v[:, normals.mixed]
        return value, likelihood, out

    def _log_prior(self, x: Array) -> tuple[Array, Array]:
        """log p of the coordinates, and its slopes."""
        priors, log_sigma = self.priors, x[:, self.log_sigma]
        assert priors.sigma is not None
        sigma, out = np.exp(log_sigma), np.zeros(x.shape)
        value = priors.sigma.log_density(sigma) + log_sigma
        out[:, self.log_sigma] = priors.sigma.slope(sigma) * sigma + 1.0
        for at, prior in zip(self.terms, priors.terms, strict=True):
            found = prior.density(x[:, at], log_sigma)
            value = value + found.value
            out[:, at] += found.slope
            out[:, self.log_sigma] += found.log_sigma
        for column, df in zip(range(self.log_v.start, self.log_v.stop), self._normals.df, strict=True):
            v, mixing = np.exp(x[:, column]), InvGamma(0.5 * df, 0.5 * df)
            value = value + mixing.log_density(v) + x[:, column]
            out[:, column] += mixing.slope(v) * v + 1.0
        return value, out

    def _coefficients(self, x: Array) -> GivenCoefficients:
        normals, scale = self._normals, self._assembly.response.scale
        w = np.exp(normals.log_precision(x[:, self.log_v]))
        weighted = w[:, :, None] * normals.rows
        return GivenCoefficients(
            scale2=np.exp(2.0 * (x[:, self.log_sigma] - np.log(scale))),
            precision=np.einsum("ci,rcj->rij", normals.rows, weighted),
            pull=(w * normals.target) @ normals.rows,
            constant=w @ normals.target**2,
        )

    def solved(self, x: Array) -> SolvedCoefficients:
        """The coefficients given the covariances at places (R, d)."""
        return solve(self._thetas.at(self._templates(x)), self._coefficients(x))

    def draw(self, x: Array, rng: np.random.Generator, *, spread: float = 1.0) -> Conditional:
        """beta and b of every term, drawn exactly at places (R, d); their means with `spread` = 0."""
        assembly = self._assembly
        p, fixed, response = assembly.problem.p, assembly.fixed, assembly.response
        beta = np.empty((len(x), p))
        random = self.fit.model.design.random
        effects = [np.empty((len(x), r.grouping.n_levels, len(r.columns))) for r in random]
        for block in self._draw_blocks(x):
            places = x[block[:1]] if self.is_dear else x[block]
            at, c = self._thetas.at(self._templates(places)), self._coefficients(x[block])
            solved, sigma = solve(at, c), spread * np.sqrt(c.scale2)
            noise = rng.standard_normal((len(block), p, 1)) * sigma[:, None, None]
            own = solved.beta + np.linalg.solve(solved.low.swapaxes(1, 2), noise)[:, :, 0]
            combination = np.concatenate([-own, np.ones((len(block), 1))], axis=1)
            beta[block] = fixed.coefficients((response.gamma + response.scale * own).T).T
            b = at.effects(combination, sigma, rng)
            for t, (term, basis) in enumerate(zip(assembly.problem.terms, assembly.term_bases, strict=True)):
                own_b = response.scale * b[term.factor][:, term.columns]
                effects[t][block] = np.linalg.solve(basis, own_b).swapaxes(1, 2)
        return Conditional(beta, tuple(effects))

    def rows_at(self, x: Array) -> tuple[SweptRows, Array]:
        """What the data say of every row's x'beta + z'b at places (R, d), and sigma^2 (R,), whitened and in its units.

        Raises
        ------
        FitError
            Where places are evaluated one by one: dense products of all rows would be too large.
        """
        sweep, assembly = self._thetas, self._assembly
        if not isinstance(sweep, Sweep):
            raise FitError("The design is too large for leave-one-out densities of its rows.")
        rows = sweep.rows(assembly.rows, assembly.fixed.rows)
        at, c = sweep.at(self._templates(x)), self._coefficients(x)
        solved = solve(at, c)
        return at.rows(rows, solved.residual, solved.inverse), c.scale2

    def apart_at(self, x: Array, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        """Residuals of sets of rows (g, c) from x'beta_bar (R, g, c), and their Cov(y) / sigma^2 about it, beta known.

        All random effects have their prior distribution there: of sets that share no level with other rows, it is what
        the coefficients alone say of them, given all rows.
        """
        assembly = self._assembly
        at, c = self._thetas.at(self._templates(x)), self._coefficients(x)
        solved = solve(at, c)
        fixed = np.moveaxis(assembly.fixed.rows[:, rows], 0, 2)
        low = np.linalg.cholesky(solved.inverse)
        half = fixed @ low[:, None]
        covariance = np.eye(rows.shape[1]) + half @ half.swapaxes(2, 3)
        for own, template in zip(assembly.rows, self._templates(x), strict=True):
            z = np.ones((*rows.shape, 1)) if own.columns is None else np.moveaxis(own.columns[:, rows], 0, 2)
            same = own.codes[rows][:, :, None] == own.codes[rows][:, None]
            loaded = z @ template[:, None]
            covariance = covariance + same * (loaded @ loaded.swapaxes(2, 3))
        return assembly.response.row[rows] - np.einsum("gcp,rp->rgc", fixed, solved.beta), covariance
