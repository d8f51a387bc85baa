"""Every structure with parameters of its own: derivatives, bounds, and what is reported of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.covariance.columns import GivenColumns
from mixfit.covariance.directions import ParameterDirection, regular_columns
from mixfit.covariance.parametric import Parametric
from mixfit.covariance.registry import read_structure, structure_names
from mixfit.covariance.unstructured import Unstructured
from mixfit.optimize.certificate import BoundaryParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

KNOWN = ("propto", "equalto")
PLACES = ("ou", "exp", "gau", "mat")
LEVELS = tuple(name for name in structure_names() if name not in ("us", "diag", "rr", "toy", "exchangeable", *PLACES))
EVERY = [(name, k) for name in (*LEVELS, *PLACES) for k in (2, 5)]


def made(name: str, k: int) -> Parametric:
    if name in PLACES:
        rng = np.random.default_rng(k)
        values = rng.uniform(0.0, 3.0, (k, 1 if name == "ou" else 2))
        given = GivenColumns(name, ("t",) if name == "ou" else ("x", "y"), values)
    else:
        root = np.random.default_rng(k).normal(size=(k, k))
        known = {"K": root @ root.T + np.eye(k)}
        options = ("K",) if name in KNOWN else ()
        given = GivenColumns(name, tuple(f"f[{a}]" for a in range(k)), np.empty((0, k)), options, known.__getitem__)
    structure, _ = read_structure(name, given)
    assert isinstance(structure, Parametric)
    return structure


def inside(structure: Parametric, seed: int) -> Array:
    """Parameters within the bounds."""
    rng = np.random.default_rng(seed)
    lower, _ = structure.box()
    share = rng.uniform(0.15, 0.85, len(lower))
    width = np.array([2.0 if p.scale == "log" else p.upper - p.lower for p in structure.natural])
    return np.asarray(lower + share * width)


def differences(f: object, psi: Array, step: float = 1e-6) -> Array:
    return np.array([(f(psi + e) - f(psi - e)) / (2.0 * step) for e in step * np.eye(len(psi))])  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "k"), EVERY)
def test_slopes_and_bends_are_derivatives(name: str, k: int, seed: int) -> None:
    structure = made(name, k)
    psi = inside(structure, seed)
    slopes = structure.slopes(psi)
    assert slopes.shape == (structure.n_parameters, k, k)
    assert_allclose(slopes, differences(structure.covariance, psi), atol=2e-8 * np.abs(slopes).max())
    n = np.random.default_rng(seed).normal(size=(k, k))
    n = n + n.T
    wanted = np.einsum("ij,abij->ab", n, differences(structure.slopes, psi, 1e-5))
    assert_allclose(structure.bend_forms(psi, n), wanted, atol=1e-5 * max(np.abs(wanted).max(), 1.0))


@pytest.mark.parametrize(("name", "k"), EVERY)
def test_the_matrix_is_positive_definite_inside_and_singular_on_shape_bounds(name: str, k: int) -> None:
    structure = made(name, k)
    lower, upper = structure.box()
    for seed in range(10):
        psi = inside(structure, seed)
        sigma = structure.covariance(psi)
        assert_allclose(sigma, sigma.T)
        assert np.linalg.eigvalsh(sigma)[0] > 0.0
        t = structure.relative_factor(psi)
        assert_allclose(t @ t.T, sigma, atol=1e-12)
        for m in range(structure.n_deviations, structure.n_parameters):
            for bound in (lower[m], upper[m]):
                if not np.isfinite(bound) or (name == "mat" and m == structure.n_parameters - 1):
                    continue
                at = psi.copy()
                at[m] = bound
                t = structure.relative_factor(at)
                assert_allclose(t @ t.T, structure.covariance(at), atol=1e-9)
                assert not regular_columns(t).all()
                assert structure.is_on_bound(at)


@pytest.mark.parametrize(("name", "k"), EVERY)
def test_one_deviation_or_one_a_column(name: str, k: int) -> None:
    structure = made(name, k)
    psi = inside(structure, 1)
    assert structure.n_deviations in (1, k)
    if name not in KNOWN:  # K's diagonal is anyone's
        assert_allclose(structure.covariance(psi).diagonal(), structure.deviations(psi) ** 2)  # type: ignore[attr-defined]
    scaled = structure.scaled(psi, 3.0)
    assert_allclose(structure.covariance(scaled), 9.0 * structure.covariance(psi))
    labels = [p.label(tuple("abcdef"[:k]), "g") for p in structure.natural]
    assert len(set(labels)) == structure.n_parameters
    assert len(structure.row_names(list("abcdef"[:k]))) == len(structure.row_cells) == structure.n_deviations


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("name", "k"), EVERY)
def test_directions_are_logarithms_and_parameters(name: str, k: int, seed: int) -> None:
    structure = made(name, k)
    psi, every = inside(structure, seed), np.ones(k, dtype=bool)
    n = np.random.default_rng(seed).normal(size=(k, k))
    n = n + n.T
    t = structure.relative_factor(psi)
    relative = t.T @ n @ t
    directions = structure.directions(0, psi, every)
    assert len(directions) == structure.n_parameters

    def value(step: Array) -> float:
        return float(
            np.vdot(n, structure.covariance(structure.moved(psi, list(zip(directions, step, strict=True)), [])))
        )

    slopes = np.array([d.slope(relative, None) for d in directions])
    assert_allclose(slopes, differences(value, np.zeros(len(directions))), rtol=1e-5, atol=1e-6)
    wanted = np.array([(_slopes_at(structure, psi, directions, n, 1e-5, a)) for a in range(len(directions))])
    assert_allclose(structure.bend_slopes(directions, psi, relative, None), wanted, rtol=1e-4, atol=1e-4)
    u = np.random.default_rng(3).normal(size=(k, 2, 4))
    s = np.linalg.solve(t.T, u.reshape(k, -1)).reshape(u.shape)
    for d in directions:
        assert_allclose(d.loading(u, None), np.tensordot(d.change(), s, 1), atol=1e-9)
        assert_allclose(d.form(u, None), np.einsum("irq,ij,jsq->rs", s, d.change(), s), atol=1e-9)


def _slopes_at(structure: Parametric, psi: Array, directions: list, n: Array, step: float, a: int) -> Array:  # type: ignore[type-arg]
    out = []
    for sign in (1.0, -1.0):
        moved = structure.moved(psi, [(directions[a], sign * step)], [])
        t = structure.relative_factor(moved)
        out.append(np.array(structure.slopes_after(directions, moved, t.T @ n @ t, None)))
    return np.asarray((out[0] - out[1]) / (2.0 * step))


@pytest.mark.parametrize(("name", "k"), EVERY)
def test_edges_are_one_sided_derivatives(name: str, k: int) -> None:
    structure = made(name, k)
    lower, upper = structure.box()
    n = np.random.default_rng(5).normal(size=(k, k))
    n = n + n.T
    for m in range(structure.n_parameters):
        for bound in (lower[m], upper[m]):
            if not np.isfinite(bound):
                continue
            psi = inside(structure, 2)
            psi[m] = bound
            if m == 2 and bound > 1.0:
                # A Matern correlation near the Gaussian's, of the range that it has.
                psi[1] *= 2.0 * np.sqrt(bound)
            for edge in structure.edges(psi, n, np.ones(k, dtype=bool)):
                assert edge.parameter == m
                away = BoundaryParameter(0, edge.direction, edge.slope, 0.0, 0.0, edge.parameter, edge.reach)
                size = 1e-7
                moved = structure.left(psi, away, size)
                change = (structure.covariance(moved) - structure.covariance(psi)) / size
                assert_allclose(change, edge.change, atol=1e-5)
                assert edge.slope == pytest.approx(float(np.vdot(n, edge.change)))
                assert structure.covariance(moved).shape == (k, k)


@pytest.mark.parametrize(("name", "k"), EVERY)
def test_what_is_reported_and_its_coordinates(name: str, k: int) -> None:
    structure = made(name, k)
    psi = inside(structure, 3)
    assert_allclose(structure.reported_slopes(psi), differences(structure.reported, psi).T, rtol=1e-5, atol=1e-6)
    n = np.random.default_rng(5).normal(size=(k, k))
    n = n + n.T
    for number, p in enumerate(structure.natural):
        c = structure.coordinates(number)
        x = c.coordinates(psi)
        assert_allclose(c.point(x), psi, rtol=1e-10)
        value = structure.reported(psi)[number]
        assert x[c.at(p)] == pytest.approx(psi[number] if p.is_reciprocal else value)

        def criterion(x: Array, c: object = c) -> float:
            s = c.factor(x)  # type: ignore[attr-defined]
            return float(np.vdot(n, s @ s.T))

        def working(x: Array, c: object = c, number: int = number, p: object = p) -> float:
            return p.working(float(c.natural_values(x, np.ones(k))[number]))  # type: ignore[attr-defined]

        assert_allclose(c.gradient(x, n), differences(criterion, x), rtol=1e-5, atol=1e-5)
        assert_allclose(c.working_slope(x, p), differences(working, x), rtol=1e-5, atol=1e-5)
        assert p.natural(p.working(float(value))) == pytest.approx(float(value))


def test_toeplitz_correlations_are_reported_lag_by_lag() -> None:
    structure = made("homtoep", 4)
    psi = np.array([2.0, 0.5, -0.2, 0.3])
    r = structure.reported(psi)[1:]
    assert_allclose(structure.covariance(psi)[0], 4.0 * np.concatenate([[1.0], r]))


def test_limits_are_simpler_structures() -> None:
    every = np.ones((4, 4))
    ar1, ou, exp, mat = made("ar1", 4), made("ou", 4), made("exp", 4), made("mat", 4)
    assert_allclose(ar1.covariance(np.array([2.0, 1.0])), 4.0 * every)
    assert_allclose(ar1.covariance(np.array([2.0, 0.0])), 4.0 * np.eye(4))
    for spatial in (ou, exp, made("gau", 4)):
        assert_allclose(spatial.covariance(np.array([2.0, 0.0])), 4.0 * every)
        assert_allclose(spatial.covariance(np.array([2.0, 1e6])), 4.0 * np.eye(4), atol=1e-12)
    assert_allclose(mat.covariance(np.array([2.0, 1.3, 0.5])), exp.covariance(np.array([2.0, 1.3])), rtol=1e-10)
    assert_allclose(mat.covariance(np.array([2.0, 0.0, 0.7])), 4.0 * every)
    toep = made("homtoep", 4).covariance(np.array([2.0, 0.6, 0.0, 0.0]))
    assert_allclose(toep, ar1.covariance(np.array([2.0, 0.6])))


def test_directions_are_of_parameters() -> None:
    structure = made("cs", 3)
    psi = np.array([1.0, 0.0, 2.0, 0.3])
    found = structure.directions(0, psi, np.ones(3, dtype=bool))
    assert [d.parameter for d in found if isinstance(d, ParameterDirection)] == [0, 2, 3]
    (edge,) = structure.edges(psi, np.eye(3), np.ones(3, dtype=bool))
    assert edge.parameter == 1
    assert np.isfinite(edge.reach)


@pytest.mark.parametrize("name", [name for name in LEVELS if name not in KNOWN])
def test_one_column_is_a_scalar_term(name: str) -> None:
    structure, _ = read_structure(name, GivenColumns(name, ("f[a]",), np.empty((0, 1))))
    assert structure == Unstructured(1)
