"""Adaptive quadrature: its gradient, its limit of one node, and brute-force integration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate

from mixfit.families.continuous import Gamma, InverseGaussian
from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.proportions import Beta, BetaBinomial, Binomial
from mixfit.families.resolve import resolve_family
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.nodes import product_rule
from mixfit.glmm.triangles import lower_triangular
from tests.families.cases import EVERY
from tests.glmm.problems import (
    ONE_FACTOR,
    SCALAR,
    SLOPE,
    TWO_TERMS,
    At,
    check_gradient,
    difference,
    laplace_at,
    point,
    quadrature_at,
    quadrature_boundary,
    quadrature_slopes,
    variance_difference,
    without,
)

if TYPE_CHECKING:
    from mixfit.families.base import Family


@pytest.mark.usefixtures("sharp_modes")
@pytest.mark.parametrize("nodes", [1, 2, 5])
@pytest.mark.parametrize("shape", ONE_FACTOR)
@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_gradient(family: Family, shape: str, nodes: int) -> None:
    at = point(ONE_FACTOR[shape], family)
    check_gradient(at, quadrature_slopes(at, nodes), quadrature_at(nodes))


@pytest.mark.parametrize("shape", ONE_FACTOR)
@pytest.mark.parametrize("family", [f for f in EVERY if f.link.name in ("logit", "log", "sqrt")], ids=repr)
def test_one_node_is_the_laplace_approximation(family: Family, shape: str) -> None:
    at = point(ONE_FACTOR[shape], family)
    assert_allclose(quadrature_at(1)(at, at.point), laplace_at(at, at.point), rtol=1e-13)


BRUTE = [
    Binomial(),
    Binomial("cloglog"),
    Poisson(),
    Gamma("log"),
    InverseGaussian("log"),
    NegativeBinomial(),
    Beta(),
    BetaBinomial(),
]


def integrand(at: At, level: int, u: np.ndarray) -> float:
    """exp of the joint log density of one group's responses and its u, shape (k,)."""
    rows = at.problem.pattern.factors[0]
    own = rows.codes == level
    columns = np.ones((1, own.sum())) if rows.columns is None else rows.columns[:, own]
    template = at.problem.factor_templates(at.point.points)[0]
    eta = at.problem.offset[own] + at.point.gamma @ at.problem.fixed[:, own] + (template @ u) @ columns
    loglik = at.problem.family.loglik(at.problem.y[own], at.problem.prior[own], eta, at.point.phi).sum()
    return float(np.exp(loglik - 0.5 * u @ u) * (2.0 * np.pi) ** (-0.5 * len(u)))


@pytest.mark.parametrize("family", BRUTE, ids=repr)
def test_one_dimension_is_the_integral(family: Family) -> None:
    at = point(SCALAR, family)
    total = 0.0
    for level in range(20):
        value, _ = integrate.quad(
            lambda v, level=level: integrand(at, level, np.array([v])), -9.0, 9.0, epsabs=0.0, epsrel=1e-10
        )
        total -= 2.0 * np.log(value)
    assert_allclose(quadrature_at(21)(at, at.point), total, rtol=1e-9)


@pytest.mark.parametrize("shape", [SLOPE, TWO_TERMS], ids=["slope", "two terms"])
@pytest.mark.parametrize("family", [Binomial(), Poisson(), NegativeBinomial()], ids=repr)
@pytest.mark.slow
def test_two_dimensions_are_the_integral(family: Family, shape: list) -> None:
    at = point(shape, family)
    # A trapezoidal sum over a wide square is exact to rounding for such smooth integrands.
    grid = np.linspace(-8.0, 8.0, 81)
    step = grid[1] - grid[0]
    total = 0.0
    for level in range(20):
        total -= 2.0 * np.log(sum(integrand(at, level, np.array([v, w])) for v in grid for w in grid) * step**2)
    assert_allclose(quadrature_at(15)(at, at.point), total, rtol=1e-9)


@pytest.mark.parametrize("family", [Binomial(), Poisson(), NegativeBinomial()], ids=repr)
def test_three_dimensions_converge(family: Family) -> None:
    shape = [(SCALAR[0][0], 20, [3])]
    at = point(shape, family)
    values = [quadrature_at(n)(at, at.point) for n in (1, 3, 5, 7, 9)]
    steps = np.abs(np.diff(values))
    assert (steps[1:] < 0.5 * steps[:-1]).all()
    assert steps[-1] < 1e-6


