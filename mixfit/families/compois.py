r"""The Conway-Maxwell-Poisson distribution by its mean (Huang 2017, Statistical Modelling 17, 359-380).

    p(y) = lambda^y / (y!)^nu / Z(lambda, nu),      lambda such that E[y] = mu,      nu = 1 / phi.

With lambda = m^nu and q_j = log of the Poisson probability of j at mean m, p(y) = exp(nu q_y) / sum_j exp(nu q_j): no
part of it is larger than what it is about. theta = log lambda moves with mu and nu by the cumulants k of the
distribution, dtheta/dmu = 1 / k_2, and with C = Cov(j, q), dtheta/dnu = log m - C / k_2, so that

    dl/dmu = (y - mu) / k_2,       dl/dnu = q_y - E[q] - (y - mu) C / k_2.

Sums over j are over whole numbers. Where the distribution ends far from zero and is wide they are taken in larger
steps: by Poisson's summation formula the sum of a smooth function over every h-th number, times h, differs from the sum
over all by the function's Fourier transform at 2 pi / h, which for h < 0.4 standard deviations is below e^-100.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln, xlog1py

from mixfit.families.dispersed import CountFamily, log_lambert
from mixfit.families.draws import draw_counts
from mixfit.families.jets import Jet, fixed, power
from mixfit.families.rises import stirling_remainder

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["ConwayMaxwellPoisson", "compois", "compois_at"]

# Probabilities this many logs below the largest are left out of sums.
_LOG_NOTHING = 40.0
# Numbers at which a wide distribution is summed: 18 standard deviations in steps of 0.38.
_NODES = 48
_CELLS_AT_ONCE = 2_000_000
# How many of the sums.
_MEAN_AND_VARIANCE, _ALL_BUT_HIGHER, _WITH_HIGHER = 3, 9, 14
_MAX_STEPS = 100
# Sums end at e^11 = 60,000 numbers: enough for phi up to some 1,000, where the distribution is all but geometric.
_LARGEST_LOG_END = 11.0
# Of the mean, relative.
_SETTLED = 1e-14
# Below this count Stirling's series is not exact, and the logarithm of the gamma function is.
_STIRLING = 20.0
# The series of the deviance is exact to rounding within this distance, by as many terms.
_NEAR, _SERIES = 0.03, 13


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums at (log m, nu), each of the shape of the means.

    Attributes
    ----------
    log_total : log sum_j exp(nu q_j)
    mean, k2, k3, k4 : cumulants of j
    q : E[q_j]
    jq, jjq, jjjq : joint cumulants of j with q
    """

    log_total: Array
    mean: Array
    k2: Array
    k3: Array
    k4: Array
    q: Array
    jq: Array
    jjq: Array
    jjjq: Array


def compois(y: Array, mu: Jet, phi: Jet) -> Jet:
    """Log density at counts y, which broadcasts with the means."""
    log_m, nu, at = _solved(mu.value, phi.value)
    mean = mu.value
    q = _log_poisson(y, log_m)
    value = nu * q - at.log_total
    if mu.eta is None and mu.psi is None and phi.psi is None and phi.eta is None:
        return fixed(value)
    if phi.eta is not None:
        return _in_index(y, mu, power(phi, -1.0), log_m, value)
    k2, k3, k4 = at.k2, at.k3, at.k4
    distance = y - mean
    # theta', theta'', theta''' in mu.
    t1 = 1.0 / k2
    t2 = -k3 * t1**3
    t3 = 3.0 * k3**2 * t1**5 - k4 * t1**4
    out = mu.through(value, distance * t1, distance * t2 - t1, distance * t3 - 2.0 * t2)
    if phi.psi is None or mu.eta is None:
        return out
    moved = -nu / phi.value * phi.psi[0]
    slope = at.jq * t1
    d2 = at.jjq - k3 * slope
    d3 = at.jjjq - k4 * slope
    s1 = -d2 * t1**2
    s2 = 3.0 * k3 * d2 * t1**4 - d3 * t1**3
    first, mixed, second = q - at.q - distance * slope, distance * s1, distance * s2 - s1
    a, b, _ = mu.eta
    return Jet(value, out.eta, (first * moved, mixed * a * moved, (second * a * a + mixed * b) * moved))


