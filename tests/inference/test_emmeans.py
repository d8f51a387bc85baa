"""Marginal means and contrasts against R's emmeans 1.8.4-1 (tests/reference/emmeans.R)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixfit

HERE = Path(__file__).resolve().parent.parent
CASES = json.loads((HERE / "reference" / "emmeans.json").read_text())

FORMULAS = {
    "crossed": "y ~ a * b + k + x + (1 | g)",
    "labels": "y ~ a * x + h + j + l + (1 | g)",
    "two": "y ~ a * two + x + (1 | g)",
    "ml": "y ~ a + k + x + (1 | g)",
    "weighted": "y ~ a + k + x + (1 | g)",
    "curved": "y ~ a * poly(x, 2) + log(e) + (1 | g)",
    "empty": "y ~ a * b + k + (1 | g)",
    "herds": "cbind(incidence, size - incidence) ~ period + (1 | herd)",
    "counts": "n ~ a * k + x + offset(log(e)) + (1 | g)",
    "probit": "cbind(incidence, size - incidence) ~ period + (1 | herd)",
}
FAMILIES = {"herds": "binomial", "counts": "poisson", "probit": "binomial(probit)"}


def marginal():
    data = pd.read_csv(HERE / "data" / "marginal.csv", dtype={"j": str, "h": str})
    return data.assign(a=pd.Categorical(data["a"], ["lo", "hi"]))


@pytest.fixture(scope="module")
def fits():
    data = marginal()
    made = {}
    for name, formula in FORMULAS.items():
        rows = mixfit.datasets.load("cbpp") if name in ("herds", "probit") else data
        if name == "empty":
            rows = data[~((data["a"] == "hi") & (data["b"] == "z"))]
        weights = "e" if name == "weighted" else None
        model = mixfit.mixed(formula, rows, family=FAMILIES.get(name), weights=weights)
        made[name] = model.fit(reml=name != "ml") if name not in FAMILIES else model.fit()
    return made


def scalar(value):
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def run(fits, case):
    options = {name: scalar(value) for name, value in (case["arguments"] or {}).items()}
    means = fits[case["model"]].emmeans(case["specs"], **options)
    if case["contrast"] is None:
        return means, means.frame
    given = {name: scalar(value) for name, value in case["contrast"].items()}
    if given.get("by") == "none":
        given["by"] = ()
    result = means.contrast(**given)
    return result, result.frame if case["what"] == "tests" else result.conf_int()


def label(case):
    given = {**(case["arguments"] or {}), **(case["contrast"] or {})}
    return "-".join([case["model"], "".join(case["specs"]), *(str(scalar(v)) for v in given.values()), case["what"]])


RENAMED = {"asymp.LCL": "lower.CL", "asymp.UCL": "upper.CL"}


@pytest.mark.parametrize("case", CASES, ids=label)
def test_agrees_with_emmeans(fits, case):
    result, frame = run(fits, case)
    assert set(frame) == {RENAMED.get(name, name) for name in case["frame"]}
    mvt = (case["contrast"] or {}).get("adjust") == ["mvt"] or (case["contrast"] or {}).get("method") == ["consec"]
    for name, expected in case["frame"].items():
        found = frame[RENAMED.get(name, name)]
        if isinstance(expected[0], str):
            assert found.astype(str).tolist() == expected
            continue
        want = np.array([np.nan if v is None else np.inf if v == 1e300 else v for v in expected], dtype=float)
        # linear fits agree in theta to 2e-5; the Hessian of a generalized one is good to its fourth digit
        rtol = 5e-4 if case["model"] in FAMILIES else 1e-4
        atol = 0.0 if name in ("SE", "df", "p.value") else rtol * np.nanmin(frame["SE"])
        if name == "p.value":  # d log p / d log t is about -t^2
            statistic = frame["t.ratio" if "t.ratio" in frame else "z.ratio"]
            rtol *= 1.0 + float(np.nanmax(statistic.abs())) ** 2
        if mvt and name in ("p.value", "asymp.LCL", "asymp.UCL"):  # mvtnorm samples
            rtol, atol = 2e-3, 1e-3
        np.testing.assert_allclose(found.to_numpy(dtype=float), want, rtol=rtol, atol=atol, err_msg=name)
    if case["what"] == "tests":
        # what emmeans says at the time of computing is not part of its result
        said = [note for note in result.notes if "misleading" not in note and '"tukey"' not in note]
        assert said == [line for note in case["notes"] or [] for line in note.split("\n")]
