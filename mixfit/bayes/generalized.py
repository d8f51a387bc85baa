r"""The posterior of a generalized model: coefficients, random effects and covariance parameters together.

Random effects are partially centred (`mixfit.bayes.centring`); they and the coefficients are whitened by the Gaussian
approximation at the fit: a Cholesky factor of [Z X]'W[Z X] with the precisions of both priors. Effects that each belong
to one row are none of the coordinates: see `mixfit.bayes.row_integral`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array

from mixfit.bayes.centring import CentredTerm, log_density, place, pull_back
from mixfit.bayes.collapsed import Conditional
from mixfit.bayes.contrasts import ContrastPriors
from mixfit.bayes.distributions import Normal, StudentT
from mixfit.bayes.row_integral import RowIntegral, row_term
from mixfit.bayes.zeros import check_further, mixture, zero_predictor, zero_rows
from mixfit.covariance.steps import split_theta
from mixfit.errors import PriorError
from mixfit.families.several import ZERO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.bayes.coordinates import TermCoordinates
    from mixfit.bayes.distributions import Distribution
    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import GeneralizedFit
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["GeneralizedPosterior", "JointValues", "check_kind"]

# Effects and coefficients up to which their whole covariance whitens them, beyond which their variances do.
_MOST_DENSE = 1500
# Standard deviations of the covariance parameters' coordinates, to begin with: those of the logarithm of a standard
# deviation that five levels tell of.
_START_SPREAD = 0.3
# Coordinates of covariances beyond which double precision has no density.
_FARTHEST = 16.0
# Coefficients of further zeros start no farther out: an estimate may have run toward none at all.
_CERTAIN = 4.0
# Rows times draws that are held at a time.
_CELLS_AT_ONCE = 400_000
# Times the fit's standard deviation of single rows: those within which their integrals are looked at.
_AROUND = np.array([0.5, 1.0, 2.0])


@dataclass(frozen=True, eq=False)
class JointValues:
    """The log density at R places.

    Attributes
    ----------
    value : ndarray, shape (R,)
    slope : ndarray, shape (R, d), or None
    """

    value: Array
    slope: Array | None


class GeneralizedPosterior:
    """log p(y, b, beta, theta, phi, gamma).

    Coordinates are whitened effects and coefficients, those of the terms, log phi of families that have one, and the
    coefficients of further zeros.

    Parameters
    ----------
    fit : GeneralizedFit
    priors : ResolvedPriors

    Raises
    ------
    PriorError
        For families with shapes beside the dispersion, and predictors other than those of the mean and of zeros.
    """

    def __init__(self, fit: GeneralizedFit, priors: ResolvedPriors) -> None:
        check_kind(fit)
        self.fit, self.priors = fit, priors
        self._family, design = fit.family, fit.model.design
        self._y, self._prior = design.y, fit.prior
        self._offset = np.zeros(len(self._y)) if design.offset is None else design.offset
        self._constant = float(np.broadcast_to(self._family.log_constant(self._y, self._prior), self._y.shape).sum())
        self._X = fit.model.exog
        self._zeros = zero_predictor(fit.model)
        gamma = np.empty(0) if self._zeros is None else fit.estimate.further[ZERO].beta
        theta = split_theta([r.structure for r in design.random], fit.estimate.theta)
        self.middle = np.concatenate(
            [
                c.start(own, np.sqrt(np.mean(r.Z**2, axis=0)))
                for c, own, r in zip(priors.coordinates, theta, design.random, strict=True)
            ]
            + ([] if priors.phi is None else [np.log([fit.dispersion])])
            + [np.clip(gamma, -_CERTAIN, _CERTAIN)]
        )
        self._integral = RowIntegral(self._family, self._y, fit.prior, fit.dispersion, fit.estimate.eta)
        # The integral over a row's effect is of densities without a dispersion, and without further zeros.
        self._row = None if priors.phi is not None or self._zeros is not None else self._integrated(design.random)
        self._random = [r for t, r in enumerate(design.random) if t != self._row]
        self._Z = _sparse(self._random)
        self._Zt = csr_array(self._Z.T)
        self._q = self._Z.shape[1]
        self._contrasts = ContrastPriors(priors)
        self.size = self._q + self._X.shape[1] + len(self.middle)
        modes = [b for t, b in enumerate(fit.estimate.modes) if t != self._row]
        self.center = np.concatenate([*(b.ravel() for b in modes), fit.estimate.beta])
        self.root, self.terms = self._approximation()

    # The Gaussian approximation

    def _approximation(self) -> tuple[Array, list[CentredTerm]]:
        """A root of Cov(b, beta) at the fit, dense or a diagonal, and the terms."""
        templates, start = [], 0
        for own in self.priors.coordinates:
            templates.append(own.templates(self.middle[None, start : start + own.size])[0])
            start += own.size
        weights = self._integral.weights
        if self._row is not None:
            weights = self._integral.weights_at(self._row_deviations(self.middle[None])[0])
        templates = [t for i, t in enumerate(templates) if i != self._row]
        precisions = [np.linalg.inv(t @ t.T) for t in templates]
        if self._q + self._X.shape[1] <= _MOST_DENSE:
            root = self._dense_root(weights, precisions)
            variance = self._own_covariances(root @ root.T)
        else:
            variance = self._level_covariances(weights, precisions)
            spread = np.concatenate([np.sqrt(np.einsum("qaa->qa", c)).ravel() for c in variance])
            x = np.sqrt(np.einsum("np,n,np->p", self._X, weights, self._X))
            root = np.concatenate([spread, 1.0 / x])
        terms, first = [], 0
        places = [own for i, own in enumerate(self.places()) if i != self._row]
        for (own, at), t, c in zip(places, templates, variance, strict=True):
            q, k, _ = c.shape
            sd = np.linalg.norm(t, axis=1)
            share = np.minimum(np.sqrt(np.einsum("qaa->qa", c)) / sd, 1.0)
            inverse = np.asarray(np.linalg.inv(t / sd[:, None]), dtype=float)
            rows = slice(first, first + q * k)
            terms.append(CentredTerm(own, rows, at, q, sd, inverse, share))
            first = rows.stop
        return root, terms

    def places(self) -> list[tuple[TermCoordinates, slice]]:
        """The coordinates of every term, and where they stand."""
        ends = np.cumsum([0, *self.priors.sizes])
        return [
            (own, slice(int(a), int(b))) for own, a, b in zip(self.priors.coordinates, ends, ends[1:], strict=False)
        ]

    def _integrated(self, random: Sequence[RandomDesign]) -> int | None:
        """The term of single rows, where quadrature gives its integrals; it has the nodes for them then."""
        row = row_term(random)
        if row is None:
            return None
        r, estimate = random[row], self.fit.estimate
        rest = estimate.eta - r.Z[:, 0] * estimate.modes[row][r.grouping.codes, 0]
        s = self._deviations(row, self.middle[None]) * _AROUND[:, None]
        exact = self._integral.with_enough_nodes(np.tile(rest, (len(s), 1)), s)
        self._integral = exact or self._integral
        return None if exact is None else row

    def _deviations(self, row: int, x: Array) -> Array:
        """Standard deviations (R, n) of the effects of term `row`, of single rows, at coordinates (R, m)."""
        (own, at), r = self.places()[row], self.fit.model.design.random[row]
        return np.asarray(own.templates(x[:, at])[:, :, 0] * np.abs(r.Z[:, 0]))

    def _row_deviations(self, x: Array) -> Array:
        assert self._row is not None
        return self._deviations(self._row, x)

    def _dense_root(self, weights: Array, precisions: Sequence[Array]) -> Array:
        columns = np.concatenate([self._Z.toarray(), self._X], axis=1)
        precision = columns.T @ (weights[:, None] * columns)
        first = 0
        for r, own in zip(self._random, precisions, strict=True):
            q, k = r.grouping.n_levels, len(own)
            block = precision[first : first + q * k, first : first + q * k]
            for a in range(k):
                for b in range(k):
                    block[np.arange(q) * k + a, np.arange(q) * k + b] += own[a, b]
            first += q * k
        half = np.array([_precision_root(p) for p in self.priors.fixed])[:, None] * self.priors.contrasts
        precision[first:, first:] += half.T @ half
        low = np.linalg.cholesky(precision)
        return np.asarray(solve_triangular(low, np.eye(len(low)), lower=True).T, dtype=float)

    def _own_covariances(self, covariance: Array) -> list[Array]:
        out, first = [], 0
        for r in self._random:
            q, k = r.grouping.n_levels, len(r.columns)
            block = covariance[first : first + q * k, first : first + q * k].reshape(q, k, q, k)
            every = np.arange(q)
            out.append(block[every, :, every])
            first += q * k
        return out

    def _level_covariances(self, weights: Array, precisions: Sequence[Array]) -> list[Array]:
        """Of each level by itself, (q_t, k_t, k_t)."""
        out = []
        for r, own in zip(self._random, precisions, strict=True):
            k = len(own)
            products = np.empty((r.grouping.n_levels, k, k))
            for a in range(k):
                for b in range(k):
                    products[:, a, b] = np.bincount(
                        r.grouping.codes, weights * r.Z[:, a] * r.Z[:, b], r.grouping.n_levels
                    )
            out.append(np.asarray(np.linalg.inv(products + own), dtype=float))
        return out

    # Coordinates

    def start(self, chains: int, rng: np.random.Generator, spread: float) -> tuple[Array, Array]:
        """Places of some chains around the fit, and standard deviations to begin with."""
        sd = np.concatenate([np.ones(self._q + self._X.shape[1]), np.full(len(self.middle), _START_SPREAD)])
        middle = np.concatenate([np.zeros(self._q + self._X.shape[1]), self.middle])
        return middle + spread * sd * rng.standard_normal((chains, self.size)), sd

    def colour(self, z: Array) -> Array:
        """Effects as they are centred, and coefficients (R, q + p), of the first coordinates."""
        return self.center + (z @ self.root.T if self.root.ndim == 2 else z * self.root)

    def unpack(self, z: Array, rng: np.random.Generator) -> tuple[Array, Conditional]:
        """Coordinates of the terms (R, m), and coefficients and effects, those of rows drawn, of places (R, d)."""
        d = self._q + self._X.shape[1]
        values, x = self.colour(z[:, :d]), z[:, d:]
        beta, effects = values[:, self._q :], [place(t, x, values).b for t in self.terms]
        if self._row is not None:
            effects.insert(self._row, self._of_rows(beta, effects, x, rng))
        return x, Conditional(beta, tuple(effects))

    def _of_rows(self, beta: Array, effects: Sequence[Array], x: Array, rng: np.random.Generator) -> Array:
        """Effects (R, n, 1) of the rows' own term, drawn given everything else, by level."""
        assert self._row is not None
        r, out = self.fit.model.design.random[self._row], np.empty((len(x), len(self._y)))
        for first in range(0, len(x), step := max(1, _CELLS_AT_ONCE // len(self._y))):
            at = slice(first, first + step)
            b = np.concatenate([e[at].reshape(len(beta[at]), -1) for e in effects], axis=1)
            eta = (self._Z @ b.T).T + beta[at] @ self._X.T + self._offset
            shift = self._integral.draw(eta, self._row_deviations(x[at]), rng)
            out[at, r.grouping.codes] = shift / r.Z[:, 0]
        return out[:, :, None]

    # The density

    def evaluate(self, z: Array, *, slopes: bool = False) -> JointValues:
        """At places (R, d)."""
        value, slope = np.full(len(z), -np.inf), np.zeros(z.shape) if slopes else None
        first = self.size - len(self.middle)
        inside = np.flatnonzero((np.abs(z[:, first : first + sum(self.priors.sizes)]) < _FARTHEST).all(axis=1))
        if len(inside):
            with np.errstate(all="ignore"):
                # A trajectory that diverges leaves the range of doubles, and is refused.
                value[inside], own = self._evaluate(z[inside], slopes)
            if slope is not None:
                slope[inside] = own
        return JointValues(value, slope)

    def _evaluate(self, z: Array, slopes: bool) -> tuple[Array, Array]:
        d = self.size - len(self.middle)
        x, values = z[:, d:], self.colour(z[:, :d])
        beta = values[:, self._q :]
        placed = [place(term, x, values) for term in self.terms]
        b = np.concatenate([p.b.reshape(len(z), -1) for p in placed], axis=1)
        eta = np.ascontiguousarray((self._Z @ b.T).T)
        eta += beta @ self._X.T
        eta += self._offset
        value, score, by_last, by_gamma = self._likelihood(eta, x, slopes)
        of_beta, its_slope = self._contrasts.evaluate(beta)
        value = value + of_beta
        slope = np.zeros(z.shape)
        pull = np.empty((len(z), 0))
        if slopes:
            pull = np.concatenate([(self._Zt @ score.T).T, score @ self._X + its_slope], axis=1)
        none, own_terms = np.zeros(len(z)), iter(zip(self.terms, placed, strict=True))
        for i, (prior, (_, at)) in enumerate(zip(self.priors.terms, self.places(), strict=True)):
            found = prior.density(x[:, at], none)
            value = value + found.value
            if i == self._row:
                slope[:, d:][:, at] = found.slope + by_last[:, None]
                continue
            term, own = next(own_terms)
            value = value + log_density(term, own)
            if slopes:
                by_template, by_v = pull_back(term, own, pull[:, term.rows].reshape(own.b.shape))
                pull[:, term.rows] = by_v.reshape(len(z), -1)
                along = term.coordinates.template_slopes(x[:, at], own.template, by_template)
                slope[:, d:][:, at] = found.slope + along
        at_phi = sum(self.priors.sizes)
        if self.priors.phi is not None:
            phi = np.exp(x[:, at_phi])
            value = value + self.priors.phi.log_density(phi) + x[:, at_phi]
            slope[:, d + at_phi] = by_last + self.priors.phi.slope(phi) * phi + 1.0
        for j, prior_of_zeros in enumerate(self.priors.zi):
            own_gamma = self._gamma(x)[:, j]
            value = value + prior_of_zeros.log_density(own_gamma)
            slope[:, self.size - len(self.priors.zi) + j] = by_gamma[:, j] + prior_of_zeros.slope(own_gamma)
        if slopes:
            slope[:, :d] = pull @ self.root if self.root.ndim == 2 else pull * self.root
        return value, slope

    def _gamma(self, x: Array) -> Array:
        """Coefficients of further zeros (R, p) among coordinates (R, m)."""
        return x[:, x.shape[1] - len(self.priors.zi) :]

    def _likelihood(self, eta: Array, x: Array, slopes: bool) -> tuple[Array, Array, Array, Array]:
        """Log likelihood (R,), and its slopes in the predictor, in log phi or log s of rows' effects, and in gamma."""
        family, by_last, by_gamma = self._family, np.zeros(len(eta)), np.empty((len(eta), 0))
        if self._row is not None:
            rows, score, own = self._integral.evaluate(eta, self._row_deviations(x), slopes=slopes)
            by_last = own.sum(axis=1) if slopes else by_last
        else:
            at = sum(self.priors.sizes)
            phi = self.fit.dispersion if self.priors.phi is None else np.exp(x[:, at : at + 1])
            rows = family.log_kernel(self._y, self._prior, eta, phi)
            score = family.terms(self._y, self._prior, eta, phi).score if slopes else rows
            by_phi = rows
            if slopes and self.priors.phi is not None:
                by_phi = family.dispersion_terms(self._y, self._prior, eta, phi).loglik
            if self._zeros is not None:
                constant = family.log_constant(self._y, self._prior)
                mixed = mixture(rows + constant, self._y == 0.0, zero_rows(self._zeros, self._gamma(x)))
                rows, by_gamma = mixed.value - constant, mixed.slope @ self._zeros.X
                score, by_phi = (np.where(mixed.share > 0.0, mixed.share * a, 0.0) for a in (score, by_phi))
            by_last = by_phi.sum(axis=1) if slopes and self.priors.phi is not None else by_last
        value = rows.sum(axis=1) + self._constant
        return np.where(np.isnan(value), -np.inf, value), score, by_last, by_gamma


def _precision_root(prior: Distribution) -> float:
    """1 / sd of a coefficient's prior, 1 / scale of a t one; 0 of a flat one."""
    if isinstance(prior, StudentT):
        return 1.0 / prior.scale
    return 1.0 / prior.sd if isinstance(prior, Normal) else 0.0


def _sparse(random: Sequence[RandomDesign]) -> csr_array:
    """Z with the columns of each level side by side, term after term."""
    n = len(random[0].grouping.codes)
    rows, columns, values, first = [], [], [], 0
    for r in random:
        k = len(r.columns)
        for a in range(k):
            rows.append(np.arange(n))
            columns.append(first + r.grouping.codes * k + a)
            values.append(r.Z[:, a])
        first += r.grouping.n_levels * k
    at = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), at), shape=(n, first))


def check_kind(fit: GeneralizedFit) -> None:
    """Refuse what has parameters that no prior is known for."""
    family = fit.model.family
    if family.kind == "ordinal":
        raise PriorError("Ordered categories are drawn by method='gibbs', with family='cumulative(probit)'.")
    if family.free:
        names = ", ".join(family.shapes[i].name for i in family.free)
        raise PriorError(f"There is no posterior of {names} of {family.name} yet. Give what is known, as in 't(df=5)'.")
    check_further(fit)
