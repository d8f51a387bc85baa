"""Residuals and their size against fitted values."""

from __future__ import annotations

import numpy as np
import pytest

from mixfit.errors import FitError
from mixfit.plots import residuals_fitted, scale_location
from mixfit.plots.residual_plots import smooth_curve
from tests.plots.fits import cbpp_fit, crossed_fit, pulp_fit, singular_fit, sleep_fit

X = np.array([1, 1, 1, 2, 2, 3, 3.5, 4, 6, 7, 7.2, 9, 10, 11, 15])
Y = np.array([3.0, 1, 2, 5, 4, 4, 6, 2, 7, 8, 30, 6, 9, 9, 12])
# R 4.2: lowess(x, y, f = 2/3, iter = , delta = 0.01 * diff(range(x)))
R_LOWESS = {
    True: "2.4275031539 2.4275031539 2.4275031539 3.5353618492 3.5353618492 4.5738222722 5.0166849931 5.3609509127 "
    "6.8875228593 7.2087627450 7.3035317487 8.1387067580 8.6838057671 9.3047619024 11.7646513356",
    False: "2.5714079882 2.5714079882 2.5714079882 3.3065614115 3.3065614115 3.9976741781 4.2983054524 4.4907585914 "
    "11.3038399498 11.0634603456 11.0048239119 10.8862302481 10.5845225169 10.6163077854 10.0637621840",
}


@pytest.mark.parametrize("robust", [True, False])
def test_the_smooth_line_is_that_of_r(robust: bool) -> None:
    order = np.random.default_rng(1).permutation(len(X))
    x, curve = smooth_curve(X[order], Y[order], robust)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_allclose(curve, np.array(R_LOWESS[robust].split(), dtype=float), rtol=1e-8)


@pytest.mark.parametrize("kind", ["response", "pearson", "scaled"])
def test_linear_residuals(kind: str) -> None:
    fit = crossed_fit()
    axes = residuals_fitted(fit, kind)
    np.testing.assert_array_equal(
        axes.collections[0].get_offsets(), np.column_stack([fit.fittedvalues, fit.residuals(kind)])
    )
    curve = smooth_curve(fit.fittedvalues.to_numpy(), fit.residuals(kind).to_numpy(), robust=True)
    np.testing.assert_array_equal(axes.lines[-1].get_xydata(), np.column_stack(curve))
    assert axes.get_xlabel() == "fitted y"
    assert axes.get_ylabel() == {"response": "residual", "pearson": "Pearson residual"}.get(kind, "scaled residual")


def test_sleepstudy_smooth_line_as_in_r() -> None:
    # lowess(fitted(m), resid(m), f = 2/3, delta = 0.01 * diff(range(fitted(m)))) of lme4 1.1-31, rows 1, 60, 120, 180
    curve = residuals_fitted(sleep_fit()).lines[-1].get_ydata()
    np.testing.assert_allclose(curve[[0, 59, 119, 179]], [-2.569129, -2.182888, 2.646938, 9.457637], rtol=5e-5)


@pytest.mark.parametrize("kind", ["deviance", "working", "pearson"])
def test_generalized_residuals_against_means_or_predictors(kind: str) -> None:
    fit = cbpp_fit()
    means, predictors = residuals_fitted(fit, kind), residuals_fitted(fit, kind, against="link")
    offsets = [axes.collections[0].get_offsets() for axes in (means, predictors)]
    np.testing.assert_array_equal(offsets[0], np.column_stack([fit.fittedvalues, fit.residuals(kind)]))
    np.testing.assert_array_equal(offsets[1], np.column_stack([fit.linear_predictor, fit.residuals(kind)]))
    assert (means.get_xlabel(), predictors.get_xlabel()) == ("fitted proportion of incidence", "linear predictor")
    curve = smooth_curve(fit.fittedvalues.to_numpy(), fit.residuals(kind).to_numpy(), robust=False)
    np.testing.assert_array_equal(means.lines[-1].get_xydata(), np.column_stack(curve))


def test_scale_location() -> None:
    fit = sleep_fit()
    axes = scale_location(fit)
    y = np.sqrt(np.abs(fit.residuals("scaled")))
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), np.column_stack([fit.fittedvalues, y]))
    assert axes.get_ylim()[0] == 0.0
    assert "scaled" in axes.get_ylabel()
    axes.figure.canvas.draw()
    assert len(scale_location(fit, smooth=False).lines) == 0


def test_the_line_is_optional_and_left_out_where_fitted_values_are_all_the_same() -> None:
    assert len(residuals_fitted(pulp_fit(), smooth=False).lines) == 1, "the line at zero"
    assert len(residuals_fitted(singular_fit()).lines[-1].get_xdata()) == 0


def test_another_scale_is_refused() -> None:
    with pytest.raises(FitError, match="'response' or 'link', not 'log'"):
        residuals_fitted(cbpp_fit(), against="log")  # type: ignore[arg-type]
    with pytest.raises(FitError, match="not 'partial'"):
        residuals_fitted(sleep_fit(), "partial")  # type: ignore[arg-type]
