r"""Densities of a random term's coordinates, made of its priors.

Each is a density of the coordinates of `mixfit.bayes.coordinates`, the Jacobian included, given log sigma: standard
deviations in units of the response are sigma exp(x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.special import gammaln, multigammaln

from mixfit.bayes.correlations import draw_partial, lkj_log_density, lkj_shapes, log_complement
from mixfit.bayes.covariances import Decov, InvWishart, Wishart
from mixfit.bayes.wishart import draw_inverse_wishart, draw_wishart
from mixfit.errors import PriorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.bayes.coordinates import FreeCoordinates, UnboundedCoordinates
    from mixfit.bayes.distributions import Distribution

    Array = NDArray[np.float64]

__all__ = ["Density", "Deviations", "EachColumn", "OwnParameters", "ScaleAndShares", "TermPrior", "WholeCovariance"]

_LOG_2 = float(np.log(2.0))


@dataclass(frozen=True, eq=False)
class Density:
    """A log density at R places.

    Attributes
    ----------
    value : ndarray, shape (R,)
    slope : ndarray, shape (R, m)
        In the term's coordinates.
    log_sigma : ndarray, shape (R,)
        In log sigma.
    """

    value: Array
    slope: Array
    log_sigma: Array


class TermPrior(Protocol):
    """The prior of a term's coordinates."""

    def density(self, x: Array, log_sigma: Array) -> Density:
        """At coordinates (R, m) and log sigma (R,)."""

    def jacobian(self, x: Array, log_sigma: Array) -> Density:
        """Log of what turns the density of the natural parameters into that of the coordinates, with its slopes.

        A density of natural parameters alone is what penalized modes are of: its place depends on what is natural.
        """

    def draw(self, log_sigma: Array, rng: np.random.Generator) -> Array:
        """Coordinates (R, m) drawn for each log sigma (R,)."""


def _correlations(coordinates: FreeCoordinates, x: Array, eta: float) -> tuple[Array, Array]:
    """LKJ log density of the coordinates after the standard deviations, and its slopes (R, c)."""
    k = coordinates.k
    if coordinates.size == k:
        return np.zeros(len(x)), np.empty((len(x), 0))
    return lkj_log_density(x[:, k:], k, eta)


@dataclass(frozen=True, eq=False)
class Deviations:
    """A prior for each standard deviation in units of the response, and LKJ correlations."""

    coordinates: FreeCoordinates
    sd: Sequence[Distribution]
    eta: float

    def density(self, x: Array, log_sigma: Array) -> Density:
        """sum_i [log p(sd_i) + log sd_i], the Jacobian of the logarithm, and the correlations."""
        cor, slope_cor = _correlations(self.coordinates, x, self.eta)
        value, slope = _deviations(self.sd, x[:, : len(self.sd)], log_sigma)
        return Density(value + cor, np.concatenate([slope, slope_cor], axis=1), slope.sum(axis=1))

    def jacobian(self, x: Array, log_sigma: Array) -> Density:
        """Of standard deviations in units of the response, and correlations."""
        return _natural(self.coordinates, x, log_sigma)

    def draw(self, log_sigma: Array, rng: np.random.Generator) -> Array:
        """Standard deviations and correlations."""
        k, size = self.coordinates.k, len(log_sigma)
        x = np.stack([np.log(d.draw(rng, size)) - log_sigma for d in self.sd], axis=1)
        return x if self.coordinates.size == k else np.concatenate([x, draw_partial(k, self.eta, rng, size)], axis=1)


def _natural(coordinates: FreeCoordinates, x: Array, log_sigma: Array) -> Density:
    """d(sd, C) / d(x, y) = prod sd times that of C, which is the LKJ(1) density but for its constant."""
    k = coordinates.k
    value, slope = x[:, :k].sum(axis=1) + k * log_sigma, np.ones(x.shape)
    if x.shape[1] > k:
        a = lkj_shapes(k, 1.0)
        value = value + log_complement(x[:, k:]) @ a
        slope[:, k:] = -2.0 * a * np.tanh(x[:, k:])
    return Density(value, slope, np.full(len(x), float(k)))


def _deviations(priors: Sequence[Distribution], x: Array, log_sigma: Array) -> tuple[Array, Array]:
    sd = np.exp(x + log_sigma[:, None])
    value = x.sum(axis=1) + len(priors) * log_sigma
    slope = np.ones(x.shape)
    for i, prior in enumerate(priors):
        value = value + prior.log_density(sd[:, i])
        slope[:, i] += prior.slope(sd[:, i]) * sd[:, i]
    return value, slope


