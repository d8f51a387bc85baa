"""All groups in one panel."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from mixfit.plots import spaghetti
from tests.plots.fits import sleep, sleep_fit


def test_lines_of_data_and_model() -> None:
    axes = spaghetti(sleep_fit(), "Days", units={"Reaction": "ms", "Days": "d"})
    assert len(axes.lines) == 18 + 18 + 1
    own = sleep().query("Subject == '308'")
    assert_allclose(axes.lines[0].get_xydata(), own[["Days", "Reaction"]])
    ends = sleep_fit().predict(own.iloc[[0, -1]])
    assert_allclose(axes.lines[18].get_ydata()[[0, -1]], ends)
    assert_allclose(axes.lines[-1].get_ydata()[0], sleep_fit().params.iloc[0])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Days (d)", "Reaction (ms)")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["data", "mixed model", "population"]


def test_some_groups_without_data() -> None:
    axes = spaghetti(sleep_fit(), "Days", observed=False, population=False, max_groups=5)
    assert len(axes.lines) == 5
    assert axes.get_title() == "5 of 18 levels of Subject"
    with pytest.raises(FitError, match="max_groups must be positive"):
        spaghetti(sleep_fit(), "Days", max_groups=0)


def test_rows_are_joined_in_order_of_the_variable() -> None:
    shuffled = sleep().sample(frac=1.0, random_state=1)
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", shuffled).fit()
    assert all((np.diff(line.get_xdata()) > 0).all() for line in spaghetti(fit, "Days").lines)
