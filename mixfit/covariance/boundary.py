"""The boundary of the covariance cone: directions without variance, and whether they should have some."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mixfit.optimize.certificate import BoundaryParameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mixfit.covariance.term import Term

    Array = NDArray[np.float64]

__all__ = ["boundary_parameters"]


def boundary_parameters(
    terms: Sequence[Term],
    templates: Sequence[Array],
    seen: Sequence[NDArray[np.bool_]],
    absolute: Mapping[int, Array],
    curvature: Callable[[int, Array], tuple[float, float]],
    largest: float = 1.0,
) -> tuple[BoundaryParameter, ...]:
    """Every direction of zero variance with its one-sided derivative.

    A covariance Sigma is optimal on the cone's boundary when N Sigma = 0 (what the free directions
    say) and N is nonnegative on the null space of Sigma; the eigenvectors there are reported.

    Parameters
    ----------
    terms, templates
        All random terms and their relative factors.
    seen : sequence of ndarray of bool, shape (k_t,)
        Which columns of each term are not zero in every row.
    absolute : mapping of int to ndarray, shape (k_t, k_t)
        N_t of the terms with a singular template.
    curvature : callable
        Of a term and a direction: second derivative in the variance along it, and the quadratic part
        of the first.
    largest : float
        No step off the boundary has more variance.
    """
    out = []
    for index, n_t in absolute.items():
        structure = terms[index].structure
        null = structure.null_space(templates[index], seen[index])
        slopes, vectors = structure.null_slopes(null.T @ n_t @ null)
        for slope, vector in zip(slopes.tolist(), vectors.T, strict=True):
            direction = null @ vector
            decrease, variance = 0.0, 0.0
            if slope < 0:
                decrease, variance = _newton_off(slope, *curvature(index, direction), largest)
            out.append(BoundaryParameter(index, direction, slope, decrease, variance))
    return tuple(out)


def _newton_off(slope: float, second: float, quadratic: float, largest: float) -> tuple[float, float]:
    """Decrease and variance of a Newton step off the boundary along one direction."""
    # A curvature lost to rounding is no proof of optimality.
    second = max(second, 1e-12 * slope**2, sys.float_info.min)
    # The balanced model's step (see `mixfit.optimize.steps`): Newton's, stretched by the ratio of the two parts of N.
    other = quadratic + slope
    newton = -slope * max(quadratic / other, 1.0) / second if other > 0.0 else largest
    return 0.5 * slope**2 / second, min(newton, largest)