@dataclass(frozen=True, eq=False)
class ScaleAndShares:
    """`Decov` of a term: a scale, shares of the variances, and correlations.

    With v = exp 2x, S = sum v, tau^2 = S / (k scale^2) and the shares pi = v / S,

        log p = shape log tau - tau + c sum log pi + constants.
    """

    coordinates: FreeCoordinates
    decov: Decov

    def density(self, x: Array, log_sigma: Array) -> Density:
        """Of coordinates relative to sigma."""
        d, k = self.decov, self.coordinates.k
        if not self.coordinates.is_correlated:
            # Independent columns are as many terms of one.
            log_tau = x - np.log(d.scale)
            value = (d.shape * log_tau - np.exp(log_tau) - gammaln(d.shape)).sum(axis=1)
            return Density(value, d.shape - np.exp(log_tau), np.zeros(len(x)))
        c = d.concentration
        log_v = 2.0 * x[:, :k]
        log_s = np.logaddexp.reduce(log_v, axis=1)
        log_tau = 0.5 * (log_s - np.log(k)) - np.log(d.scale)
        tau, log_pi = np.exp(log_tau), log_v - log_s[:, None]
        constant = (k - 1) * _LOG_2 + gammaln(k * c) - k * gammaln(c) - gammaln(d.shape)
        cor, slope_cor = _correlations(self.coordinates, x, d.regularization)
        value = d.shape * log_tau - tau + c * log_pi.sum(axis=1) + constant + cor
        pi = np.exp(log_pi)
        slope = (d.shape - tau)[:, None] * pi + 2.0 * c * (1.0 - k * pi)
        return Density(value, np.concatenate([slope, slope_cor], axis=1), np.zeros(len(x)))

    def jacobian(self, x: Array, log_sigma: Array) -> Density:
        """Of standard deviations relative to sigma, and correlations."""
        found = _natural(self.coordinates, x, np.zeros(len(x)))
        return Density(found.value, found.slope, np.zeros(len(x)))

    def draw(self, log_sigma: Array, rng: np.random.Generator) -> Array:
        """A scale, shares, and correlations."""
        d, k, size = self.decov, self.coordinates.k, len(log_sigma)
        if not self.coordinates.is_correlated:
            return np.log(d.scale * rng.gamma(d.shape, 1.0, (size, k)))
        tau = rng.gamma(d.shape, 1.0, size)
        shares = rng.dirichlet(np.full(k, d.concentration), size)
        x = np.log(tau * d.scale)[:, None] + 0.5 * np.log(k * shares)
        if self.coordinates.size == k:
            return x
        return np.concatenate([x, draw_partial(k, d.regularization, rng, size)], axis=1)


@dataclass(frozen=True, eq=False)
class WholeCovariance:
    """`Wishart` or `InvWishart` of a term's Sigma, in units of the response or relative to sigma^2.

    The Jacobian is dSigma = 2^k prod sd^(k + 1) dx dC, and that of C in y is the LKJ(1) density without constants.
    """

    coordinates: FreeCoordinates
    prior: Wishart | InvWishart
    df: float
    matrix: Array

    @property
    def is_inverse(self) -> bool:
        """Whether the inverse is Wishart."""
        return isinstance(self.prior, InvWishart)

    @property
    def is_proper(self) -> bool:
        """Whether the scale is finite."""
        return bool(np.isfinite(self.matrix).all())

    @property
    def _constant(self) -> float:
        """log of 2^(df k / 2) Gamma_k(df / 2)."""
        return 0.5 * self.df * self.coordinates.k * _LOG_2 + float(multigammaln(0.5 * self.df, self.coordinates.k))

    def density(self, x: Array, log_sigma: Array) -> Density:
        """Of coordinates and log sigma."""
        k, df, scale = self.coordinates.k, self.df, self.matrix
        shift = np.zeros(len(x)) if self.prior.relative else log_sigma
        t = self.coordinates.templates(x) * np.exp(shift)[:, None, None]
        y = x[:, k:]
        log_det = 2.0 * (x[:, :k].sum(axis=1) + k * shift) + log_complement(y).sum(axis=1)
        h, constant = np.zeros(t.shape), 0.0
        power, sign = 0.5 * (df - k - 1.0), 1.0
        if self.is_inverse:
            inverse = np.linalg.solve(t, np.broadcast_to(scale, t.shape))
            h = np.linalg.solve(t, inverse.swapaxes(1, 2))
            power, sign = -0.5 * (df + k + 1.0), -1.0
            constant = 0.5 * df * np.linalg.slogdet(scale)[1] - self._constant
        elif self.is_proper:
            h = t.swapaxes(1, 2) @ np.linalg.solve(scale, t)
            constant = -0.5 * df * np.linalg.slogdet(scale)[1] - self._constant
        trace = np.einsum("rii->r", h)
        jacobian = self.jacobian(x, log_sigma)
        value = constant + power * log_det - 0.5 * trace + jacobian.value
        slope = np.concatenate([np.full((len(x), k), 2.0 * power), -2.0 * power * np.tanh(y)], axis=1)
        slope += jacobian.slope - 0.5 * sign * self.coordinates.slopes(x, h)
        moving = np.zeros(len(x)) if self.prior.relative else 2.0 * k * power + jacobian.log_sigma - sign * trace
        return Density(value, slope, moving)

    def jacobian(self, x: Array, log_sigma: Array) -> Density:
        """dSigma = 2^k prod sd^(k + 1) dx dC."""
        k = self.coordinates.k
        shift = np.zeros(len(x)) if self.prior.relative else log_sigma
        found = _natural(self.coordinates, x, shift)
        slope = found.slope.copy()
        slope[:, :k] = k + 1.0
        value = found.value + k * (x[:, :k].sum(axis=1) + k * shift + _LOG_2)
        return Density(value, slope, np.full(len(x), 0.0 if self.prior.relative else k * (k + 1.0)))

    def draw(self, log_sigma: Array, rng: np.random.Generator) -> Array:
        """Matrices by Bartlett's decomposition, taken apart."""
        if not self.is_proper:
            raise PriorError("Nothing can be drawn from a Wishart prior of infinite scale: give a proper one.")
        make = draw_inverse_wishart if self.is_inverse else draw_wishart
        sigma = make(self.df, self.matrix, len(log_sigma), rng)
        if not self.prior.relative:
            sigma = sigma / np.exp(2.0 * log_sigma)[:, None, None]
        return self.coordinates.of_covariance(sigma)


