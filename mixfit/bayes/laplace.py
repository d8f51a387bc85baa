r"""The posterior of a generalized model, its random effects integrated out by the Laplace approximation.

    log p(y | beta, T) ~ l(eta~) - |u~|^2 / 2 - log|A| / 2,      A = Lambda'Z'WZ Lambda + I,

with effects drawn from N(u~, A^{-1}) afterwards: what INLA does with theta (Rue, Martino & Chopin 2009, JRSS B 71,
319-392), coefficients being among the parameters here. The exact density of a draw over that of the approximation,

    p(y, u | beta, T) / [p~(y | beta, T) N(u; u~, A^{-1})],

is known, and k-hat of these ratios says how good the approximation is.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.collapsed import Conditional
from mixfit.bayes.generalized import JointValues, check_kind
from mixfit.covariance.steps import split_theta
from mixfit.errors import FitError, PriorError
from mixfit.glmm.laplace import laplace_gradient, laplace_of
from mixfit.gram import levels as lv
from mixfit.gram.products import random_predictor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import GeneralizedFit
    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.pirls import Mode

    Array = NDArray[np.float64]

__all__ = ["LaplacePosterior"]

# Coordinates of covariances beyond which double precision has no density.
_FARTHEST = 16.0


class LaplacePosterior:
    """log p~(y, beta, theta); coordinates are coefficients in units of their standard errors, and those of the terms.

    Parameters
    ----------
    fit : GeneralizedFit
        Of a family without parameters of its own.
    priors : ResolvedPriors
    natural : bool
        Whether the density is that of the natural parameters, without the Jacobian of the coordinates.
    """

    is_dear = True

    def __init__(self, fit: GeneralizedFit, priors: ResolvedPriors, *, natural: bool = False) -> None:
        check_kind(fit)
        if fit.model.design.further:
            raise PriorError("The Laplace approximation has no prior of further zeros. method='hmc' has one.")
        if fit.family.has_dispersion:
            raise PriorError(
                f"The Laplace approximation has no prior of the dispersion of {fit.family.name}. "
                "fit.sample(method='hmc') draws it."
            )
        self.fit, self.priors, self._natural = fit, priors, natural
        self._assembly = fit.model.assembly
        self._center, covariance = fit.estimate.beta, fit.estimate.cov_beta
        self.root = np.linalg.cholesky(covariance) if len(covariance) else covariance
        ends = np.cumsum([len(self._center), *priors.sizes])
        self.terms = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.size = int(ends[-1])
        self._near: Mode | None = None

    def start(self) -> Array:
        """The fit's estimates, as a place (d,)."""
        random = self.fit.model.design.random
        thetas = split_theta([r.structure for r in random], self.fit.estimate.theta)
        lengths = [np.sqrt(np.mean(r.Z**2, axis=0)) for r in random]
        own = [c.start(t, s) for c, t, s in zip(self.priors.coordinates, thetas, lengths, strict=True)]
        return np.concatenate([np.zeros(len(self._center)), *own])

    def beta(self, x: Array) -> Array:
        """Coefficients at places (R, d)."""
        return np.asarray(self._center + x[:, : len(self._center)] @ self.root.T)

    def at(self, x: Array) -> Laplace:
        """The approximation at one place (d,).

        Raises
        ------
        FitError
            Where it has no mode.
        """
        assembly = self._assembly
        gamma = assembly.fixed.triangle @ self.beta(x[None])[0]
        coordinates = zip(self.terms, self.priors.coordinates, assembly.term_bases, strict=True)
        templates = [basis @ own.templates(x[None, at])[0] for at, own, basis in coordinates]
        found = laplace_of(assembly.problem, gamma, templates, self.fit.dispersion, self._near)
        if self._near is None:
            # Modes of all places are looked for from the first one's: what is found depends on no order.
            self._near = found.mode
        return found

    def evaluate(self, x: Array, *, slopes: bool = False) -> JointValues:
        """At places (R, d), one by one."""
        value, slope = np.full(len(x), -np.inf), np.zeros(x.shape)
        inside = (np.abs(x[:, len(self._center) :]) < _FARTHEST).all(axis=1)
        for r in np.flatnonzero(inside):
            try:
                found = self.at(x[r])
            except FitError:
                # No mode, and no density: too far out.
                continue
            if np.isfinite(found.value):
                value[r] = -0.5 * found.value
                slope[r] = self._slopes(x[r], found) if slopes else 0.0
        known = np.flatnonzero(np.isfinite(value))
        of_priors, its_slope = self._log_prior(x[known])
        value[known] += of_priors
        slope[known] += its_slope
        return JointValues(value, slope if slopes else None)

    def _slopes(self, x: Array, found: Laplace) -> Array:
        slopes, out = laplace_gradient(found), np.zeros(len(x))
        out[: len(self._center)] = -0.5 * (slopes.gamma @ self._assembly.fixed.triangle) @ self.root
        for at, own, h in zip(self.terms, self.priors.coordinates, slopes.relative, strict=True):
            out[at] = -0.5 * own.slopes(x[None, at], h[None])[0]
        return out

    def _log_prior(self, x: Array) -> tuple[Array, Array]:
        """log p of the coordinates, or of the natural parameters, and its slopes."""
        priors, none = self.priors, np.zeros(len(x))
        contrasts = self.beta(x) @ priors.contrasts.T
        value, out, pull = np.zeros(len(x)), np.zeros(x.shape), np.zeros(contrasts.shape)
        for i, of_contrast in enumerate(priors.fixed):
            value = value + of_contrast.log_density(contrasts[:, i])
            pull[:, i] = of_contrast.slope(contrasts[:, i])
        out[:, : len(self._center)] = pull @ priors.contrasts @ self.root
        for at, prior in zip(self.terms, priors.terms, strict=True):
            found = prior.density(x[:, at], none)
            value, out[:, at] = value + found.value, found.slope
            if self._natural:
                jacobian = prior.jacobian(x[:, at], none)
                value, out[:, at] = value - jacobian.value, out[:, at] - jacobian.slope
        return value, out

    def effects(self, found: Laplace, u: list[Array]) -> list[Array]:
        """Effects b (D, q_t, k_t) of every term from spherical ones, in blocks (k_i, D, q_i)."""
        scaled = [lv.left_multiply(t, b) for t, b in zip(found.factor.templates, u, strict=True)]
        blocks = found.factor.gram.effects(scaled)
        problem = self._assembly.problem
        own = [blocks[t.factor][t.columns] for t in problem.terms]
        return [
            np.moveaxis(np.tensordot(np.linalg.inv(basis), b, axes=1), 0, 2)
            for b, basis in zip(own, self._assembly.term_bases, strict=True)
        ]

    def draw(self, x: Array, rng: np.random.Generator) -> tuple[Conditional, Array]:
        """beta, and b of every term from N(u~, A^{-1}) at places (R, d); and log ratios (R,) of exact densities."""
        beta, ratio = self.beta(x), np.empty(len(x))
        random = self.fit.model.design.random
        effects = [np.empty((len(x), r.grouping.n_levels, len(r.columns))) for r in random]
        _, place = np.unique(x, axis=0, return_inverse=True)
        order = np.argsort(place.reshape(-1), kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(place.reshape(-1)[order])) + 1):
            found = self.at(x[rows[0]])
            u, ratio[rows] = self._near_mode(found, len(rows), rng)
            for own, b in zip(effects, self.effects(found, u), strict=True):
                own[rows] = b
        return Conditional(beta, tuple(effects)), ratio

    def _near_mode(self, found: Laplace, size: int, rng: np.random.Generator) -> tuple[list[Array], Array]:
        """Spherical effects in blocks (k_i, D, q_i), and the logarithms of their exact densities over N(u~, A^{-1})."""
        problem, factor, mode = self._assembly.problem, found.factor, found.mode
        own, trailing = factor.half([np.zeros((k, 1, q)) for k, q in zip(problem.k, problem.n_levels, strict=True)])
        noise = {i: rng.standard_normal((y.shape[0], size, y.shape[2])) for i, y in own.items()}
        rest = rng.standard_normal((len(trailing), size))
        away, _ = factor.backward(noise, rest)
        u = [centre + step for centre, step in zip(mode.u, away, strict=True)]
        shifts = [lv.left_multiply(t, step) for t, step in zip(factor.templates, away, strict=True)]
        eta = mode.eta + random_predictor(problem.pattern.factors, shifts)
        height = problem.row_loglik(eta, found.phi).sum(axis=1) - 0.5 * _squares(u)
        top = problem.row_loglik(mode.eta, found.phi).sum() - 0.5 * _squares(mode.u)[0]
        normal = -0.5 * (_squares(list(noise.values())) + (rest**2).sum(axis=0))
        return u, height - top - normal


def _squares(blocks: list[Array]) -> Array:
    """Sums of squares (D,) over blocks (k, D, q)."""
    return np.asarray(sum((b**2).sum(axis=(0, 2)) for b in blocks))
