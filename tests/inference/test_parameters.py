"""Parameters by name, on the scale of the summary."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.inference.parameters import parameter_array, parameter_names, parameter_values


def test_values_are_those_of_the_summary() -> None:
    fit = mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy")).fit()
    values = parameter_values(fit)
    assert values.index.tolist() == [
        "Intercept",
        "Days",
        "sd((Intercept)|Subject)",
        "sd(Days|Subject)",
        "cor((Intercept),Days|Subject)",
        "sigma",
    ]
    assert_allclose(values[:2], fit.params)
    assert_allclose(values[2:], fit.varcorr().to_frame()["sdcor"])


def test_terms_by_decreasing_number_of_levels_and_no_correlation_of_independent_columns() -> None:
    pastes = mixfit.mixed("strength ~ 1 + (1|batch/cask)", mixfit.datasets.load("pastes"))
    assert parameter_names(pastes)[1:] == ["sd((Intercept)|batch:cask)", "sd((Intercept)|batch)", "sigma"]
    sleep = mixfit.mixed("Reaction ~ Days + (Days||Subject)", mixfit.datasets.load("sleepstudy"))
    assert parameter_names(sleep)[2:] == ["sd((Intercept)|Subject)", "sd(Days|Subject)", "sigma"]


def test_three_columns_have_their_correlations_column_by_column() -> None:
    data = mixfit.datasets.load("sleepstudy").assign(square=lambda d: (d.Days - 4.5) ** 2)
    names = parameter_names(mixfit.mixed("Reaction ~ Days + (Days + square|Subject)", data))
    assert names[5:8] == [
        "cor((Intercept),Days|Subject)",
        "cor((Intercept),square|Subject)",
        "cor(Days,square|Subject)",
    ]


@pytest.mark.parametrize(("family", "last"), [("poisson", "sd((Intercept)|g)"), ("nbinom2", "phi")])
def test_a_dispersion_is_a_parameter_where_there_is_one(family: str, last: str) -> None:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(20), 6)
    mean = np.exp(1.0 + 0.5 * rng.standard_normal(20))[g]
    data = pd.DataFrame({"y": rng.negative_binomial(3.0, 3.0 / (3.0 + mean)), "g": g.astype(str)})
    fit = mixfit.mixed("y ~ 1 + (1|g)", data, family=family).fit()
    values = parameter_values(fit)
    assert values.index[-1] == last
    assert values.iloc[-1] == pytest.approx(fit.dispersion if last == "phi" else fit.theta[0])


def test_correlations_with_nothing_are_undefined() -> None:
    model = mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy"))
    templates = np.array([[[1.0, 0.0], [0.0, 0.0]], [[3.0, 0.0], [2.0, 2.0]]])
    unit = np.array([10.0, 1.0])
    values = parameter_array(model, np.zeros((2, 2)), [templates], unit, unit)
    assert_allclose(values[:, 2:], [[10.0, 0.0, np.nan, 10.0], [3.0, np.sqrt(8.0), np.sqrt(0.5), 1.0]])
