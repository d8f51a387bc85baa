"""The six panels of a model's checks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

import mixfit
from mixfit.errors import FitError
from tests.plots.fits import cbpp_fit, sleep_fit


def test_panels_show_what_the_checks_hold() -> None:
    check = sleep_fit().check_model(n=20, seed=1)
    axes = check.plot()
    titles = [axis.get_title(loc="left") for axis in axes]
    assert titles == [c.name.capitalize() for c in check.checks]
    for axis, found in zip(axes, check.checks, strict=True):
        (sentence,) = (t.get_text() for t in axis.texts if t.get_text().replace("\n", " ") == found.words)
        assert sentence
    np.testing.assert_array_equal(
        axes[1].collections[0].get_offsets(), np.column_stack([check.fitted, check.residuals])
    )
    assert len(axes[3].collections[1].get_offsets()) == 18
    assert {t.get_text() for t in axes[5].get_legend().get_texts()} == {"(Intercept) | Subject", "Days | Subject"}
    axes[0].figure.canvas.draw()


def test_generalized_panels() -> None:
    axes = cbpp_fit().check_model(n=20, seed=1).plot()
    assert axes[4].get_xlabel() == "uniform quantile"
    assert axes[2].get_title(loc="left") == "Dispersion"


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_a_model_without_fixed_effects(family: str) -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"y": rng.poisson(2.0, 60), "g": np.repeat(np.arange(12), 5)})
    axes = mixfit.mixed("y ~ 0 + (1 | g)", data, family=family).fit().check_model(n=20, seed=1).plot()
    assert "not available for this model" in [text.get_text() for text in axes[3].texts]


def test_binary_and_count_responses() -> None:
    toenail = mixfit.datasets.load("toenail").head(400)
    binary = mixfit.mixed("outcome ~ time + (1 | patientID)", toenail, family="binomial").fit()
    axes = binary.check_model(n=20, seed=1).plot()
    assert axes[1].get_xlabel() == "mean expected probability"
    assert axes[0].get_ylabel() == "rows"
    ticks = mixfit.datasets.load("grouseticks")
    counts = mixfit.mixed("TICKS ~ 1 + (1 | BROOD)", ticks, family="poisson").fit().check_model(n=20, seed=1).plot()
    diamonds = counts[0].collections[2].get_offsets()
    assert diamonds[0].tolist() == [0.0, float((ticks["TICKS"] == 0).sum())]


def test_own_axes() -> None:
    _, given = pyplot.subplots(3, 2)
    assert sleep_fit().check_model(n=20, seed=1).plot(axes=given)[0] is given[0, 0]
    with pytest.raises(FitError, match="This plot has 6 panels; axes= gives 1"):
        sleep_fit().check_model(n=20, seed=1).plot(axes=given[0, 0])
