"""Correlations as a map, and against the distance."""

from __future__ import annotations

import numpy as np
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.plots import correlation_map, variogram_plot


def test_a_map_has_the_correlations_of_the_term_with_the_most_columns() -> None:
    teeth = mixfit.datasets.load("orthodont")
    fit = mixfit.mixed("distance ~ age * Sex", teeth, residual="us(age | Subject)").fit()
    axes = correlation_map(fit)
    np.testing.assert_array_equal(axes.images[0].get_array(), fit.varcorr().residual[0].corr)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["age[8]", "age[10]", "age[12]", "age[14]"]
    assert [t.get_text() for t in axes.texts][:2] == ["1.00", f"{fit.varcorr().residual[0].corr[0, 1]:.2f}"]


def test_a_map_of_one_term_by_its_name() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep, residual="ar1(Days | Subject)").fit()
    assert fit.plot.correlation_map("Subject").images[0].get_array().shape == (2, 2)
    assert fit.plot.correlation_map().get_title() == "Correlations of Residual"
    with pytest.raises(FitError, match="no correlations of 'herd'; there are of 'Subject', 'Residual'"):
        fit.plot.correlation_map("herd")
    with pytest.raises(FitError, match="No random term has two columns"):
        mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit().plot.correlation_map()


def test_a_variogram_shows_its_table() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days", sleep, residual="ar1(Days | Subject)").fit()
    table, axes = fit.variogram("Days").frame, variogram_plot(fit, "Days")
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), table[["distance", "semivariance"]])
    np.testing.assert_array_equal(axes.lines[-1].get_xydata(), table[["distance", "fitted"]])
    assert axes.get_title() == "Rows of one Subject, by their distance"