def _in_index(y: Array, mu: Jet, nu: Jet, log_m: Array, value: Array) -> Jet:
    """The same of a dispersion that moves in the place of the predictor, and a mean that is at most a parameter.

    With theta(nu) on which E[j] = mu, about its own place, and K = k_2: dots for d / dnu,

        l_n = q_y - E[q] + (y - mu) theta.,      l_nn = -E[q]. + (y - mu) theta..,      and so on,
        l_mn = -(y - mu) K. / K^2,      l_mnn = (y - mu) (2 K.^2 / K^3 - K.. / K^2).
    """
    shape = value.shape
    sums = _moments(log_m.ravel(), np.broadcast_to(nu.value, log_m.shape).ravel(), _WITH_HIGHER)
    _, _, k2, k3, k4, q, jq, jjq, jjjq, qq, jqq, qqq, jjqq, jqqq = sums.reshape(-1, *log_m.shape)
    t1 = -jq / k2
    t2 = -(jqq + 2.0 * t1 * jjq + t1**2 * k3) / k2
    k_dot = jjq + t1 * k3
    t3 = -(jqqq + 3.0 * t1 * jjqq + 3.0 * t1**2 * jjjq + t1**3 * k4 + 3.0 * t2 * k_dot) / k2
    k_dots = jjqq + 2.0 * t1 * jjjq + t1**2 * k4 + t2 * k3
    distance = y - mu.value
    first = _log_poisson(y, log_m) - q + distance * t1
    second = distance * t2 - (qq + t1 * jq)
    third = distance * t3 - (qqq + 2.0 * t1 * jqq + t1**2 * jjq + t2 * jq)
    out = nu.through(value, np.broadcast_to(first, shape), second, third)
    if mu.psi is None or nu.eta is None:
        return out
    n1, n2, _ = nu.eta
    mixed = -distance * k_dot / k2**2
    mixed_second = distance * (2.0 * k_dot**2 / k2**3 - k_dots / k2**2)
    p = mu.psi[0]
    return out + Jet(np.zeros(()), None, (distance / k2 * p, mixed * n1 * p, (mixed_second * n1**2 + mixed * n2) * p))


def _solve(mean: Array, nu: Array) -> Array:
    """log m with the mean asked for, by Newton's method on log E[j] between bounds."""
    # Exact for nu of 0 and 1, and in the limit of large means.
    theta = np.log(mean) + (nu - 1.0) * np.log1p(mean)
    low, high = np.full(mean.shape, -np.inf), np.full(mean.shape, np.inf)
    left = np.arange(len(mean))
    for _ in range(_MAX_STEPS):
        own, index = theta[left], nu[left]
        at = _moments(own / index, index, _MEAN_AND_VARIANCE)
        excess = np.log(at[1]) - np.log(mean[left])
        low[left], high[left] = np.where(excess < 0.0, own, low[left]), np.where(excess > 0.0, own, high[left])
        step = -excess * at[1] / np.maximum(at[2], np.finfo(float).tiny)
        trial = own + np.clip(step, -2.0 - index, 2.0 + index)
        with np.errstate(invalid="ignore"):
            between = 0.5 * (low[left] + high[left])
        outside = (trial <= low[left]) | (trial >= high[left])
        trial = np.where(outside & np.isfinite(between), between, trial)
        moves = (np.abs(excess) > _SETTLED) & (np.abs(trial - own) > _SETTLED * np.abs(own))
        if not moves.any():
            break
        left = left[moves]
        theta[left] = trial[moves]
    return theta / nu


