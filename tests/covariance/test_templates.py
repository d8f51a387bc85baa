"""Templates, theta and changes of basis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mixfit.covariance.templates import (
    change_basis,
    entries,
    lower_bounds,
    semidefinite_cholesky,
    templates_from_theta,
    theta_from_templates,
)

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**20)


def template(rng: np.random.Generator, k: int, rank: int) -> np.ndarray:
    t = np.tril(rng.normal(size=(k, k)))
    t[np.diag_indices(k)] = np.abs(t.diagonal()) + 0.1
    t[:, rank:] = 0.0
    return t


def test_theta_goes_down_the_columns() -> None:
    assert entries("us", 3) == [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (2, 2)]
    assert entries("diag", 3) == [(0, 0), (1, 1), (2, 2)]
    assert lower_bounds("us", 2).tolist() == [0.0, -np.inf, 0.0]
    assert lower_bounds("diag", 2).tolist() == [0.0, 0.0]


@given(seeds, st.lists(st.tuples(sizes, st.sampled_from(["us", "diag"])), min_size=1, max_size=4))
def test_theta_and_templates_are_inverse(seed: int, terms: list[tuple[int, str]]) -> None:
    structures, widths = [s for _, s in terms], [k for k, _ in terms]
    size = sum(len(entries(s, k)) for k, s in terms)  # type: ignore[arg-type]
    theta = np.random.default_rng(seed).normal(size=size)
    templates = templates_from_theta(structures, widths, theta)  # type: ignore[arg-type]
    assert np.array_equal(theta_from_templates(structures, templates), theta)  # type: ignore[arg-type]
    for (k, s), t in zip(terms, templates, strict=True):
        assert t.shape == (k, k)
        assert np.array_equal(t, np.tril(t) if s == "us" else np.diag(t.diagonal()))


@given(seeds, sizes, st.integers(0, 4))
def test_semidefinite_cholesky(seed: int, k: int, rank: int) -> None:
    t = template(np.random.default_rng(seed), k, min(rank, k))
    low = semidefinite_cholesky(t @ t.T)
    assert np.array_equal(low, np.tril(low))
    assert (low.diagonal() >= 0).all()
    assert np.count_nonzero(low.diagonal()) == min(rank, k)
    assert_allclose(low @ low.T, t @ t.T, atol=1e-10)


@given(seeds, sizes, st.integers(0, 4))
def test_change_of_basis_keeps_the_covariance(seed: int, k: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    t = template(rng, k, min(rank, k))
    basis = np.triu(rng.normal(size=(k, k)))
    basis[np.diag_indices(k)] = rng.choice([-1, 1], size=k) * (np.abs(basis.diagonal()) + 0.5)
    moved = change_basis(t, basis)
    inverse = np.linalg.inv(basis)
    assert np.array_equal(moved, np.tril(moved))
    assert (moved.diagonal() >= 0).all()
    assert_allclose(moved @ moved.T, inverse @ t @ t.T @ inverse.T, atol=1e-10 * max(1, np.abs(inverse).max() ** 2))
    # And back again: the template is unique where it is regular.
    if rank >= k:
        assert_allclose(change_basis(moved, inverse), t, atol=1e-8)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_singular_template_stays_exactly_singular(rank: int) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        t = template(rng, 3, rank)
        basis = np.triu(rng.normal(size=(3, 3))) + 2 * np.eye(3)
        moved = change_basis(t, basis)
        # So that the certificate knows the boundary from nearness to it.
        assert np.count_nonzero(moved.diagonal()) == rank
