"""Unbalanced data against lmerTest 3.1.3 and pbkrtest 0.5.2 (``reference/lmertest.R``): every coding and type."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixfit

REFERENCE = Path(__file__).parents[1] / "reference"
THEIRS = json.loads((REFERENCE / "lmertest.json").read_text())

FORMULAS = {
    "treatment": "y ~ a * b + x + (1 | g)",
    "sum": "y ~ C(a, contr.sum) * C(b, contr.sum) + x + (1 | g)",
    "poly": "y ~ a * C(b, contr.poly) + x + (1 | g)",
    "slopes": "y ~ a * x + b + (x | g)",
    "independent": "y ~ a * x + b + (x || g)",
    "crossed": "y ~ a * b + z + (1 | g) + (1 | h)",
    "nested": "y ~ a / x + (1 | g)",
    "means": "y ~ 0 + a + b + (1 | g)",
    "cells": "y ~ a:b + (1 | g)",
    "covariates": "y ~ x * z + a * x + (1 | g)",
    "three": "y ~ a * b * x + (1 | g)",
    "missing": "y ~ a * b + x + (1 | g)",
    "aliased": "y ~ x + x2 + a + (1 | g)",
    "ml": "y ~ a * b + x + (1 | g) + (1 | h)",
    "weighted": "y ~ a * b + x + (1 | g)",
    "singular": "flat ~ a * b + x + (1 | g) + (1 | h)",
    "singular_slopes": "line ~ a * x + (x | g)",
}
METHODS = ("satterthwaite", "kenward-roger")
CASES = [(name, method) for name in FORMULAS for method in METHODS if (name, method) != ("weighted", METHODS[1])]


@cache
def fitted(name: str) -> Any:
    data = pd.read_csv(REFERENCE / "unbalanced.csv")
    if name == "missing":
        data = data[(data["a"] != "a3") | (data["b"] != "b2")]
    model = mixfit.mixed(FORMULAS[name], data, weights="w" if name == "weighted" else None)
    # lme4's optimum after Newton steps: ours is within its tolerance of it, so that the fit ends where it starts.
    start = model._templates(THEIRS[name]["theta"])
    return model.fit(reml=name != "ml", start=start)


def close(ours: Any, theirs: Any, name: str, method: str) -> None:
    if method == "satterthwaite":
        # lmerTest differentiates numerically; of cells without main effects it tests other rows.
        tolerance = 1e-4 if name == "cells" else 1e-5
    else:
        # lmerTest rounds type III hypotheses to seven digits; the REML refit has our optimizer's tolerance.
        tolerance = 5e-4 if name == "ml" else 1e-6
    theirs = np.array([np.nan if value is None else value for value in theirs], dtype=float)
    np.testing.assert_allclose(np.asarray(ours, dtype=float), theirs, rtol=tolerance)


@pytest.mark.parametrize("kind", ["I", "II", "III"])
@pytest.mark.parametrize(("name", "method"), CASES)
def test_anova_is_lmertests(name: str, method: str, kind: str) -> None:
    theirs = THEIRS[name][f"anova_{method}_{kind}"]
    ours = fitted(name).anova(type=kind, ddf=method)
    assert len(ours) == len(theirs["rows"])
    if method == "satterthwaite" and kind != "III" and name != "cells":
        # lmerTest's own rows have another form, and so other degrees of freedom.
        echelon = THEIRS[name][f"echelon_{kind}"]
        for column in ("DenDF", "Pr(>F)"):
            close(ours[column], _in_order(echelon, column, ours.frame.index), name, method)
        ours = ours.frame.drop(columns=["DenDF", "Pr(>F)"])
    else:
        ours = ours.frame
    for column in ours.columns:
        close(ours[column], _in_order(theirs, column, ours.index), name, method)


def _in_order(theirs: Any, column: str, names: Any) -> list[Any]:
    """A column of lmerTest's, whose rows may stand in another order, with R's names."""
    same = set(theirs["rows"]) == set(names)
    return [theirs[column][theirs["rows"].index(name)] for name in names] if same else theirs[column]


# Of cells without main effects R and formulaic leave out another one.
@pytest.mark.parametrize(("name", "method"), [case for case in CASES if case[0] != "cells"])
def test_coefficients_are_lmertests(name: str, method: str) -> None:
    theirs, ours = THEIRS[name][f"coef_{method}"], fitted(name).ttest(ddf=method)
    for column in ("Estimate", "Std. Error", "df", "t value", "Pr(>|t|)"):
        close(ours[column], theirs[column], name, method)


@pytest.mark.parametrize(("name", "method"), [case for case in CASES if case[0] != "cells"])
def test_contest_with_a_right_side_is_lmertests(name: str, method: str) -> None:
    fit = fitted(name)
    theirs = THEIRS[name][f"contest_{method}"]
    ours = fit.contest(np.eye(len(fit.params))[:3], ddf=method, rhs=[9.0, 0.5, 1.0][: min(3, len(fit.params))])
    for column in ours.frame.columns:
        close(ours[column], theirs[column], name, method)


@pytest.mark.parametrize("name", [name for name, method in CASES if method == "kenward-roger" and name != "cells"])
def test_adjusted_covariance_is_pbkrtests(name: str) -> None:
    theirs = np.array(THEIRS[name]["vcov_kr"])
    scale = np.sqrt(np.outer(theirs.diagonal(), theirs.diagonal()))
    np.testing.assert_allclose(fitted(name).vcov_kr() / scale, theirs / scale, atol=2e-5 if name == "ml" else 1e-9)


@pytest.mark.parametrize("swapped", [False, True])
def test_comparisons_are_pbkrtests(swapped: bool) -> None:
    data = pd.read_csv(REFERENCE / "unbalanced.csv")
    fits = [fitted("treatment"), mixfit.mixed("y ~ a + b + (1 | g)", data).fit()]
    if swapped:
        fits = fits[::-1]
    for ours, theirs in (
        (mixfit.kr_modcomp(*fits), THEIRS["comparison"]["kr"]),
        (mixfit.sat_modcomp(*fits), THEIRS["comparison"]["sat"]),
    ):
        for column in ours.frame.columns:
            close(ours[column], theirs[column], "cells", "satterthwaite")
