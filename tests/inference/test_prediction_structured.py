"""Degrees of freedom of observations where residuals have a covariance with parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.lmm.residual.minimize import moved_place
from tests.residual_cases import CASES, dense_covariance, model_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def teeth(formula: str, **options: str) -> mixfit.LinearResults:
    return mixfit.mixed(formula, mixfit.datasets.load("orthodont"), **options).fit(reml=True)


def test_compound_symmetry_has_the_intervals_of_a_random_intercept() -> None:
    beside = teeth("distance ~ age * Sex", residual="homcs(age | Subject)")
    random = teeth("distance ~ age * Sex + (1 | Subject)")
    ours, theirs = (fit.get_prediction(re_form="population", ddf="satterthwaite") for fit in (beside, random))
    assert_allclose(ours.conf_int(obs=True), theirs.conf_int(obs=True), atol=1e-5)


def test_each_cell_of_a_balanced_unstructured_model_is_a_sample_of_its_own() -> None:
    fit = teeth("distance ~ C(age)", residual="us(age | Subject)")
    for ddf in ("satterthwaite", "kenward-roger"):
        assert_allclose(fit.get_prediction(ddf=ddf).df_obs, 26.0, rtol=1e-5)


def test_each_stratum_is_a_sample_of_its_own() -> None:
    fit = teeth("distance ~ Sex", dispersion="~ Sex")
    male = mixfit.datasets.load("orthodont")["Sex"] == "Male"
    assert_allclose(fit.get_prediction(ddf="satterthwaite").df_obs, np.where(male, 63.0, 43.0), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "seed", "series"),
    [
        ("slopes and autoregression", 9, False),
        ("slopes and autoregression", 9, True),
        ("unstructured by arm", 3, False),
        ("compound symmetry in strata", 3, False),
        ("continuous time by arm", 3, True),
        ("fields of two arms", 3, False),
    ],
)
def test_the_gradient_is_that_of_the_dense_variance(name: str, seed: int, series: bool) -> None:
    # Unstructured matrices of two arms need more subjects.
    model = model_of(CASES[name], seed=seed, subjects=40 if name == "unstructured by arm" else 16, series=series)
    fit = model.fit(reml=True)
    known, X = fit.variance_information, model.exog
    d, m, h = known.derivatives, len(known.hessian), 1e-5  # type: ignore[union-attr]

    def variance(step: Array) -> Array:
        v = fit.sigma**2 * np.exp(2.0 * step[-1]) * dense_covariance(model, moved_place(d, step[:-1]))
        return v.diagonal() + np.einsum("ip,pr,ir->i", X, np.linalg.inv(X.T @ np.linalg.solve(v, X)), X)

    gradient = np.array([(variance(h * e) - variance(-h * e)) / (2.0 * h) for e in np.eye(m)])
    theirs = 2.0 * variance(np.zeros(m)) ** 2 / np.einsum("xi,xy,yi->i", gradient, known.covariance, gradient)
    assert_allclose(fit.get_prediction(re_form="population", ddf="satterthwaite").df_obs, theirs, rtol=1e-5)
