"""Adaptive Gauss-Hermite quadrature as an objective, for models of one grouping factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.glmm.laplace import laplace
from mixfit.glmm.nodes import evaluate_nodes, product_rule
from mixfit.glmm.objective import WorkingCurvature
from mixfit.glmm.quadrature_slopes import quadrature_slopes, slope_off_boundary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.nodes import NodePoint
    from mixfit.glmm.point import Parameters, Slopes
    from mixfit.glmm.problem import GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["QuadratureObjective"]


class QuadratureObjective(WorkingCurvature):
    """Adaptive quadrature of -2 log-likelihood, for models of one grouping factor."""

    # A product rule turns with the columns.
    is_invariant = False

    def __init__(self, problem: GeneralizedProblem, n_nodes: int) -> None:
        self.problem = problem
        self._rule = product_rule(n_nodes, problem.k[0])
        self._at: NodePoint | None = None
        self._near: tuple[()] | tuple[list[Array], Factor] = ()
        self._boundary: dict[int, Array] | None = None
        self.n_aside = 0

    def value(self, at: Parameters) -> float:
        """-2 log-likelihood by adaptive quadrature."""
        center = laplace(self.problem, at.gamma, at.points, at.phi, *self._near)
        self._at, self._boundary = evaluate_nodes(center, self._rule), None
        return self._at.value

    def slopes(self) -> Slopes:
        """Exact gradient at the point last evaluated."""
        mode = self._point.center.mode
        self._near = mode.u, mode.observed
        return quadrature_slopes(self._point, self._rule)

    def boundary_slopes(self, slopes: Slopes) -> dict[int, Array]:
        """N_t on the null space of every singular term, one evaluation aside for each of its entries."""
        if self._boundary is None:
            self._boundary = {x: self._null_slopes(x) for x in slopes.absolute}
        return self._boundary

    def _null_slopes(self, index: int) -> Array:
        center = self._point.center
        structure = self.problem.terms[index].structure
        null = structure.null_space(center.templates[index], self.problem.seen[index])
        form = np.diag([self._slope_off(index, n) for n in null.T])
        if not structure.is_separable:
            for a, b in zip(*np.tril_indices(len(form), -1), strict=True):
                mixed = self._slope_off(index, np.sqrt(0.5) * (null[:, a] + null[:, b]))
                form[a, b] = form[b, a] = mixed - 0.5 * (form[a, a] + form[b, b])
        return np.asarray(null @ form @ null.T)

    def _slope_off(self, index: int, direction: Array) -> float:
        self.n_aside += 1
        return slope_off_boundary(self._point.center, self._rule, index, direction)

    @property
    def center(self) -> Laplace:
        """The Laplace approximation at the point last evaluated."""
        return self._point.center

    @property
    def _point(self) -> NodePoint:
        if self._at is None:
            raise RuntimeError("evaluate a point first")
        return self._at
