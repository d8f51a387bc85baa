"""Backward elimination: against lmerTest's step, and what it says of itself."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import ArgumentError, ComparisonError
from mixfit.formula import parse
from mixfit.formula.update import random_key, written

TESTS = Path(__file__).parents[1]
# lmerTest 3.1-3 at tight fits, tests/reference/step.R; the data are made by tests/reference/step_data.py
LMERTEST = json.loads((TESTS / "reference" / "step.json").read_text())
FULL = "y ~ a * b + x + (x | subject) + (1 | subject:a) + (1 | item)"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "simulated": (FULL, {}),
    "columns": ("y ~ b + (b + x | subject)", {}),
    "cake": ("angle ~ recipe * temperature + (1 | recipe:replicate) + (1 | replicate)", {}),
    "kept": (FULL, {"keep": "x", "alpha_random": 0.9, "alpha_fixed": 0.01}),
    "kr": (FULL, {"ddf": "kenward-roger", "reduce_random": False}),
}


@cache
def data(name: str) -> pd.DataFrame:
    if name == "cake":
        return mixfit.datasets.load("cake")
    return pd.read_csv(TESTS / "data" / "step.csv")


def same_model(one: str, other: str) -> bool:
    a, b = parse(one), parse(other)
    return set(map(written, a.fixed)) == set(map(written, b.fixed)) and set(map(random_key, a.random)) == set(
        map(random_key, b.random)
    )


@pytest.mark.parametrize("name", list(CASES))
def test_lmertest(name: str) -> None:
    formula, options = CASES[name]
    fit = mixfit.mixed(formula, data(name)).fit()
    steps, wanted = fit.step(random_test="chisq", **options), LMERTEST[name]
    assert same_model(steps.fit.model.formula_text, wanted["formula"])
    np.testing.assert_allclose(steps.fit.llf, fit.update(steps.fit.model.formula_text).llf, rtol=1e-9)
    if steps.random is not None:
        frame, table = steps.random.frame, wanted["random"]
        assert list(frame.index) == table["rows"]
        assert frame["Eliminated"].iloc[1:].tolist() == table["Eliminated"][1:]
        for column in ("npar", "logLik", "LRT", "Df", "Pr(>Chisq)"):
            values = np.array(table[column], dtype=float)
            np.testing.assert_allclose(frame[column], values, rtol=2e-4, atol=1e-5, err_msg=column)
    frame, table = steps.fixed.frame, {key: np.atleast_1d(value) for key, value in wanted["fixed"].items()}
    assert list(frame.index) == list(table["rows"])
    assert frame["Eliminated"].tolist() == list(table["Eliminated"])
    for column in ("Sum Sq", "NumDF", "DenDF", "F value", "Pr(>F)"):
        np.testing.assert_allclose(frame[column], table[column].astype(float), rtol=2e-3, err_msg=column)


def test_the_mixture_keeps_what_a_chi_square_may_leave_out() -> None:
    fit = mixfit.mixed(FULL, data("simulated")).fit()
    # The p-values of two terms are about 0.6 and 0.5, and half of that.
    options = {"alpha_random": 0.4, "reduce_fixed": False}
    assert len(fit.step(random_test="chisq", **options).fit.model.design.random) == 1
    assert len(fit.step(random_test="mixture", **options).fit.model.design.random) == 3


def test_columns_without_correlations_and_the_last_term() -> None:
    rng = np.random.default_rng(4)
    frame = data("simulated").assign(z=rng.normal(size=288), y=rng.normal(size=288))
    steps = mixfit.mixed("y ~ x + (x + z || subject) + (0 + z | item)", frame).fit().step(alpha_random=1e-9)
    assert len(steps.fit.model.design.random) == 1
    assert "The last random term stays." in str(steps)
    assert steps.fit.model.exog_names == ("Intercept",)


def test_summaries_say_that_the_model_was_selected() -> None:
    steps = mixfit.mixed(FULL, data("simulated")).fit().step()
    assert "p-values" in str(steps.fit.summary())
    assert "ignore the selection" in str(steps.fit.summary(ddf="satterthwaite"))
    assert "selection" not in str(steps.fit.update(". ~ .").summary())
    assert "Model found:\ny ~ a + b + (x | subject)" in str(steps)
    assert "<code>y ~ a + b" in steps._repr_html_()


def test_generalized_models_lose_fixed_terms() -> None:
    ticks = mixfit.datasets.load("grouseticks").assign(noise=np.arange(403) % 7)
    fit = mixfit.mixed("TICKS ~ YEAR + noise + (1 | BROOD)", ticks, family="poisson").fit()
    steps = fit.step()
    assert steps.random is None
    assert steps.fixed.frame["Eliminated"].to_dict() == {"noise": 1, "YEAR": 0}
    np.testing.assert_allclose(steps.fixed.frame.loc["noise", "Pr(Chi)"], fit.drop1().frame.loc["noise", "Pr(Chi)"])
    with pytest.raises(ComparisonError, match="reduce_random=False"):
        fit.step(reduce_random=True)


def test_what_cannot_be_asked_for() -> None:
    fit = mixfit.mixed(FULL, data("simulated")).fit()
    with pytest.raises(ComparisonError, match="keep= names 'c'"):
        fit.step(keep=["c"])
    with pytest.raises(ArgumentError, match="random_test"):
        fit.step(random_test="exact")  # type: ignore[arg-type]
