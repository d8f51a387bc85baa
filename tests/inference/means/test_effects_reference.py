"""Slopes, joint tests and further contrasts against R's emmeans 1.8.4-1 (tests/reference/effects.R)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixfit

HERE = Path(__file__).resolve().parents[2]
CASES = json.loads((HERE / "reference" / "effects.json").read_text())

FORMULAS = {
    "crossed": "y ~ a * b + k + x + (1 | g)",
    "slopes": "y ~ a * x + b * k + (1 | g)",
    "curved": "y ~ a * poly(x, 2) + log(e) + (1 | g)",
    "empty": "y ~ a * b + k + (1 | g)",
    "herds": "cbind(incidence, size - incidence) ~ period + (1 | herd)",
    "counts": "n ~ a * x + k + (1 | g)",
    "nested": "y ~ species + variety + water + (1 | block)",
    "watered": "y ~ species * water + species:variety + (1 | block)",
    "sleep": "Reaction ~ Days + (Days | Subject)",
}
FAMILIES = {"herds": "binomial", "counts": "poisson"}


def data_of(name):
    if name in ("herds", "sleep"):
        return mixfit.datasets.load({"herds": "cbpp", "sleep": "sleepstudy"}[name])
    if name in ("nested", "watered"):
        return pd.read_csv(HERE / "data" / "nested.csv")
    data = pd.read_csv(HERE / "data" / "marginal.csv", dtype={"j": str, "h": str})
    data = data.assign(a=pd.Categorical(data["a"], ["lo", "hi"]))
    return data[~((data["a"] == "hi") & (data["b"] == "z"))] if name == "empty" else data


@pytest.fixture(scope="module")
def fits():
    return {
        name: mixfit.mixed(formula, data_of(name), family=FAMILIES.get(name)).fit()
        for name, formula in FORMULAS.items()
    }


def plain(value):
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    return value[0] if isinstance(value, list) and len(value) == 1 else value


RENAMED = {"asymp.LCL": "lower.CL", "asymp.UCL": "upper.CL", ".equiv.set": ".group"}


def run(fits, case):
    fit, options = fits[case["model"]], plain(case["options"] or {})
    arguments = {name: value for name, value in plain(case["arguments"] or {}).items() if value}
    if arguments.get("ddf") == "none":
        arguments["ddf"] = "z"
    if "alpha" in options:
        options["level"] = 1.0 - options.pop("alpha")
    if arguments.get("specs") == "1":
        arguments["specs"] = "~ 1"
    found = getattr(fit, case["call"])(**arguments)
    if case["then"] == "frame":
        return found.frame
    if case["then"] == "cld":
        options["letters"] = "123456789"
        if "alpha" in options:
            options["level"] = 1.0 - options.pop("alpha")
    return getattr(found, case["then"])(**options).frame


def in_order(frame, expected):
    names = [name for name, values in expected.items() if isinstance(values[0], str) and name != "note"]
    keys = list(zip(*(frame[name].astype(str) for name in names), strict=True))
    return frame.iloc[[keys.index(key) for key in zip(*(expected[n] for n in names), strict=True)]]


def label(case):
    given = {**(case["arguments"] or {}), **(case["options"] or {})}
    return "-".join([case["model"], case["call"], case["then"], *(str(plain(v)) for v in given.values())])


@pytest.mark.parametrize("case", CASES, ids=label)
def test_agrees_with_emmeans(fits, case):
    frame = run(fits, case)
    if joint := case["call"] == "joint_tests":  # there in the order of the terms
        frame = in_order(frame, case["frame"])
    assert {RENAMED.get(name, name) for name in case["frame"]} <= set(frame)
    mvt = "mvt" in str(case["options"])
    consec = "consec" in str(case["options"].get("method") if case["options"] else "")
    for name, expected in case["frame"].items():
        found = frame[RENAMED.get(name, name)]
        if isinstance(expected[0], str):
            # letters stand one below the other there
            assert [str(v).replace(" ", "") for v in found] == [v.replace(" ", "") for v in expected], name
            continue
        if joint and name == "df2" and plain(case["arguments"])["ddf"] == "satterthwaite" and frame["df1"].max() > 1:
            # emmeans takes the smallest degrees of freedom of several contrasts
            alone = (frame["df1"] == 1).to_numpy()
            found, expected = found[alone], np.array(expected)[alone]
        want = np.array([np.nan if v is None else np.inf if v == 1e300 else v for v in expected], dtype=float)
        # linear fits agree in theta to 2e-5; the Hessian of a generalized one is good to its fourth digit
        rtol = 5e-4 if case["model"] in FAMILIES else 1e-4
        atol = 0.0 if name in ("SE", "df", "p.value") or joint else rtol * np.nanmin(frame["SE"])
        if joint and name in ("df1", "df2", "F.ratio"):  # rounded there
            atol = {"F.ratio": 2e-3 if case["model"] == "empty" else 6e-4}.get(name, 6e-3)
        if name == "p.value":  # d log p / d log t is about -t^2
            if joint:
                rtol = 0.02 if "satterthwaite" in str(case["arguments"]) else 2e-3 * (1 + frame["F.ratio"].max())
            else:
                statistic = frame["t.ratio" if "t.ratio" in frame else "z.ratio"]
                rtol *= 1.0 + float(np.nanmax(statistic.abs())) ** 2
                atol = 5e-11  # where R's studentized range is rounding
        if (mvt or consec) and name == "p.value":  # mvtnorm samples
            rtol, atol = 2e-3, 1e-3
        np.testing.assert_allclose(found.to_numpy(dtype=float), want, rtol=rtol, atol=atol, err_msg=name)
