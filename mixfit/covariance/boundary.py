"""The boundary of a covariance's set: ways off it, and whether they lead down."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from mixfit.optimize.certificate import BoundaryParameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term

    Array = NDArray[np.float64]

__all__ = ["boundary_parameters", "newton_off"]


def boundary_parameters(
    terms: Sequence[Term],
    points: Sequence[Array],
    seen: Sequence[NDArray[np.bool_]],
    relative: Sequence[Array],
    absolute: Mapping[int, Array],
    curvature: Callable[[int, Array], tuple[float, float]],
    largest: float = 1.0,
) -> tuple[BoundaryParameter, ...]:
    """Every direction of zero variance, and every parameter on a bound, with its one-sided derivative.

    A free covariance Sigma is optimal on the cone's boundary when N Sigma = 0 (what the free directions
    say) and N is nonnegative on the null space of Sigma; the eigenvectors there are reported. A parameter is optimal
    on its bound when <N, Sigma'> is nonnegative inward.

    Parameters
    ----------
    terms, points
        All random terms and their points.
    seen : sequence of ndarray of bool, shape (k_t,)
        Which columns of each term are not zero in every row.
    relative : sequence of ndarray, shape (k_t, k_t)
        T'N_t T.
    absolute : mapping of int to ndarray, shape (k_t, k_t)
        N_t of the terms with a singular template.
    curvature : callable
        Of a term and a change of its Sigma: second derivative along it, and the quadratic part of the first.
    largest : float
        No step off the boundary has more variance.
    """
    out = []
    for index, (term, point) in enumerate(zip(terms, points, strict=True)):
        structure = term.structure
        if not structure.is_on_bound(point):
            continue
        if index in absolute:
            n_t = absolute[index]
        else:
            inverse = np.linalg.inv(structure.relative_factor(point))
            n_t = inverse.T @ relative[index] @ inverse
        for edge in structure.edges(point, n_t, seen[index]):
            decrease, size = 0.0, 0.0
            if edge.slope < 0:
                bound = edge.reach if np.isfinite(edge.reach) else largest
                decrease, size = newton_off(edge.slope, *curvature(index, edge.change), bound)
            out.append(BoundaryParameter(index, edge.direction, edge.slope, decrease, size, edge.parameter, edge.reach))
    return tuple(out)


def newton_off(slope: float, second: float, quadratic: float, largest: float) -> tuple[float, float]:
    """Decrease and size of a Newton step off the boundary along one direction."""
    # A curvature lost to rounding is no proof of optimality.
    second = max(second, 1e-12 * slope**2, sys.float_info.min)
    # The balanced model's step (see `mixfit.optimize.steps`): Newton's, stretched by the ratio of the two parts of N.
    other = quadratic + slope
    newton = -slope * max(quadratic / other, 1.0) / second if other > 0.0 else largest
    return 0.5 * slope**2 / second, min(newton, largest)
