r"""The covariance of all estimates of a generalized model by the scores of clusters.

With d_c what cluster c adds to d = -2 log-likelihood, whose second derivatives are H, the estimates of all parameters
together, (theta, beta, dispersion), have the covariance (Huber 1967; White 1982; Liang & Zeger 1986 by clusters)

    (H/2)^{-1} { sum_c (d_c'/2) (d_c'/2)' } (H/2)^{-1} = sum_c (H^{-1} d_c') (H^{-1} d_c')'

whatever the distribution of the responses within clusters, at the parameters of the nearest model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.conditional import laplace_at
from mixfit.glmm.estimate import with_covariance
from mixfit.glmm.given import place_of
from mixfit.glmm.minimize import UNDETERMINED, GeneralizedCriterion
from mixfit.glmm.objective import LaplaceObjective, LikelihoodPoint
from mixfit.glmm.working import spectral_inverse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.glmm.objective import Objective
    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.glmm.types import GeneralizedEstimate

    Index = NDArray[np.intp]

__all__ = ["sandwich"]


def sandwich(
    assembly: GeneralizedAssembly, estimate: GeneralizedEstimate, cluster: Index, n_clusters: int, factor: float
) -> GeneralizedEstimate:
    """The estimate with the covariance by clusters (n,), times `factor`, in the place of its own.

    Raises
    ------
    FitError
        Where a correlation is on its bound.
    """
    at, problem = place_of(assembly, estimate), assembly.problem
    objective: Objective[Any] = (
        LaplaceObjective(problem) if estimate.n_agq == 1 else QuadratureObjective(problem, estimate.n_agq)
    )
    center = laplace_at(assembly, estimate)
    objective.settle(LikelihoodPoint(at, center, center.value))
    criterion = GeneralizedCriterion(objective)
    found = criterion.evaluate(at)
    local = criterion.local(found)
    slopes = objective.cluster_slopes(found, cluster, n_clusters).along(local.directions)
    moved = slopes @ spectral_inverse(criterion.hessian(found, local), UNDETERMINED)
    out = with_covariance(estimate, assembly, at, local.directions, factor * moved.T @ moved)
    out.at.keep(found.center)
    return out
