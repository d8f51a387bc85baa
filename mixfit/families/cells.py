r"""Log probabilities of ordered categories as functions of standardized thresholds, with what is differentiated.

With K categories, thresholds tau_1 .. tau_{K-1}, a predictor eta and a scale s, the probability of category y is a
function of u_j = (tau_j - eta) / s. Four kinds are known, F the distribution of the latent variable:

    cumulative            P(y) = F(u_y) - F(u_{y-1}),    F(u_0) = 0,  F(u_K) = 1
    sequential            P(y) = F(u_y) prod_{j<y} (1 - F(u_j)),    without F(u_y) for y = K
    adjacent              P(y) proportional to prod_{j<y} (1 - F(u_j)) prod_{j>=y} F(u_j)

(stopping ratios; continuation ratios are sequential with the mirror image of F). All u_j move with eta alike, so that
all derivatives in eta, in the thresholds and in log s follow from

    p_j = dl / du_j,    q_j = sum_k d^2 l / du_j du_k,    r_j = sum_kl d^3 l / du_j du_k du_l,

which are p_j and its first two derivatives D, D^2 along a common shift of all u_j. For the cumulative kind,
with P = F(u) - F(v), a = f(u) / P, b = f(v) / P and g = a - b = Dl,

    p = (a, -b),    Da = a (r_u - g),    Db = b (r_v - g),    D^2 a = Da (r_u - g) + a (r'_u - Dg).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.families.latent import log_between

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.latent import Latent

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["KINDS", "Cells", "Kind"]


@dataclass(frozen=True, eq=False)
class Cells:
    """Derivatives of l in those u_j that each row depends on, one after another in `m` places.

    Attributes
    ----------
    places : ndarray of intp, shape (m, n)
        Which threshold stands at each place; any where its derivatives are zero.
    first, second, third : ndarray, shape (m, ..., n)
        p, q and r.
    """

    places: Index
    first: Array
    second: Array
    third: Array


@dataclass(frozen=True)
class Kind:
    """How thresholds make probabilities; u below is (K - 1, ..., n), y (n,) from 1 to K.

    Attributes
    ----------
    loglik : callable
        l, shape (..., n), from latent, y and u.
    cells : callable
        Its derivatives.
    curvature : callable
        -d^2 l / du_j du_k of predictors (n,) at the places of the cells, shape (m, m, n).
    concave : callable
        Whether l is concave in u under a latent distribution.
    moves : callable
        With which u_j, going up and going down, a category becomes more probable: of y and K - 1, two masks (K - 1, n).
    """

    loglik: Callable[[Latent, Array, Array], Array]
    cells: Callable[[Latent, Array, Array], Cells]
    curvature: Callable[[Latent, Array, Array], Array]
    concave: Callable[[Latent], bool]
    moves: Callable[[Array, int], tuple[NDArray[np.bool_], NDArray[np.bool_]]]


def _at(u: Array, place: Index) -> Array:
    """u of one threshold a row, shape (..., n)."""
    return np.take_along_axis(u, place.reshape((1,) * (u.ndim - 1) + place.shape), axis=0)[0]


def _ends(y: Array, n_thresholds: int) -> tuple[Index, Index]:
    """Places of the thresholds above and below each category; those at the ends stand for what is not there."""
    code = np.asarray(y, dtype=np.intp)
    return np.minimum(code, n_thresholds) - 1, np.maximum(code - 2, 0)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of the lowest and the highest category, and of those between."""

    lowest: Index
    highest: Index
    between: Index

    @staticmethod
    def of(y: Array, n_thresholds: int) -> _Rows:
        low, high = y <= 1.0, y > n_thresholds
        return _Rows(np.flatnonzero(low), np.flatnonzero(high), np.flatnonzero(~low & ~high))


def _cumulative_loglik(latent: Latent, y: Array, u: Array) -> Array:
    above, below = _ends(y, len(u))
    upper, lower, rows = _at(u, above), _at(u, below), _Rows.of(y, len(u))
    out = np.empty(upper.shape)
    out[..., rows.lowest] = latent.log_below(upper[..., rows.lowest])
    out[..., rows.highest] = latent.log_above(lower[..., rows.highest])
    out[..., rows.between] = log_between(latent, upper[..., rows.between], lower[..., rows.between])
    return out


