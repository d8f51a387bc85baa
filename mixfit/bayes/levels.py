r"""The posterior of a generalized model with one grouping factor, its random effects integrated out level by level.

With b_j = T u_j, u_j ~ N(0, I), the levels are independent given the coefficients and T:

    p(y | beta, T) = prod_j int exp h_j(u) du / (2 pi)^{k/2},    h_j(u) = sum_{i in j} log p(y_i | eta_i) - |u|^2 / 2,

each integral by adaptive Gauss-Hermite quadrature about the maximum of h_j (Pinheiro & Bates 1995, JCGS 4, 12-35). Its
slopes are averages over the nodes' shares of the integral (Fisher's identity),

    d log p / d beta = sum_i E[l'_i] x_i,    d log p / d T = sum_i z_i E[l'_i u'],

and effects are drawn, given the coefficients and T, by steps of an independence chain whose proposal is a t
distribution about the maximum, from which it starts.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.collapsed import Conditional
from mixfit.bayes.enough_nodes import fewest_nodes
from mixfit.bayes.generalized import JointValues
from mixfit.covariance.steps import split_theta
from mixfit.glmm.nodes import product_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import GeneralizedFit
    from mixfit.glmm.nodes import Rule
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["LevelPosterior", "has_one_factor"]

# Nodes a column, each about 1.6 times the one before; rules of more than 2,000 nodes cost more than trajectories do.
_RUNGS = {1: (9, 15, 25, 41, 67, 109, 177), 2: (6, 9, 15, 25, 41), 3: (5, 8, 13)}
# Times the nodes of the first rule: integrals that take more cost more than trajectories over all effects.
_FEW = 3
# Nodes a column of slopes, which are those of the integral itself and not of its approximation.
_NODES_OF_SLOPES = {1: 21, 2: 13, 3: 9}
# Newton steps toward the maxima, and the step after which the nodes' place is good: it need not be exact.
_MOST_STEPS, _NEAR = 50, 1e-2
# Halvings of a step that leads down.
_MOST_HALVINGS = 20
# Steps of the chain: a proposal is refused less than once in three, and 3^-8 of the levels stay where they began.
_CHAIN = 8
# Degrees of freedom of its proposal, whose tails are wider than the normal ones of any effect.
_DF = 5.0
# Rows times places at once: as many as a processor's cache holds of several arrays.
_CELLS_AT_ONCE = 60_000
# Coordinates of covariances beyond which double precision has no density.
_FARTHEST = 16.0


def has_one_factor(fit: GeneralizedFit) -> bool:
    """Whether all random terms have one grouping factor, and few columns, and nothing but the mean has parameters."""
    random = fit.model.design.random
    if fit.family.has_dispersion or fit.model.design.further:
        return False
    if not 1 <= sum(len(r.columns) for r in random) <= max(_RUNGS):
        return False
    first = random[0].grouping
    return all(r.spread is None and (r.grouping is first or r.grouping.name == first.name) for r in random)


@dataclass(frozen=True, eq=False)
class _AtLevels:
    """Maxima u (R, q, k) at R places, the lower factors L of minus the second derivatives there, and eta0 (R, n)."""

    u: Array
    low: Array
    fixed: Array
    weights: Array


class LevelPosterior:
    """log p(y, beta, theta); coordinates are coefficients in units of their standard errors, and those of the terms.

    Parameters
    ----------
    fit : GeneralizedFit
        Of a family without parameters of its own, and one grouping factor (see `has_one_factor`).
    priors : ResolvedPriors
    """

    is_dear = False

    def __init__(self, fit: GeneralizedFit, priors: ResolvedPriors) -> None:
        self.fit, self.priors = fit, priors
        design, self._family = fit.model.design, fit.family
        codes = design.random[0].grouping.codes
        order = np.argsort(codes, kind="stable")
        self._order = order
        self._codes = codes[order]
        self._starts = np.flatnonzero(np.diff(self._codes, prepend=-1))
        self._y, self._prior = design.y[order], np.broadcast_to(fit.prior, codes.shape)[order]
        self._offset = np.zeros(len(codes)) if design.offset is None else design.offset[order]
        self._X = fit.model.exog[order]
        self._Z = np.concatenate([r.Z for r in design.random], axis=1)[order]
        self._k = self._Z.shape[1]
        self._constant = float(np.broadcast_to(self._family.log_constant(self._y, self._prior), codes.shape).sum())
        self._center = fit.estimate.beta
        covariance = fit.estimate.cov_beta
        self._root = np.linalg.cholesky(covariance) if len(covariance) else covariance
        self._rule = self._rule_of_slopes = product_rule(_NODES_OF_SLOPES[self._k], self._k)
        self._quadratic = self._about_fit(order)
        ends = np.cumsum([len(self._center), *priors.sizes])
        self._parts = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.size = int(ends[-1])

    def start(self) -> Array:
        """The fit's estimates, as a place (d,)."""
        random = self.fit.model.design.random
        thetas = split_theta([r.structure for r in random], self.fit.estimate.theta)
        lengths = [np.sqrt(np.mean(r.Z**2, axis=0)) for r in random]
        own = [c.start(t, s) for c, t, s in zip(self.priors.coordinates, thetas, lengths, strict=True)]
        return np.concatenate([np.zeros(len(self._center)), *own])

    def with_enough_nodes(self, x: Array) -> LevelPosterior | None:
        """The same by the fewest nodes that give the densities at places (R, d); None where no rule does."""

        def log_density(rule: Rule) -> Array:
            other = copy(self)
            other._rule = rule
            return other.evaluate(x).value

        rule = fewest_nodes(_RUNGS[self._k], self._k, log_density)
        if rule is None:
            return None
        out = copy(self)
        more = len(rule.log_weights) > len(self._rule_of_slopes.log_weights)
        out._rule, out._rule_of_slopes = rule, rule if more else self._rule_of_slopes
        return out

    @property
    def is_quick(self) -> bool:
        """Whether the integrals cost no more than trajectories over all effects."""
        return len(self._rule.log_weights) <= _FEW * _RUNGS[self._k][0] ** self._k

    def places(self, beta: Array, x: Array) -> Array:
        """Places (R, d) of coefficients (R, p) and coordinates of the terms (R, m)."""
        return np.concatenate([np.linalg.solve(self._root, (beta - self._center).T).T, x], axis=1)

    def evaluate(self, x: Array, *, slopes: bool = False) -> JointValues:
        """At places (R, d)."""
        value, slope = np.full(len(x), -np.inf), np.zeros(x.shape) if slopes else None
        inside = np.flatnonzero((np.abs(x[:, len(self._center) :]) < _FARTHEST).all(axis=1))
        for at in self._blocks(inside):
            with np.errstate(all="ignore"):
                # Places far out leave the range of doubles, and have no density.
                value[at], own = self._evaluate(x[at], slopes)
            if slope is not None:
                slope[at] = own
        return JointValues(np.where(np.isnan(value), -np.inf, value), slope)

    def draw(self, x: Array, rng: np.random.Generator) -> Conditional:
        """beta, and b of every term drawn given the coefficients and covariances at places (R, d)."""
        beta = self._beta(x)
        q = len(self._starts)
        b = np.empty((len(x), q, self._k))
        for at in self._blocks(np.arange(len(x))):
            template = self._template(x[at])
            found = self._maximize(beta[at], template)
            b[at] = np.einsum("rab,rqb->rqa", template, self._chain(found, rng))
        every, first = [], 0
        for r in self.fit.model.design.random:
            every.append(b[:, :, first : first + len(r.columns)])
            first += len(r.columns)
        return Conditional(beta, tuple(every))

    def _about_fit(self, order: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        """What a quadratic of the likelihood at the fit says of effects b: P (q, k, k), P b + slope (q, k), and Z'WX.

        P = sum z w z', and the coefficients' own part in the second is sum z w x', (q, k, p).
        """
        family, estimate = self._family, self.fit.estimate
        found = family.terms(self._y, self._prior, estimate.eta[order], self.fit.dispersion)
        weights = np.where(found.observed > 0.0, found.observed, found.expected)
        wz = weights[:, None] * self._Z
        P = np.add.reduceat(wz[:, :, None] * self._Z[:, None], self._starts, axis=0)
        cross = np.add.reduceat(wz[:, :, None] * self._X[:, None], self._starts, axis=0)
        b = np.concatenate(estimate.modes, axis=1)
        slope = np.add.reduceat(self._Z * found.score[:, None], self._starts, axis=0)
        return P, np.einsum("qab,qb->qa", P, b) + slope, cross

    def _first(self, beta: Array, template: Array) -> Array:
        """Maxima of the h_j of that quadratic, (R, q, k)."""
        P, pull, cross = self._quadratic
        own = pull - np.einsum("qap,rp->rqa", cross, beta - self._center)
        bend = np.eye(self._k) + np.einsum("rba,qbc,rcd->rqad", template, P, template)
        return _solve(bend, np.einsum("rba,rqb->rqa", template, own))

    def _blocks(self, places: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        step = max(1, _CELLS_AT_ONCE // len(self._y))
        return (places[a : a + step] for a in range(0, len(places), step))

    def _beta(self, x: Array) -> Array:
        return np.asarray(self._center + x[:, : len(self._center)] @ self._root.T)

    def _template(self, x: Array) -> Array:
        """T of all columns, (R, k, k)."""
        out, first = np.zeros((len(x), self._k, self._k)), 0
        for at, own, r in zip(self._parts, self.priors.coordinates, self.fit.model.design.random, strict=True):
            columns = slice(first, first + len(r.columns))
            out[:, columns, columns] = own.templates(x[:, at])
            first = columns.stop
        return out

    def _sums(self, rows: Array) -> Array:
        """Sums of the rows (R, n) of each level, (R, q)."""
        return np.add.reduceat(rows, self._starts, axis=1)

    def _eta(self, at: _AtLevels, u: Array) -> Array:
        eta: Array = at.fixed
        for a in range(self._k):
            eta = eta + at.weights[a] * u[:, self._codes, a]
        return eta

    def _height(self, at: _AtLevels, u: Array) -> tuple[Array, Array]:
        """h_j (R, q) and eta (R, n) at effects u."""
        eta = self._eta(at, u)
        rows = self._family.log_kernel(self._y, self._prior, eta, self.fit.dispersion)
        height = self._sums(rows) - 0.5 * np.einsum("rqa,rqa->rq", u, u)
        return np.where(np.isnan(height), -np.inf, height), eta

    def _bends(self, at: _AtLevels, eta: Array, u: Array) -> tuple[Array, Array]:
        """Slopes of h_j (R, q, k), and minus its second derivatives, (R, q, k, k)."""
        found = self._family.terms(self._y, self._prior, eta, self.fit.dispersion)
        curvature = np.where(found.observed > 0.0, found.observed, found.expected)
        slope = np.stack([self._sums(w * found.score) for w in at.weights], axis=2) - u
        bend = np.empty((*slope.shape, self._k))
        for a in range(self._k):
            for b in range(a + 1):
                bend[:, :, a, b] = bend[:, :, b, a] = self._sums(at.weights[a] * at.weights[b] * curvature)
            bend[:, :, a, a] += 1.0
        return slope, bend

    def _maximize(self, beta: Array, template: Array) -> _AtLevels:
        """The maxima of every h_j by Newton's steps, halved where they lead down."""
        weights = np.einsum("na,rab->brn", self._Z, template)
        u = self._first(beta, template)
        at = _AtLevels(u, u, beta @ self._X.T + self._offset, weights)
        height, eta = self._height(at, u)
        for _ in range(_MOST_STEPS):
            slope, bend = self._bends(at, eta, u)
            step = _solve(bend, slope)
            tried, tried_eta = self._height(at, u + step)
            for _ in range(_MOST_HALVINGS):
                down = ~(tried > height - _NEAR)
                if not down.any():
                    break
                step = np.where(down[..., None], 0.5 * step, step)
                tried, tried_eta = self._height(at, u + step)
            u, height, eta = u + step, tried, tried_eta
            if not np.abs(step).max(initial=0.0) > _NEAR:
                break
        # The nodes need the curvature no closer than their place.
        return _AtLevels(u, np.asarray(np.linalg.cholesky(bend), dtype=float), at.fixed, weights)

    def _at_nodes(self, at: _AtLevels, rule: Rule) -> Iterator[tuple[Array, Array, Array]]:
        """Effects u (R, q, k), h_j (R, q) and eta (R, n) at each node."""
        inverse = np.linalg.inv(at.low)
        for node in rule.nodes.T:
            u = at.u + np.einsum("rqab,a->rqb", inverse, node)
            yield u, *self._height(at, u)

    def left_out(self, beta: Array, x: Array) -> tuple[Array, Array, Array]:
        """Log densities of rows and of levels at coefficients (R, p) and coordinates of the terms (R, m).

        Returns
        -------
        without, with_all : ndarray, shape (R, n)
            Of every row given all other rows, 1 / E[1 / p(y_i | b)], and given all rows, E[p(y_i | b)], b given y.
        levels : ndarray, shape (R, q)
            Of all rows of a level.
        """
        without, with_all = (np.empty((len(x), len(self._y))) for _ in range(2))
        levels = np.empty((len(x), len(self._starts)))
        constant = np.broadcast_to(self._family.log_constant(self._y, self._prior), self._y.shape)
        coordinates = np.concatenate([np.zeros((len(x), len(self._center))), x], axis=1)
        for block in self._blocks(np.arange(len(x))):
            at = self._maximize(beta[block], self._template(coordinates[block]))
            whole = np.full((len(block), len(self._starts)), -np.inf)
            inverse, own = (np.full((len(block), len(self._y)), -np.inf) for _ in range(2))
            nodes = self._at_nodes(at, self._rule_of_slopes)
            for (_, height, eta), log_weight in zip(nodes, self._rule_of_slopes.log_weights, strict=True):
                share = height + log_weight
                row = self._family.log_kernel(self._y, self._prior, eta, self.fit.dispersion)
                whole = np.logaddexp(whole, share)
                inverse = np.logaddexp(inverse, share[:, self._codes] - row)
                own = np.logaddexp(own, share[:, self._codes] + row)
            spread = whole[:, self._codes]
            without[block[:, None], self._order] = spread - inverse + constant
            with_all[block[:, None], self._order] = own - spread + constant
            levels[block] = whole - np.log(np.einsum("rqaa->rqa", at.low)).sum(axis=2) + self._sums(constant[None])
        return without, with_all, levels

    def _evaluate(self, x: Array, slopes: bool) -> tuple[Array, Array]:
        beta, template = self._beta(x), self._template(x)
        at = self._maximize(beta, template)
        rule = self._rule_of_slopes if slopes else self._rule
        integrand, scores, places = [], [], []
        for u, height, eta in self._at_nodes(at, rule):
            integrand.append(height)
            if slopes:
                places.append(u)
                scores.append(self._family.terms(self._y, self._prior, eta, self.fit.dispersion).score)
        shares = np.stack(integrand) + rule.log_weights[:, None, None]
        top = shares.max(axis=0)
        share = np.exp(shares - top)
        total = share.sum(axis=0)
        own = top + np.log(total)
        log_low = np.log(np.einsum("rqaa->rqa", at.low)).sum(axis=(1, 2))
        value = own.sum(axis=1) - log_low + self._constant
        contrasts = beta @ self.priors.contrasts.T
        for i, of_contrast in enumerate(self.priors.fixed):
            value = value + of_contrast.log_density(contrasts[:, i])
        slope = np.zeros(x.shape)
        by_template = np.zeros(template.shape)
        if slopes:
            share /= total
            every = np.zeros(at.fixed.shape)
            by_effect = np.zeros((self._k, *at.fixed.shape))
            for m, (score, u) in enumerate(zip(scores, places, strict=True)):
                mine = share[m][:, self._codes] * score
                every += mine
                by_effect += mine * u[:, self._codes].transpose(2, 0, 1)
            by_template = np.einsum("na,brn->rab", self._Z, by_effect)
            of_priors = np.stack([p.slope(contrasts[:, i]) for i, p in enumerate(self.priors.fixed)], axis=1)
            slope[:, : len(self._center)] = (every @ self._X + of_priors @ self.priors.contrasts) @ self._root
        return self._with_terms(x, value, slope, template, by_template)

    def _with_terms(self, x: Array, value: Array, slope: Array, template: Array, pull: Array) -> tuple[Array, Array]:
        """The density with the priors of the terms, and the slopes carried to their coordinates."""
        none, first = np.zeros(len(x)), 0
        triples = zip(self._parts, self.priors.coordinates, self.priors.terms, _columns(self.fit), strict=True)
        for at, own, prior, k in triples:
            found, columns = prior.density(x[:, at], none), slice(first, first + k)
            value = value + found.value
            along = np.tril(pull[:, columns, columns])
            slope[:, at] = found.slope + own.template_slopes(x[:, at], template[:, columns, columns], along)
            first = columns.stop
        return value, slope

    def _chain(self, at: _AtLevels, rng: np.random.Generator) -> Array:
        """Effects u (R, q, k), after the steps of an independence chain of every level."""
        shape, k = at.u.shape, self._k
        inverse = np.linalg.inv(at.low)

        def propose() -> tuple[Array, Array]:
            """Effects, and log h less the log density of the proposal."""
            mixing = np.sqrt(rng.chisquare(_DF, shape[:2]) / _DF)[..., None]
            zeta = rng.standard_normal(shape) / mixing
            u = at.u + np.einsum("rqab,rqa->rqb", inverse, zeta)
            height, _ = self._height(at, u)
            return u, height + 0.5 * (_DF + k) * np.log1p(np.einsum("rqa,rqa->rq", zeta, zeta) / _DF)

        u, ratio = propose()
        for _ in range(_CHAIN):
            other, other_ratio = propose()
            with np.errstate(invalid="ignore"):
                moved = np.log(rng.random(shape[:2])) < other_ratio - ratio
            u, ratio = np.where(moved[..., None], other, u), np.where(moved, other_ratio, ratio)
        return u


def _solve(matrices: Array, right: Array) -> Array:
    """Solutions (R, q, k) of small systems; a column alone is a division."""
    if right.shape[-1] == 1:
        return right / matrices[..., 0]
    return np.asarray(np.linalg.solve(matrices, right[..., None])[..., 0])


def _columns(fit: GeneralizedFit) -> list[int]:
    random: tuple[RandomDesign, ...] = fit.model.design.random
    return [len(r.columns) for r in random]
