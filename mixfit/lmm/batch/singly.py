"""One response at many thetas, factorized one by one: for large designs, where one factorization is work enough.

The same questions and answers as of `mixfit.lmm.batch.thetas`, by the sparse factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.errors import FitError
from mixfit.factor.factor import factorize
from mixfit.factor.posterior import inverse_sums, posterior
from mixfit.lmm.batch.thetas import sweep
from mixfit.lmm.by_gradient import is_estimated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor, Halves
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["AtThetas", "Singly", "Thetas", "many_thetas"]


class AtThetas(Protocol):
    """The factor at R thetas."""

    @property
    def logdet(self) -> Array:
        """log|A|, (R,)."""

    @property
    def schur(self) -> Array:
        """G, (R, r, r)."""

    def slopes(self, b: Array, /) -> list[Array]:
        """T'N T (R, k_i, k_i) of every factor for log|A| + <B, G>, B symmetric (R, r, r)."""

    def effects(self, combination: Array, scale: Array, rng: np.random.Generator, /) -> list[Array]:
        """b (D, k_i, q_i) of every factor, drawn given y - X beta = [X y] `combination`, (D, r), and sigma (D,).

        D = R, a draw at each theta; at a single one as many draws as there are combinations.
        """


class Thetas(Protocol):
    """A response that is factorized at many thetas."""

    @property
    def block(self) -> int:
        """How many thetas keep within a modest memory."""

    def at(self, templates: Sequence[Array], /) -> AtThetas:
        """Factor A at R thetas: templates (R, k_i, k_i) of every factor."""


@dataclass(frozen=True, eq=False)
class Singly:
    """Factorizations one by one.

    Attributes
    ----------
    problem : Problem
    """

    problem: Problem

    @property
    def block(self) -> int:
        """One: each keeps its factor."""
        return 1

    def at(self, templates: Sequence[Array]) -> SinglyAt:
        """Factor A at the one theta of templates (1, k_i, k_i)."""
        gram = self.problem.gram
        factor = factorize(gram, self.problem.plan, [np.ascontiguousarray(t[0]) for t in templates])
        half = factor.half(gram.border)
        schur = gram.corner - factor.inner(half, half)
        return SinglyAt(factor, half, np.array([factor.logdet]), schur[None])


@dataclass(frozen=True, eq=False)
class SinglyAt:
    """The factor at one theta, as an array of one.

    Attributes
    ----------
    factor : Factor
    half : tuple
        L^{-1} Lambda'Z'[X y].
    logdet : ndarray, shape (1,)
    schur : ndarray, shape (1, r, r)
    """

    factor: Factor
    half: Halves
    logdet: Array
    schur: Array

    def slopes(self, b: Array) -> list[Array]:
        """n I - sum_j (A^{-1})_jj - sum_j u_j B u_j', u = A^{-1} Lambda'Z'[X y]."""
        u, _ = self.factor.backward(*self.half)
        inverse = inverse_sums(self.factor, posterior(self.factor))
        return [
            (own.shape[2] * np.eye(len(own)) - inverse[i] - np.einsum("arq,rs,bsq->ab", own, b[0], own, optimize=True))[
                None
            ]
            for i, own in enumerate(u)
        ]

    def effects(self, combination: Array, scale: Array, rng: np.random.Generator) -> list[Array]:
        """Lambda L'^{-1} (L^{-1} Lambda'Z'(y - X beta) + sigma e), e standard normal."""
        own, trailing = self.half
        d = len(combination)
        noisy = {
            i: np.matmul(combination, y) + scale[:, None] * rng.standard_normal((y.shape[0], d, y.shape[2]))
            for i, y in own.items()
        }
        rest = trailing @ combination.T + scale * rng.standard_normal((len(trailing), d))
        _, b = self.factor.backward(noisy, rest)
        return [block.swapaxes(0, 1) for block in b]


def many_thetas(problem: Problem) -> Thetas:
    """All at once where that is less work, one by one elsewhere.

    Raises
    ------
    FitError
        Where one by one log|A| would be an estimate, and its halves no roots to draw effects by.
    """
    together = sweep(problem.gram)
    if together is None and is_estimated(problem):
        raise FitError(
            "Draws from the posterior need a Cholesky factor, which solver='iterative' has none of: fit with another "
            "solver=."
        )
    return together or Singly(problem)
