r"""Start values of one unstructured covariance, from what the levels tell by themselves.

With e the least-squares residual and b_j = F_j^{-1} Z_j'e the coefficients of each level,

    E sum_j b_j b_j' = sum_j [Sigma + sigma^2 (F_j^{-1} - C_j C_j')] + ...,      C_j = F_j^{-1} Z_j'X,

with X orthonormal, and what the levels leave of e has n - p - k q + sum_j tr(C_j'F_j C_j) degrees of freedom. Where
all F_j are the same and X lies in the columns of Z, these moments are the estimates themselves: those of the
multivariate analysis of variance, by REML with q - 1 in place of q (Lange & Laird 1989, JASA 84, 241-247).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["are_levels_alike", "covariance_start"]

# Variances that far below the largest are none: the search looks there by itself.
_LEAST = 1e-6
# Levels whose cross-products are worse conditioned have no coefficients of their own.
_CONDITION = 1e-8


def are_levels_alike(problem: Problem) -> bool:
    """Whether a problem is small, of one factor, and all its levels have the same cross-products."""
    return problem.one_factor is not None and len(problem.one_factor.count) == 1


def covariance_start(problem: Problem, *, reml: bool) -> Array | None:
    """A template with correlations to start from, (k, k); None where the levels do not tell one."""
    one, p = problem.one_factor, problem.p
    if one is None or len(problem.terms) != 1:
        return None
    u, k, _ = one.gram.shape
    if k == 1 or problem.terms[0].structure.free_blocks != (slice(0, k),):
        return None
    spread = np.linalg.eigvalsh(one.gram)
    if not (spread[:, 0] > _CONDITION * spread[:, -1]).all():
        return None
    inverse = np.asarray(np.linalg.inv(one.gram), dtype=float)
    sums = one.sums.reshape(p + 1, p + 1, u, k, k)
    of_y, of_x = sums[p, p], np.einsum("xxuab->uab", sums[:p, :p])
    shared = float(np.vdot(inverse, of_x))
    degrees = problem.gram.n - p - k * one.n_levels + shared
    residual = float(one.corner[p, p] - np.vdot(inverse, of_y))
    n_free = one.n_levels - shared / k if reml else float(one.n_levels)
    if not (degrees > 0.0 and residual > 0.0 and n_free > 0.0):
        return None
    noise = np.tensordot(one.count, inverse, 1)
    if reml:
        noise = noise - (inverse @ of_x @ inverse).sum(axis=0)
    between = (inverse @ of_y @ inverse).sum(axis=0)
    values, vectors = np.linalg.eigh((between * (degrees / residual) - noise) / n_free)
    return np.asarray(vectors * np.sqrt(values), dtype=float) if values[0] > _LEAST * values[-1] else None
