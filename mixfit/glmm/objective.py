"""What the joint optimizer asks of a marginal likelihood, what objectives share, and the one by Laplace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mixfit.glmm.curvature import edge_curvature, working_information
from mixfit.glmm.laplace import laplace, laplace_gradient

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.factor.factor import Factor
    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.point import Parameters, Slopes
    from mixfit.glmm.problem import GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["LaplaceObjective", "Objective", "WorkingCurvature"]


class Objective(Protocol):
    """A marginal -2 log-likelihood. Points are evaluated one after another; modes start from the last accepted."""

    problem: GeneralizedProblem
    n_aside: int
    """Evaluations beside those of `value`, for slopes on the boundary."""
    is_invariant: bool
    """Whether the value depends on the templates T through T T' alone."""

    def value(self, at: Parameters) -> float:
        """-2 log-likelihood."""

    def slopes(self) -> Slopes:
        """Exact gradient at the point last evaluated, whose modes become the next start."""

    def information(self, directions: Sequence[Direction]) -> Array:
        """Cheap curvature of (directions, gamma, log phi) at the point of the last `slopes`."""

    def edge_curvature(self, term: int, change: Array) -> tuple[float, float]:
        """Cheap curvature along a change of a term's covariance off a bound, and the quadratic part of the slope."""

    @property
    def center(self) -> Laplace:
        """The Laplace approximation at the point last evaluated."""

    def boundary_slopes(self, slopes: Slopes) -> dict[int, Array]:
        """N_t of the terms with a singular template, exact on its null space, at the point of the last `slopes`."""


class WorkingCurvature:
    """The part of an objective that the working linear model at its Laplace approximation answers."""

    @property
    def center(self) -> Laplace:
        """The Laplace approximation at the point last evaluated."""
        raise NotImplementedError

    def information(self, directions: Sequence[Direction]) -> Array:
        """Curvature of the working linear model."""
        return working_information(self.center, directions)

    def edge_curvature(self, term: int, change: Array) -> tuple[float, float]:
        """Working-model curvature along a change of a term's covariance."""
        return edge_curvature(self.center, term, change)

    def boundary_slopes(self, slopes: Slopes) -> dict[int, Array]:
        """N_t of the terms with a singular template: known with the gradient of a Laplace criterion."""
        return slopes.absolute


class LaplaceObjective(WorkingCurvature):
    """The Laplace approximation as an objective."""

    is_invariant = True

    def __init__(self, problem: GeneralizedProblem) -> None:
        self.problem = problem
        self.n_aside = 0
        self.at: Laplace | None = None
        self._near: tuple[()] | tuple[list[Array], Factor] = ()

    def value(self, at: Parameters) -> float:
        """-2 log-likelihood by the Laplace approximation."""
        self.at = laplace(self.problem, at.gamma, at.points, at.phi, *self._near)
        return self.at.value

    def slopes(self) -> Slopes:
        """Exact gradient at the point last evaluated."""
        mode = self.center.mode
        self._near = mode.u, mode.observed
        return laplace_gradient(self.center)

    @property
    def center(self) -> Laplace:
        """The approximation at the point last evaluated."""
        if self.at is None:
            raise RuntimeError("evaluate a point first")
        return self.at
