"""A blocked problem, the dense matrices of it, and what they say of the factor's answers.

Columns are ordered as (column of the factor, level).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import block_diag

from mixfit.factor.curvature import CovarianceDirection, log_determinant_derivatives
from mixfit.factor.dense_trailing import dense_block
from mixfit.factor.factor import Factor, factorize
from mixfit.factor.plan import make_plan
from mixfit.factor.posterior import (
    conditional_covariances,
    full_posterior,
    inverse_sums,
    posterior,
    projected_sums,
    row_leverages,
)
from mixfit.gram.pattern import row_pattern
from mixfit.gram.products import Gram, cross_products
from tests.random_designs import PATTERNS, dense_blocks, factor_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.trailing import MakeTrailing
    from mixfit.gram.pattern import FactorRows

    Array = NDArray[np.float64]

__all__ = ["WIDTHS", "Case", "cases", "check_derivatives", "check_inverse", "check_solves", "make_case"]

WIDTHS = [(1,), (2,), (2, 1), (1, 3), (3, 1, 2)]


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

    def block(self, stacked: Array) -> list[Array]:
        """The reverse of `unblock`."""
        return [
            stacked[own].reshape(f.k, f.n_levels, -1).swapaxes(1, 2)
            for f, own in zip(self.rows, self.slices(), strict=True)
        ]

    def unblock(self, blocks: list[Array]) -> Array:
        """Blocks (k, r, q) as a dense (columns of Z, r)."""
        return np.concatenate([b.swapaxes(1, 2).reshape(-1, b.shape[1]) for b in blocks])


def make_case(
    seed: int,
    pattern: str,
    n: int,
    widths: tuple[int, ...],
    zero: float = 0.0,
    size: float = 1.0,
    make_trailing: MakeTrailing = dense_block,
) -> Case:
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
    return Case(rows, columns, gram, templates, factorize(gram, make_plan(gram, make_trailing), templates))


cases = st.builds(
    make_case,
    st.integers(0, 2**20),
    st.sampled_from(list(PATTERNS)),
    st.integers(20, 70),
    st.sampled_from(WIDTHS),
    st.sampled_from([0.0, 0.0, 0.4]),
    st.sampled_from([0.1, 1.0, 5.0]),
)


def check_solves(case: Case) -> None:
    A, Lambda, Z = case.A, case.Lambda, case.Z
    factor = case.factor
    assert_allclose(factor.logdet, np.linalg.slogdet(A)[1], rtol=1e-10, atol=1e-10)
    scaled = factor.scaled(case.gram.border)
    wanted = Lambda.T @ Z.T @ case.columns.T
    for i in factor.plan.chain:
        assert_allclose(case.unblock([scaled[0][i]]), wanted[case.slices()[i]], atol=1e-10)
    if factor.plan.trailing:
        trailing = np.concatenate([wanted[case.slices()[j]] for j in factor.plan.trailing])
        assert_allclose(scaled[1], trailing, atol=1e-10)
    half = factor.forward(*scaled)
    # |L^{-1} d|^2 = d'A^{-1}d whatever the order of elimination.
    inner = wanted.T @ np.linalg.solve(A, wanted)
    assert_allclose(factor.inner(half, half), inner, atol=1e-9)
    assert_allclose(factor.squares(half), inner.diagonal(), atol=1e-9)
    u, b = factor.backward(*half)
    solution = np.linalg.solve(A, wanted)
    assert_allclose(case.unblock(u), solution, atol=1e-9)
    assert_allclose(case.unblock(b), Lambda @ solution, atol=1e-9)
    assert_allclose(case.unblock(factor.solve(case.block(wanted))), solution, atol=1e-9)


def check_inverse(case: Case) -> None:
    inverse = np.linalg.inv(case.A)
    Q = case.Lambda @ inverse @ case.Lambda.T
    projected = case.Z.T @ np.linalg.inv(case.V) @ case.Z
    post = posterior(case.factor)
    sums, covariances = inverse_sums(case.factor, post), conditional_covariances(case.factor, post)
    for i in range(len(case.rows)):
        assert_allclose(sums[i], case.level_blocks(inverse, i).sum(axis=2), atol=1e-9)
        assert_allclose(covariances[i], case.level_blocks(Q, i), atol=1e-9)
        wanted = case.level_blocks(projected, i).sum(axis=2)
        assert_allclose(projected_sums(case.factor, post, i), wanted, rtol=1e-9, atol=1e-9)
    leverages = row_leverages(case.factor, full_posterior(case.factor), row_pattern(case.rows))
    assert_allclose(leverages, np.einsum("ia,ab,ib->i", case.Z, Q, case.Z), atol=1e-9)


def check_derivatives(case: Case) -> None:
    """d log|V| = tr(V^{-1}V_x) and its derivative, for every entry of every factor's covariance."""
    directions, slopes = [], []
    for i, f in enumerate(case.rows):
        for a in range(f.k):
            for b in range(a + 1):
                d = np.zeros((f.k, f.k))
                d[a, b] = d[b, a] = 1.0
                directions.append(CovarianceDirection(i, d))
                own = case.Z[:, case.slices()[i]]
                slopes.append(np.linalg.solve(case.V, own @ np.kron(d, np.eye(f.n_levels)) @ own.T))
    gradient, hessian = log_determinant_derivatives(case.factor, directions)
    assert_allclose(gradient, [np.trace(s) for s in slopes], rtol=1e-9, atol=1e-9)
    wanted = np.array([[-np.trace(s @ t) for t in slopes] for s in slopes])
    assert_allclose(hessian, wanted, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(wanted).max())))
