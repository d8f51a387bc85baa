"""The sparse block of related levels against dense matrices of the design with independent effects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import block_diag

import mixfit
from mixfit import machine
from mixfit.errors import DesignError
from mixfit.factor.curvature import CovarianceDirection, log_determinant_derivatives
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
from mixfit.gram.pattern import FactorRows, row_pattern
from mixfit.gram.products import Gram, cross_products
from tests.covariance.trees import random_pedigree
from tests.random_designs import dense_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TEMPLATES = {
    "inside": [np.array([[0.8]]), np.array([[0.7, 0.0], [0.3, 0.5]]), np.array([[1.2]])],
    "zero": [np.array([[0.0]]), np.array([[0.7, 0.0], [0.3, 0.0]]), np.array([[0.0]])],
}


@dataclass(frozen=True)
class Related:
    """Rows of related animals, of years with two columns, and of pens."""

    rows: tuple[FactorRows, ...]
    gram: Gram
    templates: list[Array]
    factor: Factor

    @cached_property
    def whole(self) -> Array:
        """Z, raw."""
        n = self.gram.n
        return np.hstack([dense_blocks(f).reshape(n, -1) for f in self.rows])

    @cached_property
    def root(self) -> Array:
        """W^{-1}, and the identity."""
        known = self.rows[0].relationship
        assert known is not None
        own = np.linalg.inv(known.increments.toarray())
        return block_diag(own, np.eye(self.whole.shape[1] - len(own)))

    @cached_property
    def Lambda(self) -> Array:
        return block_diag(*(np.kron(t, np.eye(f.n_levels)) for t, f in zip(self.templates, self.rows, strict=True)))

    @cached_property
    def independent(self) -> Array:
        """Z W^{-1}."""
        return self.whole @ self.root

    def a(self, templates: list[Array] | None = None) -> Array:
        pairs = zip(self.templates if templates is None else templates, self.rows, strict=True)
        half = self.independent @ block_diag(*(np.kron(t, np.eye(f.n_levels)) for t, f in pairs))
        return half.T @ half + np.eye(half.shape[1])

    def blocks(self, matrix: Array, i: int) -> Array:
        """The (k, k) block of every level of factor i."""
        first = sum(f.k * f.n_levels for f in self.rows[:i])
        f = self.rows[i]
        own = slice(first, first + f.k * f.n_levels)
        return np.einsum("alblx->ablx", matrix[own, own].reshape(f.k, f.n_levels, f.k, f.n_levels, 1))[..., 0]


def made(where: str) -> Related:
    rng = np.random.default_rng(3)
    frame, _ = random_pedigree(40, 2)
    known = mixfit.pedigree(frame)
    n, q = 90, len(known.nodes)
    rows = (
        FactorRows(rng.integers(q, size=n), q, None, known),
        FactorRows(rng.integers(6, size=n), 6, np.stack([np.ones(n), rng.normal(size=n)])),
        FactorRows(rng.permutation(np.arange(n) % 5), 5, None),
    )
    columns = rng.normal(size=(3, n))
    gram = cross_products(rows, columns)
    templates = TEMPLATES[where]
    return Related(rows, gram, templates, factorize(gram, make_plan(gram), templates))


@pytest.mark.parametrize("where", TEMPLATES)
def test_determinant_and_solutions(where: str) -> None:
    case = made(where)
    a = case.a()
    assert_allclose(case.factor.logdet, np.linalg.slogdet(a)[1], rtol=1e-11)
    border = np.concatenate([b.swapaxes(1, 2).reshape(-1, 3) for b in case.gram.border])
    assert_allclose(border, case.independent.T @ case.gram.rows.columns.T, atol=1e-10)  # type: ignore[union-attr]
    half = case.factor.half(case.gram.border)
    rhs = case.Lambda.T @ border
    assert_allclose(case.factor.inner(half, half), rhs.T @ np.linalg.solve(a, rhs), atol=1e-9)
    assert_allclose(case.factor.squares(half), np.diag(rhs.T @ np.linalg.solve(a, rhs)), atol=1e-9)
    u, _ = case.factor.backward(*half)
    found = np.concatenate([x.swapaxes(1, 2).reshape(-1, 3) for x in u])
    assert_allclose(found, np.linalg.solve(a, rhs), atol=1e-9)


@pytest.mark.parametrize("where", TEMPLATES)
def test_entries_and_sums_of_the_inverse(where: str) -> None:
    case = made(where)
    inverse = np.linalg.inv(case.a())
    q = case.Lambda @ inverse @ case.Lambda.T
    post = posterior(case.factor)
    for i, sums in enumerate(inverse_sums(case.factor, post)):
        assert_allclose(sums, case.blocks(inverse, i).sum(axis=2), atol=1e-9)
    v_inverse = np.eye(case.gram.n) - case.independent @ q @ case.independent.T
    middle = case.independent.T @ v_inverse @ case.independent
    for i in range(3):
        assert_allclose(projected_sums(case.factor, post, i), case.blocks(middle, i).sum(axis=2), rtol=1e-6, atol=1e-6)
    raw = case.root @ q @ case.root.T
    for i, own in enumerate(conditional_covariances(case.factor, post)):
        assert_allclose(own, case.blocks(raw, i), atol=1e-10)
    h = row_leverages(case.factor, full_posterior(case.factor), row_pattern(case.rows))
    assert_allclose(h, np.einsum("na,ab,nb->n", case.whole, raw, case.whole), atol=1e-9)


@pytest.mark.parametrize("where", TEMPLATES)
def test_derivatives_of_the_determinant(where: str) -> None:
    case = made(where)
    directions = [
        CovarianceDirection(0, np.eye(1)),
        CovarianceDirection(1, np.array([[1.0, 0.0], [0.0, 0.0]])),
        CovarianceDirection(1, np.array([[0.0, 1.0], [1.0, 0.5]])),
        CovarianceDirection(2, np.eye(1)),
    ]
    first, second = log_determinant_derivatives(case.factor, directions)
    v_inverse = np.linalg.inv(np.eye(case.gram.n) + case.independent @ case.Lambda @ case.Lambda.T @ case.independent.T)
    offsets = np.cumsum([0, *(f.k * f.n_levels for f in case.rows)])
    moved = []
    for d in directions:
        own = case.independent[:, offsets[d.factor] : offsets[d.factor + 1]]
        moved.append(v_inverse @ own @ np.kron(d.matrix, np.eye(case.rows[d.factor].n_levels)) @ own.T)
    assert_allclose(first, [np.trace(x) for x in moved], rtol=1e-6)
    assert_allclose(second, [[-np.trace(x @ y) for y in moved] for x in moved], rtol=2e-3 if where == "zero" else 1e-6)


def test_products_of_the_design_with_independent_effects() -> None:
    case = made("inside")
    c = [np.random.default_rng(4).normal(size=b.shape) for b in case.gram.border]
    flat = np.concatenate([x.swapaxes(1, 2).reshape(-1, 3) for x in c])
    found = np.concatenate([x.swapaxes(1, 2).reshape(-1, 3) for x in case.gram.matvec(c)])
    assert_allclose(found, case.independent.T @ case.independent @ flat, atol=1e-9)


def test_a_factor_that_no_machine_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SMALL_MEMORY", 0.0)
    monkeypatch.setattr(machine, "machine_memory", lambda: 1e3)
    with pytest.raises(DesignError, match=r"random effects has .* entries"):
        made("inside")
