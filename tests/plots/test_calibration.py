"""The calibration of cross-validations is drawn as it is computed."""

from __future__ import annotations

import numpy as np

import mixfit


def test_intervals_of_a_linear_model() -> None:
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()
    validation = mixfit.cross_validate(fit, by="Subject")
    axes = validation.plot()
    drawn = axes.lines[-1].get_xydata()
    np.testing.assert_array_equal(drawn, validation.calibration()[["nominal", "observed"]])
    assert axes.get_title() == "left out by Subject"


def test_means_of_a_generalized_model() -> None:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial").fit()
    validation = mixfit.cross_validate(fit, by="herd")
    axes = validation.plot(bins=5)
    (bars,) = axes.containers
    table = validation.calibration(bins=5)
    np.testing.assert_allclose(bars.lines[0].get_xydata(), table[["predicted", "observed"]])
    ends = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, table[["lower", "upper"]])
