"""The trailing block as an operator: solutions are exact, sums of the inverse within their standard errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.factor import iterative_derivatives, probes
from mixfit.factor.conjugate_gradients import conjugate_gradients
from mixfit.factor.curvature import CovarianceDirection, log_determinant_derivatives
from mixfit.factor.factor import factorize
from mixfit.factor.iterative_trailing import IterativeBlock, IterativeFactor, iterative_block
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
from tests.factor.cases import Case, check_solves, make_case
from tests.random_designs import PATTERNS

# Errors of normal size beyond which there is something wrong: seven of a million.
SIGMAS = 4.5
CROSSED = [p for p in PATTERNS if "crossed" in p]
WIDTHS = [(1,), (2, 1), (1, 3)]


@pytest.fixture
def nothing_to_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many leading vectors as there are columns, and unit vectors for signs: every estimate is the number itself."""
    monkeypatch.setattr(probes, "_LEADING", 1000)
    monkeypatch.setattr(iterative_derivatives, "_signs", lambda m, s: np.sqrt(s) * np.eye(m, s))


def made(pattern: str, widths: tuple[int, ...], zero: float = 0.0, n_probes: int = 150) -> Case:
    case = make_case(8, pattern, 60, widths, zero, make_trailing=iterative_block)
    plan = make_plan(case.gram, solver="iterative")
    assert isinstance(plan.block, IterativeBlock)
    assert plan.columns.m <= n_probes
    plan = replace(plan, block=plan.block.with_probes(n_probes))
    return replace(case, factor=factorize(case.gram, plan, case.templates))


@pytest.mark.usefixtures("nothing_to_chance")
@pytest.mark.parametrize("zero", [0.0, 0.4])
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("pattern", CROSSED)
def test_with_nothing_left_to_chance_the_factor_is_that_of_the_dense_matrix(
    pattern: str, widths: tuple[int, ...], zero: float
) -> None:
    case = made(pattern, widths, zero)
    check_solves(case)
    inverse = np.linalg.inv(case.A)
    whole = case.Lambda @ inverse @ case.Lambda.T
    projected = case.Z.T @ np.linalg.inv(case.V) @ case.Z
    post = posterior(case.factor)
    sums, q = inverse_sums(case.factor, post), conditional_covariances(case.factor, post)
    for i in range(len(case.rows)):
        assert_allclose(sums[i], case.level_blocks(inverse, i).sum(axis=2), atol=1e-6)
        assert_allclose(q[i], case.level_blocks(whole, i), atol=1e-5)
        wanted = case.level_blocks(projected, i).sum(axis=2)
        assert_allclose(projected_sums(case.factor, post, i), wanted, rtol=1e-7, atol=1e-6)
    leverages = row_leverages(case.factor, full_posterior(case.factor), row_pattern(case.rows))
    assert_allclose(leverages, np.einsum("ia,ab,ib->i", case.Z, whole, case.Z), atol=1e-5)


@pytest.mark.usefixtures("nothing_to_chance")
@pytest.mark.parametrize("zero", [0.0, 0.4])
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("pattern", CROSSED)
def test_with_nothing_left_to_chance_derivatives_are_exact(pattern: str, widths: tuple[int, ...], zero: float) -> None:
    case = made(pattern, widths, zero)
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
    assert_allclose(gradient, [np.trace(s) for s in slopes], rtol=1e-6, atol=1e-6)
    second = np.array([[-np.trace(s @ t) for t in slopes] for s in slopes])
    assert_allclose(hessian, second, atol=1e-6 * max(1.0, float(np.abs(second).max())))


@pytest.mark.parametrize("pattern", CROSSED)
def test_estimates_are_within_their_standard_errors(pattern: str) -> None:
    case = made(pattern, (1, 2), 0.0, 150)
    trailing = case.factor.trailing
    assert isinstance(trailing, IterativeFactor)
    assert abs(case.factor.logdet - np.linalg.slogdet(case.A)[1]) <= SIGMAS * trailing.logdet_error + 1e-6
    inverse = np.linalg.inv(case.A)
    for j in case.factor.plan.trailing:
        samples = trailing.inverse().inverse_samples(j)
        error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
        wanted = case.level_blocks(inverse, j).sum(axis=2)
        assert (np.abs(samples.mean(axis=0) - wanted) <= SIGMAS * error + 1e-6).all()


def test_conjugate_gradients_and_the_logarithm() -> None:
    rng = np.random.default_rng(1)
    half = rng.normal(size=(40, 60))
    matrix = half @ half.T / 60 + 0.2 * np.eye(40)
    rhs = rng.normal(size=(40, 5))
    rhs[:, 2] = 0.0
    found = conjugate_gradients(lambda v: matrix @ v, rhs, 1e-12)
    assert_allclose(found.solution, np.linalg.solve(matrix, rhs), atol=1e-9)
    values, vectors = np.linalg.eigh(matrix)
    assert_allclose(found.log_forms, ((vectors.T @ rhs) ** 2 * np.log(values)[:, None]).sum(axis=0), atol=1e-9)
    assert_allclose(found.applied, matrix @ rhs)
