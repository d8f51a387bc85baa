"""Figures of quantile residuals and of frequencies."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from tests.plots.fits import cbpp_fit, pulp_fit


@cache
def ticks_fit():
    ticks = mixfit.datasets.load("grouseticks")
    return mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="nbinom2").fit()


def test_bars_hang_from_the_roots_of_what_is_expected() -> None:
    fit = ticks_fit()
    axes = fit.plot.rootogram(4)
    frame = fit.frequencies(4).frame
    assert_allclose(axes.lines[0].get_ydata(), np.sqrt(frame["expected"]))
    ends = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in axes.patches]
    assert_allclose([top for _, top in ends], np.sqrt(frame["expected"]))
    assert_allclose([low for low, _ in ends], np.sqrt(frame["expected"]) - np.sqrt(frame["observed"]))


@pytest.mark.parametrize("fit", [ticks_fit, pulp_fit, cbpp_fit])
def test_quantile_residuals_are_drawn_in_order_and_against_ranks(fit) -> None:
    left, right = fit().plot.quantile_residual_plot(60, seed=3)
    own = fit().quantile_residuals(60, seed=3).to_numpy()
    assert_allclose(left.collections[0].get_offsets()[:, 1], np.sort(own))
    assert_allclose(np.sort(right.collections[0].get_offsets()[:, 1]), np.sort(own))
    assert "uniformity: p =" in left.get_title(loc="left")


def test_rootograms_are_of_counts() -> None:
    with pytest.raises(FitError, match="compares counts"):
        cbpp_fit().plot.rootogram()
    with pytest.raises(FitError, match="at least 1"):
        ticks_fit().plot.rootogram(0)


def test_binned_residual_plot() -> None:
    toenail = mixfit.datasets.load("toenail").head(500)
    fit = mixfit.mixed("outcome ~ time + (1 | patientID)", toenail, family="binomial").fit()
    axes = fit.plot.binned_residual_plot(9, n=40, seed=1)
    frame = fit.binned_residuals(9, n=40, seed=1)
    points = np.concatenate([c.get_offsets() for c in axes.collections[1:]])
    np.testing.assert_allclose(np.sort(points[:, 1]), np.sort(frame["residual"]))


def test_predictive_check() -> None:
    pulp = mixfit.datasets.load("pulp")
    axes = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit().plot.predictive_check(7, seed=1)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["simulated", "data"]
    assert len(axes.lines) == 8
    assert axes.get_xlabel() == "bright"
