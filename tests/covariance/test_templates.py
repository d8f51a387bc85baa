"""Templates, theta and changes of basis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mixfit.covariance.templates import change_basis, semidefinite_cholesky, spectral_factor, triangular
from tests.structures import structure_named

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**20)


def template(rng: np.random.Generator, k: int, rank: int) -> np.ndarray:
    t = np.tril(rng.normal(size=(k, k)))
    t[np.diag_indices(k)] = np.abs(t.diagonal()) + 0.1
    t[:, rank:] = 0.0
    return t


def test_theta_goes_down_the_columns() -> None:
    assert structure_named("us", "abc").entries == [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (2, 2)]
    assert structure_named("diag", "abc").entries == [(0, 0), (1, 1), (2, 2)]


@given(seeds, sizes, st.sampled_from(["us", "diag"]))
def test_theta_and_templates_are_inverse(seed: int, k: int, name: str) -> None:
    structure = structure_named(name, "abcdefgh"[:k])
    theta = np.random.default_rng(seed).normal(size=(5, structure.n_parameters))
    templates = structure.template(theta)
    assert templates.shape == (5, k, k)
    assert np.array_equal(structure.theta(templates), theta)
    for one, t in zip(theta, templates, strict=True):
        assert np.array_equal(structure.template(one), t)
        assert np.array_equal(t, np.tril(t) if name == "us" else np.diag(t.diagonal()))


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


def test_a_smooth_field_has_a_factor_as_good_as_its_rounding() -> None:
    places = np.linspace(0.0, 3.0, 60)
    sigma = 4.0 * np.exp(-((places[:, None] - places) ** 2))
    t = spectral_factor(sigma)
    assert_allclose(t @ t.T, sigma, atol=1e-11 * 4.0 * 60)
    assert 5 < np.count_nonzero(t.any(axis=0)) < 30
    low = triangular(t)
    assert_allclose(low, np.tril(low))
    assert (low.diagonal() >= 0.0).all()
    assert_allclose(low @ low.T, t @ t.T, atol=1e-12)


def test_a_factor_of_eigenvectors_knows_columns_of_any_length() -> None:
    sd = np.array([1e-6, 0.0, 3.0])
    sigma = np.outer(sd, sd) * np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 1.0]])
    t = spectral_factor(sigma)
    assert_allclose(t @ t.T, sigma, rtol=1e-12)
