"""Stacked probabilities of ordered categories."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError
from tests.glmm.test_glmm_multinomial import choices
from tests.plots.fits import cbpp_fit

WINE = mixfit.datasets.load("wine")


def test_bars_of_a_factor_are_averages_over_rows_and_judges() -> None:
    fit = mixfit.mixed("rating ~ temp * contact + (1 | judge)", WINE, "cumulative").fit()
    axes = fit.plot.category_probabilities("temp")
    heights = np.array([[bar.get_height() for bar in bars] for bars in axes.containers])
    assert_allclose(heights.sum(axis=0), 1.0)
    expected = [fit.predict(WINE.assign(temp=t), re_form="marginal").mean() for t in ("cold", "warm")]
    assert_allclose(heights, np.transpose(expected))
    assert [t.get_text() for t in axes.get_legend().get_texts()] == list("54321")
    assert axes.get_xlabel() == "temp"
    held = fit.plot.category_probabilities("temp", at={"contact": "yes"})
    expected = fit.predict(WINE.assign(temp="cold", contact="yes"), re_form="marginal").iloc[0]
    assert_allclose([bars[0].get_height() for bars in held.containers], expected)


def test_areas_lie_along_a_covariate() -> None:
    rng = np.random.default_rng(1)
    data = WINE.assign(x=rng.normal(size=72))
    fit = mixfit.mixed("rating ~ x + temp + (x | judge)", data, "cumulative").fit()
    axes = fit.plot.category_probabilities("x", at={"temp": "cold"})
    assert len(axes.collections) == 5
    low = float(data["x"].min())
    assert axes.get_xlim() == pytest.approx((low, data["x"].max()))
    first = fit.predict(data.head(1).assign(x=low, temp="cold"), re_form="marginal")["1"].iloc[0]
    points = axes.collections[0].get_paths()[0].vertices
    assert points[np.isclose(points[:, 0], low), 1].max() == pytest.approx(first)


def test_one_variable_alone_needs_no_others() -> None:
    fit = mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative").fit()
    assert len(fit.plot.category_probabilities("temp").containers) == 5


def test_what_cannot_be_drawn_is_refused() -> None:
    fit = mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative").fit()
    with pytest.raises(DataError, match="no column 'contact'"):
        fit.plot.category_probabilities("contact")
    with pytest.raises(FitError, match="ordered categories"):
        cbpp_fit().plot.category_probabilities("period")


def test_unordered_categories_say_what_draws_them() -> None:
    fit = mixfit.mixed("choice ~ x + (1 | g)", choices(groups=20), family="multinomial").fit()
    plots = mixfit.plots
    for draw in (plots.shrinkage, plots.predictive_check, plots.quantile_residual_plot):
        with pytest.raises(FitError, match=r"plot\.category_probabilities\(\)"):
            draw(fit)
    for along in (plots.fitted_lines, plots.spaghetti, plots.partial_residuals):
        with pytest.raises(FitError, match=r"plot\.category_probabilities\(\)"):
            along(fit, "x")


def test_interaction_plots_have_a_line_for_each_category() -> None:
    unordered = mixfit.mixed("choice ~ x + (1 | g)", choices(groups=20), family="multinomial").fit()
    ordered = mixfit.mixed("rating ~ temp + (1 | judge)", WINE, "cumulative").fit()
    for fit, x, options in ((unordered, "x", {}), (ordered, "temp", {"mode": "prob"})):
        axes = mixfit.plots.emmip(fit, x, **options)
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels == [str(category) for category in fit.model.categories]
        total = np.sum([line.get_ydata() for line in axes.lines[: len(labels)]], axis=0)
        np.testing.assert_allclose(total, 1.0, atol=1e-9)
