"""Start values that a user gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mixfit
from mixfit.errors import FitError

SLEEP = mixfit.datasets.load("sleepstudy")
HERDS = mixfit.datasets.load("cbpp")
TWO_TERMS = mixfit.mixed("Reaction ~ Days + (Days || Subject) + (1 | Days)", SLEEP)
INCIDENCE = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", HERDS, family="binomial")


@pytest.mark.parametrize(
    "start",
    [
        [1e6 * np.eye(2)],
        [np.zeros((2, 2))],
        [1e9 * np.eye(2)],
        [[1e-9, 0.0, 1e5]],
        [1e3, -7e3, 1e-5],
        np.array([[[1.0, 0.0], [-3.0, 2.0]]]),
    ],
)
def test_a_start_far_away_ends_at_the_optimum(start: Any) -> None:
    model = mixfit.mixed("Reaction ~ Days + (Days | Subject)", SLEEP)
    fit = model.fit(start=start)
    assert fit.converged
    assert fit.deviance == pytest.approx(model.fit().deviance, abs=1e-7)


@pytest.mark.parametrize(
    "start",
    [
        [[[1.0]], [[1.0]], [[1.0]]],
        [1.0],
        "x",
        {"Subject": 3},
        3,
        [np.ones((2, 2)), [1.0]],
        [[np.nan, 1.0], [1.0]],
        [["a", "b"], [1.0]],
        [[1.0, 2.0], [3.0, 4.0], [5.0]],
        object(),
    ],
)
def test_any_other_shape_is_refused_with_the_shape_for_each_term(start: Any) -> None:
    with pytest.raises(
        FitError, match=r"\(Days \|\| Subject\): .* shape \(2, 2\), .*; \(1 \| Days\): .* shape \(1, 1\)"
    ):
        TWO_TERMS.fit(start=start)


@pytest.mark.parametrize("start", [[1.0, 2.0, 3.0], [[1.0, 2.0], [3.0]], [np.diag([1.0, 2.0]), [[3.0]]]])
def test_theta_by_itself_or_by_terms(start: Any) -> None:
    assert TWO_TERMS.fit(start=start).converged


@pytest.mark.parametrize("n_agq", [0, 1, 9])
@pytest.mark.parametrize(
    "start", [{"start": [0.6]}, {"start": [[[1e6]]]}, {"start": [0.0]}, {"start": [5.0], "start_fixed": [9, -9, 9, 1]}]
)
def test_generalized_models_take_them_too(n_agq: int, start: dict[str, Any]) -> None:
    fit = INCIDENCE.fit(n_agq=n_agq, **start)
    assert fit.converged
    assert fit.llf == pytest.approx(INCIDENCE.fit(n_agq=n_agq).llf, abs=1e-7)


def test_a_good_start_saves_evaluations() -> None:
    first = INCIDENCE.fit()
    again = INCIDENCE.fit(start=first.theta, start_fixed=first.params)
    assert again.certificate.n_evaluations < first.certificate.n_evaluations


@pytest.mark.parametrize("wrong", [{"start": [1.0, 2.0]}, {"start": "x"}, {"start_fixed": [1, 2]}])
def test_generalized_models_refuse_other_shapes(wrong: dict[str, Any]) -> None:
    with pytest.raises(FitError, match=r"\(1 \| herd\)|4 fixed effects.*period"):
        INCIDENCE.fit(**wrong)


def test_parameters_of_a_structure() -> None:
    model = mixfit.mixed("Reaction ~ Days + ar1(0 + C(Days) | Subject)", SLEEP[SLEEP["Days"] < 4])
    fit = model.fit()
    assert model.fit(start=[fit.theta]).deviance == pytest.approx(fit.deviance, abs=1e-7)
    with pytest.raises(FitError, match="its 2 parameters"):
        model.fit(start=[np.eye(4)])
