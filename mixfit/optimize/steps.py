r"""Steps on relative covariance factors, shared by linear and generalized models.

Coordinates are relative to the current templates, T -> T R(delta): log standard deviations on the diagonal.
There the curvature of one variance is known in closed form for balanced data,
d(v) = q [log tau + tau_hat / tau] with tau = 1 + n v; the average information is rescaled to give that
model's step from any distance, which leaves it unchanged at the optimum. Where the model's optimum is not
positive the boundary itself is worth trying.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dgesdd, dpotrf, dpotrs

from mixfit.covariance.templates import semidefinite_cholesky
from mixfit.optimize.bounds import (
    LONGEST_STEP,
    NEGLIGIBLE,
    NOTHING,
    ROUNDING,
    SAFE_PIVOT,
    SMALLEST_SHARE,
    STAND_IN,
    UNKNOWN,
)
from mixfit.optimize.direction import Direction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.optimize.certificate import BoundaryParameter

    Array = NDArray[np.float64]

__all__ = [
    "eigenframe",
    "free_directions",
    "leave_boundary",
    "limited_step",
    "move",
    "negligible",
    "newton_step",
    "null_space",
    "regular_columns",
    "scaled_step",
]

_MAX_HALVINGS = 25
_MAX_RAISES = 20
_LARGEST_RAISE = 4.0


def regular_columns(t: Array) -> NDArray[np.bool_]:
    """Which columns of a square factor T carry variance: the others are zero."""
    return np.asarray(t.any(axis=0))


def null_space(t: Array, seen: NDArray[np.bool_], *, diagonal: bool) -> Array:
    """Orthonormal directions in which T T' has no variance, as columns (unit vectors for a diagonal T).

    Only among the columns of the term that are `seen`: what the data do not show is at zero and stays there.
    """
    regular = regular_columns(t)
    if diagonal:
        return np.eye(len(t))[:, seen & ~regular]
    vectors = np.zeros((len(t), int(np.count_nonzero(seen))))
    vectors[seen] = np.linalg.svd(t[seen])[0]
    return vectors[:, int(np.count_nonzero(regular)) :]


def free_directions(
    terms: Sequence[Term], templates: Sequence[Array], seen: Sequence[NDArray[np.bool_]]
) -> list[Direction]:
    """Every direction that moves T T' within its structure and rank: a basis of the tangent space.

    Between columns with variance the directions are T E_ij, i >= j. Where T is singular each such column may
    also turn out of the range of T, along the null space of T T' among the columns that are `seen`.
    """
    out = []
    for index, (term, t) in enumerate(zip(terms, templates, strict=True)):
        columns = np.flatnonzero(regular_columns(t))
        for place, j in enumerate(columns):
            for i in columns[place:] if term.structure == "us" else (j,):
                step = np.zeros(t.shape)
                step[:, j] = t[:, i]
                out.append(Direction(index, int(i), int(j), step, relative=True))
        if term.structure == "us" and 0 < len(columns) < term.k:
            for null in null_space(t, seen[index], diagonal=False).T:
                for j in columns:
                    step = np.zeros(t.shape)
                    step[:, j] = null * np.linalg.norm(t[:, j])
                    out.append(Direction(index, -1, int(j), step, relative=False))
    return out


def eigenframe(terms: Sequence[Term], templates: Sequence[Array]) -> list[Array]:
    """The same T T' with orthogonal columns, longest first: no entry is large beside its own variance."""
    return [
        _orthogonal_columns(t) if term.structure == "us" and term.k > 1 else t
        for term, t in zip(terms, templates, strict=True)
    ]


def _orthogonal_columns(t: Array) -> Array:
    rank = int(np.count_nonzero(regular_columns(t)))
    vectors, values, _, _ = dgesdd(t)
    values[rank:] = 0.0
    return np.asarray(vectors * values)


def newton_step(information: Array, gradient: Array) -> tuple[Array, float]:
    """-H^{-1} g and the decrease it promises.

    Directions in which H says nothing are left alone where g is rounding there too (they are flat); where g
    is not, H has failed, and a small curvature stands in for it.
    """
    if not len(gradient):
        return gradient, 0.0
    size = np.abs(information.diagonal())
    scale = np.sqrt(np.where(size > NOTHING, size, 1.0))
    unit = information / (scale[:, None] * scale)
    low, failed = dpotrf(unit, lower=1)
    if not failed and low.diagonal().min() > SAFE_PIVOT:
        solved = dpotrs(low, gradient / scale, lower=1)[0]
        return -solved / scale, 0.5 * float(gradient @ (solved / scale))
    values, vectors = np.linalg.eigh(unit)
    along = vectors.T @ (gradient / scale)
    known = values > UNKNOWN * len(values)
    flat = ~known & (np.abs(along) <= ROUNDING)
    curvature = np.where(known, values, np.maximum(np.abs(values), STAND_IN))
    coefficients = np.where(flat, 0.0, along / curvature)
    step: Array = -(vectors @ coefficients) / scale
    return step, 0.5 * float(along @ coefficients)


