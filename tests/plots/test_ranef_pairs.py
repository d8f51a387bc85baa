"""Random effects of a level against one another."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import chi2

import mixfit
from mixfit.errors import FitError
from mixfit.plots import ranef_pairs
from tests.plots.fits import crossed_fit, pulp_fit, sleep, sleep_fit


def test_points_and_ellipse() -> None:
    (axes,) = ranef_pairs(sleep_fit(), level=0.8)
    assert_allclose(axes.collections[0].get_offsets(), sleep_fit().ranef()["Subject"])
    ellipse = axes.lines[-1].get_xydata()
    inverse = np.linalg.inv(sleep_fit().varcorr()["Subject"].to_numpy())
    assert_allclose(np.einsum("ni,ij,nj->n", ellipse, inverse, ellipse), chi2.ppf(0.8, 2))
    assert len(axes.texts) == 18
    assert axes.get_title() == "Subject, correlation 0.07"
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["80% of levels", "conditional modes"]


def test_independent_columns_of_two_terms_and_names() -> None:
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", sleep()).fit()
    (axes,) = ranef_pairs(fit, names=False)
    assert axes.get_title() == "Subject, correlation 0.00"
    assert not axes.texts
    spread = [axes.lines[-1].get_xdata().max(), axes.lines[-1].get_ydata().max()]
    assert_allclose(spread, fit.varcorr().to_frame()["sdcor"][:2] * np.sqrt(chi2.ppf(0.95, 2)), rtol=1e-3)


def test_more_columns_have_more_pairs() -> None:
    data = sleep().assign(late=lambda d: (d["Days"] > 4).astype(float))
    fit = mixfit.mixed("Reaction ~ Days + (Days + late | Subject)", data).fit()
    assert len(ranef_pairs(fit)) == 3
    assert len(ranef_pairs(fit, columns=["Days", "(Intercept)"])) == 1
    assert len(ranef_pairs(crossed_fit(), "g")) == 1


def test_one_column_is_refused() -> None:
    with pytest.raises(FitError, match=r"one random column to draw, '\(Intercept\)'"):
        ranef_pairs(pulp_fit())
