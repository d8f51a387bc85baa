"""Fixed effects with intervals, and the correlations of their estimates."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from mixfit.plots import coefficients, effect_correlations
from mixfit.plots.figure import line_styles
from tests.plots.fits import cbpp_fit, crossed_fit, pulp_fit, sleep_fit


def segments(axes, j):
    """Lower and upper limits of the j-th model."""
    return np.array([line[:, 0] for line in axes.collections[j].get_segments()])


def test_estimates_and_limits() -> None:
    fit = crossed_fit()
    axes = coefficients(fit, level=0.9)
    limits = fit.contest(np.eye(3)[1:], joint=False, level=0.9)
    assert_allclose(segments(axes, 0), limits[["lower", "upper"]])
    assert_allclose(axes.lines[1].get_xdata(), fit.params.iloc[1:])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "z"]
    assert axes.get_xlabel() == "coefficient, 90% interval"
    assert axes.get_title() == "y"
    # the first stands on top
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_several_models() -> None:
    fit = sleep_fit()
    axes = coefficients({"model": fit, "robust": fit.robust("CR2")}, intercept=True)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["model", "robust"]
    assert_allclose(segments(axes, 1), fit.robust("CR2").conf_int())
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() not in ("None", None)]
    assert [to_hex(line.get_color()) for line in drawn] == [style["color"].lower() for style in line_styles(2)]
    assert len({line.get_marker() for line in drawn}) == 2
    assert (drawn[0].get_ydata() < drawn[1].get_ydata()).all()


def test_odds_ratios() -> None:
    fit = cbpp_fit()
    axes = coefficients(fit, exponentiate=True, terms=["period[T.4]", "period[T.2]"])
    assert axes.get_xscale() == "log"
    assert_allclose(axes.lines[1].get_xdata(), np.exp(fit.params[["period[T.4]", "period[T.2]"]]))
    axes.figure.canvas.draw()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert "0.2" in labels


def test_coefficients_are_refused() -> None:
    with pytest.raises(FitError, match="beside the constant: intercept=True"):
        coefficients(pulp_fit())
    with pytest.raises(FitError, match="No model has the fixed effect 'Dys'"):
        coefficients(sleep_fit(), terms=["Dys"])


def test_correlations() -> None:
    fit = mixfit.mixed("distance ~ age * Sex + (1 | Subject)", mixfit.datasets.load("orthodont")).fit()
    axes = effect_correlations(fit)
    covariance = fit.cov_params().to_numpy()
    scale = np.sqrt(np.diagonal(covariance))
    expected = covariance / np.outer(scale, scale)
    shown = axes.images[0].get_array()
    assert_allclose(shown[2, 1], expected[3, 1])
    assert axes.texts[0].get_text() == f"{expected[1, 0]:.2f}"
    assert len(axes.texts) == 6
    assert [label.get_text() for label in axes.get_yticklabels()] == ["age", "Sex[T.Female]", "age:Sex[T.Female]"]
    with pytest.raises(FitError, match="1 fixed effects: correlations take two"):
        effect_correlations(pulp_fit())
