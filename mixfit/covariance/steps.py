"""Newton steps of all random terms together: directions, moves, and the way off the boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.optimize.steps import Pivots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.covariance.structure import Structure
    from mixfit.covariance.term import Term
    from mixfit.optimize.certificate import BoundaryParameter

    Array = NDArray[np.float64]

__all__ = [
    "free_directions",
    "leave_boundary",
    "move",
    "pivots",
    "relative_factors",
    "slopes_near",
    "split_theta",
    "turned",
    "units",
]


def relative_factors(terms: Sequence[Term], points: Sequence[Array]) -> tuple[Array, ...]:
    """Templates of the points."""
    return tuple(term.structure.relative_factor(point) for term, point in zip(terms, points, strict=True))


def free_directions(
    terms: Sequence[Term], points: Sequence[Array], seen: Sequence[NDArray[np.bool_]]
) -> list[Direction]:
    """Every direction that moves a T T' within its structure, rank and bounds: a basis of the tangent space.

    Among the columns of each term that are `seen`: what the data do not show is at zero and stays there.
    """
    return [
        direction
        for index, (term, point) in enumerate(zip(terms, points, strict=True))
        for direction in term.structure.directions(index, point, seen[index])
    ]


def theta_order(structures: Sequence[Structure], n_levels: Sequence[int]) -> NDArray[np.intp]:
    """Where the entries of theta in lme4's order stand among those of the terms in the formula's order, shape (m,).

    lme4 sorts terms by decreasing number of levels (``mkReTrms``), and leaves them alone where they stand so; terms of
    as many levels change places when it sorts. It takes ``||`` for a term a column.
    """
    pieces: list[NDArray[np.intp]] = []
    levels: list[int] = []
    start = 0
    for structure, n in zip(structures, n_levels, strict=True):
        own = np.arange(start, start + structure.n_parameters, dtype=np.intp)
        start += len(own)
        parts = list(own[:, None]) if structure.is_separable else [own]
        pieces += parts
        levels += [n] * len(parts)
    if np.any(np.diff(levels) > 0):
        pieces = [pieces[i] for i in np.argsort(levels, kind="stable")[::-1]]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.intp)


def split_theta(structures: Sequence[Structure], theta: Array) -> list[Array]:
    """The part (..., m_t) of each structure in theta (..., m)."""
    ends = np.cumsum([structure.n_parameters for structure in structures], dtype=np.intp)
    return np.split(theta, ends, axis=-1)[:-1]


def turned(terms: Sequence[Term], points: Sequence[Array]) -> list[Array]:
    """The same T T' by the points that steps are best made from."""
    return [term.structure.turned(point) for term, point in zip(terms, points, strict=True)]


def pivots(directions: Sequence[Direction], quadratic_share: Sequence[Array], inverse_share: Sequence[Array]) -> Pivots:
    """What the balanced model says of the logarithms among the directions.

    The shares are, by term and column, the ratio of the quadratic part of T'N T to its other parts, and the mean
    diagonal of A^{-1}.
    """
    own = [(a, d) for a, d in enumerate(directions) if d.is_pivot]
    return Pivots(
        tuple(a for a, _ in own),
        tuple(d.share(quadratic_share[d.term]) for _, d in own),
        tuple(d.share(inverse_share[d.term]) for _, d in own),
    )


def move(
    terms: Sequence[Term],
    points: Sequence[Array],
    directions: Sequence[Direction],
    step: Array,
    vanishing: tuple[int, ...] = (),
) -> list[Array]:
    """The points that a step along the directions leads to; the pivots that `vanishing` names lead to zero."""
    out = []
    for index, (term, point) in enumerate(zip(terms, points, strict=True)):
        own = [(d, float(step[a])) for a, d in enumerate(directions) if d.term == index]
        gone = [directions[a] for a in vanishing]
        out.append(term.structure.moved(point, own, gone) if own else point)
    return out


def slopes_near(
    terms: Sequence[Term],
    points: Sequence[Array],
    directions: Sequence[Direction],
    relative: Sequence[Array],
    absolute: Mapping[int, Array],
) -> Array:
    """Derivatives along directions at `points` close to where these are made, (m,), from T'NT and N of the terms there.

    The coordinates are those centred where the directions are made: what differences of a gradient are taken in.
    """
    out = np.empty(len(directions))
    for index, (term, point) in enumerate(zip(terms, points, strict=True)):
        own = [a for a, d in enumerate(directions) if d.term == index]
        mine = [directions[a] for a in own]
        out[own] = term.structure.slopes_after(mine, point, relative[index], absolute.get(index))
    return out


def units(directions: Sequence[Direction]) -> Array:
    """What brings every direction to one scale, (m,): see `Direction.unit`."""
    return np.array([d.unit for d in directions])


def leave_boundary(terms: Sequence[Term], points: Sequence[Array], away: BoundaryParameter, size: float) -> list[Array]:
    """Points with some variance along a boundary direction, or some way off a bound."""
    out = list(points)
    out[away.term] = terms[away.term].structure.left(points[away.term], away, size)
    return out
