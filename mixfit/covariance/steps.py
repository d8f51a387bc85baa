"""Newton steps on the templates of all random terms together: directions, moves, and the way off the boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.templates import semidefinite_cholesky
from mixfit.optimize.steps import Pivots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.covariance.term import Term
    from mixfit.optimize.certificate import BoundaryParameter

    Array = NDArray[np.float64]

__all__ = ["eigenframe", "free_directions", "leave_boundary", "move", "pivots", "turns"]


def free_directions(
    terms: Sequence[Term], templates: Sequence[Array], seen: Sequence[NDArray[np.bool_]]
) -> list[Direction]:
    """Every direction that moves a T T' within its structure and rank: a basis of the tangent space.

    Among the columns of each term that are `seen`: what the data do not show is at zero and stays there.
    """
    return [
        direction
        for index, (term, t) in enumerate(zip(terms, templates, strict=True))
        for direction in term.structure.directions(index, t, seen[index])
    ]


def eigenframe(terms: Sequence[Term], templates: Sequence[Array]) -> list[Array]:
    """The same T T' by the templates that steps are best made from."""
    return [term.structure.turned(t) for term, t in zip(terms, templates, strict=True)]


def pivots(directions: Sequence[Direction], quadratic_share: Sequence[Array], inverse_share: Sequence[Array]) -> Pivots:
    """What the balanced model says of the log standard deviations among the directions.

    The shares are, by term and column, the ratio of the quadratic part of T'N T to its other parts, and the mean
    diagonal of A^{-1}.
    """
    own = [(a, d) for a, d in enumerate(directions) if d.is_pivot]
    return Pivots(
        tuple(a for a, _ in own),
        tuple(float(quadratic_share[d.term][d.column]) for _, d in own),
        tuple(float(inverse_share[d.term][d.column]) for _, d in own),
    )


def move(
    templates: Sequence[Array],
    directions: Sequence[Direction],
    step: Array,
    vanishing: tuple[int, ...] = (),
) -> list[Array]:
    """Templates T R(step): columns exp(step_jj) T_j plus the off-diagonal moves; vanishing columns zero."""
    out = [t.copy() for t in templates]
    for a, d in enumerate(directions):
        if not d.is_pivot:
            out[d.term] += step[a] * d.step
    for a, d in enumerate(directions):
        if d.is_pivot:
            out[d.term][:, d.column] *= 0.0 if a in vanishing else np.exp(step[a])
    return out


def turns(templates: Sequence[Array], directions: Sequence[Direction]) -> Array:
    """What brings every direction to one scale, (m,): radians of the column that it turns, or a log standard deviation.

    T E_ij is |T_i| long, and column j that it moves |T_j|.
    """
    return np.array(
        [
            1.0 if d.is_pivot else float(np.linalg.norm(d.step) / np.linalg.norm(templates[d.term][:, d.column]))
            for d in directions
        ]
    )


def leave_boundary(templates: Sequence[Array], away: BoundaryParameter, variance: float) -> list[Array]:
    """Templates with some variance along a boundary direction."""
    out = list(templates)
    t = templates[away.term]
    out[away.term] = semidefinite_cholesky(t @ t.T + variance * np.outer(away.direction, away.direction))
    return out