@dataclass(frozen=True, eq=False)
class _Sides:
    """a, b, r_u - g, r_v - g, and r'_u, r'_v, zero where there is no threshold."""

    a: Array
    b: Array
    bend_a: Array
    bend_b: Array
    twist_a: Array
    twist_b: Array


def _sides(latent: Latent, y: Array, u: Array) -> _Sides:
    above, below = _ends(y, len(u))
    upper, lower, rows = _at(u, above), _at(u, below), _Rows.of(y, len(u))
    a, b, bend_a, bend_b, twist_a, twist_b = np.zeros((6, *upper.shape))
    x = upper[..., rows.lowest]
    h = latent.hazards(x)
    a[..., rows.lowest], bend_a[..., rows.lowest], twist_a[..., rows.lowest] = (
        h.success,
        h.success_bend,
        latent.twist(x),
    )
    x = lower[..., rows.highest]
    h = latent.hazards(x)
    b[..., rows.highest], bend_b[..., rows.highest] = h.failure, h.failure_bend
    twist_b[..., rows.highest] = latent.twist(x)
    x, z = upper[..., rows.between], lower[..., rows.between]
    log_p = log_between(latent, x, z)
    inner_a, inner_b = np.exp(latent.log_density(x) - log_p), np.exp(latent.log_density(z) - log_p)
    a[..., rows.between], b[..., rows.between] = inner_a, inner_b
    if latent.name == "logit":
        # r_u - g is -P and r_v - g is P, to the last digit.
        p = np.exp(log_p)
        bend_a[..., rows.between], bend_b[..., rows.between] = -p, p
    else:
        g = inner_a - inner_b
        bend_a[..., rows.between], bend_b[..., rows.between] = latent.bend(x) - g, latent.bend(z) - g
    twist_a[..., rows.between], twist_b[..., rows.between] = latent.twist(x), latent.twist(z)
    return _Sides(a, b, bend_a, bend_b, twist_a, twist_b)


def _cumulative_cells(latent: Latent, y: Array, u: Array) -> Cells:
    s = _sides(latent, y, u)
    da, db = s.a * s.bend_a, s.b * s.bend_b
    dg = da - db
    dda = da * s.bend_a + s.a * (s.twist_a - dg)
    ddb = db * s.bend_b + s.b * (s.twist_b - dg)
    return Cells(np.stack(_ends(y, len(u))), np.stack([s.a, -s.b]), np.stack([da, -db]), np.stack([dda, -ddb]))


def _cumulative_curvature(latent: Latent, y: Array, u: Array) -> Array:
    s = _sides(latent, y, u)
    across = s.a * s.b
    return np.array([[across - s.a * s.bend_a, -across], [-across, across + s.b * s.bend_b]])


