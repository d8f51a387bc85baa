"""Lower-triangular factors of covariances, along which product rules are taken, and slopes in their entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import regular_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["in_covariance", "lower_half", "lower_triangular", "with_variance"]

# Rows of T below this share of their length are rounding.
_ROUNDING = 1e-14


def lower_triangular(t: Array) -> tuple[Array, Array]:
    """The lower-triangular T_low of the same T T', its columns without variance last, and Q with T = T_low Q.

    Examples
    --------
    >>> low, turn = lower_triangular(np.array([[0.0, 1.0], [2.0, 0.0]]))
    >>> low.round(12).tolist(), (low @ turn).round(12).tolist()
    ([[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [2.0, 0.0]])
    """
    k = len(t)
    low, turn = np.array(t), np.eye(k)
    pivot = 0
    for row in range(k):
        if pivot == k:
            break
        rest = low[row, pivot:].copy()
        size = float(np.linalg.norm(rest))
        if size <= _ROUNDING * float(np.linalg.norm(low[row])):
            low[row, pivot:] = 0.0
            continue
        # Householder's reflection that sends the rest of the row to (size, 0, ...).
        rest[0] -= size
        if (length := float(rest @ rest)) > 0.0:
            low[:, pivot:] -= np.outer(low[:, pivot:] @ rest, 2.0 / length * rest)
            turn[pivot:] -= np.outer(2.0 / length * rest, rest @ turn[pivot:])
            low[row, pivot + 1 :] = 0.0
        pivot += 1
    low[:, pivot:] = 0.0
    return low, turn


def in_covariance(slope: Array, low: Array) -> Array:
    """N T of the N that has these slopes along lower-trapezoidal T, from half the derivatives in all entries of T.

    Above the pivots the derivatives are of another sum, at T that are not lower-triangular; there N T has what makes
    T'N T symmetric.
    """
    out = np.array(slope)
    rank = int(regular_columns(low).sum())
    pivots = [int(np.flatnonzero(low[:, c])[0]) for c in range(rank)]
    triangle, whole = low[pivots, :rank], low.T @ slope
    for c in range(1, rank):
        rest = whole[c, :c] - whole[:c, c]
        out[pivots[:c], c] += np.linalg.solve(triangle[:c, :c].T, rest)
    return out


def with_variance(t: Array, direction: Array, variance: float) -> Array:
    """Lower-triangular factor of T T' + v d d', without squaring T."""
    low = np.asarray(np.linalg.qr(np.column_stack([t, np.sqrt(variance) * direction]).T, mode="r")).T
    return low * np.where(low.diagonal() < 0.0, -1.0, 1.0)


def lower_half(a: Array) -> Array:
    """Phi: the lower triangle with half its diagonal, of every level."""
    out = np.zeros(a.shape)
    for i in range(len(a)):
        out[i, :i] = a[i, :i]
        out[i, i] = 0.5 * a[i, i]
    return out