@dataclass(frozen=True, eq=False)
class EachColumn:
    """The prior of one variance, of each of a term's independent columns.

    Attributes
    ----------
    coordinates : FreeCoordinates
    own : WholeCovariance
        Of one column.
    """

    coordinates: FreeCoordinates
    own: WholeCovariance

    def density(self, x: Array, log_sigma: Array) -> Density:
        """The sum over the columns."""
        return _sum([self.own.density(x[:, a : a + 1], log_sigma) for a in range(x.shape[1])])

    def jacobian(self, x: Array, log_sigma: Array) -> Density:
        """Of the variances."""
        return _sum([self.own.jacobian(x[:, a : a + 1], log_sigma) for a in range(x.shape[1])])

    def draw(self, log_sigma: Array, rng: np.random.Generator) -> Array:
        """Each by itself."""
        return np.concatenate([self.own.draw(log_sigma, rng) for _ in range(self.coordinates.k)], axis=1)


def _sum(parts: Sequence[Density]) -> Density:
    """Of independent columns."""
    slope = np.concatenate([part.slope for part in parts], axis=1)
    value, along = (np.sum([getattr(part, name) for part in parts], axis=0) for name in ("value", "log_sigma"))
    return Density(value, slope, along)


@dataclass(frozen=True, eq=False)
class OwnParameters:
    """Of a structure with parameters of its own: a prior for each, the standard deviations in units of the response.

    A parameter that is reported by its reciprocal has the prior of that: p(psi) = p(1 / psi) / psi^2.
    """

    coordinates: UnboundedCoordinates
    sd: Sequence[Distribution]
    shape: Sequence[Distribution]

    def density(self, x: Array, log_sigma: Array) -> Density:
        """Of the logarithms of the deviations, and of the other parameters on their scale."""
        d = len(self.sd)
        value, slope = _deviations(self.sd, x[:, :d], log_sigma)
        psi, rates, bends = self.coordinates.psi(x), self.coordinates.rates(x), self.coordinates.log_rate_slopes(x)
        out = np.concatenate([slope, np.zeros((len(x), len(self.shape)))], axis=1)
        for a, prior in enumerate(self.shape, start=d):
            own, log_own, slope_own = psi[:, a], np.zeros(len(x)), np.ones(len(x))
            if self.coordinates.is_reciprocal[a]:
                own, log_own = 1.0 / psi[:, a], -2.0 * np.log(psi[:, a])
                slope_own = -(own**2)
                out[:, a] = -2.0 * own * rates[:, a]
            value = value + prior.log_density(own) + log_own + np.log(rates[:, a])
            out[:, a] += prior.slope(own) * slope_own * rates[:, a] + bends[:, a]
        return Density(value, out, slope.sum(axis=1))

    def jacobian(self, x: Array, log_sigma: Array) -> Density:
        """Of standard deviations in units of the response, and of the other parameters as they are reported."""
        d = len(self.sd)
        psi, rates, slope = self.coordinates.psi(x), self.coordinates.rates(x), np.ones(x.shape)
        value = x[:, :d].sum(axis=1) + d * log_sigma + np.log(rates[:, d:]).sum(axis=1)
        slope[:, d:] = self.coordinates.log_rate_slopes(x)[:, d:]
        for a in range(d, x.shape[1]):
            if self.coordinates.is_reciprocal[a]:
                value = value - 2.0 * np.log(psi[:, a])
                slope[:, a] -= 2.0 * rates[:, a] / psi[:, a]
        return Density(value, slope, np.full(len(x), float(d)))

    def draw(self, log_sigma: Array, rng: np.random.Generator) -> Array:
        """Each by itself."""
        psi = np.stack([p.draw(rng, len(log_sigma)) for p in (*self.sd, *self.shape)], axis=1)
        psi[:, : len(self.sd)] /= np.exp(log_sigma)[:, None]
        psi = np.where(self.coordinates.is_reciprocal, 1.0 / psi, psi)
        return self.coordinates.x_of(psi)
