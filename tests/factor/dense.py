"""A blocked problem and the dense matrices of it, columns ordered as (column of the factor, level)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import block_diag

from mixfit.factor.factor import Factor, factorize
from mixfit.factor.plan import make_plan
from mixfit.gram.products import Gram, cross_products
from tests.random_designs import dense_blocks, factor_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.pattern import FactorRows

    Array = NDArray[np.float64]

__all__ = ["Case", "make_case"]


@dataclass(frozen=True)
class Case:
    rows: list[FactorRows]
    columns: Array
    gram: Gram
    templates: list[Array]
    factor: Factor

    @cached_property
    def Z(self) -> Array:
        n = self.columns.shape[1]
        return np.hstack([dense_blocks(f).reshape(n, -1) for f in self.rows])

    @cached_property
    def Lambda(self) -> Array:
        return block_diag(*(np.kron(t, np.eye(f.n_levels)) for t, f in zip(self.templates, self.rows, strict=True)))

    @cached_property
    def A(self) -> Array:
        half = self.Z @ self.Lambda
        return half.T @ half + np.eye(half.shape[1])

    @cached_property
    def V(self) -> Array:
        half = self.Z @ self.Lambda
        return half @ half.T + np.eye(len(half))

    def slices(self) -> list[slice]:
        """Columns of each factor."""
        ends = np.cumsum([f.k * f.n_levels for f in self.rows])
        return [slice(int(e) - f.k * f.n_levels, int(e)) for e, f in zip(ends, self.rows, strict=True)]

    def level_blocks(self, matrix: Array, i: int) -> Array:
        """The (k, k) block of every level of factor i, shape (k, k, q)."""
        f, own = self.rows[i], self.slices()[i]
        part = matrix[own, own].reshape(f.k, f.n_levels, f.k, f.n_levels)
        return np.einsum("aqbq->abq", part)

    def unblock(self, blocks: list[Array]) -> Array:
        """Blocks (k, r, q) as a dense (columns of Z, r)."""
        return np.concatenate([b.swapaxes(1, 2).reshape(-1, b.shape[1]) for b in blocks])


def make_case(seed: int, pattern: str, n: int, widths: tuple[int, ...], zero: float = 0.0, size: float = 1.0) -> Case:
    """Templates of the given size whose columns are zero with probability `zero`."""
    rng = np.random.default_rng(seed)
    rows = factor_rows(pattern, n, widths, rng)
    columns = rng.normal(size=(3, n))
    gram = cross_products(rows, columns)
    templates = []
    for f in rows:
        t = size * np.tril(rng.normal(size=(f.k, f.k)))
        t[:, rng.random(f.k) < zero] = 0.0
        templates.append(t)
    return Case(rows, columns, gram, templates, factorize(gram, make_plan(gram), templates))
