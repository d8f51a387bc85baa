"""What second derivatives of V add to Kenward and Roger's covariance, against differences of the dense V."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.lmm.residual.minimize import moved_place
from tests.residual_cases import CASES, dense_covariance, model_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.lmm.residual.criterion import JointPlace
    from mixfit.lmm.residual.moments import ResidualInformation
    from mixfit.model.residual import ResidualMixedModel

    Array = NDArray[np.float64]

FORMS = [
    *(
        (name, False)
        for name in (
            "autoregression",
            "toeplitz",
            "compound symmetry in strata",
            "continuous time with a nugget",
            "one field",
            "slopes and autoregression",
            "strata alone",
        )
    ),
    *(
        (name, True)
        for name in (
            "autoregression",
            "continuous time by arm",
            "continuous time with a nugget",
            "slopes and autoregression",
        )
    ),
]
# Seeds whose optima are inside all bounds.
SEEDS = {"slopes and autoregression": 9}
LINEAR = {"homcs", "homtoep", "homdiag"}


def parameters(structure: Structure, point: Array, variance: float) -> Array:
    """Variances and covariances, or variances and what is reported beside them."""
    t = structure.relative_factor(point)
    sigma = variance * t @ t.T
    if point.ndim > 1:
        return np.asarray(sigma[np.tril_indices(len(t))])
    if structure.name in LINEAR:
        return np.asarray(sigma[0, : structure.n_parameters])
    d = structure.n_deviations
    return np.concatenate([np.diag(sigma)[:d], structure.reported(point)[d:]])  # type: ignore[attr-defined]


def natural(model: ResidualMixedModel, place: JointPlace, variance: float) -> Array:
    own = zip(model.form.structures, place.residual.points, strict=True)
    terms = [term.structure for term in model.problem.terms]
    every = [*zip(terms, place.random, strict=True), *own]
    return np.concatenate([*(parameters(s, x, variance) for s, x in every), place.residual.gamma])


def differences(f: Callable[[Array], Array], m: int, h: float) -> tuple[Array, Array]:
    """First and second derivatives at zero, the coordinates in front."""
    e = h * np.eye(m)
    first = np.array([(f(x) - f(-x)) / (2.0 * h) for x in e])
    second = np.array([[(f(x + y) - f(x - y) - f(y - x) + f(-x - y)) / (4.0 * h**2) for y in e] for x in e])
    return first, second


def bent(model: ResidualMixedModel, known: ResidualInformation) -> Array:
    """sum_ab W_ab d^2 V in the parameters that are reported."""
    d, m, variance = known.derivatives, len(known.hessian), known.sigma**2

    def moved(step: Array) -> tuple[JointPlace, float]:
        return moved_place(d, step[:-1]), variance * float(np.exp(2.0 * step[-1]))

    def covariance(step: Array) -> Array:
        place, scale = moved(step)
        return scale * dense_covariance(model, place)

    values = [differences(f, m, 1e-3) for f in (covariance, lambda step: natural(model, *moved(step)))]
    (v_first, v_second), (own_first, own_second) = values
    # V_ab of theta by the chain rule: what the coordinates bend by is no part of it.
    along = np.tensordot(np.linalg.inv(own_first), v_first, 1)
    W = known.covariance
    return np.tensordot(W, v_second, 2) - np.tensordot(np.tensordot(W, own_second, 2), along, 1)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "series"), FORMS)
def test_second_derivatives_of_the_covariance_are_subtracted(name: str, series: bool) -> None:
    seed = SEEDS.get(name, 3)
    model = model_of(CASES[name], seed=seed, subjects=16 if name in SEEDS else 10, series=series)
    fit = model.fit(reml=True)
    known = model.variance_information(fit.estimate)  # type: ignore[arg-type]
    weighted = np.linalg.solve(fit.sigma**2 * dense_covariance(model, known.derivatives.at.place), model.exog)
    phi = known.cov_beta
    theirs = -0.5 * phi @ weighted.T @ bent(model, known) @ weighted @ phi
    ours = known.second_order - known.adjusted
    assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max() + 1e-7 * np.abs(phi).max())


def test_an_unstructured_covariance_is_linear_in_its_entries() -> None:
    model = model_of(CASES["unstructured"], seed=3)
    known = model.variance_information(model.fit(reml=True).estimate)  # type: ignore[arg-type]
    assert_allclose(known.second_order, known.adjusted, rtol=1e-12)


@pytest.mark.parametrize(("name", "series"), [*FORMS[:5], FORMS[7], FORMS[9]])
def test_the_expected_information_is_that_of_the_dense_projection(name: str, series: bool) -> None:
    model = model_of(CASES[name], seed=3, subjects=10, series=series)
    fit = model.fit(reml=True)
    known = model.variance_information(fit.estimate)  # type: ignore[arg-type]
    d, m = known.derivatives, len(known.hessian)

    def covariance(step: Array) -> Array:
        return np.exp(2.0 * step[-1]) * dense_covariance(model, moved_place(d, step[:-1]))

    v = dense_covariance(model, d.at.place)
    inverse = np.linalg.inv(v)
    weighted = inverse @ model.exog
    projection = inverse - weighted @ np.linalg.solve(model.exog.T @ weighted, weighted.T)
    slopes = [projection @ (covariance(e) - covariance(-e)) / 2e-5 for e in 1e-5 * np.eye(m)]
    information = np.array([[np.trace(a @ b) for b in slopes] for a in slopes])
    theirs = 2.0 * np.linalg.inv(information)
    assert_allclose(known.expected, theirs, atol=1e-5 * np.abs(theirs).max())
