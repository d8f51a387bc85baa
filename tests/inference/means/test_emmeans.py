"""Marginal means and contrasts against R's emmeans 1.8.4-1 (tests/reference/emmeans.R)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixfit

HERE = Path(__file__).resolve().parents[2]
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
    if options.get("ddf") == "none":
        options["ddf"] = "z"
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


LMERTEST = json.loads((HERE / "reference" / "emmeans_lmertest.json").read_text())


@pytest.mark.parametrize(("name", "factor"), [("penicillin", "treat"), ("cake", "temperature")])
def test_degrees_of_freedom_of_published_fits(name, factor):
    """Fits of lme4 2.1.0 with lmerTest, pbkrtest 0.5.5 and emmeans, run to tight tolerances."""
    expected = LMERTEST[name]
    fit = mixfit.mixed(expected["formula"], mixfit.datasets.load(name)).fit()
    pairs = fit.emmeans(factor).pairs()
    tables = {
        "emmeans_kr": fit.emmeans(factor).frame,
        "emmeans_sat": fit.emmeans(factor, ddf="satterthwaite").frame,
        "pairs_kr": pairs.frame,
    }
    for key, frame in tables.items():
        for column, values in expected[key].items():
            if isinstance(values[0], str):
                assert frame[column].tolist() == values
            else:
                # p-values below 1e-11 are rounding errors of the studentized range, here and in R
                np.testing.assert_allclose(frame[column], values, rtol=1e-6, atol=1e-12 * (column == "p.value"))


NESTED = """\
b = x-1:
 a  emmean    SE   df lower.CL upper.CL
 lo   1.27 0.502 27.9    0.245     2.30
 hi   1.87 0.432 25.3    0.983     2.76

b = y+2:
 a  emmean    SE   df lower.CL upper.CL
 lo   1.59 0.501 27.8    0.562     2.62
 hi   2.46 0.432 25.3    1.565     3.35

b = z:
 a  emmean    SE   df lower.CL upper.CL
 lo   2.00 0.476 27.0    1.022     2.97
 hi nonEst    NA   NA       NA       NA

Results are averaged over the levels of: k
Degrees-of-freedom method: kenward-roger
Confidence level used: 0.95"""

RATIOS = """\
 contrast          odds.ratio    SE  df null z.ratio p.value
 period1 / period2       2.70 0.827 Inf    1   3.236  0.0066
 period1 / period3       3.09 1.010 Inf    1   3.455  0.0031
 period1 / period4       4.86 2.076 Inf    1   3.697  0.0012
 period2 / period3       1.15 0.436 Inf    1   0.358  0.9843
 period2 / period4       1.80 0.847 Inf    1   1.250  0.5947
 period3 / period4       1.57 0.761 Inf    1   0.933  0.7873

P value adjustment: tukey method for comparing a family of 4 estimates
Tests are performed on the log odds ratio scale"""

SLOPED = """\
    x emmean    SE   df lower.CL upper.CL
 -1.0   2.00 0.385 16.6     1.18     2.81
  0.5   2.17 0.335 10.8     1.43     2.91

Results are averaged over the levels of: a, b, k
Degrees-of-freedom method: kenward-roger
Confidence level used: 0.95"""

OVERALL = """\
 1       emmean   SE   df lower.CL upper.CL
 overall   2.11 0.34 9.52     1.35     2.87

Results are averaged over the levels of: a, two
Degrees-of-freedom method: kenward-roger
Confidence level used: 0.95"""

BOTH = """\
 b   emmean    SE  df asymp.LCL asymp.UCL
 x-1   1.54 0.394 Inf     0.763      2.31
 y+2   2.04 0.397 Inf     1.259      2.82
 z     2.82 0.385 Inf     2.067      3.58

NOTE: Results may be misleading due to involvement in interactions
Results are averaged over the levels of: a, k
Degrees-of-freedom method: asymptotic
Confidence level used: 0.95

 contrast      estimate    SE  df z.ratio p.value
 (x-1) - (y+2)   -0.503 0.394 Inf  -1.276  0.2021
 (x-1) - z       -1.286 0.403 Inf  -3.192  0.0042
 (y+2) - z       -0.783 0.407 Inf  -1.922  0.1093

Results are averaged over the levels of: a, k
Degrees-of-freedom method: asymptotic
P value adjustment: holm method for 3 tests"""


def test_prints_as_emmeans_prints(fits):
    assert str(fits["empty"].emmeans("~ a | b")) == NESTED
    assert str(fits["herds"].emmeans("period", type="response").pairs()) == RATIOS
    assert str(fits["crossed"].emmeans("x", at={"x": [-1, 0.5]})) == SLOPED
    assert str(fits["two"].emmeans("~ 1")) == OVERALL
    # emmeans says the first note at the time of computing
    assert repr(fits["crossed"].emmeans("pairwise ~ b", ddf="z", adjust="holm")) == BOTH


def test_html_has_a_table_a_group_and_the_notes(fits):
    html = fits["empty"].emmeans("pairwise ~ a | b")._repr_html_()
    assert html.count("<table") == 6
    assert "b = y+2:" in html
    assert "<p>Degrees-of-freedom method: kenward-roger</p>" in html
