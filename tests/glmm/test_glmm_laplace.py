"""The Laplace approximation against its definition, and its gradient against differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.proportions import Binomial
from mixfit.glmm.laplace import laplace
from tests.families.cases import EVERY
from tests.glmm.problems import (
    SHAPES,
    check_gradient,
    dense_columns,
    laplace_at,
    laplace_slopes,
    point,
    variance_difference,
    without,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]

pytestmark = pytest.mark.usefixtures("sharp_modes")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_value_is_the_definition(family: Family, shape: str) -> None:
    at = point(SHAPES[shape], family)
    found = laplace(at.problem, at.point.gamma, at.point.points, at.point.phi)
    z = dense_columns(at)
    # The mode solves u = Lambda'Z'l', which gives |u|^2 and eta without the fitter's own u.
    u = z.T @ found.mode.terms.score
    eta = at.problem.offset + at.point.gamma @ at.problem.fixed + z @ u
    assert_allclose(found.mode.eta, eta, rtol=1e-7, atol=1e-7)
    loglik = family.loglik(at.problem.y, at.problem.prior, eta, at.point.phi).sum()
    weight = family.terms(at.problem.y, at.problem.prior, eta, at.point.phi).weight
    sign, logdet = np.linalg.slogdet(z.T * weight @ z + np.eye(z.shape[1]))
    assert sign == 1.0
    assert_allclose(found.value, -2.0 * loglik + u @ u + logdet, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_gradient(family: Family, shape: str) -> None:
    at = point(SHAPES[shape], family)
    check_gradient(at, laplace_slopes(at), laplace_at)


SINGULAR = [Binomial(), Binomial("probit"), Poisson(), Poisson("sqrt"), NegativeBinomial()]


@pytest.mark.parametrize(("shape", "term", "column"), [("scalar", 0, 0), ("crossed", 1, 0), ("nested", 2, 0)])
@pytest.mark.parametrize("family", SINGULAR, ids=repr)
def test_slope_of_a_variance_at_zero(family: Family, shape: str, term: int, column: int) -> None:
    at = without(point(SHAPES[shape], family), term, column)
    slopes = laplace_slopes(at)
    check_gradient(at, slopes, laplace_at)
    assert list(slopes.absolute) == [term]
    assert_allclose(
        slopes.absolute[term][column, column], variance_difference(at, term, column, laplace_at), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("shape", ["slope", "diagonal"])
@pytest.mark.parametrize("family", SINGULAR, ids=repr)
def test_slope_of_a_vanished_slope_variance(family: Family, shape: str) -> None:
    at = without(point(SHAPES[shape], family), 0, 1)
    slopes = laplace_slopes(at)
    wanted = variance_difference(at, 0, 1, laplace_at)
    assert_allclose(slopes.absolute[0][1, 1], wanted, rtol=1e-4, atol=1e-4)


def test_all_variances_zero_is_the_model_without_random_effects() -> None:
    at = without(point(SHAPES["scalar"], Poisson()), 0, 0)
    eta = at.problem.offset + at.point.gamma @ at.problem.fixed
    alone = -2.0 * at.problem.family.loglik(at.problem.y, at.problem.prior, eta, 1.0).sum()
    assert_allclose(laplace_at(at, at.point), alone, rtol=1e-14)