@pytest.mark.usefixtures("sharp_modes")
@pytest.mark.parametrize("family", [Binomial(), Poisson("sqrt"), NegativeBinomial()], ids=repr)
@pytest.mark.parametrize("shape", [SCALAR, TWO_TERMS], ids=["scalar", "two terms"])
def test_slope_of_a_variance_at_zero(family: Family, shape: list) -> None:
    term = len(shape[0][2]) - 1
    at = without(point(shape, family), term, 0)
    wanted = variance_difference(at, term, 0, quadrature_at(9))
    assert_allclose(quadrature_boundary(at, 9)[term][0, 0], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("sharp_modes")
@pytest.mark.parametrize("nodes", [2, 5])
@pytest.mark.parametrize("family", [Binomial(), Poisson("sqrt"), NegativeBinomial()], ids=repr)
@pytest.mark.parametrize("empty", [(0,), (1,), (0, 1)], ids=["first", "second", "both"])
def test_slopes_on_the_null_space_of_a_vector_term(family: Family, empty: tuple[int, ...], nodes: int) -> None:
    regular = point(SLOPE, family)
    at = At(regular.problem, replace(regular.point, points=(3.0 * regular.point.points[0],)))
    for column in empty:
        at = without(at, 0, column)
    template = at.point.points[0]
    null = np.linalg.svd(template)[0][:, 2 - len(empty) :]
    actual = quadrature_boundary(at, nodes)[0]

    def along(variance: float, direction: np.ndarray) -> float:
        moved = np.linalg.qr(np.column_stack([template, np.sqrt(variance) * direction]).T, mode="r").T
        return quadrature_at(nodes)(at, replace(at.point, points=(moved,)))

    h = 1e-4
    for n in (*null.T, null @ np.array([0.6, 0.8])[: len(empty)] / (1.0 if len(empty) == 2 else 0.6)):
        wanted = (-3.0 * along(0.0, n) + 4.0 * along(h, n) - along(2.0 * h, n)) / (2.0 * h)
        assert_allclose(n @ actual @ n, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n", [1, 2, 5, 25])
def test_rule_integrates_polynomials_against_the_normal_density(n: int) -> None:
    rule = product_rule(n, 1)
    weights = np.exp(rule.log_weights - 0.5 * rule.nodes[0] ** 2)
    moment = 1.0
    for degree in range(0, min(2 * n, 20), 2):
        assert_allclose(weights @ rule.nodes[0] ** degree, moment, rtol=1e-9)
        moment *= degree + 1


def test_product_rule_is_every_combination_of_nodes() -> None:
    one, two = product_rule(4, 1), product_rule(4, 2)
    assert two.nodes.shape == (2, 16)
    assert {tuple(z) for z in two.nodes.T} == {(a, b) for a in one.nodes[0] for b in one.nodes[0]}
    assert_allclose(np.exp(two.log_weights - 0.5 * (two.nodes**2).sum(axis=0)).sum(), 1.0, rtol=1e-12)


@pytest.mark.usefixtures("sharp_modes")
@pytest.mark.parametrize("family", [Binomial(), Poisson()], ids=repr)
def test_gradient_along_a_singular_template(family: Family) -> None:
    regular = point(SLOPE, family)
    at = without(At(regular.problem, replace(regular.point, points=(3.0 * regular.point.points[0],))), 0, 1)
    template = at.point.points[0]
    slope = 2.0 * quadrature_slopes(at, 3).absolute[0] @ template

    def along(h: float) -> float:
        moved = template + h * np.array([[0.0, 0.0], [1.0, 0.0]])
        return quadrature_at(3)(at, replace(at.point, points=(moved,)))

    assert_allclose(slope[1, 0], difference(along), rtol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "gamma(inverse)",
        "inverse.gaussian",
        "poisson(identity)",
        "binomial(log)",
        "gaussian(inverse)",
    ],
)
@pytest.mark.filterwarnings("error")
def test_nodes_outside_the_support_add_nothing(name: str) -> None:
    regular = point(SCALAR, resolve_family(name))
    at = At(regular.problem, replace(regular.point, points=(4.0 * regular.point.points[0],)))
    assert np.isfinite(quadrature_at(9)(at, at.point))
    slopes = quadrature_slopes(at, 9)
    assert np.isfinite(slopes.gamma).all()
    assert np.isfinite(slopes.relative[0]).all()


@pytest.mark.usefixtures("sharp_modes")
@pytest.mark.parametrize("empty", [(), (1,)], ids=["regular", "singular"])
@pytest.mark.parametrize("family", [Binomial(), NegativeBinomial()], ids=repr)
def test_the_sum_depends_on_the_covariance_alone(family: Family, empty: tuple[int, ...]) -> None:
    at = point(SLOPE, family)
    for column in empty:
        at = without(at, 0, column)
    objective = QuadratureObjective(at.problem, 3)
    here = objective.evaluate(at.point)
    slopes = objective.slopes(here)
    regular = [c for c in range(2) if c not in empty]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    if empty:
        turn = np.diag([-1.0, 1.0])
    turned = objective.evaluate(replace(at.point, points=(at.point.points[0] @ turn,)))
    assert_allclose(turned.value, here.value, rtol=1e-12)
    other = objective.slopes(turned)
    assert_allclose(other.gamma, slopes.gamma, rtol=1e-6, atol=1e-8)
    wanted = (turn.T @ slopes.relative[0] @ turn)[np.ix_(regular, regular)]
    assert_allclose(other.relative[0][np.ix_(regular, regular)], wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_lower_triangular_factors(rank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.zeros((3, 3))
    t[:, rng.permutation(3)[:rank]] = rng.normal(size=(3, rank)) * 10.0 ** rng.uniform(-6, 6, rank)
    low, turn = lower_triangular(t)
    assert_allclose(low @ turn, t, atol=1e-12 * np.abs(t).max(initial=1.0))
    assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert_allclose(low, np.tril(low))
    assert (low.diagonal() >= 0.0).all()
    assert not low[:, rank:].any()