def scaled_step(
    directions: Sequence[Direction],
    gradient: Array,
    information: Array,
    shares: tuple[Sequence[Array], Sequence[Array]],
    full: Array,
) -> tuple[Array, tuple[int, ...]]:
    """Newton step in the rescaled information, and the pivots that its model sends to zero.

    `shares` are, by term and column, the ratio of the quadratic part of T'N T to its other parts, and the
    mean diagonal of A^{-1}; `full` is the step in the information as it is. Parameters after the directions
    (fixed effects, dispersion) are not rescaled.
    """
    quadratic, inverse = shares
    stretch = np.ones(len(gradient))
    vanishing = []
    for a, d in enumerate(directions):
        if d.row != d.column:
            continue
        rho, share = quadratic[d.term][d.column], inverse[d.term][d.column]
        if share > NEGLIGIBLE:
            vanishing.append(a)
        if not (np.isfinite(rho) and share < 1.0):
            continue
        # tau = 1 / share; the balanced model's optimum is v * target.
        target = (rho - share) / (1.0 - share)
        if a not in vanishing and gradient[a] > 0 and (target <= 0.0 or 2.0 * full[a] <= -1.0):
            vanishing.append(a)
        target = max(target, SMALLEST_SHARE)
        if abs(target - 1.0) > 1e-8:
            stretch[a] = np.clip((target - 1.0) / (max(rho, SMALLEST_SHARE) * np.log(target)), 0.05, 100.0)
    root = np.sqrt(stretch)
    return limited_step(information * np.outer(root, root), gradient, directions), tuple(vanishing)


def negligible(directions: Sequence[Direction], inverse_share: Sequence[Array]) -> tuple[int, ...]:
    """Columns that are zero but for their name: nothing is lost where they are, and the boundary can be looked at."""
    return tuple(
        a
        for a, d in enumerate(directions)
        if d.relative and d.row == d.column and inverse_share[d.term][d.column] > NEGLIGIBLE
    )


def limited_step(information: Array, gradient: Array, directions: Sequence[Direction]) -> Array:
    """Newton step with every covariance coordinate kept below the longest step.

    A coordinate on its way down to zero must not hold up the others: its curvature is raised. Of a step that is
    still too long, the whole scaled down and the coordinates cut one by one, the quadratic model takes the better.
    """
    step, _ = newton_step(information, gradient)
    limit = np.full(len(step), np.inf)
    limit[: len(directions)] = LONGEST_STEP
    for _ in range(_MAX_RAISES):
        falling = (step < -limit) & (gradient > 0)
        if not falling.any():
            break
        information = information.copy()
        # No further than needed: where H is singular any raise ends the long steps of all coordinates.
        information[falling, falling] *= np.minimum(2.0 * np.abs(step[falling]) / limit[falling], _LARGEST_RAISE)
        step, _ = newton_step(information, gradient)
    excess = float((np.abs(step) / limit).max(initial=0.0))
    if excess <= 1.0:
        return step
    scaled, clipped = step / excess, np.clip(step, -limit, limit)
    return min(scaled, clipped, key=lambda s: float(gradient @ s + 0.5 * s @ information @ s))


def move(
    templates: Sequence[Array],
    directions: Sequence[Direction],
    step: Array,
    vanishing: tuple[int, ...] = (),
) -> list[Array]:
    """Templates T R(step): columns exp(step_jj) T_j plus the off-diagonal moves; vanishing columns zero."""
    out = [t.copy() for t in templates]
    for a, d in enumerate(directions):
        if d.row != d.column:
            out[d.term] += step[a] * d.step
    for a, d in enumerate(directions):
        if d.row == d.column:
            out[d.term][:, d.column] *= 0.0 if a in vanishing else np.exp(step[a])
    return out


def leave_boundary(templates: Sequence[Array], away: BoundaryParameter) -> Iterator[list[Array]]:
    """Templates with some variance along a boundary direction, less and less of it."""
    variance = away.newton_variance
    for _ in range(_MAX_HALVINGS):
        out = list(templates)
        t = templates[away.term]
        out[away.term] = semidefinite_cholesky(t @ t.T + variance * np.outer(away.direction, away.direction))
        yield out
        variance *= 0.25