def _moments(log_m: Array, nu: Array, count: int) -> Array:
    """The first `count` sums at every (log m, nu), shape (count, r), in the order of `_sums`."""
    m = np.exp(np.minimum(log_m, 700.0))
    out = np.empty((count, len(nu)))
    reach = _LOG_NOTHING / nu
    # h(x) = (1 + x) log(1 + x) - x is at least x^2 / 2 below zero, and x^2 / (2 + 2 x / 3) above.
    below, above = np.sqrt(2.0 * m * reach), reach / 3.0 + np.sqrt(reach**2 / 9.0 + 2.0 * m * reach)
    far = m > below + 1.0
    if far.any():
        start = np.floor(m[far] - below[far])
        width = np.ceil(m[far] + above[far]) - start + 1.0
        nodes = int(min(width.max(), _NODES))
        step = np.maximum(width / nodes, 1.0)
        # From m, which keeps the digits of the distance for the largest means.
        distance = (start - m[far])[:, None] + step[:, None] * np.arange(nodes)
        out[:, far] = _sums(distance, log_m[far], m[far], nu[far], np.log(step), count)
    near = np.flatnonzero(~far)
    if len(near):
        # j (log(j / m) - 1) + m = reach by Lambert's function.
        log_ratio = np.log(np.maximum(reach[near] - m[near], np.finfo(float).tiny)) - log_m[near] - 1.0
        end = np.exp(np.minimum(log_m[near] + 1.0 + log_lambert(log_ratio), _LARGEST_LOG_END))
        order = near[np.argsort(end)]
        ends = np.ceil(np.sort(end)) + 2.0
        begin = 0
        while begin < len(order):
            # Rows of about the same length together: at most twice the shortest's.
            stop = int(np.searchsorted(ends, max(2.0 * ends[begin], 32.0), side="right"))
            stop = min(max(stop, begin + 1), begin + max(1, int(_CELLS_AT_ONCE / ends[begin])))
            rows = order[begin:stop]
            j = np.arange(ends[stop - 1])
            away = j - m[rows][:, None]
            out[:, rows] = _sums(away, log_m[rows], m[rows], nu[rows], np.zeros(len(rows)), count, j)
            begin = stop
    return out


def _sums(
    distance: Array, log_m: Array, m: Array, nu: Array, log_step: Array, count: int, numbers: Array | None = None
) -> Array:
    """The first `count` of these sums over numbers j = m + distance, (r, c), shape (count, r).

    log sum_j exp(nu q_j); the mean and the cumulants k_2, k_3, k_4 of j; E[q]; the joint cumulants jq, jjq, jjjq of j
    with q; and qq, jqq, qqq, jjqq, jqqq. `numbers`, (c,), are the j where all rows have the same.
    """
    j = np.maximum(m[:, None] + distance, 0.0) if numbers is None else numbers
    q = _log_poisson(j, log_m[:, None], distance)
    exponent = nu[:, None] * q
    top = exponent.max(axis=1)
    p = np.exp(exponent - top[:, None])
    # Of almost nothing but zeros, what is not the largest.
    rest = p.sum(axis=1, where=p < 1.0)
    total = rest + (p == 1.0).sum(axis=1)
    log_total = np.log(total / (1.0 + rest)) + np.log1p(rest)
    p /= total[:, None]
    centre = (p * distance).sum(axis=1)
    d = distance - centre[:, None]
    pd = p * d
    pdd = pd * d
    c2 = pdd.sum(axis=1)
    # Of a distribution near zero the mean is the sum itself, all of whose terms are positive.
    mean = np.where(m < 1.0, (p * j).sum(axis=1), m + centre)
    out = [top + log_total + log_step, mean, c2]
    if count == _MEAN_AND_VARIANCE:
        return np.stack(out)
    mean_q = (p * q).sum(axis=1)
    e = q - mean_q[:, None]
    c3, c4 = (pdd * d).sum(axis=1), (pdd * d * d).sum(axis=1)
    jq, jjq, jjjq = (pd * e).sum(axis=1), (pdd * e).sum(axis=1), (pdd * d * e).sum(axis=1)
    out += [c3, c4 - 3.0 * c2**2, mean_q, jq, jjq, jjjq - 3.0 * c2 * jq]
    if count == _WITH_HIGHER:
        ee = e * e
        qq, jqq, qqq, jjqq, jqqq = ((x * ee).sum(axis=1) for x in (p, pd, p * e, pdd, pd * e))
        out += [qq, jqq, qqq, jjqq - c2 * qq - 2.0 * jq**2, jqqq - 3.0 * jq * qq]
    return np.stack(out)


