"""The boundary of the covariance cone: directions without variance, and whether they should have some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.derivatives import Direction, average_information
from mixfit.optimize.certificate import BoundaryParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.criterion import Profile
    from mixfit.lmm.derivatives import Derivatives

    Array = NDArray[np.float64]

__all__ = ["boundary_parameters"]


def boundary_parameters(at: Profile, derivatives: Derivatives) -> tuple[BoundaryParameter, ...]:
    """Every direction of zero variance with its one-sided derivative.

    A covariance Sigma is optimal on the cone's boundary when N Sigma = 0 (what the free directions
    say) and N is nonnegative on the null space of Sigma; the eigenvectors there are reported.
    """
    out = []
    for index, n_t in derivatives.absolute.items():
        term, t = at.problem.terms[index], at.templates[index]
        null = _null_space(t, diagonal=term.structure == "diag")
        restricted = null.T @ n_t @ null
        if term.structure == "diag":
            slopes, vectors = restricted.diagonal(), np.eye(len(restricted))
        else:
            slopes, vectors = np.linalg.eigh(restricted)
        for slope, vector in zip(slopes, vectors.T, strict=True):
            direction = null @ vector
            decrease, variance = 0.0, 0.0
            if slope < 0:
                decrease, variance = _newton_off(at, derivatives, index, direction, float(slope))
            out.append(BoundaryParameter(index, direction, float(slope), decrease, variance))
    return tuple(out)


def _null_space(t: Array, *, diagonal: bool) -> Array:
    if diagonal:
        return np.eye(len(t))[:, t.diagonal() == 0]
    rank = int(np.count_nonzero(t.diagonal()))
    vectors, _, _ = np.linalg.svd(t)
    return vectors[:, rank:]


def _newton_off(
    at: Profile, derivatives: Derivatives, index: int, direction: Array, slope: float
) -> tuple[float, float]:
    """Decrease and variance of a Newton step off the boundary along one direction."""
    term = at.problem.terms[index]
    s = direction @ derivatives.scores[index]
    c = np.zeros((at.problem.gram.k[term.factor], len(s)))
    c[term.columns] = np.outer(direction, s)
    dummy = Direction(index, 0, 0, np.empty((0, 0)), relative=False)
    curvature = float(average_information(at, [c], [dummy])[0, 0])
    if curvature <= 0.0:
        return 0.0, 0.0
    quadratic = float(s @ s) / at.scale
    # The balanced model's step (see `newton`): Newton's, stretched by the ratio of the two parts of N.
    stretch = quadratic / max(quadratic + slope, np.finfo(float).tiny)
    return 0.5 * slope**2 / curvature, min(-slope * max(stretch, 1.0) / curvature, 1.0)