def _reached(y: Array, u: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of every threshold, (K - 1, ..., n): whether the category stops there, and whether it lies beyond."""
    j = np.arange(1.0, len(u) + 1.0).reshape((len(u),) + (1,) * (u.ndim - 1))
    return j == y, j < y


def _sequential_loglik(latent: Latent, y: Array, u: Array) -> Array:
    stops, passed = _reached(y, u)
    return np.asarray(
        np.where(stops, latent.log_below(u), 0.0).sum(axis=0) + np.where(passed, latent.log_above(u), 0.0).sum(axis=0)
    )


@dataclass(frozen=True, eq=False)
class _Tail:
    """Derivatives of log F, or of log(1 - F)."""

    first: Array
    second: Array
    third: Array


def _tails(latent: Latent, u: Array) -> tuple[_Tail, _Tail]:
    h, twist = latent.hazards(u), latent.twist(u)
    da, db = h.success * h.success_bend, h.failure * h.failure_bend
    below = _Tail(h.success, da, da * h.success_bend + h.success * (twist - da))
    above = _Tail(-h.failure, -db, -(db * h.failure_bend + h.failure * (twist + db)))
    return below, above


def _every(u: Array) -> Index:
    return np.broadcast_to(np.arange(len(u))[:, None], (len(u), u.shape[-1]))


def _sequential_cells(latent: Latent, y: Array, u: Array) -> Cells:
    stops, passed = _reached(y, u)
    below, above = _tails(latent, u)
    first, second, third = (
        np.where(stops, x, np.where(passed, z, 0.0))
        for x, z in ((below.first, above.first), (below.second, above.second), (below.third, above.third))
    )
    return Cells(_every(u), first, second, third)


def _diagonal(values: Array) -> Array:
    out = np.zeros((len(values), *values.shape))
    out[np.arange(len(values)), np.arange(len(values))] = values
    return out


def _sequential_curvature(latent: Latent, y: Array, u: Array) -> Array:
    return -_diagonal(_sequential_cells(latent, y, u).second)


def _log_odds(latent: Latent, u: Array) -> Array:
    return latent.log_below(u) - latent.log_above(u)


def _log_weights(odds: Array) -> Array:
    """sum_{j >= k} h(u_j) of every category k, shape (K, ..., n)."""
    upward = np.cumsum(odds[::-1], axis=0)[::-1]
    return np.concatenate([upward, np.zeros_like(odds[:1])])


def _adjacent_loglik(latent: Latent, y: Array, u: Array) -> Array:
    weights = _log_weights(_log_odds(latent, u))
    return _at(weights, np.asarray(y, dtype=np.intp) - 1) - np.logaddexp.reduce(weights, axis=0)


@dataclass(frozen=True, eq=False)
class _Adjacent:
    """h', h'', h''' of the log odds; P of every category and below; [y <= j] - P(y <= j), all (K - 1 or K, ..., n)."""

    h1: Array
    h2: Array
    h3: Array
    p: Array
    below: Array
    excess: Array


def _adjacent(latent: Latent, y: Array, u: Array) -> _Adjacent:
    low, high = _tails(latent, u)
    weights = _log_weights(_log_odds(latent, u))
    p = np.exp(weights - np.logaddexp.reduce(weights, axis=0))
    below = np.cumsum(p, axis=0)[:-1]
    above = np.cumsum(p[::-1], axis=0)[::-1][1:]
    passed = _reached(y, u)[1]
    excess = np.where(passed, -below, above)
    return _Adjacent(low.first - high.first, low.second - high.second, low.third - high.third, p, below, excess)


def _adjacent_cells(latent: Latent, y: Array, u: Array) -> Cells:
    x = _adjacent(latent, y, u)
    # With m_k = sum_{j >= k} h'_j, D P_k = P_k (m_k - m) and D^2 P_k = P_k [(m_k - m)^2 + D m_k - D m].
    centred = _log_weights(x.h1)
    centred = centred - (x.p * centred).sum(axis=0)
    moved = x.p * centred
    bent = _log_weights(x.h2)
    bent = bent - (x.p * bent).sum(axis=0) - (moved * centred).sum(axis=0)
    d1 = np.cumsum(moved, axis=0)[:-1]
    d2 = np.cumsum(x.p * (centred**2 + bent), axis=0)[:-1]
    return Cells(
        _every(u),
        x.h1 * x.excess,
        x.h2 * x.excess - x.h1 * d1,
        x.h3 * x.excess - 2.0 * x.h2 * d1 - x.h1 * d2,
    )


def _adjacent_curvature(latent: Latent, y: Array, u: Array) -> Array:
    x = _adjacent(latent, y, u)
    j = np.arange(len(u))
    together = x.below[np.minimum(j[:, None], j)] * (1.0 - x.below[np.maximum(j[:, None], j)])
    return x.h1[:, None] * x.h1 * together - _diagonal(x.h2 * x.excess)


def _beyond(y: Array, count: int) -> Array:
    """j - y of every threshold, (K - 1, n)."""
    return np.asarray(np.arange(1.0, count + 1.0)[:, None] - y)


#: By name.
KINDS: dict[str, Kind] = {
    "cumulative": Kind(
        _cumulative_loglik,
        _cumulative_cells,
        _cumulative_curvature,
        lambda latent: latent.concave,
        lambda y, count: (_beyond(y, count) == 0.0, _beyond(y, count) == -1.0),
    ),
    "sequential": Kind(
        _sequential_loglik,
        _sequential_cells,
        _sequential_curvature,
        lambda latent: latent.concave,
        lambda y, count: (_beyond(y, count) == 0.0, _beyond(y, count) < 0.0),
    ),
    # A log-sum-exp of concave functions need not be convex: only that of linear ones is, log odds of the logit.
    "adjacent": Kind(
        _adjacent_loglik,
        _adjacent_cells,
        _adjacent_curvature,
        lambda latent: latent.name == "logit",
        lambda y, count: (_beyond(y, count) >= 0.0, _beyond(y, count) < 0.0),
    ),
}