def _log_poisson(j: Array, log_m: Array, distance: Array | None = None) -> Array:
    """Log probability of j at mean m, for m < 1 times e^m; `distance` is j - m where that is known better."""
    large = np.maximum(np.exp(np.minimum(log_m, 700.0)), 1.0)
    x = np.maximum((j - large if distance is None else distance) / large, -1.0)
    positive = np.maximum(j, 1.0)
    # Loader's form: the deviance and what Stirling's formula leaves of the factorial.
    series = 0.5 * np.log(2.0 * np.pi * positive) + stirling_remainder(np.maximum(positive, _STIRLING))
    exact = gammaln(positive + 1.0) - positive * np.log(positive) + positive
    rest = np.where(j > 0.0, np.where(positive >= _STIRLING, series, exact), 0.0)
    return np.where(log_m >= 0.0, -large * _deviance(x) - rest, j * log_m - gammaln(j + 1.0))


def _deviance(x: Array) -> Array:
    """(1 + x) log(1 + x) - x = sum_k (-x)^k / (k (k - 1)), k >= 2."""
    out = np.array(xlog1py(1.0 + x, x) - x)
    near = np.abs(x) < _NEAR
    own = x[near]
    series = np.zeros_like(own)
    for k in range(_SERIES, 1, -1):
        series = (-1.0) ** k / (k * (k - 1.0)) + series * own
    out[near] = series * own * own
    return out


class ConwayMaxwellPoisson(CountFamily):
    """Counts of mean mu and index nu = 1 / phi: more variable than Poisson's above phi = 1, less below."""

    name = "compois"

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        return compois(y, self.mean(eta), phi)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return _solved(mu, phi)[2].k2

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return draw_counts(compois_at(mu, phi), np.shape(mu), 0.0, rng)


def compois_at(mu: Array, phi: Array | float) -> Callable[[Array], Array]:
    """Log probability of a count at every mean, as a function of the count."""
    log_m, nu, at = _solved(mu, phi)
    return lambda y: nu * _log_poisson(y, log_m) - at.log_total


def _solved(mu: Array, phi: Array | float) -> tuple[Array, Array, _Moments]:
    """log m, nu and the sums, at means of the shape of mu."""
    shape = np.broadcast_shapes(np.shape(mu), np.shape(phi))
    nu = np.broadcast_to(1.0 / np.asarray(phi, dtype=float), shape)
    log_m, sums = _last_solved(np.broadcast_to(np.asarray(mu, dtype=float), shape).tobytes(), nu.tobytes())
    return log_m.reshape(shape), nu, _Moments(*(row.reshape(shape) for row in sums))


# Density, score and slopes in the parameters are asked for one after another at the same means: of every predictor that
# moves, with the dispersion as it is and moved.
@lru_cache(maxsize=2)
def _last_solved(mean: bytes, nu: bytes) -> tuple[Array, Array]:
    """log m (r,) and the sums (9, r)."""
    index = np.frombuffer(nu)
    log_m = _solve(np.frombuffer(mean), index)
    sums = _moments(log_m, index, _ALL_BUT_HIGHER)
    log_m.flags.writeable = sums.flags.writeable = False
    return log_m, sums
