"""Marginal likelihoods as what the joint optimizer asks: values, exact slopes and a cheap curvature at points.

Three have it: the Laplace approximation here, adaptive quadrature (`mixfit.glmm.aghq`) and the fast approximation
(`mixfit.glmm.joint`). All share the working linear model at the Laplace approximation for a curvature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from mixfit.glmm.cluster_slopes import Clustered, laplace_cluster_slopes
from mixfit.glmm.copies import can_copy, slopes_of_copies
from mixfit.glmm.laplace import laplace, laplace_gradient
from mixfit.glmm.working import edge_curvature, working_information
from mixfit.optimize.certificate import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.glmm.cluster_slopes import ClusterSlopes
    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.pirls import Mode
    from mixfit.glmm.problem import GeneralizedParameters, GeneralizedProblem, LikelihoodSlopes

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["LaplaceObjective", "LikelihoodPoint", "Objective"]

# What the value is not known to, of its size: modes settle to about 1e-14 of the decrement.
_RELATIVE_NOISE = 1e-12
# Share of the tolerance that counts as no difference between two values.
_NO_DIFFERENCE = 0.1


@dataclass(frozen=True, eq=False)
class LikelihoodPoint:
    """A marginal likelihood at one point.

    Attributes
    ----------
    at : GeneralizedParameters
    center : Laplace
        The Laplace approximation there, with the conditional modes.
    value : float
        -2 log-likelihood.
    """

    at: GeneralizedParameters
    center: Laplace
    value: float

    @property
    def tolerance(self) -> float:
        """A promised decrease below this is none."""
        return max(TOLERANCE, _RELATIVE_NOISE * abs(self.value))

    @property
    def resolution(self) -> float:
        """Differences of the value smaller than this are rounding."""
        return _NO_DIFFERENCE * self.tolerance


AnyPoint = TypeVar("AnyPoint", bound=LikelihoodPoint)


class Objective(Generic[AnyPoint]):
    """A marginal -2 log-likelihood. The search for modes starts from those of the point `settle` was given last.

    Attributes
    ----------
    problem : GeneralizedProblem
    n_aside : int
        Evaluations beside those that were asked for, for slopes on the boundary.
    """

    def __init__(self, problem: GeneralizedProblem) -> None:
        self.problem = problem
        self.n_aside = 0
        self._near: Mode | None = None

    def evaluate(self, at: GeneralizedParameters) -> AnyPoint:
        """The likelihood at a point.

        Raises
        ------
        FitError
            Where it has no conditional modes.
        """
        raise NotImplementedError

    def slopes(self, point: AnyPoint) -> LikelihoodSlopes:
        """Exact gradient at a point."""
        raise NotImplementedError

    def cluster_slopes(self, point: AnyPoint, cluster: Index, n_clusters: int) -> ClusterSlopes:
        """Exact gradient of what every cluster of observations adds; clusters hold levels whole."""
        raise NotImplementedError

    def slopes_close_by(self, places: Sequence[GeneralizedParameters]) -> list[LikelihoodSlopes]:
        """Exact gradients at places close to the point `settle` was given last."""
        return [self.slopes(self.evaluate(at)) for at in places]

    def settle(self, point: AnyPoint) -> None:
        """Let the modes of the points to come be looked for from this one's."""
        self._near = point.center.mode

    def information(self, point: AnyPoint, directions: Sequence[Direction]) -> Array:
        """Cheap curvature of (directions, gamma, tail): that of the working linear model."""
        return working_information(point.center, directions)

    def edge_curvature(self, point: AnyPoint, term: int, change: Array) -> tuple[float, float]:
        """Curvature along a change of a term's covariance on its boundary: see `mixfit.glmm.working`."""
        return edge_curvature(point.center, term, change)

    def predictor_square(self, point: AnyPoint) -> float:
        """Mean square of the working response: of eta, and of its deviation, of variance 1 / W."""
        mode = point.center.mode
        return float(np.mean(mode.eta**2)) + 1.0 / max(float(np.mean(mode.terms.expected)), np.finfo(float).tiny)

    def boundary_slopes(self, point: AnyPoint, slopes: LikelihoodSlopes) -> dict[int, Array]:
        """N_t of the terms with a singular template, exact on its null space: known with the gradient of Laplace."""
        return slopes.absolute


class LaplaceObjective(Objective[LikelihoodPoint]):
    """The Laplace approximation as an objective."""

    def evaluate(self, at: GeneralizedParameters) -> LikelihoodPoint:
        """-2 log-likelihood by the Laplace approximation."""
        center = laplace(self.problem.at(at.shape), at.gamma, at.points, at.phi, self._near)
        return LikelihoodPoint(at, center, center.value)

    def slopes(self, point: LikelihoodPoint) -> LikelihoodSlopes:
        """Exact gradient."""
        return laplace_gradient(point.center)

    def cluster_slopes(self, point: LikelihoodPoint, cluster: Index, n_clusters: int) -> ClusterSlopes:
        """Exact gradient of what every cluster of observations adds."""
        return laplace_cluster_slopes(point.center, Clustered(cluster, n_clusters))

    def slopes_close_by(self, places: Sequence[GeneralizedParameters]) -> list[LikelihoodSlopes]:
        """Exact gradients, of all places at once where the problem is small."""
        together = None
        if self._near is not None and can_copy(self.problem, len(places)):
            together = slopes_of_copies(self.problem, self._near, places)
        return super().slopes_close_by(places) if together is None else together
