"""The effect of one variable with partial residuals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError
from mixfit.plots import partial_residuals
from tests.plots.fits import cbpp_fit


def teeth_fit():
    return mixfit.mixed("distance ~ age + Sex + (1 | Subject)", mixfit.datasets.load("orthodont")).fit()


def test_points_are_the_line_and_the_residuals() -> None:
    fit = teeth_fit()
    axes = partial_residuals(fit, "age", units={"age": "years", "distance": "mm"})
    points = axes.collections[0].get_offsets()
    typical = fit.predict(mixfit.datasets.load("orthodont").assign(Sex="Male"), re_form="population")
    assert_allclose(points[:, 1], typical + fit.resid)
    line = axes.lines[0]
    slope = np.diff(line.get_ydata())[0] / np.diff(line.get_xdata())[0]
    assert slope == pytest.approx(fit.params["age"])
    assert axes.get_xlabel() == "age (years)"
    assert axes.get_ylabel() == "distance (mm), other variables typical"


def test_intervals_and_the_smooth_line() -> None:
    fit = teeth_fit()
    axes = partial_residuals(fit, "age", level=0.5, smooth=False)
    assert len(axes.lines) == 1
    (band,) = axes.collections[1].get_paths()
    first = mixfit.datasets.load("orthodont").head(1).assign(age=8.0, Sex="Male")
    expected = fit.predict(first, re_form="population", se=True)
    low = band.vertices[band.vertices[:, 0] == 8.0][:, 1].min()
    assert low == pytest.approx(expected["mean"].iloc[0] - 0.67449 * expected["mean_se"].iloc[0], rel=1e-5)
    assert len(partial_residuals(fit, "age").lines) == 2


def test_a_factor_and_a_generalized_model() -> None:
    fit = cbpp_fit()
    axes = partial_residuals(fit, "period")
    assert axes.get_ylabel() == "linear predictor, other variables typical"
    points = axes.collections[0].get_offsets()
    own = fit.predict(mixfit.datasets.load("cbpp"), re_form="population", type="link")
    assert_allclose(points[:, 1], own + fit.residuals("working"))
    assert (np.abs(points[:, 0] - np.round(points[:, 0])) < 0.2).all()


def test_refusals() -> None:
    with pytest.raises(DataError, match="no column 'Sx' among"):
        partial_residuals(teeth_fit(), "Sx")
    wine = mixfit.datasets.load("wine")
    ordinal = mixfit.mixed("rating ~ temp + (1 | judge)", wine, family="cumulative").fit()
    with pytest.raises(FitError, match="Ordered categories"):
        partial_residuals(ordinal, "temp")
