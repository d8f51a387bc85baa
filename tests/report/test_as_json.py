"""Estimates as JSON: all digits, every predictor, and nothing that JSON has no word for."""

from __future__ import annotations

import json

import mixfit


def read(text):
    def refuse(word):
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


def test_a_linear_fit() -> None:
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()
    told = read(fit.to_json(ddf="kenward-roger"))
    assert (told["mixfit"], told["nobs"], told["groups"]) == (mixfit.__version__, 180, {"Subject": 18})
    assert (told["family"], told["converged"], told["predictors"]) == (None, True, {})
    frame = fit.tidy(ddf="kenward-roger")
    assert [row["term"] for row in told["estimates"]] == frame["term"].tolist()
    assert [row["estimate"] for row in told["estimates"]] == frame["estimate"].tolist()
    assert told["estimates"][0]["p.value"] == frame["p.value"][0]
    assert told["estimates"][-1]["std.error"] is None
    assert told["statistics"]["REMLcrit"] == fit.deviance
    assert "p.value" not in read(fit.to_json(ddf="none"))["estimates"][0]


def test_every_predictor() -> None:
    data = mixfit.datasets.load("salamanders")
    fit = mixfit.mixed("count ~ mined + (1 | site)", data, family="nbinom2", zi="~ mined").fit()
    told = read(fit.to_json())
    assert told["family"] == "nbinom2 ( log )"
    rows = told["predictors"]["zi"]
    assert [row["estimate"] for row in rows] == fit.params_of("zi").tolist()
    assert set(rows[0]) == {"term", "estimate", "std.error", "statistic", "p.value"}
    assert told["statistics"]["deviance"] is None
    zeros = [row for row in told["estimates"] if row["component"] == "zi"]
    assert [row["estimate"] for row in zeros] == fit.params_of("zi").tolist()


def test_thresholds_are_estimates() -> None:
    fit = mixfit.mixed("rating ~ temp + (1 | judge)", mixfit.datasets.load("wine"), family="cumulative").fit()
    told = read(fit.to_json())
    assert told["predictors"] == {}
    assert [row["estimate"] for row in told["estimates"] if row["effect"] == "fixed"] == fit.params.tolist()
