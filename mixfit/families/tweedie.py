r"""Tweedie's distributions with a power between 1 and 2: nonnegative responses with zeros.

Var = phi mu^p. y is a sum of N gamma variables, N Poisson of mean lambda (Jorgensen 1997):

    lambda = mu^(2-p) / (phi (2 - p)),      each of shape a = (2 - p) / (p - 1) and scale tau = phi (p - 1) mu^(p-1),

p(0) = e^-lambda, which is nothing left in the limit p = 2 of gamma variables, and, for y > 0,

    log f(y) = -lambda - y / tau - log y + S,      S = log sum_j z^j / (j! Gamma(j a)),      z = lambda (y / tau)^a,

where z does not depend on mu (Dunn & Smyth 2005, Statistics and Computing 15, 267-280). The summands are largest near
j* = (z / a^a)^(1 / (1 + a)), and about as wide as a Poisson distribution's to the power 1 + a: where they end far from
j = 0 and are wide they are taken in larger steps, as in :mod:`mixfit.families.compois`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, expit, gammaln, logit

from mixfit.errors import FitError
from mixfit.families.composed import Composed
from mixfit.families.declared import Shape, Support, check_rows
from mixfit.families.jets import Jet, choose, exp, fixed, log, log_gamma, logistic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Tweedie", "log_series"]

# Summands this many logs below the largest are left out.
_LOG_NOTHING = 40.0
# Numbers at which a wide series is summed: 18 standard deviations in whole steps of at most 0.56 of one, so that what
# Poisson's formula leaves out is below e^-60.
_NODES = 64
# So few summands take no longer than fewer do.
_FEW = 16.0
_CELLS_AT_ONCE = 2_000_000
# A power nearer 1 or 2 than this is a multiple of Poisson counts, or has no zeros.
_NEAREST = 1e-3
# The coordinate from which on the distribution is a gamma one, up to a difference of 1e-4 times what it makes at all:
# lambda is above 1e4 there, and what is left of f is the small difference of large numbers.
_GAMMA = 9.0
# The coordinate below which the density is peaks about multiples of phi, as high as p is near 1.
_PEAKS = -7.0


class Tweedie(Composed):
    """Zeros and positive responses with variance phi mu^power, 1 < power < 2."""

    name = "tweedie"
    kind = "continuous"
    support = Support(lower=0.0, closed=True)
    links = ("log", "sqrt", "identity", "inverse")
    edged = ("identity", "inverse")
    shapes = (
        Shape(
            "power",
            0.0,
            lambda c: 1.0 + float(expit(c)),
            lambda p: float(logit(p - 1.0)),
            lambda p: 1.0 + _NEAREST <= p <= 2.0 - _NEAREST,
        ),
    )

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_rows(y < 0.0, f"A tweedie response is not negative; {name!r} is")

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        (p,) = self.shape_values.values()
        return float(np.log1p(phi * null_mean() ** (p - 2.0))) if self.link.name == "log" else None

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        if np.all(shapes[0].value > _GAMMA):
            return self._gamma(y, eta, phi, shapes[0])
        if np.any(shapes[0].value < _PEAKS):
            raise FitError(
                "The power of the Tweedie distribution runs to 1, where it has no density, and the likelihood has no "
                "bound: of counts, or multiples of a number, family='poisson' or 'nbinom2' is a model."
            )
        rest = logistic(-shapes[0])
        share = logistic(shapes[0])
        log_mu, log_phi = self.log_mean(eta), log(phi)
        mean = exp(rest * log_mu - log_phi) / rest
        rate = exp(-(share * log_mu) - log_phi) / share
        a = rest / share
        positive = np.where(y > 0.0, y, 1.0)
        out = -mean - y * rate - np.log(positive)
        if eta.eta is None or phi.psi is not None or shapes[0].psi is not None:
            # S moves with neither eta nor, but for its value, with the derivatives in eta.
            log_z = a * (np.log(positive) - log_phi - log(share)) - log_phi - log(rest)
            out = out + _series(log_z, a)
        return choose(y > 0.0, out, -mean)

    def _gamma(self, y: Array, eta: Jet, phi: Jet, end: Jet) -> Jet:
        """The limit p = 2, of mean mu and shape 1 / phi: no zeros."""
        a, mu, positive = 1.0 / phi, self.mean(eta), np.where(y > 0.0, y, 1.0)
        out = a * (log(a) + np.log(positive) - log(mu) - positive / mu) - log_gamma(a) - np.log(positive)
        # Its slope in the coordinate is zero there.
        out = out + 0.0 * end
        return replace(out, value=np.where(y > 0.0, out.value, -np.inf))

    def variance(self, mu: Array, phi: Array | float) -> Array:
        (p,) = self.shape_values.values()
        return np.asarray(phi * mu**p)

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        (p,) = self.shape_values.values()
        jumps = rng.poisson(mu ** (2.0 - p) / (phi * (2.0 - p)))
        sums = rng.gamma(np.maximum(jumps, 1) * (2.0 - p) / (p - 1.0), phi * (p - 1.0) * mu ** (p - 1.0))
        return np.where(jumps > 0, sums, 0.0)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return np.maximum(y, 0.1 * np.mean(y))

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        return float(np.mean((y - mu) ** 2 / self.variance(mu, 1.0)))


def _series(log_z: Jet, a: Jet) -> Jet:
    """S; it and its derivative in psi."""
    shape = np.broadcast_shapes(np.shape(log_z.value), np.shape(a.value))
    z, shapes = (np.broadcast_to(x, shape).ravel() for x in (log_z.value, a.value))
    moves = log_z.eta is not None
    value, count, weighted, *higher = (
        part.reshape(shape) for part in _last_series(z.tobytes(), shapes.tobytes(), moves)
    )
    zero = np.zeros(())
    if not moves:
        if log_z.psi is None:
            return fixed(value)
        moved = count * log_z.psi[0] - (0.0 if a.psi is None else weighted * a.psi[0])
        return Jet(value, None, (moved, zero, zero))
    second, third, mixed, mixed_second = higher
    out = log_z.through(value, count, second, third)
    if a.psi is None or log_z.eta is None:
        return out
    # What a itself moves of S and of its slopes in log z.
    (z1, z2, _), p = log_z.eta, -a.psi[0]
    return out + Jet(zero, None, (weighted * p, mixed * z1 * p, (mixed_second * z1**2 + mixed * z2) * p))


# The series does not depend on the mean: it is the same in all steps to the modes, and in the derivatives there.
@lru_cache(maxsize=2)
def _last_series(log_z: bytes, a: bytes, higher: bool) -> tuple[Array, ...]:
    parts = log_series(np.frombuffer(log_z), np.frombuffer(a), higher=higher)
    for part in parts:
        part.flags.writeable = False
    return parts


def log_series(log_z: Array, a: Array, *, higher: bool = False) -> tuple[Array, ...]:
    """S of every row, and the means of j and of j psi(j a) over its summands: all of shape (r,).

    With `higher` also the second and third cumulant of j, and the cumulants of j, and of j twice, with j psi(j a).
    """
    peak = np.exp((log_z - a * np.log(a)) / (1.0 + a))
    reach = _LOG_NOTHING / (1.0 + a)
    below, above = np.sqrt(2.0 * peak * reach), reach / 3.0 + np.sqrt(reach**2 / 9.0 + 2.0 * peak * reach)
    start = np.maximum(np.floor(peak - below), 1.0)
    width = np.ceil(peak + above) - start + 3.0
    # Steps other than 1 need summands that vanish at both ends.
    step = np.where(peak - below > 1.0, np.maximum(np.ceil(width / _NODES), 1.0), 1.0)
    count = np.ceil(width / step)
    out = np.empty((7 if higher else 3, len(log_z)))
    # Of rows with one shape the gamma functions are those of a table, as far as it has no more numbers than the rows.
    ends = start + step * _longest(count)
    tabled = (ends <= count.sum()) & (a == a[0])
    order, n_tabled = np.lexsort((count, ~tabled)), int(tabled.sum())
    sizes, begin = count[order], 0
    table = _gammas(np.arange(ends[tabled].max(initial=0.0)), a[:1])
    while begin < len(order):
        # Rows of about the same length together: at most twice the shortest's.
        end = n_tabled if begin < n_tabled else len(order)
        stop = begin + int(np.searchsorted(sizes[begin:end], _longest(sizes[begin]), side="right"))
        stop = min(stop, begin + max(1, int(_CELLS_AT_ONCE / sizes[stop - 1])))
        rows = order[begin:stop]
        j = start[rows, None] + step[rows, None] * np.arange(sizes[stop - 1])
        if begin < n_tabled:
            log_gammas, slope = (own[j.astype(np.intp)] for own in table)
        else:
            log_gammas, slope = _gammas(j, a[rows, None])
        logs = j * log_z[rows, None] - log_gammas
        top = logs.max(axis=1)
        w = np.exp(logs - top[:, None])
        total = w.sum(axis=1)
        out[0, rows] = top + np.log(total * step[rows])
        out[1, rows] = (w * j).sum(axis=1) / total
        out[2, rows] = (w * slope).sum(axis=1) / total
        if higher:
            p, d, e = w / total[:, None], j - out[1, rows, None], slope - out[2, rows, None]
            out[3:, rows] = np.stack([(p * x).sum(axis=1) for x in (d * d, d**3, d * e, d * d * e)])
        begin = stop
    return tuple(out)


def _longest(count: Array) -> Array:
    """As many summands as rows may have that are summed together with one of `count`."""
    return np.maximum(2.0 * count, _FEW)


def _gammas(j: Array, a: Array) -> tuple[Array, Array]:
    """log(j! Gamma(j a)), and its derivative in a, j psi(j a)."""
    with np.errstate(invalid="ignore"):
        return gammaln(j + 1.0) + gammaln(j * a), j * digamma(j * a)
