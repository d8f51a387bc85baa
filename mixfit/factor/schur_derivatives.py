r"""Derivatives of log|B|, B = I + Sigma_T P, on the pattern of P, Sigma_T and P both moving.

With W = B^{-1} and B_x = D_x P + Sigma P_x,

    d log|B| / dx = tr(W B_x),      d^2 log|B| / dx dy = tr(W B_xy) + tr(W_y B_x),      W_y = -W B_y W.

Every matrix that these traces ask for is on the pattern of P, W_y as well (`mixfit.factor.moving_fronts`): they are
exact, at singular templates too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.factor.schur_pattern import both_triangles, trace_of_product

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mixfit.factor.cliques import Cliques
    from mixfit.factor.moving_fronts import FrontInverse
    from mixfit.factor.schur_pattern import SchurPattern

    Array = NDArray[np.float64]

__all__ = ["Moving", "SchurDerivatives", "moved_sums"]


class _Block(Protocol):
    @property
    def pattern(self) -> SchurPattern: ...

    @property
    def cliques(self) -> Mapping[int, Cliques]: ...


class Moving(Protocol):
    """What is known of S at one theta."""

    @property
    def block(self) -> _Block:
        """The pattern of P, and of what is added to it."""
        ...

    @property
    def templates(self) -> tuple[Array, ...]:
        """T of every factor."""
        ...

    @property
    def p(self) -> Array:
        """P, (nnz,)."""
        ...

    @property
    def moving(self) -> FrontInverse:
        """W."""
        ...


@dataclass(frozen=True, eq=False)
class SchurDerivatives:
    """First and second derivatives.

    Attributes
    ----------
    factor : Moving
    covariance : ndarray, shape (nnz,)
        Q_TT.
    slopes : dict of x to ndarray, shape (nnz,)
        First derivatives of P.
    """

    factor: Moving
    covariance: Array
    slopes: dict[int, Array]

    def move(self, x: int, i: int, left: Array, right: Array) -> None:
        """Subtract (L'R + R'L) / 2 from the derivative of P along x."""
        slope = -self.factor.block.cliques[i].product(left, right)
        self.slopes[x] = self.slopes[x] + slope if x in self.slopes else slope

    def inner(self, i: int, left: Array, right: Array) -> float:
        """<Q, L'R>."""
        return self.factor.block.cliques[i].inner(self.covariance, left, right)

    def finish(self, directions: Mapping[int, Mapping[int, Array]], size: int) -> tuple[Array, Array]:
        """Traces of W B_x, and how they move."""
        pattern, w = self.factor.block.pattern, self.factor.moving
        p = both_triangles(self.factor.p)
        sigma = {j: self.factor.templates[j] @ self.factor.templates[j].T for j in directions}
        own = {x: {j: d} for j, along in directions.items() for x, d in along.items()}
        change: dict[int, Array] = {x: pattern.left(d, p) for x, d in own.items()}
        for x, slope in self.slopes.items():
            turned = pattern.left(sigma, both_triangles(slope))
            change[x] = change[x] + turned if x in change else turned
        first, second = np.zeros(size), np.zeros((size, size))
        for y, b_y in change.items():
            first[y] = trace_of_product(pattern, w.entries, b_y)
            w_y = w.derivative(b_y)
            for x, b_x in change.items():
                if x <= y:
                    second[x, y] = second[y, x] = trace_of_product(pattern, w_y, b_x)
        for x, d in own.items():
            for y, slope in self.slopes.items():
                mixed = trace_of_product(pattern, w.entries, pattern.left(d, both_triangles(slope)))
                second[x, y] += mixed
                second[y, x] += mixed
        return first, second


def moved_sums(factor: Moving, j: int) -> Array:
    """sum over levels of the blocks (P W)_ll of factor j, symmetric: (k_j, k_j)."""
    pattern, p = factor.block.pattern, both_triangles(factor.p)
    k = len(factor.templates[j])
    out = np.empty((k, k))
    for a in range(k):
        for b in range(k):
            unit = np.zeros((k, k))
            unit[a, b] = 1.0
            # tr(P W E_ab) = sum_l (P W)_l,ba
            out[b, a] = trace_of_product(pattern, factor.moving.entries, pattern.left({j: unit}, p))
    return 0.5 * (out + out.T)
