"""Formats of numbers, names and tables against what R makes of the same input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mixfit.tables.layout import abbreviate, lay_out
from mixfit.tables.numbers import fixed_decimals, format_coefficients, format_common, zap_small
from tests.fitted.models import fitted

LME4 = Path(__file__).parents[1] / "fitted" / "golden" / "lme4"
R = json.loads((LME4 / "formats.json").read_text())


@pytest.mark.parametrize("digits", [4, 5, 7])
def test_common_format(digits: int) -> None:
    for case in R["format"]:
        assert format_common(map(float, case["x"]), digits) == case[f"digits{digits}"], case["x"]


def test_coefficient_table() -> None:
    for case in R["coefmat"]:
        columns = format_coefficients(*zip(*case["x"], strict=True), 4)
        assert [[cell.strip() for cell in row] for row in zip(*columns, strict=True)] == case["cells"], case["x"]


@pytest.mark.parametrize(("position", "length"), list(enumerate([4, 6, 8, 11])))
def test_abbreviations(position: int, length: int) -> None:
    assert abbreviate(R["names"], length) == R["abbreviated"][position]


def test_equal_names_stay_equal_and_long_clashes_end() -> None:
    assert abbreviate(["intercept", "intercept"], 3) == ["int", "int"]
    assert abbreviate(["a bcd", "ab cd"], 2) == ["ab", "ac"]
    # without their blanks they would be equal
    assert abbreviate(["a bcd", "ab cd", "abc d"], 4) == ["a bcd", "ab cd", "abc d"]
    assert abbreviate([], 6) == []


def test_folded_table_of_correlations() -> None:
    text = str(fitted("cake_interaction_ml").summary(correlation=True, ddf="none"))
    mine = text.split("Correlation of Fixed Effects:\n")[1].splitlines()
    wanted = (LME4 / "cake_interaction_ml_correlation.txt").read_text().rstrip().splitlines()
    assert mine == [line.rstrip() for line in wanted]


def test_small_cases() -> None:
    assert zap_small([0.0, float("nan")], 4)[0] == 0.0
    assert fixed_decimals([float("nan"), 1.0], 2) == [" NaN", "1.00"]
    assert lay_out(["h"], [], []) == " h"
