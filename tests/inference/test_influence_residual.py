"""Influence where residuals are correlated within blocks or of unequal variance: against dense matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from mixfit.lmm.residual.estimate import place_of
from tests.residual_cases import dense_covariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.results import LinearResults

    Array = NDArray[np.float64]

MODELS = {
    "correlated": ("distance ~ age * Sex", {"residual": "us(age | Subject)"}),
    "correlated beside slopes": ("distance ~ age * Sex + (1 | Subject)", {"residual": "ar1(age | Subject)"}),
    "of unequal variance": ("distance ~ age * Sex + (1 | Subject)", {"dispersion": "~ Sex"}),
}


def fitted(name: str) -> tuple[LinearResults, Array]:
    """The fit, and the covariance matrix of its rows over sigma^2."""
    formula, options = MODELS[name]
    fit = mixfit.mixed(formula, mixfit.datasets.load("orthodont"), **options).fit()
    return fit, dense_covariance(fit.model, place_of(fit.model.problem, fit.estimate))


def least_squares(X: Array, y: Array, v: Array) -> Array:
    weighted = np.linalg.solve(v, X)
    return np.linalg.solve(X.T @ weighted, weighted.T @ y)


@pytest.mark.parametrize("name", MODELS)
def test_effects_without_a_subject_are_generalized_least_squares_of_the_others(name: str) -> None:
    fit, v = fitted(name)
    found = fit.influence("Subject")
    subject = mixfit.datasets.load("orthodont")["Subject"].astype(str).to_numpy()
    X, y = fit.model.exog, fit.model.endog
    for label in found.dfbeta.index[[0, 5, 20]]:
        keep = subject != str(label)
        moved = least_squares(X[keep], y[keep], v[np.ix_(keep, keep)]) - fit.params.to_numpy()
        assert_allclose(found.dfbeta.loc[label], moved, atol=1e-6)
        distance = moved @ np.linalg.solve(fit.cov_params().to_numpy(), moved) / len(moved)
        assert fit.cooks_distance("Subject")[label] == pytest.approx(distance, rel=1e-5)


def test_leverages_beside_unequal_variances_are_the_diagonal_of_the_hat_matrix() -> None:
    fit, v = fitted("of unequal variance")
    X, variances = fit.model.exog, (fit.residuals("response") / fit.residuals("scaled")).to_numpy() ** 2 / fit.sigma**2
    onto = X @ np.linalg.solve(X.T @ np.linalg.solve(v, X), np.linalg.solve(v, X).T)
    hat = onto + (v - np.diag(variances)) @ np.linalg.solve(v, np.eye(len(v)) - onto)
    assert_allclose(fit.hatvalues(), hat.diagonal(), atol=1e-7)
    scaled, p = fit.residuals("scaled").to_numpy(), X.shape[1]
    expected = (scaled / (1.0 - hat.diagonal())) ** 2 * hat.diagonal() / p
    assert_allclose(fit.cooks_distance(), expected, atol=1e-6)


def test_rows_of_one_block_are_left_out_together() -> None:
    fit, _ = fitted("correlated")
    with pytest.raises(FitError, match="by='Subject'"):
        fit.influence("observation")
    with pytest.raises(FitError, match=r"residuals of each .* no row has a leverage"):
        fit.hatvalues()


def test_refits_without_a_group_estimate_the_residuals_too() -> None:
    data = mixfit.datasets.load("orthodont")
    fit = mixfit.mixed("distance ~ age", data, residual="ar1(age | Subject)").fit()
    half = np.arange(len(data)) < 52
    found = fit.influence(half, refit=True)
    for group in (False, True):
        other = mixfit.mixed("distance ~ age", data[half != group], residual="ar1(age | Subject)").fit()
        assert_allclose(found.dfbeta.loc[group], other.params - fit.params, atol=1e-6)
        assert found.sigma[group] == pytest.approx(other.sigma, rel=1e-5)
